# SPDX-License-Identifier: LGPL-2.1-or-later
"""The built keishi-factor-key against the test key (key.py), and what key-verify.c says of its answers.

The key is on the other end of a SOCK_SEQPACKET pair that stands for a hidraw descriptor: packets of 64 bytes, poll, end of file. It cannot show the kernel's HID
(queues that overflow, EIO, report numbers), USB, and a device that two processes read; the VM tier's test_key.py runs the same over /dev/uhid."""
import hashlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cryptography.hazmat.primitives import serialization  # noqa: E402

import key  # noqa: E402
import key_client  # noqa: E402
from key_client import BIO, FIDO2, HAS_PIN, PREVIEW, UV, Worker, values  # noqa: E402

BUILD, HERE = os.environ["BUILD_ROOT"], os.path.dirname(os.path.abspath(__file__))
PROGRAM = BUILD + "/agent/keishi-factor-key"
RP, PIN, HANAKO, TARO = "keishi.example.jp", "123456", "hanako", "taro"
NOW = int(time.time())


def libfido2():
    text = subprocess.run(["pkg-config", "--modversion", "libfido2"], stdout=subprocess.PIPE, text=True).stdout
    return tuple(map(int, text.strip().split(".")[:2]))


class Key:
    """The test key in a process of its own, and a descriptor that speaks with it."""

    def __init__(self, *options):
        self.dir = tempfile.mkdtemp(prefix="keishi-key-")
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        self.process = os.fork()
        if self.process == 0:
            self.run(theirs, options)
        theirs.close()
        self.credential = self.public = self.root = None
        self.counter = 0
        self.wait(lambda: os.path.exists(self.dir + "/state.json"))

    def run(self, theirs, options):
        try:
            os.dup2(os.open(self.dir + "/stderr", os.O_WRONLY | os.O_CREAT, 0o600), 2)
            self.socket.close()
            key.Key(key.SocketLink(theirs.detach()), self.dir, options).serve()
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        os._exit(0)

    def kill(self):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.kill()
        self.socket.close()
        with open(self.dir + "/stderr") as f:
            text = f.read()
        assert not text, text

    @property
    def fd(self):
        return self.socket.fileno()

    def put(self, **files):
        for name, text in files.items():
            with open(self.dir + "/" + name + ".new", "w") as f:
                f.write(text)
            os.rename(self.dir + "/" + name + ".new", self.dir + "/" + name)

    def state(self):
        with open(self.dir + "/state.json") as f:
            return json.load(f)

    def wait(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "the test key does not get there"
            time.sleep(0.01)

    def ask(self, operation, **items):
        return key_client.ask(PROGRAM, operation, [self.fd], [(n, v) for n, v in items.items() if v is not None])

    def enroll(self, finger=HANAKO, pin=PIN, **items):
        self.put(finger=finger)
        return self.ask("enroll", pin=pin, **items)

    def make(self, pin=PIN, finger="somebody", **items):
        self.put(finger=finger)
        self.digest = os.urandom(32)
        return self.ask("make", rp=RP, user_id=b"u" * 16, user_name="山田花子", digest=self.digest, pin=pin, **items)

    def sign(self, finger=HANAKO, rp=RP):
        """One round of a login."""
        self.put(finger=finger)
        self.digest = os.urandom(32)
        return self.ask("assert", rp=rp, digest=self.digest, credential=self.credential)

    def ready(self):
        """With a finger and a credential that keishid takes."""
        assert self.enroll()[0] == "ok"
        status, items, _ = self.make()
        assert status == "ok"
        self.credential, self.spki = dict(items)["credential"], check_make(self, items)[1]
        return self


class Checker:
    def __init__(self):
        self.process = subprocess.Popen([BUILD + "/tests/double/key-check"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, *words):
        self.process.stdin.write(" ".join(w.hex() or "-" if isinstance(w, bytes) else str(w) for w in words) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().split()


CHECKER = Checker()


def check_make(key, items, roots=True, rp=RP, digest=None, now=NOW, **other):
    got = dict(items) | other
    path = roots if isinstance(roots, str) else key.dir + "/root.pem" if roots else "-"
    return CHECKER.ask("make", rp, digest or key.digest, got["credential"], got["auth_data"], got["format"], got.get("signature", b""), path, now,
                       *values(items, "certificate"))


def check_assert(key, items, rp=RP, digest=None, **other):
    got = {"credential": b""} | dict(items) | other
    return CHECKER.ask("assert", rp, digest or key.digest, key.credential, key.spki, key.counter, got["credential"], got["auth_data"], got["signature"])


def expect(answer, status, **items):
    got = dict(answer[1])
    assert answer[0] == status and all(got.get(n) == v for n, v in items.items()), answer
    return got


# ---- what a key is ----

def test_a_key_tells_what_it_can_do():
    for options, flags, tries in ((["preview-only"], FIDO2 | BIO | PREVIEW | HAS_PIN, None), ([], FIDO2 | BIO | HAS_PIN, None), (["no-bio"], FIDO2 | HAS_PIN, None),
                                  (["no-pin"], FIDO2 | BIO, None), (["u2f"], 0, None)):
        with Key(*options) as k:
            got = expect(k.ask("list"), "ok", key=0, flags=flags, tries=tries, pin_tries=8 if flags & HAS_PIN else None)
            assert ("aaguid" in got) == bool(flags), got


def test_of_several_keys_each_is_told_and_the_silent_and_the_lost_do_not_hide_the_others():
    with Key() as a, Key() as b, Key("u2f") as c, Key() as d:
        b.put(misbehave="silent")
        d.socket.shutdown(socket.SHUT_RDWR)
        status, items, _ = key_client.ask(PROGRAM, "list", [b.fd, a.fd, c.fd, d.fd])
        assert status == "ok" and values(items, "key") == [0, 1, 2] and values(items, "flags") == [0, FIDO2 | BIO | HAS_PIN, 0], items
    assert key_client.ask(PROGRAM, "list", []) == ("ok", [], [])


# ---- enrolment ----

def test_a_finger_is_enrolled_with_every_hint_told():
    with Key() as k:
        k.put(samples="1 2 3 4 5 6 7 8 9 10 11 13 14")
        status, items, progress = k.enroll()
        assert status == "ok" and len(dict(items)["template"]) == 16, (status, items)
        assert progress[0] == {"remaining": 4}
        assert [p["sample"] for p in progress[1:]] == list(range(2, 15)) + [1] * 4, progress
        assert [p["remaining"] for p in progress[-4:]] == [3, 2, 1, 0]
        assert k.state()["templates"] == {dict(items)["template"].hex(): HANAKO}
        expect(k.ask("list"), "ok", flags=FIDO2 | BIO | HAS_PIN | UV, tries=5)


def test_fingers_are_listed_and_removed():
    with Key() as k:
        assert k.ask("templates", pin=PIN) == ("ok", [], [])
        first, second = (dict(k.enroll(f)[1])["template"] for f in (HANAKO, TARO))
        assert sorted(values(k.ask("templates", pin=PIN)[1], "template")) == sorted([first, second])
        expect(k.ask("remove", pin=PIN, template=first), "ok")
        assert values(k.ask("templates", pin=PIN)[1], "template") == [second]
        assert k.ask("remove", pin=PIN, template=first)[0] != "ok"


def test_a_full_key_says_so():
    with Key() as k:
        for n in range(5):
            assert k.enroll("finger%d" % n)[0] == "ok"
        expect(k.enroll("one more"), "full")
    with Key() as k:
        k.put(samples="12")
        expect(k.enroll(), "full")
        assert k.state()["templates"] == {}


def test_each_of_the_two_enrolment_commands():
    """libfido2 1.12 knows only 0x40, later ones use 0x09 where the key has it."""
    new = libfido2() >= (1, 14)
    for option, command, works in (("preview-only", "bioEnrollmentPreview.1", True), ("final-only", "bioEnrollment.1", new)):
        with Key(option) as k:
            status = k.enroll()[0]
            assert (status == "ok") == works and (works or status == "unsupported"), (option, status)
            assert (command in k.state()["asked"]) == works, k.state()


def test_a_key_without_a_reader_or_without_a_pin_enrols_nobody():
    with Key("no-bio") as k:
        expect(k.enroll(), "unsupported")
    with Key("no-pin") as k:
        expect(k.enroll(), "pin-needed")
        expect(k.make(), "pin-needed")


def test_a_wrong_pin_counts_and_the_key_blocks():
    with Key() as k:
        expect(k.enroll(pin="0000"), "wrong", pin_tries=7)
        expect(k.make(pin="0000"), "wrong", pin_tries=6)
        expect(k.ask("templates", pin="0000"), "blocked", pin_tries=5)  # the third in a row: out and in again
        expect(k.enroll(), "blocked", pin_tries=5)
        assert k.state()["templates"] == {} and k.state()["blinks"] == 0


def test_a_pin_that_cannot_be_one_is_not_tried():
    with Key() as k:
        for pin in ("", "123", "1" * 64, "12\0004567", b"\xff\xfe\xfd\xfc"):
            expect(k.make(pin=pin), "pin-length")
        assert k.state()["pin_tries"] == 8
        expect(k.make(pin="1" * 63), "wrong", pin_tries=7)


def test_fewer_tries_than_the_person_was_told_stop_it():
    with Key() as k:
        expect(k.enroll(pin="0000"), "wrong", pin_tries=7)
        expect(k.enroll(pin_tries=8), "changed", pin_tries=7)
        assert k.state()["pin_tries"] == 7
        expect(k.enroll(pin_tries=7), "ok")


# ---- registration ----

def test_a_registration_is_taken_when_a_configured_root_stands_behind_it():
    with Key() as k:
        status, items, _ = k.make()
        assert status == "ok"
        key_client.check_made(items, RP, k.digest, open(k.dir + "/root.pem", "rb").read())
        public = key_client.auth_data(dict(items)["auth_data"])["key"]
        spki = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        assert check_make(k, items) == ["ok", spki.hex(), "1", "attested"]
        assert check_make(k, items, roots=False) == ["ok", spki.hex(), "1", "chain"]


def test_a_registration_that_is_not_all_right_is_not_taken():
    with Key() as k, Key() as other:
        items = k.make()[1]
        data = dict(items)["auth_data"]
        assert check_make(k, items, rp="other.example.jp") == ["rp"]
        assert check_make(k, items, digest=os.urandom(32)) == ["attestation"]
        assert check_make(k, items, credential=b"x" * 48) == ["credential"]
        assert check_make(k, items, format="fido-u2f") == ["format"]
        assert check_make(k, items, format="none") == ["malformed"]
        assert check_make(k, items, auth_data=data[:32] + bytes([data[32] & ~1]) + data[33:]) == ["not-present"]
        assert check_make(k, items, auth_data=data[:32] + bytes([data[32] | 8]) + data[33:]) == ["backup"]
        assert check_make(k, items, auth_data=data + b"\0") == ["malformed"]
        assert check_make(k, items, roots=other.dir + "/root.pem") == ["chain"]
        assert check_make(k, items, now=NOW + 20 * 365 * 86400) == ["chain-not-in-force"]
        assert check_make(k, items, now=NOW - 20 * 365 * 86400) == ["chain-not-in-force"]
        for n in range(len(data)):
            assert check_make(k, items, auth_data=data[:n]) == ["malformed"], n


def test_attestations_that_prove_nothing_are_for_those_who_opted_out():
    for option, why, opted_out in (("self", "unattested", "unattested"), ("unattested", "unattested", "unattested"), ("stranger", "chain", "chain"),
                                   ("other-model", "aaguid", None)):
        with Key(option) as k:
            items = k.make()[1]
            assert check_make(k, items) == [why], option
            got = check_make(k, items, roots=False)
            assert got[-1] == opted_out if opted_out else got == [why], (option, got)
    with Key("self") as k:
        k.put(misbehave="other-key")
        items = k.make()[1]
        assert check_make(k, items, roots=False) == ["attestation"]


def test_a_credential_that_travels_is_refused():
    with Key() as k:
        k.put(misbehave="backup")
        assert check_make(k, k.make()[1]) == ["backup"]


# ---- login ----

def test_the_holders_finger_and_nobody_elses():
    with Key() as k:
        k.ready()
        for _ in range(3):
            got = check_assert(k, expect(k.sign(), "ok").items())
            assert got[0] == "ok" and int(got[1]) > k.counter
            k.counter = int(got[1])
        expect(k.sign(TARO), "wrong", tries=4)
        expect(k.sign(), "ok")
        assert k.state()["uv_tries"] == 5


def test_wrong_fingers_block_the_key_and_the_pin_gives_the_tries_back():
    with Key() as k:
        k.ready()
        for left in (4, 3, 2, 1, 0):
            expect(k.sign(TARO), "wrong", tries=left)
        blinks = k.state()["blinks"]
        expect(k.sign(), "blocked", tries=0)
        assert k.state()["blinks"] == blinks, "it was asked for a finger all the same"
        expect(k.ask("templates", pin=PIN), "ok")
        expect(k.sign(), "ok")


def test_a_key_of_the_first_version_verifies_by_its_option():
    with Key("no-token") as k:
        k.ready()
        assert check_assert(k, expect(k.sign(), "ok").items())[0] == "ok"
        expect(k.sign(TARO), "wrong", tries=4)
        for left in (3, 2, 1, 0):
            expect(k.sign(TARO), "wrong", tries=left)
        expect(k.sign(), "blocked", tries=0)


def test_a_pin_is_never_asked_for_in_the_place_of_a_finger():
    with Key("no-bio") as k:
        assert k.make()[0] == "ok"
        k.credential = bytes.fromhex(k.state()["credentials"][0])
        expect(k.sign(), "unsupported")
        asked = k.state()["asked"]
        assert "getAssertion" not in asked and "clientPin.5" not in asked, asked
    with Key() as k:  # a reader, and no finger enrolled
        assert k.make()[0] == "ok"
        k.credential = bytes.fromhex(k.state()["credentials"][0])
        pins = k.state()["asked"].get("clientPin.9", 0)
        expect(k.sign(), "unsupported")
        assert k.state()["asked"].get("clientPin.9", 0) == pins
    with Key("u2f") as k:
        k.credential = b"x" * 48
        expect(k.sign(), "unsupported")


def test_another_site_or_credential_is_not_this_keys():
    with Key() as k:
        k.ready()
        expect(k.sign(rp="other.example.jp"), "no-key")
        k.credential = b"x" * 48
        expect(k.sign(), "no-key")


def test_only_the_holders_key_blinks():
    with Key() as a, Key() as b, Key("u2f") as c:
        b.ready()
        blinks = [k.state()["blinks"] for k in (a, b)]
        status, items, _ = key_client.ask(PROGRAM, "find", [c.fd, a.fd, b.fd], [("rp", RP), ("credential", b"x" * 64), ("credential", b.credential)])
        assert status == "ok" and items == [("key", 2), ("credential", b.credential)], items
        assert [k.state()["blinks"] for k in (a, b)] == blinks
        expect(b.sign(), "ok")
        assert a.state()["blinks"] == blinks[0]
        expect(key_client.ask(PROGRAM, "find", [a.fd, c.fd], [("rp", RP), ("credential", b.credential)]), "no-key")
        expect(key_client.ask(PROGRAM, "find", [], [("rp", RP), ("credential", b.credential)]), "no-key")


def test_a_lost_counter_is_no_counter():
    with Key("no-counter") as k:
        k.ready()
        for _ in range(2):
            assert check_assert(k, expect(k.sign(), "ok").items()) == ["ok", "0"]
        k.counter = 1
        assert check_assert(k, expect(k.sign(), "ok").items()) == ["counter"]


# ---- lies ----

def test_what_a_lying_key_signs_is_seen_through():
    for lie, condition in (("other-key", "signature"), ("no-uv", "not-verified"), ("no-up", "not-present"), ("rp", "rp"), ("other-credential", "credential")):
        with Key() as k:
            k.ready()
            k.put(misbehave=lie)
            status, items, _ = k.sign()
            # libfido2 itself refuses some of it.
            assert status == "misbehaved" or (status == "ok" and check_assert(k, items) == [condition]), (lie, status, items)


def test_counters_that_go_backwards_and_replayed_answers_are_refused():
    with Key() as k:
        k.ready()
        first = expect(k.sign(), "ok")
        got = check_assert(k, first.items())
        k.counter = int(got[1])
        assert check_assert(k, first.items()) == ["counter"]
        k.put(misbehave="replay")
        assert check_assert(k, expect(k.sign(), "ok").items()) == ["signature"]
        k.put(misbehave="counter")
        assert check_assert(k, expect(k.sign(), "ok").items()) == ["counter"]


def test_a_self_declared_reader_is_not_proof():
    """A key that verifies nobody and sets the flag is caught by who made it, not by what it says."""
    with Key("no-bio", "self") as k:
        k.put(misbehave="claims-bio unverified")
        expect(k.ask("list"), "ok", flags=FIDO2 | BIO | HAS_PIN | UV)
        items = k.make()[1]
        assert check_make(k, items) == ["unattested"]


def test_a_key_that_talks_nonsense_costs_one_attempt():
    for lie in ("bomb", "huge", "cut", "trailing", "empty", "garbage", "duplicate", "long", "sequence", "short-report", "flood"):
        for where in ("", "getAssertion:"):
            with Key() as k:
                k.ready()
                k.put(misbehave=where + lie)
                begin = time.monotonic()
                status, items, _ = k.sign()
                assert time.monotonic() - begin < 25, (lie, where)
                if status == "ok":  # what was added or lost did not matter to libfido2: then it must not matter to keishid
                    assert lie in ("trailing", "sequence", "short-report"), (lie, where)
                    assert check_assert(k, items)[0] == "ok"
                else:
                    assert status in ("misbehaved", "timeout", "internal", "unsupported", "no-key") and "auth_data" not in dict(items), (lie, where, status)


def test_a_slow_and_a_silent_key_end_at_the_limit():
    for lie in ("drip", "silent"):
        with Key() as k:
            k.ready()
            k.put(misbehave=lie)
            begin = time.monotonic()
            expect(k.sign(), "timeout")
            assert 1 < time.monotonic() - begin < 20


def test_a_key_that_leaves_is_said_so():
    with Key() as k:
        k.ready()
        k.put(misbehave="vanish")
        expect(k.sign(), "removed")
    with Key() as k:
        k.ready()
        k.put(finger="")
        with Worker(PROGRAM, "assert", [k.fd], [("rp", RP), ("digest", bytes(32)), ("credential", k.credential)]) as w:
            k.wait(lambda: k.state()["blinking"])
            k.kill()
            assert w.hear(5)[0] == "removed"


# ---- waiting ----

def test_nobody_touches():
    with Key() as k:
        k.ready()
        k.put(patience="0.3")
        expect(k.sign(finger=""), "timeout")


def test_a_cancelled_login_leaves_no_key_blinking():
    for operation in ("assert", "make", "enroll"):
        with Key() as k:
            k.ready()
            k.put(finger="")
            items = {"assert": [("rp", RP), ("digest", bytes(32)), ("credential", k.credential)], "enroll": [("pin", PIN)],
                     "make": [("rp", RP), ("user_id", b"u"), ("user_name", "x"), ("digest", bytes(32)), ("pin", PIN)]}[operation]
            with Worker(PROGRAM, operation, [k.fd], items) as w:
                k.wait(lambda: k.state()["blinking"])
                w.socket.shutdown(socket.SHUT_RDWR)
                w.wait()
            k.wait(lambda: not k.state()["blinking"], 2)
            expect(k.sign(), "ok")


def test_a_key_that_somebody_else_uses_is_busy():
    """Here the key only says so; over hidraw somebody else does use it."""
    with Key() as k:
        k.ready()
        k.put(misbehave="busy")
        expect(k.sign(), "busy")
        expect(k.enroll(), "busy")


# ---- the worker itself ----

def test_requests_that_are_not_whole_are_malformed():
    with Key() as k:
        for operation, items in (("assert", [("rp", RP), ("digest", bytes(32))]), ("assert", [("rp", RP), ("digest", bytes(32)), ("credential", b"x"), ("pin", PIN)]),
                                 ("find", [("rp", RP)]), ("make", [("rp", RP)]), ("enroll", []), ("list", [("rp", RP)]), ("remove", [("pin", PIN)])):
            assert key_client.ask(PROGRAM, operation, [k.fd], items) == ("malformed", [], []), (operation, items)
        assert key_client.ask(PROGRAM, "assert", [], [("rp", RP), ("digest", bytes(32)), ("credential", b"x")])[0] == "malformed"
        assert k.state()["asked"] == {}


def test_pins_are_in_no_argument_and_no_environment():
    secret = "geheim-7391"
    with Key() as k:
        k.put(finger="")
        k.put(patience="3")
        with Worker(PROGRAM, "enroll", [k.fd], [("pin", secret)]) as w:
            for name in ("cmdline", "environ"):
                with open("/proc/%d/%s" % (w.pid, name), "rb") as f:
                    assert secret.encode() not in f.read()
            assert w.hear()[0] == "progress"
            expect((*w.hear(), []), "wrong")


def test_one_login_costs_little_cpu():
    with Key() as k:
        k.ready()
        rounds = 20
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(rounds):
            expect(k.sign(), "ok")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        each = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / rounds * 1e6
        print("# one assertion: %d us of CPU, process start included" % each)
        with open(PROGRAM, "rb") as f:
            assert each < 10000 or b"__asan_init" in f.read()


def main():
    tests = [(n, f) for n, f in globals().items() if n.startswith("test_") and (len(sys.argv) < 2 or sys.argv[1] in n)]
    print("1..%d" % len(tests))
    for number, (name, function) in enumerate(tests, 1):
        try:
            function()
            print("ok %d %s" % (number, name), flush=True)
        except Exception as e:  # noqa: BLE001
            print("not ok %d %s\n# %s: %s" % (number, name, type(e).__name__, str(e).replace("\n", "\n# ")), flush=True)


if __name__ == "__main__":
    sys.exit(main())
