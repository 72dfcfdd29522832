# SPDX-License-Identifier: LGPL-2.1-or-later
"""A change of the password through keishi and the real pam_unix: what is refused and by which code, what the trail and the registry say of it."""
import sqlite3
import sys
import time

import wire
from password_rig import BETTER, GOOD, NEVER_OLD, PAM_AUTHTOK_ERR, PAM_AUTH_ERR, PAM_CONV_ERR, PAM_MAXTRIES, PAM_NEW_AUTHTOK_REQD, PAM_PERM_DENIED, PAM_SESSION_ERR, PasswordRig, THIRD, last, refused, written
from rig import HANAKO, JIRO, MADOGUCHI, PASSWORD, SETUP, UID, rig_main


def test_a_person_changes_their_own_password_and_it_is_recorded_once_it_is_written():
    with PasswordRig() as rig:
        lines = rig.change(PASSWORD[HANAKO], GOOD, GOOD)
        assert lines == ["secret: Current password: ", "info: Changing password for hanako.", "secret: New password: ",
                         "secret: Retype new password: ", "password=0"], lines
        allowed = last(rig, event="password-allowed")
        assert allowed["KEISHI_ACCOUNT"] == HANAKO and allowed["KEISHI_FACTORS"] == "password", allowed
        changed = written(rig)
        assert changed["KEISHI_ACCOUNT"] == HANAKO and changed["KEISHI_PERSON"] == "100001", changed
        assert rig.drive("login", HANAKO, "auth", answers=[GOOD])[-1] == "auth=0"
        assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=%d" % PAM_AUTH_ERR
        assert rig.sql("SELECT source FROM passwords") == [(2,)]


def test_a_password_that_a_directory_keeps_is_told_to_be_changed_there():
    """A keishi-password that says so stands for a directory."""
    text = "info: A directory keeps this password. If it cannot be changed from here, change it there or ask your system manager."
    with PasswordRig() as rig:
        assert text not in rig.change(PASSWORD[JIRO], GOOD, GOOD, user=JIRO)
    with PasswordRig(helpers={"keishi-password": "import socket\ns = socket.socket(fileno=3)\ns.recv(4096)\ns.send(bytes((1, 0, 0, 0, 0)))\n"}) as rig:
        with open("/etc/shadow") as f:
            others = [line for line in f if not line.startswith(HANAKO + ":")]
        with open("/etc/shadow", "w") as f:
            f.writelines(others)
        lines = rig.change(PASSWORD[HANAKO], GOOD, GOOD)
        assert text in lines and lines[-1] != "password=0", lines


def test_each_rule_refuses_with_a_reason_of_its_own():
    with PasswordRig() as rig:
        refused(rig, HANAKO, PASSWORD[HANAKO], ("too-short", "Kx9-mmv"), ("few-classes", "kxwmmvqzwzpn"), ("easy", "Password123"))
        refused(rig, HANAKO, PASSWORD[HANAKO], ("easy", "Abcdefghij1"), ("easy", "hanako-K2x9"), ("characters", "Kx9-mmv\x1bQ72wz"))
        refused(rig, HANAKO, PASSWORD[HANAKO], ("characters", "Kx9-mmv\u202eQ72wz"), ("too-long", "Kx9-mmvQ72wz" * 50), ("empty", ""))
    with PasswordRig(passwords={HANAKO: GOOD}) as rig:
        refused(rig, HANAKO, GOOD, ("similar", GOOD[:-1] + "Z"), ("same", GOOD), ("similar", GOOD + "Z"))


def test_a_password_that_is_no_utf8_is_refused():
    with PasswordRig() as rig:
        refused(rig, HANAKO, PASSWORD[HANAKO], *[("characters", b"Kx9-mmv\xffQ72wz")] * 3)


def test_two_that_are_not_the_same_are_asked_for_again_and_the_third_try_may_be_right():
    with PasswordRig() as rig:
        lines = rig.change(PASSWORD[HANAKO], GOOD, BETTER, "short", "short", GOOD, GOOD)
        assert lines[-1] == "password=0" and any("not the same" in x for x in lines), lines
        written(rig)


def test_a_wrong_current_password_is_a_failed_attempt_and_asks_for_nothing_else():
    with PasswordRig() as rig:
        for expected in (PAM_AUTH_ERR, PAM_AUTH_ERR, PAM_MAXTRIES, PAM_MAXTRIES):
            lines = rig.change("wrong-1")
            assert lines[-1] == "password=%d" % expected and not any("New password" in x for x in lines), lines
        assert last(rig, event="login-locked")["KEISHI_ACCOUNT"] == HANAKO
        # not at the console, where it was not tried
        assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=0"


