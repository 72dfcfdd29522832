# SPDX-License-Identifier: LGPL-2.1-or-later
"""Enrolment of cards, loss and return, by roles; the worker is a double (cards.py), polkit too (test_ctl.py)."""
import os
import sys
import tempfile
import time

from cards import Card, Readers
from keys import Key, Plugs
from rig import HANAKO, JIRO, PASSWORD, TARO, has_other_users, rig_main, wait_for
from test_ctl import GROUPS, INVALID, KACHO, KANRI, NOT_FOUND, SEKININ, SOMU, STAFF, TOCHOKU, UIDS, Office

TOROKU = "toroku"
STAFF[TOROKU] = UIDS[TOROKU] = 2107
GROUPS["keishi-registrar"] = [TOROKU]
PIN = "123456"

shared = "/tmp/keishi-cards"  # of a /tmp of our own (rig.private_tmp())
cards = {}


def card(name):
    if name not in cards:
        cards[name] = Card(shared, name)
    return cards[name]


class CardOffice(Office):
    def __init__(self):
        directory = tempfile.mkdtemp(prefix="keishi-readers-")
        os.chmod(directory, 0o755)
        self.readers, self.plugs = Readers(directory), Plugs(directory)
        super().__init__(helpers={"keishi-factor": self.readers.worker(), "keishi-factor-key": self.plugs.worker()}, peer="lightdm.service",
                         config="[Factors]\nConsole=card password, biometric\n[Card]\nTimeoutSec=1\n[Biometric]\nRpId=keishi.example.lg.jp\nTouchTimeoutSec=1\n")

    def register(self, name, user=HANAKO, who=KANRI, *more):
        self.readers.put(card(name))
        return self.json(who, "card", "register", user, "--wait", "0", *more)

    def login(self, name, user=HANAKO, *calls):
        self.readers.put(card(name))
        return self.drive("lightdm", user, *(calls or ("auth",)), answers=[PIN, PASSWORD[user]])


def office(function):
    def run():
        o = CardOffice()
        try:
            function(o)
            o.check_end()
        finally:
            o.close()
    run.__name__ = function.__name__
    return run


@office
def test_a_card_is_registered_and_lets_its_holder_in(o):
    row = o.register("hanako", HANAKO, KANRI, "--label", "A-0001")
    assert row["person"] == "100001" and row["state"] == "active" and row["state_by"] == "202101" and row["label"] == "A-0001", row
    entry = o.trail(event="credential-registered")[-1]
    assert entry["KEISHI_ACCOUNT"] == KANRI and entry["KEISHI_TARGET"] == HANAKO and entry["KEISHI_CREDENTIAL"] == row["uuid"], entry
    assert o.login("hanako")[-1] == "auth=0"
    assert [r["uuid"] for r in o.json(KACHO, "card", "list", "--user", HANAKO)] == [row["uuid"]]
    assert "registered" in o.done(KANRI, "card", "readers") and "piv" in o.done(KANRI, "card", "readers")
    assert "console: password card, biometric" in o.done(KACHO, "status")
    assert "A-0001" in o.done(KACHO, "card", "list") and o.json(KACHO, "biometric", "list") == []
    assert any("org.keishi1.credential" in line for line in o.polkit_asked())


@office
def test_who_may_register(o):
    for who in (KACHO, TOCHOKU, TARO, HANAKO, "root"):
        o.readers.put(card("hanako"))
        o.refused(who, "card", "register", HANAKO, "--wait", "0")
    # the registrar: in the own unit only
    o.readers.put(card("hanako"))
    o.refused(TOROKU, "card", "register", SOMU, "--wait", "0", says="not for that unit")
    assert o.register("hanako", HANAKO, TOROKU)["person"] == "100001"
    # nobody for themselves
    o.readers.put(card("other"))
    o.refused(KANRI, "card", "register", KANRI, "--wait", "0", says="their own")
    assert o.trail(event="change-refused")[-1]["KEISHI_REASON"] == "own-credential"
    # polkit asks each time
    o.polkit_says("no")
    o.refused(KANRI, "card", "register", JIRO, "--wait", "0", says="polkit refused")


