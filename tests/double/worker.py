# SPDX-License-Identifier: LGPL-2.1-or-later
"""keishid's side of keishi-factor, in Python: starts the program as helper.c does and speaks factor-wire.h. And a real pcscd of the test's own.

As a program, in a virtual machine, where KEISHI_FACTOR names the installed worker; it prints JSON:

    worker.py find | sign READER APPLICATION ALGORITHM PIN DIGEST | watch FRAMES
"""
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

PROGRAM = os.environ.get("KEISHI_FACTOR") or os.environ["BUILD_ROOT"] + "/agent/keishi-factor"
with open(PROGRAM, "rb") as f:
    SANITIZED = b"__asan_init" in f.read()

MAGIC, VERSION = 0x4B46, 1
CARD_FIND, CARD_SIGN, WATCH = 1, 2, 10
STATUS = [None, "ok", "progress", "no-service", "no-reader", "no-card", "no-key", "removed", "wrong", "blocked", "changed", "busy", "timeout", "cancelled",
          "unsupported", "pin-needed", "pin-length", "full", "misbehaved", "malformed", "internal", "mute"]
READER, CARD, APPLICATION, TRIES, CERTIFICATE, TOO_LONG, PIN, DIGEST, SIGNATURE, ALGORITHM = 1, 2, 3, 4, 5, 6, 7, 8, 9, 22
NUMBERS = {CARD, APPLICATION, TRIES, TOO_LONG, ALGORITHM}
STATES = [None, "absent", "present", "mute", "busy", "misbehaved"]
APPLICATIONS = [None, "piv", "jpki"]
PIV, JPKI, RSA, P256 = 1, 2, 1, 2


def frame(what, *items):
    body = b""
    for item, value in items:
        data = struct.pack("=I", value) if isinstance(value, int) else value.encode() if isinstance(value, str) else value
        body += struct.pack("=HH", item, len(data)) + data
    return struct.pack("=HHHH", MAGIC, VERSION, what, len(body)) + body


def open_frame(data):
    magic, version, what, length = struct.unpack("=HHHH", data[:8])
    assert (magic, version, length) == (MAGIC, VERSION, len(data) - 8), data[:8]
    items, at = [], 8
    while at < len(data):
        item, n = struct.unpack("=HH", data[at:at + 4])
        value = data[at + 4:at + 4 + n]
        assert len(value) == n
        items.append((item, struct.unpack("=I", value)[0] if item in NUMBERS else value.decode() if item == READER else value))
        at += 4 + n
    return STATUS[what], items


class Worker:
    """One process, as helper.c starts it: the socket is descriptor 3."""

    def __init__(self, request, fds=(), program=PROGRAM, environment=None):
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if request is not None:
            socket.send_fds(self.socket, [request], list(fds))
        fd = theirs.fileno()

        def child():
            os.dup2(fd, 3)

        self.process = subprocess.Popen([program], preexec_fn=child, pass_fds=(3,), close_fds=True, stdin=subprocess.DEVNULL, env=environment)
        theirs.close()

    def hear(self, seconds=20):
        """The next frame; None when the worker has ended without one."""
        if not select.select([self.socket], [], [], seconds)[0]:
            raise AssertionError("no answer in %s s" % seconds)
        data = self.socket.recv(1 << 17)
        return open_frame(data) if data else None

    def end(self):
        self.process.kill()
        self.process.wait()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def ask(request, **options):
    """(status, items) of one operation; the process has ended by itself afterwards."""
    with Worker(request, **options) as w:
        answer = w.hear()
        assert answer, "ended with %s" % w.process.wait()
        w.process.wait(5)
        return answer


class Readers(dict):
    """{reader: {"state": …, "applications": {name: {"tries": …, "certificate": …, "too_long": …}}}} of a FIND."""

    def __init__(self, items):
        super().__init__()
        reader = application = None
        for item, value in items:
            if item == READER:
                reader = self.setdefault(value, {"state": None, "applications": {}})
            elif item == CARD:
                reader["state"] = STATES[value]
            elif item == APPLICATION:
                application = reader["applications"].setdefault(APPLICATIONS[value], {})
            else:
                application[{TRIES: "tries", CERTIFICATE: "certificate", TOO_LONG: "too_long"}[item]] = value


def find(*items):
    status, got = ask(frame(CARD_FIND, *items))
    return status, Readers(got)


