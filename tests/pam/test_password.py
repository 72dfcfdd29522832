# SPDX-License-Identifier: LGPL-2.1-or-later
"""A change of the password through keishi and the real pam_unix: what is refused and by which code, what the trail and the registry say of it.

/etc is private here, so that pam_unix has a passwd and a shadow file to write."""
import ctypes
import os
import shutil
import sqlite3
import subprocess
import sys
import time

import rig as rigs
import wire
from rig import HANAKO, JIRO, MADOGUCHI, PASSWORD, SETUP, TARO, UID, Rig, crypt_sha512, rig_main, wait_for

PAM_SUCCESS, PAM_SYSTEM_ERR, PAM_PERM_DENIED, PAM_AUTH_ERR, PAM_MAXTRIES, PAM_NEW_AUTHTOK_REQD, PAM_SESSION_ERR = 0, 4, 6, 7, 11, 12, 14
PAM_CONV_ERR, PAM_AUTHTOK_ERR, PAM_AUTHINFO_UNAVAIL, PAM_TRY_AGAIN = 19, 20, 9, 24

GOOD, BETTER, THIRD = "Kx9-mmvQ72wz", "rT4;wowLq08p", "Hv7,uunPd31e"
NEVER_OLD = "[Password]\nMaxDays=0\n"
TODAY = int(time.time()) // 86400


