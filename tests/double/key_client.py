# SPDX-License-Identifier: LGPL-2.1-or-later
"""keishid's side of keishi-factor-key, in Python: starts the program as helper.c does, speaks factor-wire.h, and looks at what comes back with
python3-cryptography, independently of key-verify.c.

As a program: `key_client.py PROGRAM COMMAND HIDRAW... [NAME=VALUE...]` prints JSON; that JSON on standard input, `key_client.py made RP DIGEST ROOT.PEM` prints the
public key, `key_client.py asserted RP DIGEST PUBLIC_KEY` the counter, or they fail."""
import hashlib
import json
import os
import select
import signal
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import ctap_cbor as cbor  # noqa: E402

MAGIC, VERSION = 0x4B46, 1
OPERATIONS = {"list": 3, "find": 4, "assert": 5, "make": 6, "enroll": 7, "templates": 8, "remove": 9}
STATUS = [None, "ok", "progress", "no-service", "no-reader", "no-card", "no-key", "removed", "wrong", "blocked", "changed", "busy", "timeout", "cancelled",
          "unsupported", "pin-needed", "pin-length", "full", "misbehaved", "malformed", "internal", "mute"]
ITEMS = {"tries": 4, "certificate": 5, "pin": 7, "digest": 8, "signature": 9, "key": 10, "aaguid": 11, "flags": 12, "rp": 13, "credential": 14, "user_id": 15,
         "user_name": 16, "auth_data": 17, "format": 18, "sample": 19, "remaining": 20, "template": 21, "pin_tries": 23}
NAMES = {n: name for name, n in ITEMS.items()}
NUMBERS = {"tries", "key", "flags", "sample", "remaining", "pin_tries"}
UV, BIO, PREVIEW, HAS_PIN, FIDO2 = 1, 2, 4, 8, 16


def frame(what, items):
    body = b""
    for name, value in items:
        data = struct.pack("=I", value) if name in NUMBERS else value.encode() if isinstance(value, str) else value
        body += struct.pack("=HH", ITEMS[name], len(data)) + data
    return struct.pack("=HHHH", MAGIC, VERSION, what, len(body)) + body


def open_frame(data):
    magic, version, what, length = struct.unpack("=HHHH", data[:8])
    assert (magic, version, length) == (MAGIC, VERSION, len(data) - 8), data[:8]
    items, at = [], 8
    while at < len(data):
        n, size = struct.unpack("=HH", data[at:at + 4])
        value, name = data[at + 4:at + 4 + size], NAMES[n]
        items.append((name, struct.unpack("=I", value)[0] if name in NUMBERS else value.decode() if name == "format" else value))
        at += 4 + size
    return STATUS[what], items


class Worker:
    """One process, as helper.c starts it: the socket is descriptor 3, the keys' descriptors come with the request."""

    def __init__(self, program, operation, fds, items=()):
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        socket.send_fds(self.socket, [frame(OPERATIONS[operation], list(items))], list(fds))
        self.pid = os.posix_spawn(program, [program], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)])
        self.status = None
        theirs.close()

    def hear(self, seconds=60):
        """The next frame; None when the worker has ended without one."""
        if not select.select([self.socket], [], [], seconds)[0]:
            raise AssertionError("no answer in %s s" % seconds)
        data = self.socket.recv(1 << 17)
        return open_frame(data) if data else None

    def wait(self, seconds=5):
        """Until the process has ended; its status as os.wait() gives it."""
        end = time.monotonic() + seconds
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = status
            else:
                assert time.monotonic() < end, "the worker does not end"
                time.sleep(0.001)
        return self.status

    def end(self):
        """As keishid does it: closes its end, and kills what has not stopped by then."""
        self.socket.close()
        try:
            self.wait(1)
        except AssertionError:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def ask(program, operation, fds, items=()):
    """(status, items, progress) of one operation; the process has ended by itself afterwards."""
    progress = []
    with Worker(program, operation, fds, items) as w:
        while True:
            answer = w.hear()
            assert answer, "ended with %s" % w.wait()
            if answer[0] != "progress":
                w.wait()
                return answer[0], answer[1], progress
            progress.append(dict(answer[1]))


def values(items, name):
    return [v for n, v in items if n == name]


def auth_data(data):
    """{rp, flags, counter[, aaguid, credential, key]} (WebAuthn 6.1)."""
    parsed = {"rp": data[:32], "flags": data[32], "counter": int.from_bytes(data[33:37], "big")}
    rest = data[37:]
    if parsed["flags"] & 0x40:
        size = int.from_bytes(rest[16:18], "big")
        parsed["aaguid"], parsed["credential"] = rest[:16], rest[18:18 + size]
        from cryptography.hazmat.primitives.asymmetric import ec
        cose, rest = cbor.decode_first(rest[18 + size:])
        parsed["key"] = ec.EllipticCurvePublicNumbers(int.from_bytes(cose[-2], "big"), int.from_bytes(cose[-3], "big"), ec.SECP256R1()).public_key()
    assert not rest or parsed["flags"] & 0x80
    return parsed


def check_made(items, rp, digest, root_pem):
    """The credential's id and public key, with everything about them checked."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    got = dict(items)
    data = auth_data(got["auth_data"])
    assert data["rp"] == hashlib.sha256(rp.encode()).digest() and data["flags"] & 0x45 == 0x45, data
    assert got["format"] == "packed" and got["credential"] == data["credential"]
    leaf, root = x509.load_der_x509_certificate(values(items, "certificate")[0]), x509.load_pem_x509_certificate(root_pem)
    leaf.public_key().verify(got["signature"], got["auth_data"] + digest, ec.ECDSA(hashes.SHA256()))
    root.public_key().verify(leaf.signature, leaf.tbs_certificate_bytes, ec.ECDSA(hashes.SHA256()))
    return data["credential"], data["key"]


def check_asserted(items, rp, digest, key):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    got = dict(items)
    data = auth_data(got["auth_data"])
    assert data["rp"] == hashlib.sha256(rp.encode()).digest() and data["flags"] & 0x05 == 0x05, data
    key.verify(got["signature"], got["auth_data"] + digest, ec.ECDSA(hashes.SHA256()))
    return data["counter"]


RAW = {"aaguid", "credential", "auth_data", "signature", "certificate", "template"}


def to_json(status, items, progress):
    return json.dumps({"status": status, "items": [[n, v.hex() if isinstance(v, bytes) else v] for n, v in items], "progress": progress})


def from_json(text):
    said = json.loads(text)
    return said["status"], [(n, bytes.fromhex(v) if n in RAW else v) for n, v in said["items"]], said["progress"]


def check(what, rp, digest, against):
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
    items, digest = from_json(sys.stdin.read())[1], bytes.fromhex(digest)
    if what == "asserted":
        print(check_asserted(items, rp, digest, load_der_public_key(bytes.fromhex(against))))
        return
    with open(against, "rb") as f:
        print(check_made(items, rp, digest, f.read())[1].public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo).hex())


def main():
    if sys.argv[1] in ("made", "asserted"):
        check(*sys.argv[1:])
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    program, operation = sys.argv[1:3]
    fds = [os.open(a, os.O_RDWR | os.O_CLOEXEC) for a in sys.argv[3:] if "=" not in a]
    items = []
    for a in sys.argv[3:]:
        if "=" in a:
            name, value = a.split("=", 1)
            items.append((name, int(value) if name in NUMBERS else bytes.fromhex(value) if name in RAW | {"digest", "user_id"} else value))
    print(to_json(*ask(program, operation, fds, items)))


if __name__ == "__main__":
    main()