def sign(reader, application, algorithm, pin, digest, tries=None):
    """(status, signature or None, tries or None)"""
    items = [(READER, reader), (APPLICATION, application), (ALGORITHM, algorithm), (PIN, pin), (DIGEST, digest)]
    status, got = ask(frame(CARD_SIGN, *(items + ([(TRIES, tries)] if tries is not None else []))))
    got = dict(got)
    return status, got.get(SIGNATURE), got.get(TRIES)


# ---- a place of one's own ----

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
libc = ctypes.CDLL(None, use_errno=True)


def call(name, *arguments):
    if getattr(libc, name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)


def own_place():
    """From here on this process has /run, and a loopback network, to itself: pcscd's socket has a fixed path, vpcd's ports are fixed too."""
    uid, gid = os.getuid(), os.getgid()
    call("unshare", CLONE_NEWNS | CLONE_NEWNET | (CLONE_NEWUSER if uid else 0))
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", "%d %d 1" % (uid, uid)), ("gid_map", "%d %d 1" % (gid, gid))):
            with open("/proc/self/" + name, "w") as f:
                f.write(text)
    call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    call("mount", b"none", b"/run", b"tmpfs", 0, b"mode=755")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:  # lo, up (netdevice(7))
        libc.ioctl(s.fileno(), 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))


class Pcscd:
    def __init__(self, readers=1, port=35963, name=None):
        """`readers`: of vpcd. One instance of its driver has two slots and knows of no second instance, so further ones are copies of it."""
        self.dir = tempfile.mkdtemp(prefix="keishi-pcscd-")
        self.process = None
        os.mkdir(self.dir + "/conf")
        with open(self.dir + "/conf/vpcd", "w", encoding="utf-8", errors="surrogateescape") as f:
            for i in range((readers + 1) // 2):
                library = self.dir + "/driver-%d.so" % i
                shutil.copy(driver(), library)
                f.write('FRIENDLYNAME "%s"\nDEVICENAME /dev/null:0x%x\nLIBPATH %s\nCHANNELID 0x%x\n\n' % (name or "Desk %c" % (65 + i), port + 2 * i, library, port + 2 * i))
        self.start()

    def start(self):
        command = ["/usr/sbin/pcscd", "--foreground", "--critical", "--config", self.dir + "/conf"]
        if b"polkit" in subprocess.run(["/usr/sbin/pcscd", "--version"], stdout=subprocess.PIPE, check=True).stdout:
            command.append("--disable-polkit")  # there is no polkit here; Debian 12's pcscd has none at all
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        end = time.monotonic() + 10
        while not os.path.exists("/run/pcscd/pcscd.comm"):
            assert time.monotonic() < end and self.process.poll() is None, "pcscd does not start"
            time.sleep(0.01)

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        self.process.wait()
        for name in ("pcscd.comm", "pcscd.pid"):
            if os.path.exists("/run/pcscd/" + name):
                os.unlink("/run/pcscd/" + name)
        shutil.rmtree(self.dir)


def driver():
    for root, _, names in os.walk("/usr/lib/pcsc/drivers/serial"):
        if "libifdvpcd.so" in names:
            return root + "/libifdvpcd.so"
    raise AssertionError("vpcd is not installed (vsmartcard-vpcd)")


def cpu_usec(function):
    """CPU of the processes that ended meanwhile, in microseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    function()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6)


def plain(readers):
    for r in readers.values():
        for a in r["applications"].values():
            if "certificate" in a:
                a["certificate"] = a["certificate"].hex()
    return readers


def main():
    operation, *arguments = sys.argv[1:]
    if operation == "find":
        status, readers = find()
        print(json.dumps({"status": status, "readers": plain(readers)}))
    elif operation == "sign":
        reader, application, algorithm, pin, digest = arguments
        status, signature, tries = sign(reader, APPLICATIONS.index(application), {"rsa": RSA, "p256": P256}[algorithm], pin, bytes.fromhex(digest))
        print(json.dumps({"status": status, "signature": signature.hex() if signature else None, "tries": tries}))
    else:
        with Worker(frame(WATCH)) as w:
            for _ in range(int(arguments[0])):
                status, items = w.hear(60)
                print(json.dumps({"status": status, "readers": plain(Readers(items))}), flush=True)


if __name__ == "__main__":
    main()