@office
def test_a_card_serves_one_person_and_a_person_has_one(o):
    o.register("hanako")
    o.readers.put(card("hanako"))
    o.refused(KANRI, "card", "register", JIRO, "--wait", "0", code=NOT_FOUND, says="registered already")
    o.readers.put(card("other"))
    o.refused(KANRI, "card", "register", HANAKO, "--wait", "0", code=INVALID, says="has a card already")
    o.readers.put(card("other"), card("third"))
    o.refused(KANRI, "card", "register", JIRO, "--wait", "0", code=NOT_FOUND, says="several cards")
    for readers, text in (([], "no card reader"), ([None], "insert the card"), (["mute"], "other way round"), (["busy"], "another program")):
        o.readers.put(*readers)
        o.refused(KANRI, "card", "register", JIRO, "--wait", "0", code=NOT_FOUND, says=text)
    o.readers.put(card("other"))
    o.refused(KANRI, "card", "register", "nobody-knows", "--wait", "0", code=NOT_FOUND, says="not registered")
    o.refused(KANRI, "card", "register", "madoguchi", "--wait", "0", code=NOT_FOUND, says="not registered")


@office
def test_a_key_that_was_not_read_by_the_agent_is_not_taken(o):
    import base64
    import json
    import subprocess
    document = json.dumps({"user": HANAKO, "key": base64.b64encode(card("hanako").spki).decode()})
    r = subprocess.run(["busctl", "--address=" + o.bus_address, "call", "org.keishi1", "/org/keishi1", "org.keishi1.Manager", "CardRegister", "s", document],
                       capture_output=True, text=True, user=UIDS[KANRI], group=UIDS[KANRI], extra_groups=[])
    assert r.returncode != 0 and "not read a moment ago" in r.stderr, r.stderr
    # nor with what somebody else has read
    o.readers.put(card("hanako"))
    o.refused(TOROKU, "card", "register", SOMU, "--wait", "0")
    r = subprocess.run(["busctl", "--address=" + o.bus_address, "call", "org.keishi1", "/org/keishi1", "org.keishi1.Manager", "CardRegister", "s", document],
                       capture_output=True, text=True, user=UIDS[KANRI], group=UIDS[KANRI], extra_groups=[])
    assert r.returncode != 0 and "not read a moment ago" in r.stderr, r.stderr
    # and the rows are not written past the verbs
    for method, arguments in (("Add", ["ss", "credential", "{}"]), ("Remove", ["sss", "credential", "x", "y"])):
        r = subprocess.run(["busctl", "--address=" + o.bus_address, "call", "org.keishi1", "/org/keishi1", "org.keishi1.Manager", method, *arguments],
                           capture_output=True, text=True, user=UIDS[SEKININ], group=UIDS[SEKININ], extra_groups=[])
        assert r.returncode != 0, (method, r.stdout)
    assert o.sql("SELECT count(*) FROM credentials") == [(0,)]


@office
def test_a_lost_card_is_stopped_by_anyone_on_duty_and_resumed_by_another(o):
    o.register("hanako")
    o.done(TOCHOKU, "card", "suspend", HANAKO, "--reason", "紛失")
    assert o.login("hanako")[-1] == "auth=7" and o.trail(event="login-refused")[-1]["KEISHI_REASON"] == "card-stopped"
    entry = o.trail(event="credential-suspended")[-1]
    assert entry["KEISHI_ACCOUNT"] == TOCHOKU and entry["KEISHI_DETAIL"] == "紛失", entry
    o.refused(TOCHOKU, "card", "resume", HANAKO, "--reason", "発見", says="another person")
    assert o.trail(event="change-refused")[-1]["KEISHI_REASON"] == "same-person"
    o.refused(SOMU, "card", "resume", HANAKO, "--reason", "発見", says="not for that unit")
    o.refused(TARO, "card", "resume", HANAKO, "--reason", "発見")
    o.done(KACHO, "card", "resume", HANAKO, "--reason", "発見")
    assert o.login("hanako")[-1] == "auth=0"
    # the holder, too, stops it, and does not let it go on
    o.done(HANAKO, "card", "suspend", HANAKO, "--reason", "なくした")
    o.refused(HANAKO, "card", "resume", HANAKO, "--reason", "あった")
    o.refused(TARO, "card", "suspend", JIRO, "--reason", "いたずら", code=NOT_FOUND)
    o.refused(KANRI, "card", "suspend", HANAKO, "--reason", "もう一度", says="state")
    assert o.trail(event="change-refused")[-1]["KEISHI_REASON"] == "state"


