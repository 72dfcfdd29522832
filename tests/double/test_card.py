# SPDX-License-Identifier: LGPL-2.1-or-later
"""keishi-factor against a real pcscd whose reader is vpcd and whose card is card.py: what it tells keishid in each of the conditions that a desk can be in.
What this cannot show: USB readers, their drivers and their timing; polkit; the unit's sandbox."""
import hashlib
import os
import signal
import sys
import threading
import time
import traceback

import card
import worker
from card import Card, Slot, certificate, tlv
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from worker import JPKI, P256, PIV, RSA, SANITIZED, Pcscd, Readers, Worker, ask, find, frame, sign

DIGEST = hashlib.sha256(b"a challenge of keishid's").digest()
KEYS = {}
SLOW = 3 if SANITIZED else 1


def key(kind):
    """Made once: what differs between tests is the card, not its key."""
    return KEYS.setdefault(kind, card.new_key(kind))


def piv(kind="p256", **options):
    return Card(piv=kind, key=key(kind), **options)


def jpki(**options):
    return Card(jpki=True, jpki_key=key("rsa"), **options)


def genuine(public, signature, digest=DIGEST):
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        else:
            public.verify(signature, digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))
        return True
    except InvalidSignature:
        return False


class Desk:
    """pcscd with readers, and a `watch` that says when something has happened."""

    def __init__(self, readers=2):
        self.pcscd = Pcscd(readers)
        self.slots = [Slot(card.PORT + i) for i in range(readers)]
        self.names = ["Desk %c 00 %02d" % (65 + i // 2, i % 2) for i in range(readers)]
        self.watch = Worker(frame(worker.WATCH))
        self.states = {}
        self.wait(lambda s: len(s) >= readers)

    def wait(self, predicate):
        while not predicate(self.states):
            status, items = self.watch.hear()
            assert status == "progress", status
            for name, reader in Readers(items).items():
                if reader["state"]:
                    self.states[name] = reader["state"]
                else:
                    self.states.pop(name)

    def insert(self, inserted, i=0):
        """A card into a reader. Where one is already it is another one from here on: that spares pcscd's 0.4 s to notice."""
        slot = self.slots[i]
        if slot.socket and slot.card.atr == inserted.atr:
            slot.swap(inserted)
            return self.names[i]
        if slot.socket:
            self.clear()
        slot.insert(inserted)
        self.wait(lambda s: s.get(self.names[i]) not in (None, "absent"))
        return self.names[i]

    def clear(self):
        for slot in self.slots:
            slot.remove()
        self.wait(lambda s: all(x == "absent" for x in s.values()))

    def close(self):
        for slot in self.slots:
            slot.remove()
        self.watch.end()
        if self.pcscd.process.poll() is None:
            self.pcscd.stop()


def only(desk):
    status, readers = find()
    assert status == "ok", status
    return readers[desk.names[0]]


# ---- what there is ----

def test_no_pcscd_is_no_service_to_each_operation():
    assert find() == ("no-service", {})
    assert sign("Desk A 00 00", PIV, P256, "123456", DIGEST) == ("no-service", None, None)
    assert ask(frame(worker.WATCH)) == ("no-service", [])


def test_no_reader_is_said():
    pcscd = Pcscd(0)
    try:
        assert find() == ("no-reader", {})
        assert sign("Desk A 00 00", PIV, P256, "123456", DIGEST)[0] == "no-reader"
    finally:
        pcscd.stop()


def test_a_reader_without_a_card_is_listed_and_signs_nothing(desk):
    status, readers = find()
    assert status == "ok" and {r["state"] for r in readers.values()} == {"absent"} and len(readers) == 2
    assert sign(desk.names[0], PIV, P256, "123456", DIGEST) == ("no-card", None, None)
    assert sign("Desk Z 00 00", PIV, P256, "123456", DIGEST) == ("no-reader", None, None)


def test_a_piv_card_is_found_with_its_tries_and_certificate(desk):
    for c in (piv("rsa"), piv("p256"), piv(compressed=True), piv(t0=True), piv("rsa", t0=True)):
        desk.insert(c)
        found = only(desk)
        assert found == {"state": "present", "applications": {"piv": {"tries": 3, "certificate": c.der}}}, found
        assert c.presented == 0


def test_a_jpki_card_is_found_and_its_signing_set_is_never_touched(desk):
    c = jpki()
    desk.insert(c)
    assert only(desk)["applications"] == {"jpki": {"tries": 3, "certificate": c.jpki_der}}
    status, signature, _ = sign(desk.names[0], JPKI, RSA, "1234", DIGEST, 3)
    assert status == "ok" and genuine(key("rsa").public_key(), signature)
    assert set(c.files) == {"0018", "000a", "0017"} and c.presented == 1


def test_a_card_of_both_kinds_is_listed_as_both_and_signs_as_either(desk):
    c = Card(piv="p256", key=key("p256"), jpki=True, jpki_key=key("rsa"))
    name = desk.insert(c)
    assert set(only(desk)["applications"]) == {"piv", "jpki"}
    assert genuine(key("p256").public_key(), sign(name, PIV, P256, "123456", DIGEST)[1])
    assert genuine(key("rsa").public_key(), sign(name, JPKI, RSA, "1234", DIGEST)[1])


def test_a_card_of_no_kind_we_know_is_present_and_that_is_all(desk):
    name = desk.insert(Card())
    assert only(desk) == {"state": "present", "applications": {}}
    assert sign(name, PIV, P256, "123456", DIGEST)[0] == "changed"


def test_two_cards_are_both_listed_and_one_reader_can_be_asked_for(desk):
    first, second = piv("p256"), jpki()
    desk.insert(first, 0)
    desk.insert(second, 1)
    status, readers = find()
    assert status == "ok" and [sorted(readers[n]["applications"]) for n in desk.names] == [["piv"], ["jpki"]]
    before = list(first.log)
    status, readers = find((worker.READER, desk.names[1]))
    assert status == "ok" and list(readers) == [desk.names[1]] and first.log == before
    assert find((worker.READER, "Desk Q 00 00")) == ("no-reader", {})


def test_a_certificate_of_20_kib_is_read_and_a_longer_one_is_told_as_too_long(desk):
    for add, make in ((0, lambda der: piv(der=der)), (0, lambda der: jpki(jpki_der=der)), (1, lambda der: piv(der=der)), (9000, lambda der: piv(der=der)),
                      (1, lambda der: jpki(jpki_der=der)), (9000, lambda der: jpki(jpki_der=der)), (1, lambda der: piv(der=der, compressed=True))):
        size = 20480 + add
        der = tlv(0x30, os.urandom(size - 4))  # what is inside is keishid's to judge
        assert len(der) == size
        desk.insert(make(der))
        found, = only(desk)["applications"].values()
        if not add:
            assert found["certificate"] == der
        else:
            assert "certificate" not in found and found["too_long"] in range(20481, size + 32), found.get("too_long")


def test_a_certificate_that_has_expired_is_handed_over_as_it_is(desk):
    expired = certificate(key("p256"), begin=-30, end=-1)
    desk.insert(piv(der=expired))
    assert only(desk)["applications"]["piv"]["certificate"] == expired


def test_a_card_without_a_certificate_is_listed_without(desk):
    desk.insert(piv(der=b""))
    assert only(desk)["applications"] == {"piv": {"tries": 3}}


def test_a_certificate_that_is_no_der_object_is_misbehaviour(desk):
    good = certificate(key("p256"))
    long_form = b"\x30\x83\x00" + good[2:]
    for der in (b"\x30\x80" + good[4:] + b"\0\0", good[:-1], good + b"\0", long_form, b"\x31" + good[1:], b"\x30"):
        desk.insert(piv(der=der))
        assert only(desk) == {"state": "misbehaved", "applications": {}}, der[:4]


def test_an_object_with_wrong_lengths_is_misbehaviour(desk):
    good = tlv(0x53, tlv(0x70, certificate(key("p256"))) + tlv(0x71, b"\0") + tlv(0xFE, b""))
    wrong = [good[:-1], good + b"\0", b"\x53\x84\0\0\0\1\0", b"\x53\x80\0\0", b"\x53\x82\xff\xff" + good[4:], tlv(0x53, b"\x70\x82\xff\xff\0"), b"\x54\x01\0", b"\x1f",
             b"\x1f\xff\xff\xff\xff\0", tlv(0x53, tlv(0x70, b"\x30\0") * 2), tlv(0x53, tlv(0x70, b"no gzip") + tlv(0x71, b"\1"))]
    for thing in wrong:
        c = piv()
        c.object = thing
        desk.insert(c)
        assert only(desk)["state"] == "misbehaved", thing[:8]


def test_what_no_specification_allows_is_misbehaviour_and_quickly_so(desk):
    for on in ("select", "verify", "get-data"):
        for mischief in ("endless-61", "empty-61", "endless-6c", "64k", "one-byte", "garbage"):
            if (mischief, on) in (("garbage", "verify"), ("one-byte", "verify")):
                continue
            c = piv()
            c.mischief, c.on = mischief, on
            desk.insert(c)
            begun = time.monotonic()
            found = only(desk)
            assert found["state"] == "misbehaved", (mischief, on, found)
            assert time.monotonic() - begun < 3 * SLOW and len(c.log) < 300, (mischief, on, len(c.log))


def test_a_slow_drip_ends_with_the_time_for_a_card_and_holds_up_no_other_reader(desk):
    dripping, good = piv(), piv()
    dripping.mischief, dripping.on = "drip", "get-data"
    desk.insert(dripping, 0)
    desk.insert(good, 1)
    begun = time.monotonic()
    status, readers = find()
    assert time.monotonic() - begun < 8
    assert status == "ok" and readers[desk.names[0]] == {"state": "misbehaved", "applications": {}}
    assert readers[desk.names[1]]["applications"]["piv"]["certificate"] == good.der


# ---- signing ----

def test_each_kind_of_key_signs_the_digest_after_one_pin(desk):
    for kind, algorithm in (("rsa", RSA), ("p256", P256)):
        for t0 in (False, True):
            c = piv(kind, t0=t0)
            name = desk.insert(c)
            status, signature, tries = sign(name, PIV, algorithm, "123456", DIGEST, 3)
            assert (status, tries) == ("ok", None)
            assert genuine(key(kind).public_key(), signature) and not genuine(key(kind).public_key(), signature, hashlib.sha256(b"else").digest())
            assert c.presented == 1


def test_after_signing_the_card_has_forgotten_the_pin(desk):
    for make, application, algorithm, pin in ((lambda: piv("rsa"), PIV, RSA, "123456"), (jpki, JPKI, RSA, "1234")):
        c = make()
        name = desk.insert(c)
        before = c.resets
        assert sign(name, application, algorithm, pin, DIGEST)[0] == "ok"
        assert not c.verified and c.resets > before


def test_a_worker_killed_after_the_pin_leaves_no_pin_on_the_card(desk):
    c = piv("rsa")
    c.delay, c.on = 1.0, "sign"
    name = desk.insert(c)
    with Worker(frame(worker.CARD_SIGN, (worker.READER, name), (worker.APPLICATION, PIV), (worker.ALGORITHM, RSA), (worker.PIN, b"123456"), (worker.DIGEST, DIGEST))):
        end = time.monotonic() + 10
        while not c.verified and time.monotonic() < end:
            time.sleep(0.01)
        assert c.verified
    c.delay = 0
    assert only(desk)["applications"]["piv"]["tries"] == 3  # waits for pcscd's cleaning up
    assert not c.verified


def test_a_pin_that_somebody_left_presented_is_forgotten_before_ours_is(desk):
    c = piv("rsa")
    name = desk.insert(c)
    assert "piv" in only(desk)["applications"]
    c.verified = True
    status, signature, tries = sign(name, PIV, RSA, "999999", DIGEST, 3)
    assert (status, signature, tries) == ("wrong", None, 2), (status, tries, c.log)
    c.application, c.verified = "piv", True
    assert sign(name, PIV, RSA, "123456", DIGEST, 2)[0] == "ok"


def test_a_wrong_pin_costs_one_try_and_the_last_one_blocks(desk):
    for make, application, algorithm, wrong in ((lambda: piv("p256"), PIV, P256, "999999"), (jpki, JPKI, RSA, "9999")):
        c = make()
        name = desk.insert(c)
        for left in (2, 1, 0):
            assert sign(name, application, algorithm, wrong, DIGEST) == ("wrong", None, left)
        assert c.presented == 3
        assert sign(name, application, algorithm, wrong, DIGEST) == ("blocked", None, 0) and c.presented == 3
        found, = only(desk)["applications"].values()
        assert found["tries"] == 0


def test_fewer_tries_than_the_person_was_told_and_nothing_is_tried(desk):
    c = piv()
    name = desk.insert(c)
    c.pin.left = 1
    assert sign(name, PIV, P256, "123456", DIGEST, 2) == ("changed", None, 1)
    assert c.presented == 0
    assert sign(name, PIV, P256, "123456", DIGEST, 1)[0] == "ok"


def test_a_pin_of_a_form_that_no_card_takes_never_reaches_the_card(desk):
    c = Card(piv="p256", key=key("p256"), jpki=True, jpki_key=key("rsa"))
    name = desk.insert(c)
    for pin in ("", "123", "12345", "123456789", "1" * 64, "12345\n", "123456\0", "\x7f23456", "\xff23456", "暗証番号"):
        assert sign(name, PIV, P256, pin.encode(), DIGEST)[0] == "pin-length", pin
    for pin in ("", "123", "12345", "123456789", "12 4", "12\n4", "abcd", "１２３４"):
        assert sign(name, JPKI, RSA, pin.encode(), DIGEST)[0] == "pin-length", pin
    assert c.presented == 0 and "verify" not in [x for x, _ in c.log]
    assert sign(name, PIV, P256, "1" * 65, DIGEST)[0] == "malformed"
    assert sign(name, PIV, P256, "1" * 200, DIGEST)[0] == "malformed"


def test_an_algorithm_that_is_not_the_cards_is_unsupported(desk):
    name = desk.insert(piv("rsa"))
    assert sign(name, PIV, P256, "123456", DIGEST)[0] == "unsupported"
    c = jpki()
    name = desk.insert(c)
    assert sign(name, JPKI, P256, "1234", DIGEST)[0] == "unsupported" and c.presented == 0


def test_signatures_of_another_key_and_replayed_ones_come_back_and_do_not_verify(desk):
    for kind, algorithm in (("rsa", RSA), ("p256", P256)):
        c = piv(kind)
        name = desk.insert(c)
        assert sign(name, PIV, algorithm, "123456", hashlib.sha256(b"yesterday").digest())[0] == "ok"
        for mischief in ("other-key", "replay"):
            c.mischief = mischief
            status, signature, _ = sign(name, PIV, algorithm, "123456", DIGEST)
            assert status == "ok" and not genuine(key(kind).public_key(), signature), mischief


def test_answers_to_sign_that_are_no_signature_are_misbehaviour(desk):
    for mischief in ("nothing", "garbage", "64k", "endless-61", "endless-6c", "one-byte", "strange-status"):
        for c, application, pin in ((piv("rsa"), PIV, "123456"), (jpki(), JPKI, "1234")):
            c.mischief, c.on = mischief, "sign"
            name = desk.insert(c)
            status, signature, _ = sign(name, application, RSA, pin, DIGEST)
            assert status == "misbehaved" and signature is None, (mischief, application, status)
            assert not c.verified


def test_a_card_that_says_yes_to_any_pin_signs_nothing(desk):
    c = piv("rsa")
    c.mischief, c.on = "always-yes", "verify"
    name = desk.insert(c)
    assert sign(name, PIV, RSA, "999999", DIGEST)[1] is None


def test_a_card_that_hangs_while_it_signs_is_given_up(desk):
    c = piv("rsa")
    c.delay, c.on = 20, "sign"
    name = desk.insert(c)
    begun = time.monotonic()
    assert sign(name, PIV, RSA, "123456", DIGEST)[0] == "misbehaved"
    assert time.monotonic() - begun < 14
    desk.slots[0].remove()


def test_a_card_removed_between_two_commands_is_removed(desk):
    for on, status in (("select", "removed"), ("verify", "removed"), ("sign", "removed")):
        c = piv("rsa")
        c.mischief, c.on = "remove", on
        name = desk.insert(c)
        got = sign(name, PIV, RSA, "123456", DIGEST)[0]
        assert got == status, (on, got)
        desk.wait(lambda s: all(x == "absent" for x in s.values()))
    c = piv("rsa")
    c.mischief, c.on = "remove", "get-data"
    desk.insert(c)
    assert only(desk) == {"state": "absent", "applications": {}}
    desk.wait(lambda s: all(x == "absent" for x in s.values()))


# ---- others at the same reader ----

def test_two_workers_at_once_take_turns(desk):
    c = piv("rsa")
    c.delay, c.on = 0.3, "sign"
    name = desk.insert(c)
    results = []
    threads = [threading.Thread(target=lambda: results.append(sign(name, PIV, RSA, "123456", DIGEST))) for _ in range(2)]
    for t in threads:
        t.start()
    found = find()[1][name]
    for t in threads:
        t.join()
    assert [r[0] for r in results] == ["ok", "ok"] and all(genuine(key("rsa").public_key(), r[1]) for r in results)
    assert found["state"] in ("present", "busy"), found
    assert c.presented == 2


def test_a_card_that_another_program_holds_alone_is_busy(desk):
    c = piv()
    name = desk.insert(c)
    holder = Holder(name)
    try:
        assert only(desk) == {"state": "busy", "applications": {}}
        assert sign(name, PIV, P256, "123456", DIGEST)[0] == "busy"
        assert c.presented == 0
    finally:
        holder.release()
    assert sign(name, PIV, P256, "123456", DIGEST)[0] == "ok"


def test_a_transaction_that_never_ends_is_busy_and_not_misbehaviour(desk):
    c = piv()
    name = desk.insert(c)
    holder = Holder(name, shared=True)
    try:
        assert only(desk)["state"] == "busy", only(desk)
    finally:
        holder.release()
    assert only(desk)["state"] == "present"


class Holder:
    """Another program of the desk: connects to a card, alone or in a transaction, by libpcsclite."""

    def __init__(self, reader, shared=False):
        import ctypes
        self.library = ctypes.CDLL("libpcsclite.so.1")
        long, byref = ctypes.c_ulong, ctypes.byref
        self.context, self.handle, protocol = ctypes.c_long(), ctypes.c_long(), long()
        self.end = shared
        assert self.library.SCardEstablishContext(long(2), None, None, byref(self.context)) == 0
        assert self.library.SCardConnect(self.context, reader.encode(), long(2 if shared else 1), long(3), byref(self.handle), byref(protocol)) == 0
        assert not shared or self.library.SCardBeginTransaction(self.handle) == 0

    def release(self):
        import ctypes
        if self.end:
            self.library.SCardEndTransaction(self.handle, ctypes.c_ulong(0))
        self.library.SCardDisconnect(self.handle, ctypes.c_ulong(0))
        self.library.SCardReleaseContext(self.context)


def test_ten_readers_are_all_listed_and_their_cards_read_together():
    desk = Desk(10)
    try:
        cards = [piv("p256") for _ in range(10)]
        for i, c in enumerate(cards):
            c.delay, c.on = 0.3, "get-data"
            desk.slots[i].insert(c)
        desk.wait(lambda s: set(s.values()) == {"present"})
        begun = time.monotonic()
        status, readers = find()
        took = time.monotonic() - begun
        assert status == "ok" and sorted(readers) == sorted(desk.names)
        assert all(readers[n]["applications"]["piv"]["certificate"] == c.der for n, c in zip(desk.names, cards))
        assert took < 2.5 * SLOW, took
        large = tlv(0x30, bytes(20000))
        for i in range(10):
            cards[i].der, cards[i].delay = large, 0
        status, readers = find()
        have = [r["applications"]["piv"] for r in readers.values()]
        assert status == "ok" and len(have) == 10 and all(a.get("certificate") == large or a.get("too_long") == len(large) for a in have)
        assert any("certificate" in a for a in have)
    finally:
        desk.close()


def test_pcscd_that_dies_midway_is_no_service_and_the_next_one_serves():
    desk = Desk()
    try:
        c = piv("rsa")
        c.delay, c.on = 1.0, "sign"
        name = desk.insert(c)
        result = []
        signing = threading.Thread(target=lambda: result.append(sign(name, PIV, RSA, "123456", DIGEST)))
        signing.start()
        end = time.monotonic() + 10
        while not c.verified and time.monotonic() < end:
            time.sleep(0.01)
        desk.pcscd.stop(signal.SIGKILL)
        signing.join()
        assert result == [("no-service", None, None)]
        assert desk.watch.hear() == ("no-service", [])
        desk.slots[0].remove()
    finally:
        desk.close()
    desk = Desk()
    try:
        for i in range(2):
            c = piv()
            c.delay, c.on = 1.0, "get-data"
            desk.insert(c, i)
        result = []
        finding = threading.Thread(target=lambda: result.append(ask(frame(worker.CARD_FIND))))
        finding.start()
        end = time.monotonic() + 10
        while not c.log and time.monotonic() < end:
            time.sleep(0.01)
        desk.pcscd.stop(signal.SIGKILL)
        finding.join()
        assert result == [("no-service", [])]
        for slot in desk.slots:
            slot.remove()
    finally:
        desk.close()
    desk = Desk()
    try:
        assert sign(desk.insert(piv("rsa")), PIV, RSA, "123456", DIGEST)[0] == "ok"
    finally:
        desk.close()


# ---- watching ----

def test_watch_tells_insertions_and_removals_and_a_quick_swap(desk):
    c = piv()
    for _ in range(3):
        desk.insert(c)
        desk.slots[0].remove()
        desk.wait(lambda s: s[desk.names[0]] == "absent")
    # Reading a card is no change.
    desk.insert(c)
    assert only(desk)["state"] == "present" and sign(desk.names[0], PIV, P256, "123456", DIGEST)[0] == "ok"
    desk.slots[0].remove()
    status, items = desk.watch.hear()
    assert (status, {n: r["state"] for n, r in Readers(items).items()}) == ("progress", {desk.names[0]: "absent"})
    desk.states[desk.names[0]] = "absent"


# ---- the worker itself ----

def test_requests_that_the_operation_does_not_take_are_malformed(desk):
    good = [(worker.READER, "x"), (worker.APPLICATION, PIV), (worker.ALGORITHM, RSA), (worker.PIN, b"123456"), (worker.DIGEST, DIGEST)]
    requests = [b"", b"x", frame(0), frame(3), frame(99), frame(worker.CARD_SIGN), frame(worker.CARD_SIGN, *good[1:]), frame(worker.CARD_SIGN, *(good + good[:1])),
                frame(worker.CARD_SIGN, *(good + [(worker.SIGNATURE, b"x")])), frame(worker.CARD_FIND, (worker.PIN, b"1")), frame(worker.CARD_FIND) + b"\0",
                frame(worker.CARD_FIND)[:-1], frame(worker.WATCH, (worker.READER, "x")), b"\0" * 60001]
    for request in requests:
        if request:
            assert ask(request) == ("malformed", []), request[:40]
    with open("/dev/null") as f:
        assert ask(frame(worker.CARD_FIND), fds=[f.fileno()]) == ("malformed", [])


def test_the_worker_ends_with_keishid(desk):
    with Worker(frame(worker.WATCH)) as w:
        assert w.hear()[0] == "progress"
        # As helper_dies_with_agent(): the parent dies, here the one that started it in between.
        assert w.process.poll() is None
    w = Worker(None)
    w.socket.close()
    assert w.process.wait(10) != 0


def test_a_worker_at_work_is_confined(desk):
    if SANITIZED:
        return
    with Worker(frame(worker.WATCH)) as w:
        assert w.hear()[0] == "progress"
        with open("/proc/%d/status" % w.process.pid) as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        assert status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
        if os.geteuid() == 0:
            assert "0" not in status["Uid"].split() and "0" not in status["Gid"].split() and not status["Groups"].strip()
            assert int(status["CapEff"], 16) == 0
        with open("/proc/%d/limits" % w.process.pid) as f:
            limits = {line[:26].strip(): line[26:].split()[:2] for line in f}
        assert limits["Max core file size"] == limits["Max file size"] == ["0", "0"], limits
        assert os.stat("/proc/%d/mem" % w.process.pid).st_uid == 0  # not dumpable


def test_the_pin_is_not_in_what_a_process_shows(desk):
    c = piv("rsa", pin="86420975")
    c.delay, c.on = 1.0, "sign"
    name = desk.insert(c)
    with Worker(frame(worker.CARD_SIGN, (worker.READER, name), (worker.APPLICATION, PIV), (worker.ALGORITHM, RSA), (worker.PIN, b"86420975"), (worker.DIGEST, DIGEST))) as w:
        end = time.monotonic() + 10
        while not c.verified and time.monotonic() < end:
            time.sleep(0.01)
        for what in ("cmdline", "environ"):
            with open("/proc/%d/%s" % (w.process.pid, what), "rb") as f:
                assert b"86420975" not in f.read()
        assert b"86420975" not in memory(w.process.pid)
        assert w.hear()[0] == "ok"


def memory(pid):
    """What a process has in its memory, as far as it can be written; root can look even into one that is not dumpable."""
    found = b""
    try:
        with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as mem:
            for line in maps:
                span, rights = line.split()[:2]
                begin, end = (int(x, 16) for x in span.split("-"))
                if rights.startswith("rw") and end - begin < 64 << 20:
                    mem.seek(begin)
                    found += mem.read(end - begin)
    except PermissionError:
        return b""
    assert found
    return found


def test_a_pcscd_that_hangs_is_no_service_after_a_while(desk):
    desk.pcscd.process.send_signal(signal.SIGSTOP)
    try:
        begun = time.monotonic()
        assert find() == ("no-service", {})
        assert 7 < time.monotonic() - begun < 10
    finally:
        desk.pcscd.process.send_signal(signal.SIGCONT)


def test_many_rounds_leave_nothing_in_pcscd(desk):
    c = piv("p256")
    name = desk.insert(c)

    def held():
        pid = desk.pcscd.process.pid
        return len(os.listdir("/proc/%d/fd" % pid)), len(os.listdir("/proc/%d/task" % pid))

    def rounds(n):
        for _ in range(n):
            assert find()[0] == "ok"
            assert sign(name, PIV, P256, "123456", DIGEST, 3)[0] == "ok"
            Worker(frame(worker.CARD_FIND)).end()  # killed at some point
        end = time.monotonic() + 10
        while held() != before and time.monotonic() < end:
            time.sleep(0.05)

    before = None
    find()
    before = held()
    rounds(30)
    assert held() == before, (held(), before)


def test_a_readers_name_is_told_as_plain_text():
    pcscd = Pcscd(1, name="読取装置\x1b[31m\x9b")
    try:
        slot = Slot()
        slot.insert(piv())
        with Worker(frame(worker.WATCH)) as w:
            found = {}
            while found.get("present") is None:
                for name, reader in Readers(w.hear()[1]).items():
                    found[reader["state"]] = name
        name = found["present"]
        assert name.startswith("読取装置") and name.isprintable(), name
        assert find((worker.READER, name))[1][name]["state"] == "present"
        assert sign(name, PIV, P256, "123456", DIGEST)[0] == "ok"
        slot.remove()
    finally:
        pcscd.stop()


def main():
    """test_card.py [PART/PARTS | NAME…]: all, every PARTS-th from the PART-th (they mostly wait), or those whose name contains a NAME."""
    try:
        worker.own_place()
    except PermissionError as e:
        print("1..0 # SKIP a place of one's own needs root, or user namespaces: %s" % e)
        return 0
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_")]
    if len(sys.argv) == 2 and "/" in sys.argv[1]:
        part, parts = map(int, sys.argv[1].split("/"))
        tests = tests[part - 1::parts]
    elif len(sys.argv) > 1:
        tests = [(n, f) for n, f in tests if any(a in n for a in sys.argv[1:])]
    print("1..%d" % len(tests), flush=True)
    failed, shared = 0, None
    for number, (name, function) in enumerate(tests, 1):
        begun = time.monotonic()
        try:
            if function.__code__.co_argcount:
                shared = shared or Desk()
                function(shared)
                shared.clear()
            else:
                if shared:
                    shared.close()
                    shared = None
                function()
            print("ok %d %s # %.1f s" % (number, name, time.monotonic() - begun), flush=True)
        except Exception:
            failed += 1
            print("not ok %d %s" % (number, name), flush=True)
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), flush=True)
            if shared:
                shared.close()
                shared = None
    if shared:
        shared.close()
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
