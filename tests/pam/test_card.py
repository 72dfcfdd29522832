# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logging in with an IC card, with exact PAM return codes for each condition; the worker is a double (cards.py)."""
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import wire
from cards import Card, Readers, openssl
from rig import HANAKO, JIRO, MADOGUCHI, PASSWORD, TARO, UID, Rig, rig_main, wait_for

SYSTEM_ERR, PERM_DENIED, AUTH_ERR, MAXTRIES, CONV_ERR = 4, 6, 7, 11, 19
PIN = "123456"
PASSWORD_PROMPT, PIN_PROMPT = "secret: Password: ", "secret: PIN of your card (tries left: 3): "
CONFIG = "[Factors]\nConsole=card password\nAdmin=password\n[Card]\nTimeoutSec=1\n"

shared = "/tmp/keishi-cards"  # of a /tmp of our own (rig.private_tmp())
cards = {}


def card(name, **more):
    """Keys take a while to make: the same card serves all tests."""
    if name not in cards:
        os.makedirs(shared, exist_ok=True)
        cards[name] = Card(shared, name, **more)
    return cards[name]


class CardRig(Rig):
    def __init__(self, config=CONFIG, local="lightdm.service"):
        self.card_dir = tempfile.mkdtemp(prefix="keishi-readers-")
        os.chmod(self.card_dir, 0o755)
        self.readers = Readers(self.card_dir)
        super().__init__(config, helpers={"keishi-factor": self.readers.worker()}, peer=local)

    def login(self, user, answers, *calls, service="lightdm", **more):
        return self.drive(service, user, *(calls or ("auth",)), answers=answers, **more)

    def change(self, query, *arguments):
        with sqlite3.connect(self.path("var/lib/keishi/registry.db")) as db:
            db.execute(query, arguments)

    def reason(self):
        return self.trail(event="login-refused")[-1]["KEISHI_REASON"]


def test_card_and_password_let_the_holder_in_and_the_trail_names_both():
    with CardRig() as rig:
        mine = card("hanako")
        name = mine.register(rig, "100001")
        rig.readers.put(None, mine)
        lines = rig.login(HANAKO, [PIN, PASSWORD[HANAKO]], "auth", "account", "open", "authtok", "close")
        assert lines == [PIN_PROMPT, PASSWORD_PROMPT, "auth=0", "account=0", "open=0", "token: " + PASSWORD[HANAKO], "authtok=0", "close=0"], lines
        for e in rig.trail(event="login-granted") + rig.trail(event="session-opened"):
            assert e["KEISHI_FACTORS"] == "password card" and e["KEISHI_CREDENTIAL"] == name, e
        assert rig.sql("SELECT count(*) FROM attempts") == [(0,)]
        assert rig.sql("SELECT credential FROM credential_counters") == [(name,)]


def test_factors_are_asked_for_in_the_order_of_the_configuration():
    with CardRig(CONFIG.replace("card password", "password card")) as rig:
        mine = card("hanako")
        mine.register(rig, "100001")
        rig.readers.put(mine)
        assert rig.login(HANAKO, [PASSWORD[HANAKO], PIN]) == [PASSWORD_PROMPT, PIN_PROMPT, "auth=0"]
        lines = rig.login(HANAKO, ["wrong"])
        assert lines[0] == PASSWORD_PROMPT and lines[-1] == "auth=%d" % AUTH_ERR, lines
        assert rig.readers.log().count("find") == 1, "no card is touched for a wrong password"


def test_rsa_and_jpki_cards_prove_themselves():
    with CardRig() as rig:
        rsa, jpki = card("rsa", algorithm="rsa"), card("jpki", app=2, algorithm="rsa", pin="4321")
        rsa.register(rig, "100001")
        jpki.register(rig, "100003")
        rig.readers.put(rsa)
        assert rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])[-1] == "auth=0"
        rig.readers.put(jpki)
        assert rig.login(JIRO, ["4321", PASSWORD[JIRO]])[-1] == "auth=0"