def test_another_users_password_reads_as_too_easy_and_counts_as_an_attempt_at_it():
    with PasswordRig(passwords={JIRO: GOOD}) as rig:
        # set before keishi knew it: known from a login
        assert "auth=0" in rig.drive("login", JIRO, "auth", answers=[GOOD])
        rig.seen(JIRO)
        easy = rig.change(PASSWORD[HANAKO], *["Password123"] * 2, BETTER + "x", "y")
        lines = rig.change(PASSWORD[HANAKO], GOOD, GOOD)
        text = [x for x in easy if x.startswith("error: ")][0]
        assert "too easy" in text and text in lines and lines[-1] == "password=%d" % PAM_CONV_ERR, (easy, lines)
        entry = last(rig, event="password-refused")
        assert entry["KEISHI_REASON"] == "anothers" and JIRO not in str(entry), entry
        charged = rig.sql("SELECT account, origin, count FROM attempts")
        assert charged == [(HANAKO, "new-password:user:hanako", 1)], charged
        # a change that goes well clears only what it was charged itself, and so does no login
        assert rig.change(PASSWORD[HANAKO], BETTER, BETTER)[-1] == "password=0"
        written(rig)
        assert "auth=0" in rig.drive("login", HANAKO, "auth", answers=[BETTER])
        lines = rig.change(BETTER, GOOD, GOOD, GOOD, GOOD)
        assert lines[-1] == "password=%d" % PAM_AUTHTOK_ERR and sum(text == x for x in lines) == 2, lines
        assert last(rig, event="login-locked")["KEISHI_ACCOUNT"] == HANAKO
        lines = rig.change(BETTER, THIRD, THIRD)
        assert lines[-1] == "password=%d" % PAM_MAXTRIES and not any("too easy" in x for x in lines), lines


def test_former_passwords_do_not_come_again_until_history_is_over():
    with PasswordRig(config=NEVER_OLD + "History=1\n") as rig:
        for n, (old, new) in enumerate(((PASSWORD[HANAKO], GOOD), (GOOD, BETTER)), 1):
            assert rig.change(old, new, new)[-1] == "password=0"
            written(rig, n)
        lines = rig.change(BETTER, *[GOOD] * 6)
        assert sum("used before" in x for x in lines) == 3 and lines[-1] == "password=%d" % PAM_AUTHTOK_ERR, lines
        assert last(rig, event="password-refused")["KEISHI_REASON"] == "used-before"
        assert rig.sql("SELECT count(*) FROM attempts") == [(0,)]
        assert rig.change(BETTER, THIRD, THIRD)[-1] == "password=0"
        written(rig, 3)
        assert rig.change(THIRD, GOOD, GOOD)[-1] == "password=0"


def test_a_password_that_is_due_is_changed_before_the_session_opens():
    with PasswordRig(config="[Password]\nMaxDays=90\n", changed={HANAKO: 91}) as rig:
        lines = rig.login(HANAKO, PASSWORD[HANAKO])
        assert [x for x in lines if "=" in x] == ["auth=0", "account=%d" % PAM_NEW_AUTHTOK_REQD, "open=%d" % PAM_SESSION_ERR], lines
        assert any("older than allowed" in x for x in lines) and any("changed first" in x for x in lines), lines
        due = last(rig, event="password-due")
        assert due["KEISHI_REASON"] == "max-age" and due["KEISHI_ACCOUNT"] == HANAKO, due
        assert last(rig, event="login-refused")["KEISHI_REASON"] == "password-due"
        lines = rig.drive("login", HANAKO, "auth", "account", "expired", "open", "close", answers=[PASSWORD[HANAKO], PASSWORD[HANAKO], GOOD, GOOD])
        assert [x for x in lines if "=" in x] == ["auth=0", "account=12", "expired=0", "open=0", "close=0"], lines
        written(rig)
        assert rig.login(HANAKO, GOOD)[-3:] == ["auth=0", "account=0", "open=0"]


def test_a_due_password_does_not_open_a_session_when_its_change_is_refused():
    with PasswordRig(config="[Password]\nMaxDays=90\n", changed={HANAKO: 91}) as rig:
        lines = rig.drive("login", HANAKO, "auth", "account", "expired", "open", answers=[PASSWORD[HANAKO], PASSWORD[HANAKO]] + ["Password123"] * 6)
        assert [x for x in lines if "=" in x] == ["auth=0", "account=12", "expired=%d" % PAM_AUTHTOK_ERR, "open=%d" % PAM_SESSION_ERR], lines


