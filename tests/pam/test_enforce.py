# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rights that end act on what is open. logind and systemd are not here: what keishi-end does alone is shown; the VM tier shows the rest."""
import datetime
import os
import signal
import subprocess
import sys

from rig import HANAKO, JIRO, PASSWORD, TARO, UID, rig_main, wait_for
from test_ctl import KANRI, SEKININ, Office


def busy(rig, uid, script="trap '' TERM HUP; while :; do read x </dev/zero & wait; done"):
    """A process of the uid that ignores termination and goes on making children."""
    return subprocess.Popen(["setpriv", "--reuid=%d" % uid, "--clear-groups", "sh", "-c", script], stdin=subprocess.DEVNULL, start_new_session=True)


def logged_in(rig, user):
    """An application that holds a session of the user open until its standard input closes."""
    p = subprocess.Popen(rig.drive_command("login", user, "auth", "account", "open", "wait", "close", answers=[PASSWORD[user]]), env=rig.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line in p.stdout:
        if line.startswith("open="):
            assert line == "open=0\n", line
            return p
    raise AssertionError("no session")


def restrict(rig, account):
    rig.done(SEKININ, "restriction", "add", "--account", account, "--reason", "調査中")


def test_restriction_ends_everything_that_runs_as_the_user():
    with Office() as rig:
        login, stubborn = logged_in(rig, HANAKO), busy(rig, UID[HANAKO])
        bystander = busy(rig, UID[JIRO])
        try:
            restrict(rig, HANAKO)
            wait_for("the stubborn process to end", lambda: stubborn.poll() is not None, 5)
            assert stubborn.returncode == -signal.SIGKILL
            ended = wait_for("the entry", lambda: rig.trail(event="session-ended"), 5)[-1]
            assert ended["KEISHI_ACCOUNT"] == HANAKO and ended["KEISHI_REASON"] == "restricted" and ended["KEISHI_RULE"].startswith("restriction:"), ended
            assert ended["KEISHI_NAME"] == "山田花子" and ended["KEISHI_SESSION"], ended
            assert bystander.poll() is None
            assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=6"
        finally:
            login.stdin.close()
            login.wait(10)
            os.killpg(bystander.pid, signal.SIGKILL)
            bystander.wait()


def ends_the_open_session(rig, what, reason):
    """Hanako is in; `what` is done; she is out within seconds, for this reason."""
    login, process = logged_in(rig, HANAKO), busy(rig, UID[HANAKO])
    try:
        what()
        wait_for("the process to end", lambda: process.poll() is not None, 5)
        ended = wait_for("the entry", lambda: rig.trail(event="session-ended", account=HANAKO), 5)[-1]
        assert ended["KEISHI_REASON"] == reason, ended
        refused = rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])
        assert refused[-1] == "auth=6", refused
    finally:
        login.stdin.close()
        login.wait(10)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_transfer_ends_what_is_open():
    with Office() as rig:
        ends_the_open_session(rig, lambda: rig.done(KANRI, "user", "transfer", HANAKO, "--unit", "総務課", "--reason", "異動"), "default")


def test_retirement_ends_what_is_open():
    with Office() as rig:
        ends_the_open_session(rig, lambda: rig.done(KANRI, "user", "retire", HANAKO, "--reason", "退職"), "retired")


def test_the_end_of_a_designation_ends_what_is_open():
    with Office() as rig:
        mine = [row["uuid"] for row in rig.json(SEKININ, "designation", "list", "--subject", "user:" + HANAKO)]
        ends_the_open_session(rig, lambda: [rig.done(SEKININ, "designation", "remove", uuid, "--reason", "終了") for uuid in mine], "default")


def test_a_narrowed_scope_ends_what_is_open():
    with Office() as rig:
        rig.done(KANRI, "terminal", "add", "T02", "--unit", "会計課")
        ends_the_open_session(rig, lambda: rig.done(KANRI, "scope", "change", "会計", "--terminals", "name:T02"), "default")


def test_hours_that_are_over_end_nobody():
    with Office() as rig:
        login, process = logged_in(rig, HANAKO), busy(rig, UID[HANAKO])
        try:
            now = datetime.datetime.now()
            never = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[(now.weekday() + 3) % 7] + " 08:00-09:00"
            rig.done(KANRI, "scope", "change", "会計", "--hours", never)
            assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=6"
            restrict(rig, JIRO)
            wait_for("everybody to have been judged once more", lambda: rig.drive("login", JIRO, "auth", answers=[PASSWORD[JIRO]])[-1] == "auth=6", 5)
            assert process.poll() is None and not rig.trail(event="session-ended", account=HANAKO)
        finally:
            login.stdin.close()
            login.wait(10)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_a_user_with_processes_but_no_session_of_ours_is_ended_too():
    with Office() as rig:
        users = rig.path("run/systemd/users")
        os.makedirs(users, exist_ok=True)
        open(users + "/%d" % UID[JIRO], "w").close()
        lingering = busy(rig, UID[JIRO])
        restrict(rig, JIRO)
        wait_for("the process to end", lambda: lingering.poll() is not None, 5)
        assert rig.trail(event="session-ended")[-1]["KEISHI_ACCOUNT"] == JIRO


def test_nobody_else_is_ended_by_a_change_of_the_directory():
    with Office() as rig:
        login, process = logged_in(rig, HANAKO), busy(rig, UID[HANAKO])
        try:
            restrict(rig, TARO)
            restrict(rig, JIRO)
            assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=0"
            assert process.poll() is None and not rig.trail(event="session-ended", account=HANAKO)
        finally:
            login.stdin.close()
            login.wait(10)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
