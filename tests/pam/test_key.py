# SPDX-License-Identifier: LGPL-2.1-or-later
"""Logging in with a finger on a FIDO2 key, with exact PAM return codes for each condition; the worker is a double (keys.py)."""
import os
import sqlite3
import sys
import tempfile
import threading

import wire
from cards import Card, Readers
from keys import Key, Plugs
from rig import HANAKO, JIRO, PASSWORD, TARO, UID, Rig, rig_main, wait_for

PERM_DENIED, AUTH_ERR, MAXTRIES, CONV_ERR = 6, 7, 11, 19
BIOMETRIC = "[Biometric]\nRpId=keishi.example.lg.jp\nTouchTimeoutSec=1\n[Card]\nTimeoutSec=1\n"
CONFIG = "[Factors]\nConsole=biometric\n" + BIOMETRIC
TOUCH = "info: Put your finger on the key within 1 seconds."
shared = "/tmp/keishi-keys"  # of a /tmp of our own (rig.private_tmp())
made = {}


def key(name):
    if name not in made:
        made[name] = Key(shared, name)
    return made[name]


def card(name):
    if name + " card" not in made:
        made[name + " card"] = Card(shared, name)
    return made[name + " card"]


class KeyRig(Rig):
    def __init__(self, config=CONFIG):
        directory = tempfile.mkdtemp(prefix="keishi-plugs-")
        os.chmod(directory, 0o755)
        self.plugs, self.readers = Plugs(directory), Readers(directory)
        super().__init__(config, helpers={"keishi-factor-key": self.plugs.worker(), "keishi-factor": self.readers.worker()}, peer="lightdm.service")

    def login(self, user, answers=(), *calls, service="lightdm", **more):
        return self.drive(service, user, *(calls or ("auth",)), answers=answers, **more)

    def reason(self):
        return self.trail(event="login-refused")[-1]["KEISHI_REASON"]

    def change(self, query, *arguments):
        with sqlite3.connect(self.path("var/lib/keishi/registry.db")) as db:
            db.execute(query, arguments)


def test_a_finger_lets_its_holder_in_and_the_counter_is_kept():
    with KeyRig() as rig:
        name = key("hanako").register(rig, "100001")
        rig.plugs.put(rig, None, key("hanako"))
        lines = rig.login(HANAKO, (), "auth", "account", "open", "authtok", "close")
        assert lines == [TOUCH, "auth=0", "account=0", "open=0", "token: (none)", "authtok=0", "close=0"], lines
        for e in rig.trail(event="login-granted") + rig.trail(event="session-opened"):
            assert e["KEISHI_FACTORS"] == "biometric" and e["KEISHI_CREDENTIAL"] == name, e
        assert rig.sql("SELECT credential, counter FROM credential_counters") == [(name, 8)]
        assert rig.sql("SELECT count(*) FROM attempts") == [(0,)]


def test_card_and_finger_and_password_together():
    with KeyRig(CONFIG.replace("Console=biometric", "Console=card biometric password")) as rig:
        names = [card("hanako").register(rig, "100001"), key("hanako").register(rig, "100001")]
        rig.plugs.put(rig, key("hanako"))
        rig.readers.put(card("hanako"))
        lines = rig.login(HANAKO, ["123456", PASSWORD[HANAKO]])
        assert lines == ["secret: PIN of your card (tries left: 3): ", TOUCH, "secret: Password: ", "auth=0"], lines
        e = rig.trail(event="login-granted")[-1]
        assert e["KEISHI_FACTORS"] == "password card biometric" and e["KEISHI_CREDENTIAL"] == " ".join(names), e


def test_of_several_keys_only_the_holders_is_asked():
    with KeyRig() as rig:
        key("hanako").register(rig, "100001")
        key("jiro").register(rig, "100003")
        rig.plugs.put(rig, key("jiro"), key("hanako"), key("stranger"))
        assert rig.login(HANAKO)[-1] == "auth=0"
        assert rig.plugs.log() == ["find:hidraw0,hidraw1,hidraw2", "assert:hidraw1"], rig.plugs.log()