def test_no_password_is_due_while_the_clock_is_in_doubt():
    with PasswordRig(config="[Password]\nMaxDays=90\n", changed={HANAKO: 91}) as rig:
        rig.stop_agent()
        with sqlite3.connect(rig.path("var/lib/keishi/registry.db")) as db:
            db.execute("INSERT INTO meta VALUES ('clock-distrusted', 'ahead')")
        rig.start_agent()
        assert rig.login(HANAKO, PASSWORD[HANAKO])[-3:] == ["auth=0", "account=0", "open=0"]
        assert rig.sql("SELECT count(*) FROM passwords") == [(0,)]


def test_what_cannot_change_a_password_goes_on_when_it_is_due():
    with PasswordRig(config="[Password]\nMaxDays=90\n", changed={HANAKO: 91}) as rig:
        lines = rig.drive("sudo", HANAKO, "auth", "user=root", "account", "open", answers=[PASSWORD[HANAKO]], u=HANAKO)
        assert [x for x in lines if "=" in x] == ["auth=0", "user=root=0", "account=0", "open=0"], lines
        assert rig.drive("swaylock", HANAKO, "auth", "setcred", answers=[PASSWORD[HANAKO]], U=UID[HANAKO])[1:] == ["auth=0", "setcred=0"]
        assert rig.drive("cron", HANAKO, "account")[-1] == "account=0"
        assert not rig.trail(event="password-due")


def test_the_days_that_are_left_are_said_at_login_and_not_by_lockers():
    with PasswordRig(config="[Password]\nMaxDays=90\nWarnDays=14\n", changed={HANAKO: 80, JIRO: 70}) as rig:
        lines = rig.login(HANAKO, PASSWORD[HANAKO])
        left = [x for x in lines if "Days until" in x]
        assert len(left) == 1 and left[0] in ("info: Days until your password has to be changed: 10.", "info: Days until your password has to be changed: 9."), lines
        assert lines[-2:] == ["account=0", "open=0"], lines
        assert not any("Days until" in x for x in rig.drive("swaylock", HANAKO, "auth", answers=[PASSWORD[HANAKO]], U=UID[HANAKO]))
        assert not any("Days until" in x for x in rig.login(JIRO, PASSWORD[JIRO]))


def test_an_account_without_a_day_in_shadow_counts_from_when_it_was_first_seen():
    with PasswordRig(config="[Password]\nMaxDays=90\n") as rig:
        with open("/etc/shadow") as f:
            lines = [x.split(":") for x in f.read().splitlines()]
        with open("/etc/shadow", "w") as f:
            f.write("\n".join(":".join(x[:2] + [""] + x[3:] if x[0] == HANAKO else x) for x in lines) + "\n")
        assert rig.login(HANAKO, PASSWORD[HANAKO])[-1] == "open=0"
        (changed, source), = rig.sql("SELECT changed, source FROM passwords")
        assert source == 0 and abs(changed / 1e6 - time.time()) < 60


def test_the_password_of_a_shared_id_is_due_when_a_member_left_until_it_is_changed():
    setup = dict(SETUP, members=[{"account": MADOGUCHI, "person": p} for p in ("100001", "100002")])
    with PasswordRig(setup=setup) as rig:
        rig.stop_agent()
        with sqlite3.connect(rig.path("var/lib/keishi/registry.db")) as db:
            db.execute("INSERT INTO shared_password_due VALUES (?, 1, '100002')", (MADOGUCHI,))
            db.execute("INSERT INTO meta VALUES ('clock-distrusted', 'ahead')")  # which day it is does not matter
        rig.start_agent()
        lines = rig.drive("login", MADOGUCHI, "auth", "account", "expired", "open", answers=[PASSWORD[MADOGUCHI], "100001", PASSWORD[MADOGUCHI], GOOD, GOOD])
        assert [x for x in lines if "=" in x] == ["auth=0", "account=12", "expired=0", "open=0"], lines
        assert any("A member left" in x for x in lines), lines
        assert last(rig, event="password-due")["KEISHI_REASON"] == "member-left"
        written(rig)
        assert rig.sql("SELECT count(*) FROM shared_password_due") == [(0,)]
        assert rig.drive("login", MADOGUCHI, "auth", "account", "open", answers=[GOOD, "100001"])[-2:] == ["account=0", "open=0"]