def test_a_card_alone_is_not_enough_and_neither_is_a_password():
    with CardRig() as rig:
        card("hanako").register(rig, "100001")
        rig.readers.put(card("hanako"))
        assert rig.login(HANAKO, [PIN, "wrong"])[-1] == "auth=%d" % AUTH_ERR
        rig.readers.put(None)
        assert rig.login(HANAKO, [PASSWORD[HANAKO]])[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "card-none"


def test_each_condition_has_its_own_answer():
    with CardRig() as rig:
        mine, other, stranger = card("hanako"), card("jiro"), card("nobody")
        mine.register(rig, "100001")
        other.register(rig, "100003")
        long, twice = mine.application(), other.application()
        del long["cert"]
        long["long"] = 30000
        cases = [
            ("card-no-reader", [], {}, "no card reader"),
            ("card-none", [None, None], {}, "No card was inserted"),
            ("card-mute", ["mute"], {}, "the other way round"),
            ("card-busy", ["busy"], {}, "another program"),
            ("card-misbehaved", ["misbehaved"], {}, "no card may"),
            ("card-no-service", [mine], {"service": False}, "card service"),
            ("card-unknown", [stranger], {}, "known here"),
            ("card-unknown", [[]], {}, "known here"),
            ("card-unknown", [[long]], {}, "known here"),
            ("card-other", [other], {}, "not your card"),
            ("card-other", [[dict(mine.application(), app=2), twice]], {}, "not your card"),
            ("card-several", [other, stranger], {}, "several cards"),
            ("card-blocked", [[mine.application(tries=0)]], {}, "blocked"),
            ("card-internal", [mine], {"how": {"find": "garbage"}}, "cannot be read"),
            ("card-internal", [mine], {"how": {"find": "huge"}}, "cannot be read"),
            ("card-internal", [mine], {"how": {"find": "die"}}, "cannot be read"),
        ]
        for reason, readers, more, text in cases:
            rig.readers.put(*readers, **more)
            lines = rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])
            assert lines[-1] == "auth=%d" % AUTH_ERR and rig.reason() == reason, (reason, rig.reason(), lines)
            assert any(text in line for line in lines) and not any(line.startswith("secret") for line in lines), (reason, lines)
        assert rig.sql("SELECT count(*) FROM attempts") == [(0,)], "nothing was tried"


def test_states_and_dates_of_a_card():
    with CardRig() as rig:
        now = int(time.time() * 1e6)
        for name, person, text, reason, more in (
                ("stopped", "100001", "stopped", "card-stopped", {"state": "suspended"}), ("old", "100001", "expired", "card-expired", {"until": now - 1}),
                ("early", "100001", "not valid yet", "card-not-yet", {"start": now + 10 ** 12})):
            card(name).register(rig, person, **more)
            rig.readers.put(card(name))
            lines = rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])
            assert lines[-1] == "auth=%d" % AUTH_ERR and rig.reason() == reason and any(text in line for line in lines), (lines, rig.reason())


def test_a_stand_in_takes_the_place_of_the_card():
    with CardRig() as rig:
        mine, spare = card("hanako"), card("spare")
        name = mine.register(rig, "100001")
        spare.register(rig, "100001", until=int(time.time() * 1e6) + 10 ** 9, replaces=name)
        rig.readers.put(mine)
        assert rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "card-replaced"
        rig.readers.put(spare)
        assert rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])[-1] == "auth=0"


def test_an_expired_certificate_and_one_of_another_authority_are_refused():
    authority = shared + "/authority"
    os.makedirs(shared, exist_ok=True)
    with open(authority + ".pem", "wb") as f:
        f.write(openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=authority", "-days", "30", "-keyout", authority + ".key",
                        "-addext", "keyUsage=critical,keyCertSign,cRLSign"))
    with CardRig(CONFIG + "Authority=%s.pem\n" % authority) as rig:
        issued, own = card("issued", authority=authority), card("hanako")
        issued.register(rig, "100001")
        own.register(rig, "100003")
        rig.readers.put(own)
        assert rig.login(JIRO, [PIN, PASSWORD[JIRO]])[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "card-issuer"
        rig.readers.put(issued)
        assert rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])[-1] == "auth=0"
        os.rename(authority + ".pem", authority + ".away")
        assert rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "card-issuer"