def test_another_persons_key_lets_nobody_else_in():
    with KeyRig() as rig:
        key("hanako").register(rig, "100001")
        key("jiro").register(rig, "100003")
        rig.plugs.put(rig, key("jiro"))
        lines = rig.login(HANAKO)
        assert lines[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "key-none" and "No key of yours" in lines[-2], lines
        assert not any(line.startswith("assert") for line in rig.plugs.log())


def test_each_condition_has_its_own_answer():
    with KeyRig() as rig:
        key("hanako").register(rig, "100001")
        for keys, how, reason, text in (
                ([], None, "key-none", "No key of yours"), ([None], None, "key-none", "No key of yours"),
                ([key("hanako").entry(finger="none")], None, "key-untouched", "Nobody touched"),
                ([key("hanako").entry(tries=0)], None, "key-blocked", "blocked"),
                ([key("hanako")], {"assert": 14}, "key-unsupported", "no finger"),
                ([key("hanako")], {"assert": 11}, "key-busy", "another program"),
                ([key("hanako")], {"find": "garbage"}, "key-internal", "cannot be read"),
                ([key("hanako")], {"find": "die"}, "key-internal", "cannot be read")):
            rig.plugs.put(rig, *keys, how=how)
            lines = rig.login(HANAKO)
            assert lines[-1] == "auth=%d" % AUTH_ERR and rig.reason() == reason and text in lines[-2], (reason, rig.reason(), lines)
        assert rig.sql("SELECT count(*) FROM attempts") == [(0,)], "nothing was tried"


def test_wrong_fingers_are_counted_by_the_key_and_by_the_agent():
    with KeyRig() as rig:
        key("hanako").register(rig, "100001")
        rig.plugs.put(rig, key("hanako").entry(finger="wrong"))
        lines = rig.login(HANAKO)
        assert lines[-2:] == ["info: The finger was not recognised. Tries left on the key: 2.", "auth=%d" % AUTH_ERR], lines
        assert rig.login(HANAKO)[-1] == "auth=%d" % AUTH_ERR
        lines = rig.login(HANAKO)
        assert lines[-1] == "auth=%d" % MAXTRIES, lines
        assert rig.reason() == "wrong-finger" and rig.trail(event="login-locked")


def test_a_worker_or_key_that_lies_lets_nobody_in():
    with KeyRig() as rig:
        key("hanako").register(rig, "100001")
        for entry, how, reason in (
                ({}, "yes", "key-signature"), ({}, "no-uv", "key-not-verified"), ({}, "no-up", "key-not-present"), ({}, "rp", "key-rp"), ({}, "die", "key-internal"),
                ({}, "garbage", "key-internal"), ({}, "empty", "key-internal"), ({}, 18, "key-misbehaved"), ({}, 7, "key-removed"), ({}, 999, "key-internal"),
                ({"signs_with": key("jiro").key}, None, "key-signature")):
            rig.plugs.put(rig, key("hanako").entry(**entry), how={"assert": how} if how else None)
            lines = rig.login(HANAKO)
            assert lines[-1] == "auth=%d" % AUTH_ERR and rig.reason() == reason, (how, rig.reason(), lines)
            rig.change("DELETE FROM attempts")
        rig.plugs.put(rig, key("jiro"), how={"find": "yes", "assert": "yes"})
        for user in (HANAKO, TARO, JIRO, "nobody-knows"):
            assert rig.login(user)[-1] == "auth=%d" % AUTH_ERR, user
        assert not rig.trail(event="login-granted")


def test_a_copied_key_is_noticed_by_its_counter():
    with KeyRig() as rig:
        key("hanako").register(rig, "100001")
        rig.plugs.put(rig, key("hanako").entry(counter=50))
        assert rig.login(HANAKO)[-1] == "auth=0"
        rig.plugs.put(rig, key("hanako").entry(counter=50, step=1))
        assert rig.login(HANAKO)[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "key-counter"
        rig.plugs.put(rig, key("hanako").entry(counter=60))
        assert rig.login(HANAKO)[-1] == "auth=0"


def test_everybody_waits_alike():
    with KeyRig() as rig:
        key("jiro").register(rig, "100003")
        for keys in ([], [key("jiro")]):
            rig.plugs.put(rig, *keys)
            seen = {user: rig.login(user) for user in (HANAKO, TARO, "soto", "nobody-knows", "\x1b[31mred")}
            assert len(set(map(tuple, seen.values()))) == 1, list(seen.values())


def test_a_stopped_key_and_one_of_another_site():
    with KeyRig() as rig:
        key("hanako").register(rig, "100001", state="suspended")
        key("jiro").register(rig, "100003", rp="other.example")
        rig.plugs.put(rig, key("hanako"), key("jiro"))
        assert rig.login(HANAKO)[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "key-stopped"
        assert rig.login(JIRO)[-1] == "auth=%d" % AUTH_ERR and rig.reason() == "key-none"


def test_a_key_that_comes_late_is_noticed_and_waiting_can_be_cancelled():
    with KeyRig(CONFIG.replace("TouchTimeoutSec=1", "TouchTimeoutSec=60")) as rig:
        key("hanako").register(rig, "100001")
        rig.plugs.put(rig)
        with wire.Call(rig.path("run/keishi/root.sock")) as c:
            c.send(wire.begin("lightdm", HANAKO))
            assert b"Plug in your key" in c.expect(wire.INFORM)[wire.TEXT]
            rig.plugs.put(rig, key("hanako"))
            assert b"Put your finger" in c.expect(wire.INFORM)[wire.TEXT]
            assert c.result() == wire.SUCCESS
        rig.plugs.put(rig, key("hanako"), how={"assert": "hang"})
        with wire.Call(rig.path("run/keishi/root.sock")) as c:
            c.send(wire.begin("lightdm", HANAKO))
            c.expect(wire.INFORM)
            wait_for("the worker", lambda: any(line.startswith("assert") for line in rig.plugs.log()[2:]))
        wait_for("the worker to go", lambda: not rig.working())
        assert rig.trail(event="login-abandoned")


def test_a_locker_of_one_string_gets_a_finger_or_a_password():
    with KeyRig("[Factors]\nLocker=biometric, password\n" + BIOMETRIC) as rig:
        key("hanako").register(rig, "100001")
        rig.plugs.put(rig)
        # a locker runs as its user: outside of a session it is nowhere, and gets the password alone
        assert rig.login(HANAKO, [PASSWORD[HANAKO]], service="swaylock", U=UID[HANAKO]) == ["secret: Password: ", "auth=0"]


def test_from_afar_no_key_is_ever_touched():
    with KeyRig() as rig:
        key("hanako").register(rig, "100001")
        rig.plugs.put(rig, key("hanako"))
        assert rig.login(HANAKO, r="192.0.2.7")[-1] == "auth=%d" % PERM_DENIED and rig.reason() == "not-local"
        assert rig.plugs.log() == []


def test_a_key_that_is_plugged_in_chooses_between_alternatives():
    with KeyRig(CONFIG.replace("Console=biometric", "Console=card password, biometric, password")) as rig:
        key("hanako").register(rig, "100001")
        rig.readers.put(None)
        rig.plugs.put(rig, key("hanako"))
        assert rig.login(HANAKO) == [TOUCH, "auth=0"]
        rig.plugs.put(rig)
        assert rig.login(HANAKO, [PASSWORD[HANAKO]]) == ["secret: Password: ", "auth=0"]


def test_two_logins_at_once():
    with KeyRig() as rig:
        key("hanako").register(rig, "100001")
        key("jiro").register(rig, "100003")
        rig.plugs.put(rig, key("hanako"), key("jiro"))
        results = []
        threads = [threading.Thread(target=lambda user=user: results.append(rig.login(user)[-1])) for user in (HANAKO, JIRO)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert results == ["auth=0", "auth=0"], results


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
