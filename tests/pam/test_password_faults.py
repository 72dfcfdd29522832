# SPDX-License-Identifier: LGPL-2.1-or-later
"""What must not break a change of the password: agents and helpers that die, a secret that is lost, disks that are full, people who give up."""
import os
import subprocess
import sys

import rig as rigs
from password_rig import BETTER, GOOD, PAM_AUTHINFO_UNAVAIL, PAM_AUTHTOK_ERR, PAM_CONV_ERR, PAM_SYSTEM_ERR, PasswordRig, THIRD, last, refused, written
from rig import HANAKO, JIRO, PASSWORD, UID, rig_main, wait_for


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

    with PasswordRig() as rig:
        assert rig.change(PASSWORD[HANAKO], GOOD, GOOD)[-1] == "password=0"
        written(rig)
        path = rig.path("var/lib/keishi/password-secret")
        with open(path, "rb") as f:
            secret = f.read()
        for damage in (remove, garble, cut, open_up):
            damage(path)
            lines = rig.change(GOOD, BETTER, BETTER)
            assert lines[-1] == "password=%d" % PAM_AUTHTOK_ERR and any("lost or damaged" in x for x in lines), (damage, lines)
            assert last(rig, event="password-refused")["KEISHI_REASON"] == "secret-lost"
            assert rig.login(HANAKO, GOOD)[-1] == "open=0"
            with open(path, "wb") as f:
                f.write(secret)
            os.chmod(path, 0o600)
        assert rig.change(GOOD, BETTER, BETTER)[-1] == "password=0"


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