def test_wrong_pins_count_on_the_card_and_the_last_try_is_the_holders_decision():
    with CardRig("Max=10\n" + CONFIG) as rig:
        mine = card("hanako")
        mine.register(rig, "100001")
        rig.readers.put(mine)
        lines = rig.login(HANAKO, ["111111"])
        assert lines[-2:] == ["info: The PIN is wrong. Tries left on the card: 2.", "auth=%d" % AUTH_ERR] and rig.reason() == "wrong-pin", lines
        assert rig.login(HANAKO, ["111111"])[0] == "secret: PIN of your card (tries left: 2): "
        # one left: asked first, and no means no
        lines = rig.login(HANAKO, ["no"])
        assert lines[0].startswith("ask: This is the last try") and lines[-1] == "auth=%d" % CONV_ERR, lines
        assert rig.readers.state()["readers"][0]["apps"][0]["tries"] == 1
        lines = rig.login(HANAKO, ["yes", "111111"])
        assert any("blocked now" in line for line in lines) and lines[-1] == "auth=%d" % AUTH_ERR, lines
        assert rig.login(HANAKO, [PIN])[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "card-blocked"


def test_what_cannot_be_a_pin_never_reaches_the_card():
    with CardRig() as rig:
        card("hanako").register(rig, "100001")
        rig.readers.put(card("hanako"))
        for pin in ("", "123", "123456789", "9" * 200, "12\x1b456", "１２３４５６", "12 456"):
            lines = rig.login(HANAKO, [pin])
            assert lines[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "pin-form", (pin, lines, rig.reason())
        assert rig.readers.state()["readers"][0]["apps"][0]["tries"] == 3
        assert rig.sql("SELECT count(*) FROM attempts") == [(0,)]


def test_three_wrong_pins_lock_the_account_at_this_terminal():
    with CardRig() as rig:
        mine = card("hanako")
        mine.register(rig, "100001")
        for expected in (AUTH_ERR, AUTH_ERR, MAXTRIES):
            rig.readers.put(mine)
            assert rig.login(HANAKO, ["111111"])[-1] == "auth=%d" % expected
        assert rig.login(HANAKO, [PIN])[-1] == "auth=%d" % MAXTRIES
        assert rig.trail(event="login-locked")


def test_a_worker_that_lies_hangs_floods_or_dies_lets_nobody_in():
    with CardRig() as rig:
        mine = card("hanako")
        mine.register(rig, "100001")
        for how in ("yes", "die", "garbage", "empty", "huge", "flood", 18, 7, 999):
            rig.readers.put(mine, how={"sign": how})
            lines = rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])
            assert lines[-1] in ("auth=%d" % AUTH_ERR, "auth=%d" % MAXTRIES) and PASSWORD_PROMPT not in lines, (how, lines)
            rig.change("DELETE FROM attempts")
        assert not rig.trail(event="login-granted")
        # another key's signature, and an old one
        rig.readers.put([mine.application(signs_with=card("jiro").key)])
        assert rig.login(HANAKO, [PIN])[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "card-signature"
        rig.readers.put(mine, replay=True)
        assert rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])[-1] == "auth=0"
        assert rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "card-signature"


def test_a_worker_that_hangs_costs_one_attempt_and_holds_nobody_up():
    with CardRig() as rig:
        card("hanako").register(rig, "100001")
        rig.readers.put(card("hanako"), how={"sign": "hang"})
        with wire.Call(rig.path("run/keishi/root.sock"), timeout=40) as c:
            c.send(wire.begin("lightdm", HANAKO))
            c.expect(wire.PROMPT)
            c.send(wire.answer(PIN))
            assert rig.login(JIRO, ["x"], service="sudo", u=JIRO)[0] == PASSWORD_PROMPT
            assert c.result() == wire.AUTH_ERR
        assert rig.reason() == "card-internal" and rig.sql("SELECT count FROM attempts WHERE origin = 'local'") == [(1,)]


def test_a_worker_that_says_yes_to_everything_lets_nobody_in():
    with CardRig(CONFIG.replace("Console=card password", "Console=card")) as rig:
        card("hanako").register(rig, "100001")
        rig.readers.put(card("hanako"), how={"find": "yes", "sign": "yes"})
        for user in (HANAKO, TARO, JIRO, "nobody-knows", "root"):
            assert rig.login(user, [PIN])[-1] in ("auth=%d" % AUTH_ERR, "auth=%d" % PERM_DENIED), user
        assert not rig.trail(event="login-granted")


