# SPDX-License-Identifier: LGPL-2.1-or-later
"""Installed software: who asked for it as apt claims, and status files as they should not be.

dpkg's status file and apt's history are written by the test, in the forms that Debian 12's wrote when they were tried. dpkg and apt themselves are not run.
"""
import os
import socket
import subprocess
import sys
import tempfile
import time

from rig import BUILD, has_other_users, rig_main, wait_for
from test_drift import DPKG, Watched, dpkg

HISTORY = "Start-Date: %s\nCommandline: %s\n%s%s: %s\nEnd-Date: %s\n\n"


def when(seconds=0):
    return time.strftime("%Y-%m-%d  %H:%M:%S", time.localtime(time.time() + seconds))


def changes(rig, count=1):
    def look():
        found = [e for e in rig.trail(event="software-changed") if e["KEISHI_RESULT"] != "first-seen"]
        return {e["KEISHI_OBJECT"]: e for e in found} if len(found) >= count else None
    return wait_for("%d changes" % count, look, 60)


class Installed(Watched):
    """A terminal whose two packages are known."""

    def __init__(self, **options):
        super().__init__(**options)
        self.stop_agent()
        os.makedirs(self.path("var/lib/dpkg"))
        os.makedirs(self.path("var/log/apt"))
        dpkg(self, ("bash", "installed", "5"), ("dash", "installed", "1"))
        self.start_agent()
        wait_for("the first look", lambda: self.trail(event="software-changed", result="first-seen"), 30)

    def history(self, *runs):
        with open(self.path("var/log/apt/history.log"), "a") as f:
            f.writelines(HISTORY % run for run in runs)


def test_who_asked_for_software_is_told_as_apt_claims_it():
    with Installed() as rig:
        old, now = when(-7200), when()
        rig.history((old, "apt install vim", "Requested-By: taro (2002)\n", "Install", "vim:amd64 (9)", old),
                    (now, "apt-get install gimp", "Requested-By: kanri (1500)\n", "Install", "gimp:amd64 (2.10-1), libgimp:amd64 (2.10-1, automatic)", now),
                    (now, "packagekit role='update-packages'", "Requested-By: hanako (2001)\n", "Upgrade", "bash:amd64 (5, 6)", now),
                    (now, "apt remove dash", "", "Remove", "dash:amd64 (1)", now))
        dpkg(rig, ("bash", "installed", "6"), ("gimp", "installed", "2.10-1"), ("libgimp", "installed", "2.10-1"), ("vim", "installed", "9"))
        got = {name: e.get("KEISHI_REQUESTED_BY") for name, e in changes(rig, 5).items()}
        assert got == {"bash:amd64": "hanako (2001): packagekit role='update-packages'", "dash:amd64": "apt remove dash", "gimp:amd64": "kanri (1500): apt-get install gimp",
                       "libgimp:amd64": "kanri (1500): apt-get install gimp", "vim:amd64": None}, got


