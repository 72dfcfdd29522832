#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A FIDO2 key with a fingerprint reader (CTAP 2.1), for tests.

    key.py --fd N --control DIR      CTAPHID reports over a SOCK_SEQPACKET socket, as a hidraw descriptor carries them
    key.py --uhid --control DIR      a real HID device by way of /dev/uhid

It is honest: it counts tries and blocks, demands its PIN and checks each pinUvAuthParam, verifies nobody whose finger is not enrolled,
signs only for the relying party that a credential belongs to. Unless it is told to misbehave.

Files in DIR, looked at when they matter:
    finger      whose finger lies on it: a name, absent or empty: nobody's; "wrong" is a name like any other
    samples     codes that enrolment says of the next samples (CTAP 2.1, 6.7.4), in decimal; then 0
    misbehave   words of MISBEHAVIOURS; "getAssertion:cut" only in answer to that command
    patience    how many seconds it blinks, if not 25
    options     at the start: words of OPTIONS
It writes state.json (tries, counters, what it was asked, how often it blinked) and root.pem (who attests it), each by rename.

What it cannot show: a real sensor and its time, USB, other firmware's idea of CTAP.
"""
import argparse
import json
import os
import select
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from cryptography.hazmat.primitives import hashes, hmac, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: E402
from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: E402

import ctap_cbor as cbor  # noqa: E402
from key_maker import Maker  # noqa: E402

OPTIONS = {
    "no-bio": "has no fingerprint reader: only a PIN",
    "preview-only": "enrols by 0x40 only (CTAP 2.1 preview)",
    "final-only": "enrols by 0x09 only",
    "no-token": "CTAP 2.0: no pinUvAuthToken; verification by the option uv",
    "no-pin": "has no PIN yet",
    "u2f": "is of the older kind",
    "self": "attests by itself", "unattested": "attests nothing", "stranger": "is attested by somebody whose root nobody has",
    "other-model": "has the attestation certificate of another model",
    "expired": "has an attestation certificate that was valid once",
    "no-counter": "has no signature counter",
}
MISBEHAVIOURS = {
    "bomb": "answers with CBOR nested very deep", "huge": "a CBOR text of 4 GiB is announced", "cut": "answers stop in the middle of the CBOR",
    "trailing": "has bytes behind its CBOR", "empty": "answers of no byte", "garbage": "answers with random bytes", "duplicate": "gives a map's key twice",
    "long": "announces 65535 bytes and sends them", "sequence": "skips a packet", "short-report": "sends reports of 63 bytes",
    "other-key": "signs with another key", "replay": "answers with the assertion of before", "no-uv": "verifies, and the flag is missing",
    "unverified": "sets the flag and verifies nobody", "no-up": "leaves out user presence", "rp": "answers for another relying party",
    "counter": "counts backwards", "other-credential": "answers with another credential's id",
    "claims-bio": "says that it has a fingerprint reader, and it has none",
    "drip": "sends a packet each 700 ms", "flood": "sends nothing but keep-alives, without pause", "silent": "does not answer", "vanish": "is gone in the middle of an answer",
    "deaf": "cannot be cancelled", "busy": "is busy with somebody else", "backup": "makes credentials that travel",
}

OK, INVALID_COMMAND, INVALID_PARAMETER, CHANNEL_BUSY = 0x00, 0x01, 0x02, 0x06
INVALID_CBOR, MISSING_PARAMETER, FP_DATABASE_FULL, CREDENTIAL_EXCLUDED = 0x12, 0x14, 0x17, 0x19
UNSUPPORTED_ALGORITHM, OPERATION_DENIED, UNSUPPORTED_OPTION, INVALID_OPTION, KEEPALIVE_CANCEL = 0x26, 0x27, 0x2B, 0x2C, 0x2D
NO_CREDENTIALS, USER_ACTION_TIMEOUT, NOT_ALLOWED, PIN_INVALID, PIN_BLOCKED, PIN_AUTH_INVALID = 0x2E, 0x2F, 0x30, 0x31, 0x32, 0x33
PIN_AUTH_BLOCKED, PIN_NOT_SET, PUAT_REQUIRED, PIN_POLICY, UV_BLOCKED, UV_INVALID, UNAUTHORIZED = 0x34, 0x35, 0x36, 0x37, 0x3C, 0x3F, 0x40

PING, MSG, INIT, WINK, CBOR, CANCEL, KEEPALIVE, ERROR = 0x81, 0x83, 0x86, 0x88, 0x90, 0x91, 0xBB, 0xBF
COMMANDS = {b"\x01": "makeCredential", b"\x02": "getAssertion", b"\x04": "getInfo", b"\x06": "clientPin", b"\x09": "bioEnrollment", b"\x0b": "selection",
            b"\x40": "bioEnrollmentPreview"}
BROADCAST = b"\xff\xff\xff\xff"
MC, GA, BE = 1, 2, 8  # permissions
UV_TRIES, PIN_TRIES, TEMPLATES_MAX, SAMPLES = 5, 8, 5, 4
TOUCH_SECONDS = 25


class Refusal(Exception):
    def __init__(self, code):
        self.code = code


class Gone(Exception):
    """The other side has closed, or the key has left."""


class SocketLink:
    def __init__(self, fd):
        self.socket = socket.socket(fileno=fd)

    def fileno(self):
        return self.socket.fileno()

    def receive(self):
        try:
            report = self.socket.recv(128)
        except OSError as e:
            raise Gone from e
        if not report:
            raise Gone
        return report[1:] if len(report) == 65 and report[0] == 0 else None

    def send(self, report):
        try:
            self.socket.send(report)
        except OSError as e:
            raise Gone from e

    def leave(self):
        self.socket.close()


class UhidLink:
    """linux/uhid.h; the report descriptor of CTAP 2.1, 11.2.8.1."""
    DESTROY, OUTPUT, GET_REPORT, GET_REPORT_REPLY, CREATE2, INPUT2, SET_REPORT, SET_REPORT_REPLY = 1, 6, 9, 10, 11, 12, 13, 14
    DESCRIPTOR = bytes.fromhex("06d0f10901a1010920150026ff0075089540810209211500 26ff00750895409102c0".replace(" ", ""))

    def __init__(self, serial):
        self.fd = os.open("/dev/uhid", os.O_RDWR | os.O_CLOEXEC)
        create = struct.pack("<I128s64s64sHHIIII4096s", self.CREATE2, b"Keishi Test Key", b"test", serial.encode(), len(self.DESCRIPTOR), 3,
                             0x1209, 0xF1D0, 1, 0, self.DESCRIPTOR)
        os.write(self.fd, create)

    def fileno(self):
        return self.fd

    def receive(self):
        event = os.read(self.fd, 4380)
        kind, = struct.unpack_from("<I", event)
        if kind == self.OUTPUT:
            size, = struct.unpack_from("<H", event, 4 + 4096)
            report = event[4:4 + size]
            return report[1:] if size == 65 else report if size == 64 else None
        if kind in (self.GET_REPORT, self.SET_REPORT):
            number, = struct.unpack_from("<I", event, 4)
            os.write(self.fd, struct.pack("<IIH", kind + 1, number, 5))  # EIO: there are no such reports
        return None

    def send(self, report):
        os.write(self.fd, struct.pack("<IH", self.INPUT2, len(report)) + report)

    def leave(self):
        os.write(self.fd, struct.pack("<I", self.DESTROY))
        os.close(self.fd)


def sha256(data):
    h = hashes.Hash(hashes.SHA256())
    h.update(data)
    return h.finalize()


def mac(key, data):
    h = hmac.HMAC(key, hashes.SHA256())
    h.update(data)
    return h.finalize()


def aes(key, iv, data, encrypt):
    c = Cipher(algorithms.AES(key), modes.CBC(iv))
    c = c.encryptor() if encrypt else c.decryptor()
    return c.update(data) + c.finalize()


class PinProtocol:
    """pinUvAuthProtocol 1 and 2 (CTAP 2.1, 6.5.6 and 6.5.7)."""

    def __init__(self, version, shared):
        self.version = version
        if version == 1:
            self.mac_key = self.aes_key = sha256(shared)
        else:
            self.mac_key, self.aes_key = (
                HKDF(algorithm=hashes.SHA256(), length=32, salt=bytes(32), info=info).derive(shared) for info in (b"CTAP2 HMAC key", b"CTAP2 AES key"))

    def encrypt(self, data):
        iv = bytes(16) if self.version == 1 else os.urandom(16)
        return (b"" if self.version == 1 else iv) + aes(self.aes_key, iv, data, True)

    def decrypt(self, data):
        iv, data = (bytes(16), data) if self.version == 1 else (data[:16], data[16:])
        if not data or len(data) % 16:
            raise Refusal(INVALID_PARAMETER)
        return aes(self.aes_key, iv, data, False)


def param(version, key, data):
    return mac(key, data)[:16] if version == 1 else mac(key, data)


def cose(public, algorithm=-7):
    n = public.public_numbers()
    return {1: 2, 3: algorithm, -1: 1, -2: n.x.to_bytes(32, "big"), -3: n.y.to_bytes(32, "big")}


class Key:
    def __init__(self, link, control, options=()):
        self.link, self.control = link, control
        words = set(self.read("options").split()) | set(options)
        if words - set(OPTIONS):
            raise SystemExit("no such option: %s" % (words - set(OPTIONS)))
        self.options = words
        self.aaguid = bytes.fromhex("6b656973686974657374" + "000000000001")
        self.maker = Maker()
        attester = Maker("Strangers") if "stranger" in words else self.maker
        if "expired" in words:
            self.attestation_key, self.certificate = attester.model(self.aaguid, days=-0.5)
        else:
            self.attestation_key, self.certificate = attester.model(bytes(16) if "other-model" in words else self.aaguid)
        self.agreement = ec.generate_private_key(ec.SECP256R1())
        self.stranger = ec.generate_private_key(ec.SECP256R1())
        self.pin_hash = None if "no-pin" in words else sha256(b"123456")[:16]
        self.pin_tries, self.pin_in_a_row, self.uv_tries = PIN_TRIES, 0, UV_TRIES
        self.token, self.permissions, self.token_rp = os.urandom(32), 0, None
        self.templates, self.enrolling = {}, None
        self.credentials, self.counter, self.last = {}, 0, None
        self.blinks, self.asked = 0, {}
        self.channels, self.next_channel = set(), 1
        self.busy, self.current = None, None
        self.write("root.pem", self.maker.root_pem())
        self.told()

    # ---- files

    def read(self, name):
        try:
            with open(os.path.join(self.control, name)) as f:
                return f.read().strip()
        except FileNotFoundError:
            return ""

    def write(self, name, data):
        path = os.path.join(self.control, name)
        with open(path + ".new", "wb") as f:
            f.write(data)
        os.rename(path + ".new", path)

    def told(self):
        self.write("state.json", json.dumps({
            "uv_tries": self.uv_tries, "pin_tries": self.pin_tries, "counter": self.counter, "blinks": self.blinks, "asked": self.asked,
            "templates": {i.hex(): f for i, f in self.templates.items()}, "credentials": [c.hex() for c in self.credentials],
            "aaguid": self.aaguid.hex(), "blinking": self.busy is not None}).encode())

    def misbehaves(self, *words):
        given = [w.split(":") for w in self.read("misbehave").split()]
        return any(w[-1] in words and (len(w) == 1 or w[0] == self.current) for w in given)

    # ---- CTAPHID (CTAP 2.1, 11.2)

    def packet(self, report):
        if self.misbehaves("short-report"):
            report = report[:63]
        if self.misbehaves("drip"):
            time.sleep(0.7)
        self.link.send(report)

    def message(self, channel, command, data, announced=None):
        self.packet((channel + bytes([command]) + (len(data) if announced is None else announced).to_bytes(2, "big") + data[:57]).ljust(64, b"\0"))
        rest, n = data[57:], 0
        if self.misbehaves("vanish"):
            raise Gone
        while rest:
            if not (n == 0 and self.misbehaves("sequence")):
                self.packet((channel + bytes([n & 0x7F]) + rest[:59]).ljust(64, b"\0"))
            rest, n = rest[59:], n + 1

    def take(self, wait):
        """A report, or None when there is none within so many seconds, or no report of ours."""
        if not select.select([self.link], [], [], wait)[0]:
            return None
        return self.link.receive()

    def serve(self):
        try:
            while True:
                report = self.take(None)
                if report:
                    self.begin(report)
        except Gone:
            self.link.leave()

    def begin(self, report):
        """A message's first packet, and those that continue it."""
        channel, command = report[:4], report[4]
        size = int.from_bytes(report[5:7], "big")
        data, n = report[7:], 0
        if command == CANCEL:
            return
        while len(data) < size:
            report = self.take(1)
            if not report or report[:4] != channel or report[4] != n:
                return
            data, n = data + report[5:], n + 1
        self.serve_message(channel, command, data[:size])

    def serve_message(self, channel, command, data):
        if self.misbehaves("silent"):
            return
        if command == INIT:
            new = channel
            if channel == BROADCAST:
                new = self.next_channel.to_bytes(4, "big")
                self.next_channel += 1
                self.channels.add(new)
            capabilities = 0x01 if "u2f" in self.options else 0x05 | 0x08
            self.message(channel, INIT, data[:8] + new + bytes([2, 1, 0, 0, capabilities]))
        elif channel not in self.channels:
            self.message(channel, ERROR, bytes([0x0B]))
        elif self.misbehaves("busy"):
            self.message(channel, ERROR, bytes([CHANNEL_BUSY]))
        elif command == PING:
            self.message(channel, PING, data)
        elif command == CBOR and "u2f" not in self.options:
            self.busy_channel = channel
            self.current = COMMANDS.get(data[:1])
            self.answer(channel, self.command(data))
            self.current = None
        else:
            self.message(channel, ERROR, bytes([INVALID_COMMAND]))

    def answer(self, channel, data):
        if self.misbehaves("flood"):
            while True:
                self.packet((channel + bytes([KEEPALIVE, 0, 1, 1])).ljust(64, b"\0"))
                if select.select([self.link], [], [], 0)[0]:
                    self.link.receive()
        if self.misbehaves("bomb"):
            data = b"\0" + b"\x81" * 7000 + b"\0"
        elif self.misbehaves("huge"):
            data = b"\0\xa1\x01\x7a\xff\xff\xff\xff" + b"x" * 50
        elif self.misbehaves("cut"):
            data = data[:len(data) // 2] if len(data) > 1 else b"\0\xa1"
        elif self.misbehaves("trailing"):
            data += b"\0\0\0"
        elif self.misbehaves("empty"):
            data = b""
        elif self.misbehaves("garbage"):
            data = b"\0" + os.urandom(300)
        elif self.misbehaves("duplicate"):
            data = b"\0\xa2" + b"\x02\x41\x00" * 2
        elif self.misbehaves("long"):
            self.message(channel, CBOR, b"\0" + b"\xa0" * 65534)
            return
        self.message(channel, CBOR, data)

    def finger(self):
        """Blinks until somebody touches; the name on the finger."""
        self.blinks += 1
        self.busy = self.busy_channel
        self.told()
        end = time.monotonic() + float(self.read("patience") or TOUCH_SECONDS)
        try:
            while time.monotonic() < end:
                name = self.read("finger")
                if name:
                    return name
                self.packet((self.busy + bytes([KEEPALIVE, 0, 1, 2])).ljust(64, b"\0"))
                report = self.take(0.1)
                if not report:
                    continue
                if report[:4] == self.busy and report[4] == CANCEL and not self.misbehaves("deaf"):
                    raise Refusal(KEEPALIVE_CANCEL)
                if report[4] == INIT and report[:4] == BROADCAST:
                    self.serve_message(BROADCAST, INIT, report[7:15])
                elif report[:4] != self.busy:
                    self.message(report[:4], ERROR, bytes([CHANNEL_BUSY]))
        finally:
            self.busy = None
            self.told()
        raise Refusal(USER_ACTION_TIMEOUT)

    # ---- CTAP 2.1, 6

    def command(self, data):
        try:
            name = self.current
            if not name:
                raise Refusal(INVALID_COMMAND)
            try:
                request = cbor.decode(data[1:]) if len(data) > 1 else {}
            except (ValueError, IndexError) as e:
                raise Refusal(INVALID_CBOR) from e
            label = "%s.%s" % (name, request.get(2)) if data[0] in (6, 9, 0x40) else name
            self.asked[label] = self.asked.get(label, 0) + 1
            reply = {1: self.make, 2: self.get_assertion, 4: self.get_info, 6: self.client_pin, 9: self.bio, 0x0B: self.select,
                     0x40: self.bio_preview}[data[0]](request)
            self.told()
            return bytes([OK]) + (cbor.encode(reply) if reply is not None else b"")
        except Refusal as e:
            self.told()
            return bytes([e.code])
        except KeyError:
            return bytes([MISSING_PARAMETER])

    @property
    def has_bio(self):
        return "no-bio" not in self.options

    def get_info(self, _request):
        options = {"rk": True, "up": True, "plat": False, "clientPin": self.pin_hash is not None}
        if self.has_bio or self.misbehaves("claims-bio"):
            there = bool(self.templates) or self.misbehaves("claims-bio")
            options["uv"] = there
            if "preview-only" not in self.options:
                options["bioEnroll"] = there
            if "final-only" not in self.options:
                options["userVerificationMgmtPreview"] = there
        if "no-token" not in self.options:
            options["pinUvAuthToken"] = True
        return {1: ["FIDO_2_0"] if "no-token" in self.options else ["FIDO_2_0", "FIDO_2_1_PRE", "FIDO_2_1"], 3: self.aaguid, 4: options, 5: 1200,
                6: [1] if "no-token" in self.options else [2, 1], 7: 8, 8: 128}

    def select(self, _request):
        self.finger()

    def verify_finger(self):
        """Built-in user verification; one touch each."""
        if self.misbehaves("unverified"):
            return
        if not self.templates:
            raise Refusal(INVALID_OPTION)
        if self.uv_tries == 0:
            raise Refusal(UV_BLOCKED)
        if self.finger() in self.templates.values():
            self.uv_tries = UV_TRIES
            return
        self.uv_tries -= 1
        raise Refusal(UV_BLOCKED if self.uv_tries == 0 and "no-token" not in self.options else UV_INVALID if "no-token" not in self.options else OPERATION_DENIED)

    def protocol(self, request):
        version = request[1]
        if version not in self.get_info({})[6]:
            raise Refusal(INVALID_PARAMETER)
        peer = request[3]
        try:
            public = ec.EllipticCurvePublicNumbers(int.from_bytes(peer[-2], "big"), int.from_bytes(peer[-3], "big"), ec.SECP256R1()).public_key()
        except ValueError as e:
            raise Refusal(INVALID_PARAMETER) from e
        return PinProtocol(version, self.agreement.exchange(ec.ECDH(), public))

    def check_pin(self, protocol, encrypted):
        if self.pin_hash is None:
            raise Refusal(PIN_NOT_SET)
        if self.pin_tries == 0:
            raise Refusal(PIN_BLOCKED)
        if self.pin_in_a_row == 3:
            raise Refusal(PIN_AUTH_BLOCKED)
        self.pin_tries -= 1
        if protocol.decrypt(encrypted) != self.pin_hash:
            self.agreement = ec.generate_private_key(ec.SECP256R1())
            self.pin_in_a_row += 1
            raise Refusal(PIN_BLOCKED if self.pin_tries == 0 else PIN_AUTH_BLOCKED if self.pin_in_a_row == 3 else PIN_INVALID)
        self.pin_tries, self.pin_in_a_row, self.uv_tries = PIN_TRIES, 0, UV_TRIES

    def give_token(self, protocol, permissions, rp):
        self.token, self.permissions, self.token_rp = os.urandom(32), permissions, rp
        return {2: protocol.encrypt(self.token)}

    def client_pin(self, request):
        sub = request[2]
        if sub == 1:
            return {3: self.pin_tries, 4: self.pin_in_a_row == 3}
        if sub == 2:
            return {1: cose(self.agreement.public_key(), -25)}
        if sub == 7:
            return {5: self.uv_tries}
        protocol = self.protocol(request)
        if sub == 3:
            if self.pin_hash is not None:
                raise Refusal(NOT_ALLOWED)
            if param(protocol.version, protocol.mac_key, request[5]) != request[4]:
                raise Refusal(PIN_AUTH_INVALID)
            pin = protocol.decrypt(request[5])
            if len(pin) != 64 or len(pin.rstrip(b"\0").decode()) < 4:
                raise Refusal(PIN_POLICY)
            self.pin_hash = sha256(pin.rstrip(b"\0"))[:16]
            return None
        if sub == 5:
            self.check_pin(protocol, request[6])
            return self.give_token(protocol, MC | GA | (BE if "no-token" in self.options else 0), None)
        if "no-token" in self.options:
            raise Refusal(INVALID_PARAMETER)
        permissions = request[9]
        if permissions & ~(MC | GA | BE) or not permissions:
            raise Refusal(UNAUTHORIZED)
        if sub == 6:
            self.verify_finger()
        elif sub == 9:
            self.check_pin(protocol, request[6])
        else:
            raise Refusal(INVALID_PARAMETER)
        return self.give_token(protocol, permissions, request.get(0x0A))

    def check_param(self, version, given, data, permission, rp=None):
        if given != param(version, self.token, data):
            raise Refusal(PIN_AUTH_INVALID)
        if not self.permissions & permission or (rp and self.token_rp and self.token_rp != rp):
            raise Refusal(PIN_AUTH_INVALID)

    def flags(self, up, uv):
        up, uv = up and not self.misbehaves("no-up"), (uv and not self.misbehaves("no-uv")) or self.misbehaves("unverified")
        return (1 if up else 0) | (4 if uv else 0) | (8 if self.misbehaves("backup") else 0)

    def auth_data(self, rp, up, uv, attested=b""):
        if "no-counter" not in self.options:
            self.counter = max(0, self.counter - 2) if self.misbehaves("counter") else self.counter + 1
        rp = "evil.example" if self.misbehaves("rp") else rp
        return sha256(rp.encode()) + bytes([self.flags(up, uv) | (0x40 if attested else 0)]) + self.counter.to_bytes(4, "big") + attested

    def sign(self, key, data):
        return (self.stranger if self.misbehaves("other-key") else key).sign(data, ec.ECDSA(hashes.SHA256()))

    def make(self, request):
        client_data_hash, rp = request[1], request[2]["id"]
        if not any(p.get("alg") == -7 for p in request[4]):
            raise Refusal(UNSUPPORTED_ALGORITHM)
        uv = False
        if 8 in request:
            self.check_param(request[9], request[8], client_data_hash, MC, rp)
            uv = True
        elif request.get(7, {}).get("uv"):
            self.verify_finger()
            uv = True
        elif self.pin_hash is not None or self.templates:
            raise Refusal(PUAT_REQUIRED)
        for c in request.get(5, []):
            if self.credentials.get(c["id"], (None, None))[1] == rp:
                self.finger()
                raise Refusal(CREDENTIAL_EXCLUDED)
        self.finger()
        key, credential = ec.generate_private_key(ec.SECP256R1()), os.urandom(48)
        self.credentials[credential] = (key, rp)
        data = self.auth_data(rp, True, uv, self.aaguid + len(credential).to_bytes(2, "big") + credential + cbor.encode(cose(key.public_key())))
        if "unattested" in self.options:
            return {1: "none", 2: data, 3: {}}
        if "self" in self.options:
            return {1: "packed", 2: data, 3: {"alg": -7, "sig": self.sign(key, data + client_data_hash)}}
        return {1: "packed", 2: data, 3: {"alg": -7, "sig": self.sign(self.attestation_key, data + client_data_hash), "x5c": [self.certificate]}}

    def get_assertion(self, request):
        rp, client_data_hash, options = request[1], request[2], request.get(5, {})
        up, uv = options.get("up", True), False
        if 6 in request:
            self.check_param(request[7], request[6], client_data_hash, GA, rp)
            uv = True
        elif options.get("uv"):
            if not self.has_bio and not self.misbehaves("unverified"):
                raise Refusal(INVALID_OPTION)
            self.verify_finger()
            uv = True
        mine = [c["id"] for c in request.get(3, []) if self.credentials.get(c["id"], (None, None))[1] == rp]
        if not mine:
            raise Refusal(NO_CREDENTIALS)
        # The touch that verified also counts as presence (CTAP 2.1, 6.5.5.7.3).
        if up and not uv and not self.misbehaves("unverified"):
            self.finger()
        if up and self.misbehaves("replay") and self.last:
            return self.last
        key = self.credentials[mine[0]][0]
        data = self.auth_data(rp, up, uv)
        shown = os.urandom(48) if self.misbehaves("other-credential") else mine[0]
        reply = {1: {"id": shown, "type": "public-key"}, 2: data, 3: self.sign(key, data + client_data_hash)}
        if up:
            self.last = reply
        return reply

    def bio_preview(self, request):
        if "final-only" in self.options:
            raise Refusal(INVALID_COMMAND)
        return self.bio_any(request)

    def bio(self, request):
        if "preview-only" in self.options:
            raise Refusal(INVALID_COMMAND)
        return self.bio_any(request)

    def bio_any(self, request):
        if not self.has_bio:
            raise Refusal(INVALID_COMMAND)
        if request.get(6):
            return {1: 1}
        sub = request[2]
        if sub == 7:
            return {1: 1, 2: 1, 3: SAMPLES, 8: 64}
        if sub == 3:
            self.enrolling = None
            return None
        parameters = request.get(3)
        self.check_param(request[4], request[5], bytes([request[1], sub]) + (cbor.encode(parameters) if parameters is not None else b""), BE)
        if sub == 1:
            if len(self.templates) >= TEMPLATES_MAX:
                raise Refusal(FP_DATABASE_FULL)
            self.enrolling = [os.urandom(16), SAMPLES, None]
            return self.sample() | {4: self.enrolling[0]}
        if sub == 2:
            if not self.enrolling or parameters[1] != self.enrolling[0]:
                raise Refusal(INVALID_OPTION)
            return self.sample()
        if sub == 4:
            if not self.templates:
                raise Refusal(INVALID_OPTION)
            return {7: [{1: i} for i in self.templates]}
        if parameters[1] not in self.templates:
            raise Refusal(INVALID_OPTION)
        if sub == 5:
            return None
        if sub == 6:
            del self.templates[parameters[1]]
            return None
        raise Refusal(INVALID_PARAMETER)

    def sample(self):
        name, codes = self.finger(), self.read("samples").split()
        status = int(codes.pop(0)) if codes else 0
        self.write("samples", " ".join(codes).encode())
        if self.enrolling[2] not in (None, name):
            status = 0x0A  # another finger than before
        if status == 0:
            self.enrolling[1] -= 1
            self.enrolling[2] = name
        if self.enrolling[1] == 0:
            self.templates[self.enrolling[0]] = name
        return {5: status, 6: self.enrolling[1]}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--fd", type=int)
    p.add_argument("--uhid", action="store_true")
    p.add_argument("--serial", default="1")
    p.add_argument("--control", required=True)
    p.add_argument("options", nargs="*")
    a = p.parse_args()
    link = UhidLink(a.serial) if a.uhid else SocketLink(a.fd)
    Key(link, a.control, a.options).serve()


if __name__ == "__main__":
    main()