def test_everybody_sees_the_same_until_the_factors_are_given():
    with CardRig() as rig:
        card("jiro").register(rig, "100003")
        users = (HANAKO, TARO, "soto", "nobody-knows", "\x1b[31mred", "x" * 65536)
        for readers in ([card("jiro")], [card("nobody")], [None], [card("jiro"), card("nobody")]):
            rig.readers.put(*readers)
            seen = {user: rig.login(user, [PIN, "wrong"]) for user in users}
            assert len(set(map(tuple, seen.values()))) == 1, list(seen.values())


def test_a_shared_id_takes_a_members_card_which_names_the_person():
    with CardRig() as rig:
        card("hanako").register(rig, "100001")
        card("jiro").register(rig, "100003")
        rig.readers.put(card("hanako"))
        assert rig.login(MADOGUCHI, [PIN, PASSWORD[MADOGUCHI]], "auth", "account")[-1] == "account=0"
        assert rig.trail(event="login-granted")[-1]["KEISHI_PERSON"] == "100001"
        rig.readers.put(card("jiro"))
        assert rig.login(MADOGUCHI, [PIN])[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "card-other"


def test_a_card_stopped_while_the_password_is_asked_for_opens_nothing():
    with CardRig() as rig:
        name = card("hanako").register(rig, "100001")
        rig.readers.put(card("hanako"))
        with wire.Call(rig.path("run/keishi/root.sock")) as c:
            c.send(wire.begin("lightdm", HANAKO))
            c.expect(wire.PROMPT)
            c.send(wire.answer(PIN))
            c.expect(wire.PROMPT)
            rig.change("UPDATE credentials SET state = 'suspended' WHERE uuid = ?", name)
            c.send(wire.answer(PASSWORD[HANAKO]))
            assert c.result() == wire.PERM_DENIED
        assert rig.reason() == "card-stopped"


def test_a_card_that_comes_late_is_noticed_at_once_and_waiting_can_be_cancelled():
    with CardRig(CONFIG.replace("TimeoutSec=1", "TimeoutSec=60")) as rig:
        card("hanako").register(rig, "100001")
        rig.readers.put(None)
        with wire.Call(rig.path("run/keishi/root.sock")) as c:
            c.send(wire.begin("lightdm", HANAKO))
            assert b"within 60 seconds" in c.expect(wire.INFORM)[wire.TEXT]
            rig.readers.put(card("hanako"))
            assert b"PIN" in c.expect(wire.PROMPT)[wire.TEXT]
            c.send(wire.message(wire.CANCEL))
            assert c.result() == wire.CONV_ERR
        rig.readers.put(None)
        before = len(rig.trail(event="login-abandoned"))
        with wire.Call(rig.path("run/keishi/root.sock")) as c:
            c.send(wire.begin("lightdm", HANAKO))
            c.expect(wire.INFORM)
        wait_for("the entry", lambda: len(rig.trail(event="login-abandoned")) > before)
        wait_for("the worker to go", lambda: not rig.working())


def test_cancelling_at_every_prompt_costs_no_attempt():
    with CardRig() as rig:
        card("hanako").register(rig, "100001")
        for tries, answers in ((3, []), (3, [PIN]), (1, []), (1, ["yes"])):
            rig.readers.put([card("hanako").application(tries=tries)])
            lines = rig.login(HANAKO, answers, n=1) if not answers else rig.login(HANAKO, answers)
            assert lines[-1] == "auth=%d" % CONV_ERR, (tries, answers, lines)
        assert rig.trail(event="login-abandoned")


def test_the_agent_killed_at_each_prompt_refuses():
    for answers in ([], [PIN]):
        with CardRig() as rig:
            card("hanako").register(rig, "100001")
            rig.readers.put(card("hanako"))
            c = wire.Call(rig.path("run/keishi/root.sock"))
            c.send(wire.begin("lightdm", HANAKO))
            c.expect(wire.PROMPT)
            for a in answers:
                c.send(wire.answer(a))
                c.expect(wire.PROMPT)
            rig.stop_agent(9)
            assert c.ended()
            c.close()
            rig.start_agent()
            assert rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])[-1] == "auth=0"


