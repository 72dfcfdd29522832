# SPDX-License-Identifier: LGPL-2.1-or-later
"""keishi-notice, which tells somebody who is ended why, on pseudoterminals of this machine; virtual terminals are shown by the VM tier. And what prompts say afterwards."""
import os
import pty
import select
import subprocess
import sys

from rig import BUILD, HANAKO, JIRO, PASSWORD, UID, has_other_users, rig_main, wait_for
from test_ctl import SEKININ, Office
from test_enforce import logged_in

TEXT = "利用を終了します。システム管理者に"


class Line:
    """A pseudoterminal that belongs to a user."""

    def __init__(self, uid):
        self.master, self.slave = pty.openpty()
        self.path = os.ttyname(self.slave)
        os.fchown(self.slave, uid, -1)

    def shows(self):
        text = b""
        while select.select([self.master], [], [], 0.2)[0]:
            text += os.read(self.master, 4096)
        return text.decode()

    def close(self):
        os.close(self.master)
        os.close(self.slave)


def notice(uid, *lines):
    r = subprocess.run([BUILD + "/agent/keishi-notice", str(uid)], input="".join(lines), text=True, capture_output=True, timeout=20)
    assert r.returncode == 0 and not r.stderr, r


def test_each_terminal_of_the_user_shows_the_text_in_its_own_language():
    one, two = Line(UID[HANAKO]), Line(UID[HANAKO])
    notice(UID[HANAKO], "%s\t%s\n" % (one.path[5:], TEXT), "%s\tYour session is ended.\n" % two.path[5:])
    assert TEXT in one.shows() and "Your session is ended." in two.shows()
    one.close()
    two.close()


def test_nothing_is_written_to_a_terminal_of_somebody_else_or_to_what_is_none():
    other = Line(UID[JIRO])
    name = other.path[5:]
    target = "/dev/shm/keishi-notice-test"
    with open(target, "w"):
        pass
    os.chown(target, UID[HANAKO], -1)
    try:
        for line in ("%s\t%s\n" % (name, TEXT), "../dev/%s\t%s\n" % (name, TEXT), "shm/keishi-notice-test\t%s\n" % TEXT, "pts/../shm/keishi-notice-test\t%s\n" % TEXT, "tty0\tx\n", "tty\tx\n",
                     "pts/\tx\n", "pts/99999999999\tx\n", "pts/1 \tx\n", "no tab\n", "\t\n", "\n"):
            notice(UID[HANAKO], line)
        assert other.shows() == "" and os.path.getsize(target) == 0
    finally:
        os.unlink(target)
        other.close()


def test_a_terminal_that_is_stopped_holds_nobody_up():
    line = Line(UID[HANAKO])
    os.write(line.master, b"\x13")  # ^S
    while True:  # until its buffer is full
        os.set_blocking(line.slave, False)
        try:
            os.write(line.slave, b"x" * 4096)
        except BlockingIOError:
            break
    notice(UID[HANAKO], "%s\t%s\n" % (line.path[5:], TEXT))
    line.close()


def test_the_next_prompts_say_why_and_not_who_until_somebody_is_in():
    with Office() as rig:
        login = logged_in(rig, HANAKO)
        rig.done(SEKININ, "restriction", "add", "--account", HANAKO, "--reason", "調査中")
        wait_for("the entry", lambda: rig.trail(event="session-ended"), 5)
        login.stdin.close()
        login.wait(10)
        for user, password in ((JIRO, "wrong"), ("nobody-such", "wrong"), (HANAKO, PASSWORD[HANAKO])):
            lines = [x for x in rig.drive("login", user, "auth", answers=[password]) if x.startswith("info: ")]
            assert len(lines) == 1 and "last session" in lines[0] and "restricted" in lines[0] and HANAKO not in lines[0], (user, lines)
        assert not any("last session" in x for x in rig.drive("sudo", JIRO, "auth", answers=[PASSWORD[JIRO]], U=UID[JIRO]))
        rig.drive("login", JIRO, "auth", "account", "open", "close", answers=[PASSWORD[JIRO]])
        assert not any("last session" in x for x in rig.drive("login", JIRO, "auth", answers=[PASSWORD[JIRO]]))


if __name__ == "__main__":
    if not has_other_users():
        print("1..0 # SKIP terminals belong to real uids: needs root, or a user namespace with more than one")
        sys.exit(0)
    sys.exit(rig_main(globals()))