def private_etc():
    """An /etc of our own, a copy."""
    if os.path.ismount("/etc"):
        return
    held = os.open("/etc", os.O_PATH)
    copy = "/tmp/etc"
    shutil.copytree("/etc", copy, symlinks=True, ignore=shutil.ignore_patterns("alternatives", "ssl", "ssh"))
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(copy.encode(), b"/etc", None, 1 << 12, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    os.close(held)


class PasswordRig(Rig):
    """`changed`: {account: days ago}, for shadow(5); 0 days for the others. `passwords`: others than the rig's. `stack`: what comes after
    pam_keishi in the password stack."""

    UNIX = ("password [success=1 default=ignore] pam_unix.so use_authtok try_first_pass sha512 rounds=1000\n"
            "password requisite pam_deny.so\npassword required pam_permit.so\n")

    def __init__(self, config=NEVER_OLD, changed=None, passwords=None, stack=UNIX, **options):
        private_etc()
        self.changed, self.stack, self.passwords = changed or {}, stack, dict(PASSWORD, **(passwords or {}))
        super().__init__(config=config, **options)

    def make_accounts(self):
        super().make_accounts()
        with open("/etc/shadow", "w") as f:
            f.write("root:*:%d:0:99999:7:::\n" % TODAY)
            for name in UID:
                f.write("%s:%s:%d:0:99999:7:::\n" % (name, crypt_sha512(self.passwords[name]), TODAY - self.changed.get(name, 0)))
        os.chmod("/etc/shadow", 0o600)
        with open(self.path("etc/passwd")) as f:
            lines = [line.split(":") for line in f.read().splitlines()]
        for fields in lines:
            if fields[0] in UID:
                fields[1] = "x"
        self.write("etc/passwd", "\n".join(":".join(x) for x in lines) + "\n")
        shutil.copyfile(self.path("etc/passwd"), "/etc/passwd")
        shutil.copyfile(self.path("etc/group"), "/etc/group")

    def make_services(self):
        super().make_services()
        for service in ("login", "lightdm", "su", "sshd", "passwd", "chpasswd", "swaylock", "sudo"):
            with open(self.dir + "/pam.d/" + service, "w") as f:
                for kind in ("auth", "account", "session"):
                    f.write("%s required %s root=%s\n" % (kind, self.module, self.root))
                # as pam-auth-update makes it from the profiles of keishi and pam_unix
                f.write("password [success=ok ignore=ignore default=die] %s root=%s\n" % (self.module, self.root))
                f.write(self.stack)

    def shadow(self, name):
        with open("/etc/shadow") as f:
            return next(line.split(":") for line in f if line.startswith(name + ":"))

    def change(self, *answers, user=HANAKO, **options):
        """passwd, as the user: the lines of drive."""
        return self.drive("passwd", user, "password", answers=answers, R=UID[user], **options)

    def login(self, user, password, service="login", **options):
        """The lines of a login until its session is open."""
        return self.drive(service, user, "auth", "account", "open", answers=[password], **options)

    def seen(self, user):
        """Waits until the fingerprint of the user's password is taken."""
        wait_for("the fingerprint of %s" % user, lambda: self.sql(
            "SELECT 1 FROM password_fingerprints JOIN users ON uuid = user WHERE account = ? AND state = 1", user), 30)


def last(rig, **filters):
    entries = rig.trail(**filters)
    assert entries, "no entry %r among %r" % (filters, [(e["KEISHI_EVENT"], e.get("KEISHI_REASON")) for e in rig.trail()])
    return entries[-1]


def written(rig, n=1, **filters):
    return wait_for("the change to be seen as written", lambda: len(rig.trail(event="password-changed", result="done", **filters)) >= n and rig.trail(event="password-changed")[-1], 30)


TEXTS = {
    "too-short": "too short", "few-classes": "too few kinds", "same": "is the current password", "similar": "too much like the current one",
    "easy": "too easy", "personal": "too easy", "anothers": "too easy", "used-before": "used before", "characters": "characters that cannot be used",
    "too-long": "too long", "empty": "No password was given",
}


def refused(rig, reason, lines):
    """That this is how it was refused, after three tries of the same."""
    assert lines[-1] == "password=%d" % PAM_AUTHTOK_ERR, lines
    assert sum(TEXTS[reason] in x for x in lines) == 3, lines
    entries = rig.trail(event="password-refused")
    assert [e["KEISHI_REASON"] for e in entries[-3:]] == [reason] * 3, entries
    assert entries[-1]["KEISHI_ACCOUNT"] == HANAKO and entries[-1]["KEISHI_RULE"] == "policy:Password", entries[-1]
    assert not rig.trail(event="password-allowed")


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


def test_each_rule_refuses_with_a_reason_of_its_own():
    with PasswordRig() as rig:
        for reason, password in (("too-short", "Kx9-mmv"), ("few-classes", "kxwmmvqzwzpn"), ("easy", "Password123"),
                                 ("easy", "Abcdefghij1"), ("easy", "hanako-K2x9"), ("characters", "Kx9-mmv\x1bQ72wz"),
                                 ("characters", "Kx9-mmv\u202eQ72wz"), ("too-long", "Kx9-mmvQ72wz" * 50), ("empty", "")):
            answers = [PASSWORD[HANAKO]] + ([password] * 3 if reason == "empty" else [password] * 6)
            refused(rig, reason, rig.change(*answers))
    with PasswordRig(config=NEVER_OLD + "MinLength=6\nMinClasses=2\n") as rig:
        refused(rig, "same", rig.change(PASSWORD[HANAKO], *[PASSWORD[HANAKO]] * 6))
    with PasswordRig(passwords={HANAKO: GOOD}) as rig:
        refused(rig, "similar", rig.change(GOOD, *[GOOD[:-1] + "Z"] * 6))


def test_a_password_that_is_no_utf8_is_refused():
    with PasswordRig() as rig:
        command = rig.drive_command("passwd", HANAKO, "password", answers=[PASSWORD[HANAKO]], R=UID[HANAKO])
        at = command.index("passwd")
        command[at:at] = sum([["-a", b"Kx9-mmv\xffQ72wz"] for _ in range(6)], [])
        r = subprocess.run(command, env=rig.environment(), capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        refused(rig, "characters", r.stdout.decode(errors="replace").splitlines())


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


def test_nobody_changes_another_persons_password():
    with PasswordRig() as rig:
        lines = rig.drive("passwd", HANAKO, "password", answers=[PASSWORD[HANAKO], GOOD, GOOD], R=UID[JIRO])
        assert lines[-1] == "password=%d" % PAM_PERM_DENIED and not any("secret" in x for x in lines), lines
        assert last(rig, event="password-refused")["KEISHI_REASON"] == "not-own"
        lines = rig.drive("login", HANAKO, "password", answers=[PASSWORD[HANAKO], GOOD, GOOD])
        assert lines[-1] == "password=%d" % PAM_PERM_DENIED, lines


def test_whoever_asks_for_it_gives_no_answer():
    with PasswordRig() as rig:
        for n in range(3):
            lines = rig.change(*[PASSWORD[HANAKO], GOOD, GOOD][:n])
            assert lines[-1] == "password=%d" % PAM_CONV_ERR, lines
        assert not rig.trail(event="password-allowed")
        assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=0"


def test_a_change_that_was_not_written_is_no_change():
    with PasswordRig(stack="password requisite pam_deny.so\n") as rig:
        rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])
        rig.seen(HANAKO)
        before = rig.sql("SELECT changed, source FROM passwords")
        # pam_deny refuses in the preliminary phase already: here nothing comes after keishi
        with open(rig.dir + "/pam.d/passwd", "w") as f:
            f.write("password required %s root=%s\n" % (rig.module, rig.root))
        assert rig.change(PASSWORD[HANAKO], GOOD, GOOD)[-1] == "password=0"
        assert rig.sql("SELECT count(*) FROM password_fingerprints WHERE state = 2") == [(1,)]
        assert "auth=0" in rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])
        failed = wait_for("what became of it", lambda: rig.trail(event="password-changed"), 30)[-1]
        assert failed["KEISHI_RESULT"] == "failed" and failed["KEISHI_REASON"] == "not-written", failed
        assert rig.sql("SELECT count(*) FROM password_fingerprints WHERE state = 2") == [(0,)]
        assert rig.sql("SELECT changed, source FROM passwords") == before