def test_two_logins_that_want_the_same_reader_both_get_their_turn():
    with CardRig() as rig:
        card("hanako").register(rig, "100001")
        rig.readers.put(card("hanako"))
        results = []
        threads = [threading.Thread(target=lambda: results.append(rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])[-1])) for _ in range(2)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert results == ["auth=0", "auth=0"], results


def test_from_afar_no_card_is_ever_touched():
    config = "[Factors]\nDefault=card password, password\nConsole=card\n[Card]\nTimeoutSec=1\n"
    with CardRig(config) as rig:
        card("hanako").register(rig, "100001")
        rig.readers.put(card("hanako"))
        # another machine, a tunnel back, and a session that cannot be proved to be here
        for service, more in (("lightdm", {"r": "192.0.2.7"}), ("lightdm", {"r": "127.0.0.1"})):
            lines = rig.login(HANAKO, [PIN], service=service, **more)
            assert lines[-1] == "auth=%d" % PERM_DENIED and rig.reason() == "not-local", (service, lines)
        rig.write("peer", "cron.service")  # a program of root's that nobody sits in front of
        assert rig.login(HANAKO, [PIN], service="login")[-1] == "auth=%d" % PERM_DENIED and rig.reason() == "not-local"
        # where a password alone is enough, that is asked for
        assert rig.login(HANAKO, [PASSWORD[HANAKO]], service="sudo", u=HANAKO)[0] == PASSWORD_PROMPT
        assert rig.login(HANAKO, [PASSWORD[HANAKO]], service="sshd", r="192.0.2.7")[0] == PASSWORD_PROMPT
        assert rig.readers.log() == []


def test_a_card_in_the_reader_chooses_between_alternatives():
    with CardRig(CONFIG.replace("card password", "card, password")) as rig:
        card("hanako").register(rig, "100001")
        rig.readers.put(None)
        assert rig.login(HANAKO, [PASSWORD[HANAKO]]) == [PASSWORD_PROMPT, "auth=0"]
        rig.readers.put(card("hanako"))
        assert rig.login(HANAKO, [PIN]) == [PIN_PROMPT, "auth=0"]
        assert [e["KEISHI_FACTORS"] for e in rig.trail(event="login-granted")] == ["password", "card"]


def test_a_locker_of_one_string_never_reaches_a_card():
    with CardRig("[Factors]\nLocker=card, password\nConsole=card\n[Card]\nTimeoutSec=1\n") as rig:
        card("hanako").register(rig, "100001")
        rig.readers.put(card("hanako"))
        rig.write("peer", "lightdm.service")
        lines = rig.login(HANAKO, [PASSWORD[HANAKO]], service="swaylock", U=UID[HANAKO])
        assert lines == [PASSWORD_PROMPT, "auth=0"], lines
        assert rig.readers.log() == []
    with CardRig("[Factors]\nLocker=card\n") as rig:
        lines = rig.login(HANAKO, [PIN], service="swaylock", U=UID[HANAKO])
        assert lines[-1] == "auth=%d" % PERM_DENIED and not any(line.startswith("secret") for line in lines), lines


def test_factors_by_class_of_the_terminal():
    with CardRig("[FactorsClass2]\nConsole=card\n[Card]\nTimeoutSec=1\n") as rig:
        card("hanako").register(rig, "100001")
        rig.readers.put(card("hanako"))
        assert rig.login(HANAKO, [PIN]) == [PIN_PROMPT, "auth=0"]


def test_a_password_alone_starts_no_worker():
    with CardRig("") as rig:
        rig.readers.put(card("hanako"))
        assert rig.login(HANAKO, [PASSWORD[HANAKO]]) == [PASSWORD_PROMPT, "auth=0"]
        assert rig.readers.log() == []


