# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where the measured programs run: a mount namespace of the bench's own, with its own accounts, groups and PAM services under
/etc, and for each keishid a directory on a real disk. No wrapper library is in any measured process.

What stands in for what: a private dbus-daemon for the system bus, a socket that is read and forgotten for journald's namespace (whose own
work is not keishi's). Everything else is the real thing: libpam, the modules, keishid, its helpers, NSS files, pam_unix.
"""
import ctypes
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import threading
import time

from fleet import BURST_USERS, USER, USER_GROUPS

PASSWORD = "keishi-bench-8:30"
PAM_ACCESS_RULES = PEER_GROUPS = 1000


def crypt(password):
    """As Debian 12 stores passwords: yescrypt, at its default cost."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt_gensalt.restype = library.crypt.restype = ctypes.c_char_p
    return library.crypt(password.encode(), library.crypt_gensalt(b"$y$", 0, None, 0)).decode()


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


def wait_for(what, predicate, seconds=30.0):
    end = time.monotonic() + seconds
    while not (value := predicate()):
        if time.monotonic() > end:
            raise SystemExit("waited %.0f s for %s" % (seconds, what))
        time.sleep(0.02)
    return value


def make_etc(directory, groups):
    """Accounts, groups and password service, put over those of /etc for this namespace only."""
    users = [USER] + ["u%05d" % u for u in range(1, BURST_USERS + 1)]
    secret = crypt(PASSWORD)
    write(directory + "/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\nmessagebus:x:100:100::/:/bin/sh\n" +
          "".join("%s:x:%d:%d::/:/bin/sh\n" % (u, 20000 + i, 20000 + i) for i, u in enumerate(users)))
    write(directory + "/shadow", "root:*:19000::::::\n" + "".join("%s:%s:%d:0:99999:7:::\n" % (u, secret, time.time() // 86400) for u in users), 0o600)
    # The worst user's groups are the last of the file.
    mine = set(groups)
    names = [g for g in ("g%04d" % i for i in range(PEER_GROUPS)) if g not in mine] + groups
    write(directory + "/group", "root:x:0:\nnogroup:x:65534:\nmessagebus:x:100:\n" +
          "".join("%s:x:%d:\n" % (u, 20000 + i) for i, u in enumerate(users)) +
          "".join("%s:x:%d:%s\n" % (g, 40000 + i, USER if g in mine else "") for i, g in enumerate(names)))
    write(directory + "/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nnetgroup: files\n")
    write(directory + "/pam.d/keishi-password", "auth required pam_unix.so\naccount required pam_permit.so\n")
    write(directory + "/pam.d/other", "".join("%s required pam_deny.so\n" % t for t in ("auth", "account", "session", "password")))
    # pam_time of Debian 12 reads this path only.
    write(directory + "/security/time.conf", "".join("login;*;u%05d;Al0000-2400\n" % (i + 1) for i in range(9999)) + "login;*;%s;Al0000-2400\n" % USER)
    write(directory + "/listfile", "".join("u%05d\n" % (i + 1) for i in range(9999)) + USER + "\n")
    write(directory + "/access", "".join("+:(%s):ALL\n" % g for g in names) + "-:ALL:ALL\n")
    assert len(groups) == USER_GROUPS and len(names) == PAM_ACCESS_RULES
    for name in ("passwd", "shadow", "group", "nsswitch.conf", "pam.d", "security/time.conf"):
        subprocess.run(["mount", "--bind", directory + "/" + name, "/etc/" + name], check=True)


def make_stack(directory, account, auth=None):
    """A confdir with one service, login. libpam reads `other` as well, and would load what it names at each pam_start: nothing, here."""
    write(directory + "/login", "auth required %s\naccount required %s\n" % (auth or account, account))
    write(directory + "/other", "")
    return directory


class Bus:
    def __init__(self, directory):
        self.address = "unix:path=" + directory + "/bus"
        write(directory + "/bus.conf", '<busconfig><type>system</type><listen>%s</listen><auth>EXTERNAL</auth><policy context="default"><allow user="*"/>'
              '<allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>' % self.address)
        if os.path.exists(directory + "/bus"):
            os.unlink(directory + "/bus")
        self.process = subprocess.Popen(["dbus-daemon", "--config-file=" + directory + "/bus.conf", "--nofork", "--nopidfile"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the bus", lambda: os.path.exists(directory + "/bus"))

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Agent:
    """keishid on a directory of its own."""

    def __init__(self, build, directory, bus=None):
        self.build, self.root, self.bus = build, directory, bus
        shutil.rmtree(directory, ignore_errors=True)
        for d in ("/etc/keishi", "/etc/pam.d", "/run/keishi", "/var/lib/keishi", "/run/systemd/journal.keishi"):
            os.makedirs(directory + d)
        write(directory + "/etc/keishi/keishid.conf", "[Agent]\nLocale=ja_JP.UTF-8\n")
        self.registry = directory + "/var/lib/keishi/registry.db"
        self.journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.journal.bind(directory + "/run/systemd/journal.keishi/socket")
        threading.Thread(target=self.forget, daemon=True).start()
        self.process = None
        self.confdir = make_stack(directory + "/pam", "%s/pam_keishi/pam_keishi.so root=%s" % (build, directory))

    def forget(self):
        while True:
            self.journal.recv(1 << 16)

    def start(self, tool=()):
        # No watchdog: nothing but keishid's own business wakes it.
        environment = {"PATH": os.environ["PATH"], "DBUS_SYSTEM_BUS_ADDRESS": self.bus.address if self.bus else "unix:path=/nonexistent"}
        self.process = subprocess.Popen([*tool, self.build + "/agent/keishid", "--root=" + self.root, "--helpers=" + self.build + "/agent"],
                                        env=environment, stdin=subprocess.DEVNULL)
        wait_for("keishid", lambda: self.listens() or self.process.poll() is not None, 120)
        if self.process.poll() is not None:
            raise SystemExit("keishid ended with %d" % self.process.returncode)
        return self

    def listens(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            return s.connect_ex(self.root + "/run/keishi/pam.sock") == 0

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)

    def granted(self, stage):
        """Accounts with a login-granted entry of the stage in the outbox."""
        with sqlite3.connect("file:%s?mode=ro" % self.registry, uri=True) as db:
            entries = [dict(l.split("=", 1) for l in e.decode().splitlines()) for (e,) in db.execute("SELECT entry FROM outbox")]
        return [e["KEISHI_ACCOUNT"] for e in entries if e["KEISHI_EVENT"] == "login-granted" and e["KEISHI_STAGE"] == stage]

    def private_kb(self):
        with open("/proc/%d/smaps_rollup" % self.process.pid) as f:
            return sum(int(line.split()[1]) for line in f if line.startswith(("Private_Clean:", "Private_Dirty:")))

    def cpu_with_helpers(self):
        """Seconds of CPU of the agent and of its helpers that have ended."""
        with open("/proc/%d/stat" % self.process.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def switches(self):
        """Times that it slept and was woken."""
        with open("/proc/%d/status" % self.process.pid) as f:
            return next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches:"))