@office
def test_a_stopped_card_ends_what_is_open(o):
    row = o.register("hanako")
    o.readers.put(card("hanako"))
    import subprocess
    p = subprocess.Popen(o.drive_command("lightdm", HANAKO, "auth", "account", "open", "wait", answers=[PIN, PASSWORD[HANAKO]]), env=o.environment(),
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        wait_for("the session", lambda: o.trail(event="session-opened"))
        assert o.sql("SELECT credentials FROM sessions") == [(row["uuid"],)]
        o.done(TOCHOKU, "card", "suspend", HANAKO, "--reason", "紛失")
        wait_for("its end", lambda: o.trail(event="session-ended"))
    finally:
        p.stdin.close()
        p.stdout.close()
        p.wait()
    ended = o.trail(event="session-ended")[0]
    assert ended["KEISHI_REASON"] == "credential" and ended["KEISHI_RULE"] == "credential:" + row["uuid"], ended


@office
def test_a_returned_card_is_over_and_goes_to_nobody_else(o):
    row = o.register("hanako")
    o.refused(HANAKO, "card", "return", HANAKO, "--reason", "異動")
    o.done(TOCHOKU, "card", "return", HANAKO, "--reason", "異動")
    assert o.login("hanako")[-1] == "auth=7"
    for verb in ("suspend", "resume", "return", "remove"):
        o.refused(SEKININ, "card", verb, row["uuid"], "--reason", "x", says="state")
    o.readers.put(card("hanako"))
    o.refused(KANRI, "card", "register", JIRO, "--wait", "0", code=INVALID, says="another person's")
    assert o.register("hanako")["person"] == "100001"
    assert row["uuid"] not in o.done(KACHO, "card", "list") and row["uuid"] in o.done(KACHO, "card", "list", "--all")
    o.done(KANRI, "card", "remove", HANAKO, "--reason", "破損")
    assert o.trail(event="credential-removed")[-1]["KEISHI_DETAIL"] == "破損"


@office
def test_a_stand_in_for_one_day_replaces_the_card(o):
    o.readers.put(card("spare"))
    o.refused(KACHO, "substitute", HANAKO, "--wait", "0", code=INVALID, says="stand in for")
    mine = o.register("hanako")
    o.readers.put(card("spare"))
    o.refused(HANAKO, "substitute", HANAKO, "--wait", "0")
    row = o.json(KACHO, "substitute", HANAKO, "--wait", "0")
    assert row["replaces"] == mine["uuid"], row
    day = time.strftime("%Y-%m-%d", time.localtime(time.time() + 86400))
    assert row["until"].startswith(day), row
    assert o.login("spare")[-1] == "auth=0"
    assert o.login("hanako")[-1] == "auth=7" and o.trail(event="login-refused")[-1]["KEISHI_REASON"] == "card-replaced"
    # the next day somebody else gets it
    import sqlite3
    with sqlite3.connect(o.path("var/lib/keishi/registry.db")) as db:
        db.execute("UPDATE credentials SET valid_until = ? WHERE uuid = ?", (int(time.time() * 1e6) - 1, row["uuid"]))
    assert o.login("spare")[-1] == "auth=7" and o.login("hanako")[-1] == "auth=0"
    o.register("jiro", JIRO)
    o.readers.put(card("spare"))
    assert o.json(KACHO, "substitute", JIRO, "--wait", "0")["person"] == "100003"
    assert o.sql("SELECT state FROM credentials WHERE uuid = ?", row["uuid"]) == [("removed",)]


def finger(o, user=HANAKO):
    """Logs in with what is plugged in."""
    o.readers.put(None)
    return o.drive("lightdm", user, "auth", answers=[])


@office
def test_a_key_and_a_finger_are_registered_by_the_registrar_and_let_the_holder_in(o):
    blank = Key(shared, "blank")
    o.plugs.put(o, blank.entry(fingers=["somebody's", "another's"]))
    r = o.ctl(TOROKU, "biometric", "register", HANAKO, "--label", "F-0001", "--unattested", "試験", stdin="654321\n")
    assert r.returncode == 0 and "registered" in r.stdout, (r.stdout, r.stderr)
    # the bar, and the key's own hints
    assert "[#####...............] 1/4 good" in r.stderr and "too fast" in r.stderr and "[####################] 4/4 good" in r.stderr, r.stderr
    assert [line.split(":")[0] for line in o.plugs.log()] == ["list", "templates", "remove", "remove", "enroll", "make"], o.plugs.log()
    assert "hidraw0" in o.done(TOROKU, "biometric", "keys")
    row = o.json(KACHO, "biometric", "list", "--user", HANAKO)[0]
    assert row["rp"] == "keishi.example.lg.jp" and not row.get("attested") and row["label"] == "F-0001", row
    entry = o.trail(event="credential-registered")[-1]
    assert entry["KEISHI_ACCOUNT"] == TOROKU and "試験" in entry["KEISHI_DETAIL"] and "not attested" in entry["KEISHI_DETAIL"], entry
    lines = finger(o)
    assert lines[-1] == "auth=0" and o.trail(event="login-granted")[-1]["KEISHI_CREDENTIAL"] == row["uuid"], lines
    # once more is refused, again is not: the old one is over
    r = o.ctl(TOROKU, "biometric", "register", HANAKO, "--unattested", "試験", stdin="654321\n")
    assert r.returncode == INVALID and "has a key already" in r.stderr, r.stderr
    r = o.ctl(TOROKU, "biometric", "re-register", HANAKO, "--unattested", "試験", "--json", stdin="654321\n")
    assert r.returncode == 0, r.stderr
    assert o.sql("SELECT state FROM credentials ORDER BY id") == [("removed",), ("active",)]
    assert finger(o)[-1] == "auth=0"
    o.done(TOCHOKU, "biometric", "suspend", HANAKO, "--reason", "紛失")
    assert finger(o)[-1] == "auth=7" and o.trail(event="login-refused")[-1]["KEISHI_REASON"] == "key-stopped"
    o.refused(KANRI, "biometric", "resume", HANAKO, "--reason", "発見")
    o.done(TOROKU, "biometric", "resume", HANAKO, "--reason", "発見")
    o.done(TOROKU, "biometric", "remove", HANAKO, "--reason", "破損")
    assert finger(o)[-1] == "auth=7"


@office
def test_a_key_is_not_registered_by_others_nor_unattested_nor_with_a_wrong_pin(o):
    blank = Key(shared, "blank")
    o.plugs.put(o, blank)
    for who in (KANRI, SEKININ, KACHO, TOCHOKU, HANAKO):
        assert o.ctl(who, "biometric", "register", HANAKO, "--unattested", "x", stdin="654321\n").returncode != 0, who
    r = o.ctl(TOROKU, "biometric", "register", SOMU, "--unattested", "x", stdin="654321\n")
    assert r.returncode != 0 and "not for that unit" in r.stderr, r.stderr
    r = o.ctl(TOROKU, "biometric", "register", TOROKU, "--unattested", "x", stdin="654321\n")
    assert r.returncode != 0 and "their own" in r.stderr, r.stderr
    # no roots are configured, and nobody said that none are needed
    r = o.ctl(TOROKU, "biometric", "register", HANAKO, stdin="654321\n")
    assert r.returncode != 0 and "AttestationRoots" in r.stderr, r.stderr
    r = o.ctl(TOROKU, "biometric", "register", HANAKO, "--unattested", "x", stdin="111111\n")
    assert r.returncode != 0 and "Tries left: 7" in r.stderr, r.stderr
    assert o.trail(event="change-refused")[-1]["KEISHI_REASON"] == "wrong-pin"
    for keys, how, text in (([], None, "no key is plugged in"), ([blank.entry(bio=False)], None, "no fingerprint reader"), ([blank, Key(shared, "b2")], None, "several keys"),
                            ([blank.entry(pin=None)], None, "no PIN yet"), ([blank], {"enroll": 12}, "Nobody touched"), ([blank], {"make": "garbage"}, "no answer"),
                            ([blank], {"templates": "die"}, "no answer"), ([blank], {"make": "no-uv"}, "verified no finger")):
        o.plugs.put(o, *keys, how=how)
        r = o.ctl(TOROKU, "biometric", "register", HANAKO, "--unattested", "x", stdin="654321\n")
        assert r.returncode != 0 and text in r.stderr, (text, r.returncode, r.stderr)
    assert o.sql("SELECT count(*) FROM credentials") == [(0,)]
    for directory, _, names in os.walk(o.root):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    assert b"654321" not in f.read(), path


if __name__ == "__main__":
    if not has_other_users():
        print("1..0 # SKIP needs other users")
        sys.exit(0)
    sys.exit(rig_main(globals()))