def open_session(rig):
    p = subprocess.Popen(rig.drive_command("lightdm", HANAKO, "auth", "account", "open", "wait", answers=[PIN, PASSWORD[HANAKO]]), env=rig.environment(),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for("the session", lambda: rig.trail(event="session-opened"))
    return p


def test_a_card_that_is_taken_out_during_a_session_is_noticed():
    """That logind is asked to lock cannot be seen here: there is none."""
    with CardRig() as rig:
        name = card("hanako").register(rig, "100001")
        rig.readers.put(card("hanako"))
        p = open_session(rig)
        wait_for("the watch", lambda: "watch" in rig.readers.log())
        rig.readers.put(None)
        wait_for("the entry", lambda: rig.trail(event="card-removed"))
        e = rig.trail(event="card-removed")[-1]
        assert e["KEISHI_ACCOUNT"] == HANAKO and e["KEISHI_CREDENTIAL"] == name and e["KEISHI_DETAIL"] == "Reader 0", e
        # again, after it came back; and not for another's reader
        told = rig.readers.log().count("told")
        rig.readers.put(card("hanako"))
        wait_for("it to be seen", lambda: rig.readers.log().count("told") > told)
        rig.readers.put(card("hanako"), card("jiro"))
        rig.readers.put(card("hanako"), None)
        rig.readers.put(None, None)
        wait_for("the second entry", lambda: len(rig.trail(event="card-removed")) == 2)
        p.stdin.close()
        p.wait()
        p.stdout.close()


def test_a_card_that_is_left_in_the_reader_is_reminded_of():
    with CardRig(CONFIG + "Presence=remove-after-login\nLeftSec=1\n") as rig:
        card("hanako").register(rig, "100001")
        rig.readers.put(card("hanako"))
        lines = rig.login(HANAKO, [PIN, PASSWORD[HANAKO]])
        assert lines[-2:] == ["info: Take your card out of the reader.", "auth=0"], lines
        p = open_session(rig)
        wait_for("the watch", lambda: "watch" in rig.readers.log())
        wait_for("the entry", lambda: rig.trail(event="card-left"))
        p.stdin.close()
        p.wait()
        p.stdout.close()


def test_an_inserted_card_names_the_user_where_no_name_is_given():
    with CardRig() as rig:
        card("hanako").register(rig, "100001")
        card("jiro").register(rig, "100003")
        rig.readers.put(None, card("hanako"))
        lines = rig.login("", [PIN, PASSWORD[HANAKO]], "auth", "name", "account", "open")
        assert lines == [PIN_PROMPT, PASSWORD_PROMPT, "auth=0", "name: hanako", "name=0", "account=0", "open=0"], lines
        assert rig.trail(event="login-granted")[-1]["KEISHI_ACCOUNT"] == HANAKO
        for readers, reason in (([card("hanako"), card("jiro")], "card-several"), ([card("nobody")], "card-unknown"), ([None], "card-none")):
            rig.readers.put(*readers)
            lines = rig.login("", [PIN, PASSWORD[HANAKO]], "auth", "name")
            assert "auth=%d" % AUTH_ERR in lines and "name: " in lines and rig.reason() == reason, (reason, rig.reason(), lines)
        # a wrong PIN names nobody
        rig.readers.put(card("hanako"))
        assert "name: " in rig.login("", ["111111"], "auth", "name")
        # nor does a card from afar, or where only the password is asked for
        assert rig.login("", [PIN], r="192.0.2.7")[-1] == "auth=%d" % PERM_DENIED
        assert rig.login("", ["x"], service="sudo", u=HANAKO)[0] == PASSWORD_PROMPT


def test_no_pin_is_written_anywhere():
    secret = "73917391"
    with CardRig() as rig:
        mine = card("secret", pin=secret)
        mine.register(rig, "100001")
        rig.readers.put(mine)
        assert rig.login(HANAKO, [secret, PASSWORD[HANAKO]])[-1] == "auth=0"
        rig.login(HANAKO, [secret[:-1] + "2"])
        rig.login(HANAKO, [secret * 3])
        for directory, _, names in os.walk(rig.root):
            for name in names:
                path = os.path.join(directory, name)
                if os.path.isfile(path):
                    with open(path, "rb") as f:
                        assert secret[:-1].encode() not in f.read(), path
        with open("/proc/%d/environ" % rig.agent.pid, "rb") as f:
            assert secret[:-1].encode() not in f.read()


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