def ask(request):
    """The answer of keishi-software itself, None when it ends without one."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        here.send(request.encode())
        there_fd = there.fileno()
        p = subprocess.Popen([BUILD + "/agent/keishi-software"], preexec_fn=lambda: os.dup2(there_fd, 3), close_fds=False, stdin=subprocess.DEVNULL)
        there.close()
        here.settimeout(20)
        reply = here.recv(1 << 17)
        p.wait()
        return reply or None


def test_a_status_file_of_any_kind_is_answered_or_refused_at_once():
    with tempfile.TemporaryDirectory(dir="/tmp") as d:
        os.chmod(d, 0o755)
        path = d + "/status"
        many = "".join(DPKG % ("lib%05d" % i, "installed", "1:1.0-%d" % i) for i in range(3000))

        def reply(data):
            with open(path, "wb") as f:
                f.write(data)
            os.chmod(path, 0o644)
            return ask("0\n" + path)
        first = reply(many.encode())
        head, lines = first.decode().split("\n", 1)
        assert int(head.split()[1]) == lines.count("\n") > 1000, head
        following = ask("%s\n%s" % (head.split()[1], path)).decode().split("\n")
        assert following[1].startswith("lib%05d:" % int(head.split()[1])), following[:2]
        # What is no package tells of none: the agent takes that for a file that cannot be right.
        for data in (b"", b"\n" * 70000, os.urandom(200000), b"Package: " + b"x" * 1000000, b"Package: bash\nVersion: 6\n", b"\0" * 100000, many.encode()[:40]):
            assert reply(data).split(b"\n", 1)[1] == b"", data[:20]
        assert reply(b"Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1").endswith(b"\na:all 1\n")
        os.chmod(path, 0)
        assert ask("0\n" + path) is None
        for make in (os.mkfifo, os.mkdir, lambda p: os.symlink("/nowhere", p), lambda p: os.symlink("/dev/zero", p), lambda p: None):
            os.rmdir(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
            make(path)
            assert ask("0\n" + path) is None
            if not os.path.lexists(path):
                open(path, "w").close()
        assert ask("0") is None and ask("x\n" + path) is None and ask("99999999999\n" + path) is None


def test_a_history_that_is_none_claims_nothing_and_holds_nothing_up():
    with tempfile.TemporaryDirectory(dir="/tmp") as d:
        os.chmod(d, 0o755)
        path, since = d + "/history.log", int(time.time()) - 60
        os.mkfifo(path)
        assert ask("@%d\n%s" % (since, path)) is None
        os.unlink(path)
        cases = {
            b"": b"\n", os.urandom(100000): b"\n", b"Start-Date: soon\nInstall: a:amd64 (1)\nEnd-Date: later\n": b"\n",
            b"Commandline: apt install a\nInstall: a:amd64 (1)\n": b"\n",
            b"Start-Date: %s\nInstall: a:amd64 (1)\n" % when().encode(): b"\n",
            b"Start-Date: %s\nCommandline: apt install a\n" % when().encode(): b"+apt install a\n",
            b"\x00\xff\n" * 9000 + b"Start-Date: %s\nCommandline: x\nPurge: a:amd64 (1), b (((, ,, c:all" % when().encode(): b"+x\na\nb\n",
        }
        for data, wanted in cases.items():
            with open(path, "wb") as f:
                f.write(data)
            assert ask("@%d\n%s" % (since, path)) == wanted, (data[:60], ask("@%d\n%s" % (since, path)))
        with open(path, "wb") as f:
            for i in range(200):
                f.write(b"Start-Date: %s\nCommandline: %d%s\nInstall: %s\nEnd-Date: %s\n\n" % (when().encode(), i, b"y" * 5000, b", ".join(b"p%d:amd64 (1)" % n for n in range(900)), when().encode()))
        full = ask("@%d\n%s" % (since, path))
        assert full.startswith(b"+199y") and len(full) < 65536 and full.endswith(b"\n"), full[:40]


# Stands for a reader of dpkg's file that dies, lies, or says too much. It notes that it was asked.
HELPER = """
import os, socket, sys
s = socket.socket(fileno=3)
request = s.recv(4096).decode()
directory = os.path.dirname(request.split("\\n")[1])
mode = open(directory + "/mode").read() if not request.startswith("@") else "dies"
if not request.startswith("@"):
    with open(directory + "/asked", "a") as f:
        f.write(mode + "\\n")
page = {"nonsense": "x" * 100, "escape": "s 0\\nbash:amd64 \\x1b[31m\\n", "next": "s 77\\nbash:amd64 6\\n", "huge": "s 0\\n" + "a:b 1\\n" * 20000}
if mode in page:
    try:
        s.send(page[mode].encode())
    except OSError:
        pass
elif mode == "good":
    s.send(b"s 0\\nbash:amd64 6\\ndash:amd64 1\\n")
os.kill(os.getpid(), 9)
"""


def test_a_helper_that_dies_or_lies_is_no_change():
    with Installed() as rig:
        os.unlink(rig.helpers() + "/keishi-software")
        with open(rig.helpers() + "/keishi-software", "w") as f:
            f.write("#!%s\n" % os.path.realpath(sys.executable) + HELPER)
        os.chmod(rig.helpers() + "/keishi-software", 0o755)
        open(rig.path("var/lib/dpkg/asked"), "w").close()
        for mode in ("dies", "nonsense", "escape", "next"):
            rig.write("var/lib/dpkg/mode", mode)
            dpkg(rig, ("bash", "installed", "6"))
            wait_for("the helper to be asked", lambda: mode in open(rig.path("var/lib/dpkg/asked")).read(), 30)
        rig.write("var/lib/dpkg/mode", "good")
        dpkg(rig, ("bash", "installed", "6"))
        assert list(changes(rig)) == ["bash:amd64"]


def main():
    if not has_other_users():
        print("1..0 # SKIP needs root, to become nobody")
        return 0
    return rig_main(globals())


if __name__ == "__main__":
    sys.exit(main())
