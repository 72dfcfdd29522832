# SPDX-License-Identifier: LGPL-2.1-or-later
"""A day with a card: keishid, the built keishi-factor, a real pcscd, and a card over vpcd (tests/double). What it cannot show: USB readers, polkit, the unit's
sandbox, and that the caller sits at the terminal (peer-double.c)."""
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "double"))

import card  # noqa: E402
import worker  # noqa: E402
from rig import HANAKO, JIRO, PASSWORD, has_other_users, rig_main, wait_for  # noqa: E402
from test_ctl import KACHO, KANRI, Office  # noqa: E402

PIN = "123456"
KEYS = {}


def key(kind, name):
    return KEYS.setdefault((kind, name), card.new_key(kind))


class Desk:
    """pcscd with two readers; started once, since the tests share a network and a /run of their own."""

    def __init__(self):
        worker.own_place()
        self.pcscd = worker.Pcscd(2)
        self.slots = [card.Slot(card.PORT), card.Slot(card.PORT + 1)]

    def clear(self):
        for slot in self.slots:
            slot.remove()
        self.settle(lambda readers: all(r["state"] == "absent" for r in readers.values()))

    def settle(self, predicate):
        wait_for("pcscd", lambda: (lambda found: found[0] == "ok" and len(found[1]) == 2 and predicate(found[1]))(worker.find()))

    def insert(self, inserted, i=0):
        self.slots[i].insert(inserted)
        self.settle(lambda readers: [r["state"] for r in readers.values()].count("present") > i)


desk = None


class CardOffice(Office):
    def __init__(self):
        super().__init__(peer="lightdm.service", config="Max=20\n[Factors]\nConsole=card password\n[Card]\nTimeoutSec=20\n")

    def login(self, user, *answers):
        return self.drive("lightdm", user, "auth", answers=answers)

    def reason(self):
        return self.trail(event="login-refused")[-1]["KEISHI_REASON"]

    def register(self, inserted, user):
        desk.clear()
        desk.insert(inserted)
        return self.json(KANRI, "card", "register", user, "--wait", "5")


def office(function):
    def run():
        global desk
        desk = desk or Desk()
        desk.clear()
        o = CardOffice()
        try:
            function(o)
            o.check_end()
        finally:
            o.close()
    run.__name__ = function.__name__
    return run


@office
def test_cards_of_each_kind_are_registered_and_let_their_holders_in(o):
    for user, inserted, pin, application in (
            (HANAKO, card.Card(piv="p256", key=key("p256", "hanako")), PIN, "piv"), (JIRO, card.Card(jpki=True, jpki_key=key("rsa", "jiro")), "1234", "jpki"),
            (KACHO, card.Card(piv="rsa", key=key("rsa", "kacho")), PIN, "piv")):
        row = o.register(inserted, user)
        assert row["application"] == application, row
        lines = o.login(user, pin, PASSWORD.get(user, "x"))
        assert lines[0] == "secret: PIN of your card (tries left: 3): " and lines[1] == "secret: Password: ", lines
        assert lines[-1] == ("auth=0" if user in PASSWORD else "auth=7"), lines
        assert not inserted.verified, "no PIN stays presented"


@office
def test_a_wrong_pin_counts_on_the_card_and_the_last_one_blocks_it(o):
    mine = card.Card(piv="p256", key=key("p256", "hanako"))
    o.register(mine, HANAKO)
    assert o.login(HANAKO, "111111")[-2] == "info: The PIN is wrong. Tries left on the card: 2."
    assert o.login(HANAKO, "12")[-1] == "auth=7" and o.reason() == "pin-form" and mine.pin.left == 2
    assert o.login(HANAKO, "111111")[-1] == "auth=7" and mine.pin.left == 1
    lines = o.login(HANAKO, "yes", "111111")
    assert lines[0].startswith("ask: This is the last try") and "blocked now" in lines[-2], lines
    assert o.login(HANAKO, PIN)[-1] == "auth=7" and o.reason() == "card-blocked"
    assert mine.presented == 3


@office
def test_another_card_a_clone_and_a_card_that_lies(o):
    mine = card.Card(piv="p256", key=key("p256", "hanako"))
    o.register(mine, HANAKO)
    desk.clear()
    desk.insert(card.Card(piv="p256", key=key("p256", "nobody")))
    assert o.login(HANAKO, PIN)[-1] == "auth=7" and o.reason() == "card-unknown"
    # the holder's certificate, and another key behind it
    desk.clear()
    desk.insert(card.Card(piv="p256", key=key("p256", "nobody"), der=mine.der))
    assert o.login(HANAKO, PIN, PASSWORD[HANAKO])[-1] == "auth=7" and o.reason() == "card-signature"
    for how in ("other-key", "replay"):
        desk.clear()
        bad = card.Card(piv="p256", key=key("p256", "hanako"))
        desk.insert(bad)
        assert o.login(HANAKO, PIN, PASSWORD[HANAKO])[-1] == "auth=0"
        bad.mischief = how
        assert o.login(HANAKO, PIN, PASSWORD[HANAKO])[-1] == "auth=7", how


@office
def test_two_cards_the_right_one_is_found_and_one_inserted_late_is_noticed(o):
    mine, other = card.Card(piv="p256", key=key("p256", "hanako")), card.Card(piv="p256", key=key("p256", "jiro"))
    o.register(mine, HANAKO)
    o.register(other, JIRO)
    desk.clear()
    desk.insert(card.Card(piv="p256", key=key("p256", "jiro")))
    desk.insert(card.Card(piv="p256", key=key("p256", "hanako")), 1)
    for user in (HANAKO, JIRO):
        assert o.login(user, PIN, PASSWORD[user])[-1] == "auth=0", user
    desk.clear()
    p = subprocess.Popen(o.drive_command("lightdm", HANAKO, "auth", answers=[PIN, PASSWORD[HANAKO]]), env=o.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline().startswith("info: Insert your card within 20 seconds.")
    desk.slots[0].insert(card.Card(piv="p256", key=key("p256", "hanako")))
    assert p.stdout.read().splitlines()[-1] == "auth=0"
    p.wait()
    p.stdout.close()


@office
def test_pcscd_that_starts_late_is_waited_for(o):
    o.register(card.Card(piv="p256", key=key("p256", "hanako")), HANAKO)
    desk.clear()
    desk.pcscd.stop()
    p = subprocess.Popen(o.drive_command("lightdm", HANAKO, "auth", answers=[PIN, PASSWORD[HANAKO]]), env=o.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert "card service" in p.stdout.readline()
    desk.pcscd = worker.Pcscd(2)
    desk.slots[0].insert(card.Card(piv="p256", key=key("p256", "hanako")))
    assert p.stdout.read().splitlines()[-1] == "auth=0"
    p.wait()
    p.stdout.close()


if __name__ == "__main__":
    if not has_other_users():
        print("1..0 # SKIP callers are real uids: needs root, or a user namespace with more than one")
        sys.exit(0)
    code = rig_main({n: f for n, f in globals().items() if n != "test_ctl"})
    if desk:
        desk.pcscd.stop()
    sys.exit(code)