def test_root_is_asked_for_no_current_password_and_held_to_the_same_rules():
    with PasswordRig(passwords={JIRO: BETTER}) as rig:
        assert "auth=0" in rig.drive("login", JIRO, "auth", answers=[BETTER])
        rig.seen(JIRO)
        lines = rig.drive("passwd", HANAKO, "password", answers=["Password123"] * 2 + [BETTER] * 2 + [GOOD] * 2)
        assert lines[-1] == "password=0" and not any("Current" in x for x in lines) and sum("too easy" in x for x in lines) == 2, lines
        written(rig)
        assert rig.sql("SELECT count(*) FROM attempts") == [(0,)]
        # an account that is not registered
        assert rig.drive("passwd", "soto", "password", answers=[THIRD] * 2)[-1] == "password=0"
        written(rig, 1, account="soto")


def test_a_list_of_passwords_is_not_asked_again():
    with PasswordRig() as rig:
        lines = rig.drive("chpasswd", HANAKO, "password", answers=["Password123"] * 6)
        assert lines[-1] == "password=%d" % PAM_AUTHTOK_ERR and sum("new password" in x.lower() for x in lines) == 2, lines
        assert rig.drive("chpasswd", HANAKO, "password", answers=[GOOD] * 2)[-1] == "password=0"


def test_an_account_that_pam_unix_refuses_is_refused_also_when_its_password_is_due():
    with PasswordRig(config="[Password]\nMaxDays=90\n", changed={HANAKO: 91}) as rig:
        with open("/etc/shadow") as f:
            lines = [x.split(":") for x in f.read().splitlines()]
        with open("/etc/shadow", "w") as f:
            f.write("\n".join(":".join(x[:7] + ["1", ""] if x[0] == HANAKO else x) for x in lines) + "\n")
        lines = rig.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
        assert lines[-1] == "account=%d" % PAM_AUTH_ERR, lines


def test_nobody_changes_another_persons_password():
    with PasswordRig() as rig:
        lines = rig.drive("passwd", HANAKO, "password", answers=[PASSWORD[HANAKO], GOOD, GOOD], R=UID[JIRO])
        assert lines[-1] == "password=%d" % PAM_PERM_DENIED and not any("secret" in x for x in lines), lines
        assert last(rig, event="password-refused")["KEISHI_REASON"] == "not-own"
        lines = rig.drive("login", HANAKO, "password", answers=[PASSWORD[HANAKO], GOOD, GOOD])
        assert lines[-1] == "password=%d" % PAM_PERM_DENIED, lines


def test_what_is_known_of_the_person_is_no_password():
    setup = dict(SETUP, users=[dict(u, birth="1975-04-01") if u["account"] == HANAKO else u for u in SETUP["users"]])
    with PasswordRig(setup=setup) as rig:
        refused(rig, HANAKO, PASSWORD[HANAKO], ("personal", "Zq-1975.04.01"), ("personal", "Zq+S50.4.1-w"), ("personal", "Ab:100001:Ab"))
        entry = last(rig, event="password-refused")
        assert "1975" not in str(entry), entry


def test_what_a_module_before_keishi_has_asked_for_is_not_asked_again():
    with PasswordRig() as rig:
        with open(rig.dir + "/pam.d/passwd", "w") as f:
            f.write("password required pam_unix.so sha512 rounds=1000\npassword required %s root=%s\n" % (rig.module, rig.root))
        lines = rig.change(PASSWORD[HANAKO], GOOD, GOOD)
        assert lines[-1] == "password=0" and sum(x.startswith("secret:") for x in lines) == 3, lines
        written(rig)


def test_on_trial_a_new_password_is_judged_and_let_through():
    with PasswordRig(config="[Policy]\nMode=observe\nObserveUntil=2099-12-31\n[Password]\nMaxDays=90\n", changed={HANAKO: 91}) as rig:
        lines = rig.login(HANAKO, PASSWORD[HANAKO])
        assert lines[-1] == "open=0" and any("once the trial is over" in x for x in lines), lines
        lines = rig.change(PASSWORD[HANAKO], "Password123", "Password123")
        assert lines[-1] == "password=0" and any("too easy" in x for x in lines), lines
        entry = last(rig, event="password-refused")
        assert entry["KEISHI_RESULT"] == "would-refuse" and entry["KEISHI_REASON"] == "easy", entry


def test_the_update_alone_is_refused():
    with PasswordRig() as rig:
        with wire.Call(rig.path("run/keishi/root.sock")) as call:
            call.send(wire.begin("passwd", HANAKO, stage=wire.PASSWORD_UPDATE))
            assert call.result() == wire.PERM_DENIED
        assert last(rig, event="password-refused")["KEISHI_REASON"] == "not-authenticated"


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