def test_a_change_is_known_at_the_next_login_when_the_agent_was_killed_before_it_was():
    with PasswordRig() as rig:
        lines = rig.drive("passwd", HANAKO, "password", "kill=%d" % rig.agent.pid, answers=[PASSWORD[HANAKO], GOOD, GOOD], R=UID[HANAKO])
        assert "password=0" in lines, lines
        rig.agent.wait()
        assert not rig.trail(event="password-changed")
        rig.start_agent()
        assert rig.drive("login", HANAKO, "auth", answers=[GOOD])[-1] == "auth=0"
        assert written(rig)["KEISHI_DETAIL"].startswith("found out")
        assert rig.sql("SELECT state FROM password_fingerprints") == [(1,)]


def test_an_agent_that_dies_between_the_prompts_changes_nothing():
    with PasswordRig() as rig:
        command = rig.drive_command("passwd", HANAKO, "password", i=1, R=UID[HANAKO])
        process = subprocess.Popen(command, env=rig.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        assert process.stdout.readline() == "secret: Current password: \n"
        print(PASSWORD[HANAKO], file=process.stdin, flush=True)
        while process.stdout.readline() != "secret: New password: \n":
            pass
        rig.stop_agent(9)
        print(GOOD, file=process.stdin, flush=True)
        out, _ = process.communicate(timeout=60)
        assert out.splitlines()[-1] == "password=%d" % PAM_SYSTEM_ERR, out
        rig.start_agent()
        assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=0"


DIES = "import sys\nsys.exit(1)\n"
HANGS = "import time\ntime.sleep(600)\n"
LIES = "import socket\nsocket.socket(fileno=3).send(b'x' * 40)\nimport time\ntime.sleep(600)\n"


def test_what_cannot_be_judged_is_not_let_through():
    for helper in ("keishi-quality", "keishi-fingerprint"):
        for source in (DIES, LIES):
            with PasswordRig(helpers={helper: source}) as rig:
                lines = rig.change(PASSWORD[HANAKO], GOOD, GOOD)
                assert lines[-1] == "password=%d" % PAM_AUTHTOK_ERR and any("cannot be checked" in x for x in lines), lines
                assert last(rig, event="password-refused")["KEISHI_REASON"] == "check-unavailable"
                assert rig.sql("SELECT count(*) FROM attempts") == [(0,)]
                assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=0"


def test_a_helper_that_hangs_stops_nobody_else():
    with PasswordRig(helpers={"keishi-quality": HANGS}) as rig:
        command = rig.drive_command("passwd", HANAKO, "password", answers=[PASSWORD[HANAKO], GOOD, GOOD], R=UID[HANAKO])
        process = subprocess.Popen(command, env=rig.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        while not process.stdout.readline().startswith("secret: Retype"):
            pass
        assert rig.login(JIRO, PASSWORD[JIRO])[-1] == "open=0"
        lines = process.stdout.read().splitlines()
        process.wait(10)
        assert lines[-1] == "password=%d" % PAM_AUTHTOK_ERR and any("cannot be checked" in x for x in lines), lines


def test_a_secret_that_is_lost_or_damaged_closes_changes_and_no_logins():
    def remove(path):
        os.unlink(path)

    def garble(path):
        with open(path, "r+b") as f:
            f.seek(20)
            f.write(b"x")

    def cut(path):
        os.truncate(path, 10)

    def open_up(path):
        os.chmod(path, 0o644)

    for damage in (remove, garble, cut, open_up):
        with PasswordRig() as rig:
            assert rig.change(PASSWORD[HANAKO], GOOD, GOOD)[-1] == "password=0"
            written(rig)
            damage(rig.path("var/lib/keishi/password-secret"))
            lines = rig.change(GOOD, BETTER, BETTER)
            assert lines[-1] == "password=%d" % PAM_AUTHTOK_ERR and any("lost or damaged" in x for x in lines), (damage, lines)
            assert last(rig, event="password-refused")["KEISHI_REASON"] == "secret-lost"
            assert rig.login(HANAKO, GOOD)[-1] == "open=0"


def test_a_secret_that_is_lost_is_renewed_by_root_and_fingerprints_are_taken_anew():
    with PasswordRig() as rig:
        assert rig.change(PASSWORD[HANAKO], GOOD, GOOD)[-1] == "password=0"
        written(rig)
        before = rig.sql("SELECT fingerprint FROM password_fingerprints")
        os.unlink(rig.path("var/lib/keishi/password-secret"))
        command = [rigs.BUILD + "/agent/keishid", "--root=" + rig.root, "--new-password-secret"]
        r = subprocess.run(command, env=rig.environment(), capture_output=True, timeout=20)
        assert r.returncode == 1 and b"another keishid" in r.stderr, r
        rig.stop_agent()
        assert subprocess.run(command, env=rig.environment(), stdout=subprocess.DEVNULL, timeout=20).returncode == 0
        rig.start_agent()
        assert last(rig, event="password-secret")["KEISHI_RESULT"] == "renewed"
        assert rig.sql("SELECT count(*) FROM password_fingerprints") == [(0,)]
        rig.login(HANAKO, GOOD)
        rig.seen(HANAKO)
        assert rig.sql("SELECT fingerprint FROM password_fingerprints") != before
        assert rig.change(GOOD, BETTER, BETTER)[-1] == "password=0"


def test_what_is_known_of_the_person_is_no_password():
    setup = dict(SETUP, users=[dict(u, birth="1975-04-01") if u["account"] == HANAKO else u for u in SETUP["users"]])
    with PasswordRig(setup=setup) as rig:
        refused(rig, "personal", rig.change(PASSWORD[HANAKO], *["Zq-1975.04.01"] * 6))
        entry = last(rig, event="password-refused")
        assert "1975" not in str(entry), entry


def test_without_room_on_the_disk_nothing_is_changed():
    with PasswordRig(state_size=24 << 20) as rig:
        with open(rig.path("var/lib/keishi/fill"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        lines = rig.change(PASSWORD[HANAKO], GOOD, GOOD)
        code = int(lines[-1].split("=")[1])
        assert code in (PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR), lines
        os.unlink(rig.path("var/lib/keishi/fill"))
        assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=0"


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


def test_no_password_and_no_secret_is_in_what_is_kept_or_recorded():
    with PasswordRig(passwords={JIRO: THIRD}) as rig:
        rig.drive("login", JIRO, "auth", answers=[THIRD])
        rig.seen(JIRO)
        rig.change("wrong-current-1")
        rig.change(PASSWORD[HANAKO], "Refused-Password123", "Refused-Password123", THIRD, THIRD, GOOD, GOOD)
        written(rig)
        with open(rig.path("var/lib/keishi/password-secret"), "rb") as f:
            secret = f.read()[8:40]
        wanted = [x.encode() for x in (PASSWORD[HANAKO], GOOD, THIRD, "wrong-current-1", "Refused-Password123")] + [secret, secret.hex().encode()]
        rig.stop_agent()
        for directory, _, files in os.walk(rig.path("var")):
            for name in files:
                with open(directory + "/" + name, "rb") as f:
                    data = f.read()
                for word in wanted:
                    assert word not in data or (name == "password-secret" and word == secret), (name, word)
        assert os.stat(rig.path("var/lib/keishi/password-secret")).st_mode & 0o777 == 0o600
        for entry in rig.journal.read():
            assert not any(w.decode(errors="replace") in str(entry) for w in wanted), entry


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
