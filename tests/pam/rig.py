# SPDX-License-Identifier: LGPL-2.1-or-later
"""A real keishid on private directories, and PAM applications that talk to it.

What stands in for what: nss_wrapper's files for the host's accounts, pam_wrapper's directory for /etc/pam.d, a private dbus-daemon for the
system bus, `Journal` (a datagram socket that keeps what it gets) for journald's namespace. keishid, its helpers, pam_keishi.so, libpam and pam_unix are the real
ones. What this cannot show: logind sessions, real login programs, polkit, systemd's sandbox; the VM tier does.
"""
import ctypes
import glob
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import zlib

BUILD = os.environ["BUILD_ROOT"]
with open(BUILD + "/agent/keishid", "rb") as f:
    SANITIZED = b"__asan_init" in f.read()  # a build whose programs are slower and larger, and which cannot have RTLD_DEEPBIND
HANAKO, TARO, JIRO, MADOGUCHI = "hanako", "taro", "jiro", "madoguchi"
if SANITIZED:
    os.environ.update(UID_WRAPPER_DISABLE_DEEPBIND="1", NSS_WRAPPER_DISABLE_DEEPBIND="1")  # the first is what pam_wrapper 1.1 looks at
PASSWORD = {HANAKO: "sakura-3", TARO: "ume-4", JIRO: "matsu-5", MADOGUCHI: "take-6", "daemon1": "x", "soto": "hoshi-7"}
# Tests run beside each other, and some end hanako with every process that she started: in each she has a uid of her own.
FIRST_UID = 20001 + 100 * (zlib.crc32(os.path.basename(sys.argv[0]).encode()) % 300)
UID = {HANAKO: FIRST_UID, TARO: FIRST_UID + 1, JIRO: FIRST_UID + 2, MADOGUCHI: FIRST_UID + 3, "soto": FIRST_UID + 4}

SETUP = {
    "terminal": {"name": "T01", "unit": "会計課", "confidentiality": 2},
    "users": [
        {"account": HANAKO, "person": "100001", "name": "山田花子", "unit": "会計課"},
        {"account": TARO, "person": "100002", "name": "鈴木太郎", "unit": "会計課"},
        {"account": JIRO, "person": "100003", "name": "佐藤次郎", "unit": "会計課"},
        {"account": MADOGUCHI, "person": "900001", "name": "窓口", "unit": "会計課", "shared": True},
    ],
    "members": [{"account": MADOGUCHI, "person": "100001"}],
    "scopes": [{"name": "会計", "business": "会計業務", "unit": "会計課", "terminals": "name:T01", "services": "* @remote", "remote": True}],
    "designations": [
        {"scope": "会計", "subject": "user:" + HANAKO, "services": "@console @locker @self @admin"},
        {"scope": "会計", "subject": "user:" + MADOGUCHI},
        {"scope": "会計", "subject": "group:keiri"},
    ],
}


def crypt_sha512(password):
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return library.crypt(password.encode(), b"$6$rounds=1000$keishi00$").decode()


def has_other_users():
    """Whether processes can be started as other users than root."""
    with open("/proc/self/uid_map") as f:
        return os.geteuid() == 0 and any(int(line.split()[0]) <= FIRST_UID < int(line.split()[0]) + int(line.split()[2]) for line in f)


def wait_for(what, predicate, seconds=10.0):
    """Polls a fact that has no event of its own, at most `seconds` long."""
    end = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("waited %.0f s for %s" % (seconds, what))
        threading.Event().wait(0.02)


class Journal:
    """Stands for systemd-journald@keishi: takes datagrams of the native protocol; cannot show journald's own fields or files."""

    def __init__(self, path):
        self.path = path
        self.socket = None
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.unlink(self.path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.bind(self.path)
        self.socket.setblocking(False)

    def stop(self):
        self.socket.close()
        os.unlink(self.path)

    def read(self):
        entries = []
        while True:
            try:
                data = self.socket.recv(1 << 16)
            except BlockingIOError:
                return entries
            entries.append(dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line))


class Rig:
    def __init__(self, config="", setup=SETUP, wrapper=(), helpers=None, state_size=None, start=True, peer=None):
        """`helpers`: {program: source of a Python program that stands for it}. `state_size`: /var/lib/keishi is a file system of that many
        bytes. `start`: whether the agent is started. `peer`: the unit that every caller seems to be in (peer-double.c)."""
        self.dir = tempfile.mkdtemp(prefix="keishi-rig-")
        os.chmod(self.dir, 0o755)
        self.root = self.dir + "/root"
        self.agent = self.bus = None
        self.wrapper = list(wrapper)
        for d in ("etc/keishi", "etc/pam.d", "run/keishi", "var/lib/keishi", "run/systemd/journal.keishi"):
            os.makedirs(self.root + "/" + d, mode=0o755)
        if state_size:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%d,mode=700" % state_size, "none", self.path("var/lib/keishi")], check=True)
        self.write("etc/keishi/keishid.conf", "[Agent]\nLocale=en\n[Attempts]\nDelaySec=0\n" + config)
        self.write("etc/machine-id", "0123456789abcdef0123456789abcde1\n", 0o444)
        self.module = BUILD + "/pam_keishi/pam_keishi.so"
        self.make_accounts()
        self.make_services()
        self.journal = Journal(self.root + "/run/systemd/journal.keishi/socket")
        self.make_helpers(helpers or {})
        self.start_bus()
        if peer:
            self.write("peer", peer)
        try:
            if start:
                self.start_agent()
            if start and setup:
                self.reply = self.bus_call("Setup", "s", json.dumps(setup))
        except BaseException:
            self.close()
            raise

    def path(self, name):
        return self.root + "/" + name

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w") as f:
            f.write(text)
        os.chmod(self.path(name), mode)

    def make_accounts(self):
        # nss_wrapper as Debian builds it has no shadow file: the hash stands in passwd, as it once did.
        passwd = ["root:*:0:0:root:/root:/bin/sh", "daemon1:*:101:101::/:/bin/sh", "nobody:*:65534:65534::/:/bin/sh", "nopassword::2010:2010::/:/bin/sh"]
        for name, uid in UID.items():
            passwd.append("%s:%s:%d:%d::/:/bin/sh" % (name, crypt_sha512(PASSWORD[name]), uid, uid))
        group = ["root:x:0:", "nogroup:x:65534:", "keiri:x:3001:jiro"] + ["%s:x:%d:" % (n, u) for n, u in UID.items()]
        self.write("etc/passwd", "\n".join(passwd) + "\n")
        self.write("etc/group", "\n".join(group) + "\n")

    def make_services(self):
        os.makedirs(self.dir + "/pam.d", exist_ok=True)
        stack = "".join("%s required %s root=%s\n" % (t, self.module, self.root) for t in ("auth", "account", "session", "password"))
        # Shows to the application, in the PAM environment, what modules after ours find.
        stack += "auth required pam_wrapper/pam_get_items.so\n".replace("pam_wrapper/", glob.glob("/usr/lib/*/pam_wrapper/")[0])
        for service in ("login", "lightdm", "lightdm-greeter", "su", "sudo", "sshd", "swaylock", "cron", "systemd-user", "runuser", "polkit-1", "passwd", "unknown-service"):
            with open(self.dir + "/pam.d/" + service, "w") as f:
                f.write(stack)
        with open(self.dir + "/pam.d/other", "w") as f:
            f.write("".join("%s required pam_deny.so\n" % t for t in ("auth", "account", "session", "password")))
        with open(self.dir + "/pam.d/keishi-password", "w") as f:
            f.write("auth required pam_unix.so\naccount required pam_permit.so\n")

    def environment(self):
        return dict(
            os.environ,
            # libasan wraps crypt() as it finds it when the program starts, long before pam_unix brings it.
            LD_PRELOAD="libpam_wrapper.so libnss_wrapper.so" + (" libcrypt.so.1" if SANITIZED else ""),
            PAM_WRAPPER="1",
            PAM_WRAPPER_SERVICE_DIR=self.dir + "/pam.d",
            NSS_WRAPPER_PASSWD=self.path("etc/passwd"),
            NSS_WRAPPER_GROUP=self.path("etc/group"),
            DBUS_SYSTEM_BUS_ADDRESS=self.bus_address,
            LC_ALL="C.UTF-8",
        )

    def names(self):
        """The environment of programs that only need the accounts: the bus daemon and keishictl."""
        return dict(os.environ, LD_PRELOAD="libnss_wrapper.so", NSS_WRAPPER_PASSWD=self.path("etc/passwd"), NSS_WRAPPER_GROUP=self.path("etc/group"), LC_ALL="C.UTF-8")

    def start_bus(self):
        self.bus_address = "unix:path=" + self.dir + "/bus"
        self.write("bus.conf", '<busconfig><type>system</type><listen>%s</listen><auth>EXTERNAL</auth><policy context="default"><allow user="*"/>'
                   '<allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>' % self.bus_address)
        self.bus = subprocess.Popen(["dbus-daemon", "--config-file=" + self.path("bus.conf"), "--nofork", "--nopidfile"], env=self.names(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("the bus", lambda: os.path.exists(self.dir + "/bus"))

    def start_agent(self):
        environment = dict(self.environment(), CLOCK_DOUBLE=self.path("clock"))
        if os.path.exists(self.path("clock")):
            environment["LD_PRELOAD"] += " " + BUILD + "/tests/pam/libclock-double.so"
        environment["PEER_DOUBLE"] = self.path("peer")
        if os.path.exists(self.path("peer")):
            environment["LD_PRELOAD"] += " " + BUILD + "/tests/pam/libpeer-double.so"
        self.agent = subprocess.Popen(self.wrapper + [BUILD + "/agent/keishid", "--root=" + self.root, "--helpers=" + self.helpers()],
                                      env=environment, stdin=subprocess.DEVNULL)
        wait_for("pam.sock", lambda: self.listens() or self.agent.poll() is not None)
        if self.agent.poll() is not None:
            raise AssertionError("keishid ended with %d" % self.agent.returncode)

    def listens(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
            return s.connect_ex(self.path("run/keishi/pam.sock")) == 0

    def make_helpers(self, doubles):
        """A directory of helpers: the real ones, and doubles in the place of some."""
        os.mkdir(self.dir + "/helpers")
        for name in ("keishi-lookup", "keishi-password", "keishi-end", "keishi-software", "keishi-admin", "keishi-sudoers", "keishi-quality", "keishi-fingerprint",
                     "keishi-factor", "keishi-factor-key"):
            path = self.dir + "/helpers/" + name
            if name in doubles:
                with open(path, "w") as f:
                    f.write("#!%s\n" % os.path.realpath(sys.executable) + doubles[name])
                os.chmod(path, 0o755)
            elif SANITIZED:
                # keishid kills a helper that has answered, and one that is killed while it looks for leaks is never quite dead.
                with open(path, "w") as f:
                    f.write("#!/bin/sh\nASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 exec %s/agent/%s\n" % (BUILD, name))
                os.chmod(path, 0o755)
            else:
                os.symlink(BUILD + "/agent/" + name, path)

    def helpers(self):
        return self.dir + "/helpers"

    def working(self):
        """(pid, name) of the helpers that run for one question; keishi-admin stays."""
        with open("/proc/%d/task/%d/children" % (self.agent.pid, self.agent.pid)) as f:
            pids = f.read().split()
        names = []
        for pid in pids:
            try:
                with open("/proc/%s/comm" % pid) as f:
                    names.append((int(pid), f.read().strip()))
            except FileNotFoundError:
                pass
        return [(pid, name) for pid, name in names if name != "keishi-admin"]

    def stop_agent(self, sig=signal.SIGTERM):
        if self.agent and self.agent.poll() is None:
            self.agent.send_signal(sig)
            self.agent.wait(10)

    def try_to_start(self):
        """Starts the agent where it must refuse to: what it says."""
        r = subprocess.run([BUILD + "/agent/keishid", "--root=" + self.root, "--helpers=" + self.helpers()], env=self.environment(),
                           stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=20)
        assert r.returncode == 1, "keishid ended with %d" % r.returncode
        return r.stderr.decode()

    def bus_call(self, method, signature="", *arguments, check=True):
        def ready():
            r = subprocess.run(["busctl", "--address=" + self.bus_address, "--json=short", "call", "org.keishi1", "/org/keishi1", "org.keishi1.Manager", method, signature, *arguments],
                               capture_output=True, text=True)
            if r.returncode != 0 and ("not activatable" in r.stderr or "was not provided" in r.stderr or "ServiceUnknown" in r.stderr or "not known" in r.stderr.lower()):
                return None
            return r
        r = wait_for("org.keishi1 on the bus", ready)
        if check and r.returncode != 0:
            raise AssertionError("%s: %s" % (method, r.stderr))
        return r.stderr if r.returncode != 0 else json.loads(r.stdout)["data"] if r.stdout.strip() else None

    def drive(self, service, user, *calls, answers=(), timeout=60, **options):
        """Runs tests/pam/drive; returns its lines."""
        r = subprocess.run(self.drive_command(service, user, *calls, answers=answers, **options), env=self.environment(), capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)
        if r.returncode != 0:
            raise AssertionError("drive: %d %s" % (r.returncode, r.stderr.decode(errors="replace")))
        return r.stdout.decode(errors="replace").splitlines()

    def drive_command(self, service, user, *calls, answers=(), **options):
        command = [BUILD + "/tests/pam/drive"]
        for a in answers:
            command += ["-a", a]
        for key, value in options.items():
            if key in ("n", "N", "f", "h", "i"):
                command.append("-" + key)
            else:
                command += ["-" + key, str(value)]
        return command + [service, user, *calls]

    def sql(self, query, *arguments):
        with sqlite3.connect("file:%s?mode=ro" % self.path("var/lib/keishi/registry.db"), uri=True) as db:
            return db.execute(query, arguments).fetchall()

    def trail(self, **filters):
        """Entries of the outbox as dicts of journal fields, oldest first, those equal to the filters (event="login-granted")."""
        entries = []
        for (entry,) in self.sql("SELECT entry FROM outbox ORDER BY seq"):
            fields = dict(line.split("=", 1) for line in entry.decode().splitlines() if line)
            if all(fields.get("KEISHI_" + k.upper()) == v for k, v in filters.items()):
                entries.append(fields)
        return entries

    def check_end(self):
        """Stops the agent; it must end in order, unless the test killed it."""
        self.stop_agent()
        assert not self.agent or self.agent.returncode in (0, -signal.SIGKILL), "keishid ended with %d" % self.agent.returncode

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        try:
            if kind is None:
                self.check_end()
        finally:
            self.close()

    def close(self):
        self.stop_agent()
        if self.bus:
            self.bus.terminate()
            self.bus.wait()
        self.journal.socket.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def private_tmp():
    """A /tmp of our own. pam_wrapper keeps its copies in /tmp/pam.X, one letter, and two programs that start at once anywhere on the machine
    may take the same one: then a helper dies that has nothing to do with what is tested."""
    library = ctypes.CDLL(None, use_errno=True)

    def call(name, *arguments):
        if getattr(library, name)(*arguments) != 0:
            raise OSError(ctypes.get_errno(), name)
    clone_newns, ms_private_rec, ms_bind = 0x20000, 1 << 18 | 1 << 14, 1 << 12
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    needed = [d for d in (source, BUILD) if d.startswith("/tmp/")]
    call("unshare", clone_newns)
    call("mount", b"none", b"/", None, ms_private_rec, None)
    held = [(d, os.open(d, os.O_PATH)) for d in needed]
    call("mount", b"tmpfs", b"/tmp", b"tmpfs", 0, b"mode=1777")
    for d, fd in held:
        os.makedirs(d, exist_ok=True)
        call("mount", b"/proc/self/fd/%d" % fd, d.encode(), None, ms_bind, None)
        os.close(fd)


def rig_main(namespace):
    """Every test_… function, one TAP line each; a function that takes a rig gets a fresh one."""
    import traceback

    private_tmp()
    wanted = sys.argv[1:]
    tests = [(n, f) for n, f in namespace.items() if n.startswith("test_") and (not wanted or n in wanted)]
    print("1..%d" % len(tests), flush=True)
    failed = 0
    for number, (name, function) in enumerate(tests, 1):
        rig, begun = None, time.monotonic()
        try:
            if function.__code__.co_argcount:
                rig = Rig()
                function(rig)
                rig.check_end()
            else:
                function()
            print("ok %d %s # %.1f s" % (number, name, time.monotonic() - begun), flush=True)
        except Exception:
            failed += 1
            print("not ok %d %s" % (number, name), flush=True)
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), flush=True)
        finally:
            if rig:
                rig.close()
    return 1 if failed else 0
