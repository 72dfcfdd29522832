# SPDX-License-Identifier: LGPL-2.1-or-later
"""An IC card over vpcd (vsmartcard): PIV, 個人番号カード (JPKI), or both on one card.

It stands for a card in a reader: pcscd, its vpcd driver and everything above are the real ones. It is honest where it counts: it holds the only copy of its keys,
counts tries and blocks, keeps what VERIFY achieved until it is reset or another application is selected, signs nothing without, and knows neither
host nor expectations. It misbehaves on command (`Card.mischief`). It cannot show a reader's own driver and timing, contactless fields, secure messaging, and what
cards do beyond the commands below.

As a program, for where no test can be in the same process (a virtual machine):

    card.py [--port 35963] [--piv rsa|p256] [--jpki] [--pin 123456] [--jpki-pin 1234] [--control SOCKET]

inserts the card and prints its certificates (PEM). A line of JSON to the control socket sets attributes ({"mischief": "endless-61", "on": "get-data"}), {"insert": true}
and {"remove": true} do that; each is answered with the card's state.
"""
import argparse
import datetime
import gzip
import json
import os
import socket
import struct
import sys
import threading
import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.x509.oid import NameOID

PORT = 35963
PIV = bytes.fromhex("a000000308000010000100")
JPKI = bytes.fromhex("d392f000260100000001")
ATR_T1 = bytes.fromhex("3b80800101")
ATR_T0 = bytes.fromhex("3b00")
DIGEST_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
NAMES = {0xA4: "select", 0x20: "verify", 0xCB: "get-data", 0x87: "sign", 0x2A: "sign", 0xB0: "read-binary", 0xC0: "get-response"}


def tlv(tag, value):
    n = len(value)
    length = bytes([n]) if n < 0x80 else bytes([0x81, n]) if n < 0x100 else b"\x82" + struct.pack(">H", n) if n < 0x10000 else b"\x83" + struct.pack(">I", n)[1:]
    return bytes([tag]) + length + value


def new_key(kind):
    return rsa.generate_private_key(65537, 2048) if kind == "rsa" else ec.generate_private_key(ec.SECP256R1())


def certificate(key, name="keishi test card", begin=-1, end=365, padding=0, issuer=None, issuer_key=None):
    """DER; `begin` and `end` in days from now, `padding` in bytes of an extension that nobody knows."""
    now = datetime.datetime.utcnow()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer or subject).public_key(key.public_key()).serial_number(x509.random_serial_number())
               .not_valid_before(now + datetime.timedelta(days=begin)).not_valid_after(now + datetime.timedelta(days=end)))
    if padding:
        builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.55555.1"), os.urandom(padding)), False)
    return builder.sign(issuer_key or key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def raw_rsa(key, block):
    n = key.private_numbers()
    return pow(int.from_bytes(block, "big"), n.d, n.public_numbers.n).to_bytes(256, "big")


class Pin:
    def __init__(self, value, tries):
        self.value, self.tries, self.left = value, tries, tries

    def verify(self, given):
        if self.left == 0:
            return 0x6983
        if given != self.value:
            self.left -= 1
            return 0x63C0 | self.left
        self.left = self.tries
        return 0x9000


class Card:
    def __init__(self, piv=None, jpki=False, pin="123456", jpki_pin="1234", key=None, jpki_key=None, t0=False, compressed=False, der=None, jpki_der=None):
        self.lock = threading.RLock()
        self.atr = ATR_T0 if t0 else ATR_T1
        self.t0 = t0
        self.piv = piv
        self.key = (key or new_key(piv)) if piv else None
        self.der = (der if der is not None else certificate(self.key)) if piv else None
        self.compressed = compressed
        self.pin = Pin(pin.encode().ljust(8, b"\xff"), 3)
        self.jpki = jpki
        self.jpki_key = (jpki_key or new_key("rsa")) if jpki else None
        self.jpki_der = (jpki_der if jpki_der is not None else certificate(self.jpki_key)) if jpki else None
        self.jpki_pin = Pin(jpki_pin.encode(), 3)
        self.object = None  # instead of what GET DATA would give
        self.log = []  # (name, status word) of each command
        self.files = []  # what SELECT named
        self.presented = 0  # how many times a PIN came
        self.resets = 0
        self.mischief, self.on, self.delay = None, None, 0.0
        self.last_signature = None
        self.last_name = None  # of the command that GET RESPONSE goes on with
        self.remove = None  # called for mischief "remove"
        self.reset()

    # ---- one command ----

    def reset(self):
        self.application = self.file = None
        self.verified = False
        self.chain = b""
        self.rest = b""
        self.resets += 1

    def state(self):
        return {"tries": self.pin.left, "jpki_tries": self.jpki_pin.left, "verified": self.verified, "presented": self.presented, "resets": self.resets,
                "log": self.log, "mischief": self.mischief}

    def transmit(self, apdu):
        """Bytes in, bytes out; None: no answer, the card has gone."""
        with self.lock:
            name = NAMES.get(apdu[1], "%02x" % apdu[1]) if len(apdu) > 1 else "short"
            self.last_name = of = self.last_name if name == "get-response" else name
            if self.delay and self.on in (None, of):
                time.sleep(self.delay)
            reply = self.misbehave(name, apdu) if self.mischief and self.on in (None, of) else None
            if reply is None:
                reply = self.answer(apdu)
            if reply is not False:
                self.log.append((name, reply[-2:].hex()))
            return None if reply is False else reply

    def misbehave(self, name, apdu):
        how = self.mischief
        if how in ("replay", "other-key") and apdu[0] & 0x10:
            return None  # the last of a chain is the one
        if how == "remove":
            threading.Thread(target=self.remove).start()
            return False
        if how == "endless-61":
            return bytes(range(256)) + b"\x61\x00"
        if how == "empty-61":
            return b"\x61\x10"
        if how == "endless-6c":
            return b"\x6c\x10"
        if how == "64k":
            return bytes(65536) + b"\x90\x00"
        if how == "one-byte":
            return b"\x90"
        if how == "nothing":
            return b"\x90\x00"
        if how == "garbage":
            return os.urandom(200) + b"\x90\x00"
        if how == "drip":
            time.sleep(1)
            return b"\x53\x61\x10"
        if how == "strange-status":
            return b"\x12\x34"
        if how == "always-yes" and name == "verify":
            return b"\x90\x00"
        if how == "replay" and name == "sign" and self.last_signature:
            return self.deliver(self.last_signature, 256)
        if how == "other-key" and name == "sign":
            honest, self.key, self.jpki_key = (self.key, self.jpki_key), new_key(self.piv) if self.piv else None, new_key("rsa") if self.jpki else None
            try:
                return self.answer(apdu)
            finally:
                self.key, self.jpki_key = honest
        return None

    def answer(self, apdu):
        if len(apdu) < 4:
            return b"\x67\x00"
        cla, ins, p1, p2 = apdu[:4]
        data, le = self.split(apdu)
        if ins == 0xC0:
            return self.deliver(self.rest, le)
        self.rest = b""
        if cla & 0x10:
            self.chain += data
            return b"\x90\x00"
        data, self.chain = self.chain + data, b""
        body, sw = self.command(cla, ins, p1, p2, data, le)
        if sw != 0x9000 or not body:
            return struct.pack(">H", sw)
        if ins in (0x87, 0x2A):
            self.last_signature = body
        return self.deliver(body, le)

    def split(self, apdu):
        """Data and how much is wanted (ISO 7816-3, 12.1.3); extended lengths too."""
        body = apdu[4:]
        if not body:
            return b"", 0
        if len(body) == 1:
            return b"", body[0] or 256
        if body[0] == 0 and len(body) > 2:
            n = struct.unpack(">H", body[1:3])[0]
            if len(body) == 3:
                return b"", n or 65536
            rest = body[3 + n:]
            return body[3:3 + n], (struct.unpack(">H", rest)[0] or 65536) if len(rest) == 2 else 0
        n = body[0]
        rest = body[1 + n:]
        return body[1:1 + n], (rest[0] or 256) if rest else 256 if self.t0 else 0

    def deliver(self, body, le):
        if self.t0 and not self.rest and len(body) > 0 and body is not self.rest:
            self.rest = body
            return bytes([0x61, min(len(body), 256) & 0xFF])
        now, self.rest = body[:le], body[le:]
        return now + (bytes([0x61, min(len(self.rest), 256) & 0xFF]) if self.rest else b"\x90\x00")

    def command(self, cla, ins, p1, p2, data, le):
        if (cla, ins, p1) == (0x00, 0xA4, 0x04):
            return self.select_application(data)
        if self.application == "piv":
            return self.piv_command(ins, p1, p2, data)
        if self.application == "jpki":
            return self.jpki_command(cla, ins, p1, p2, data, le)
        return b"", 0x6D00

    def select_application(self, name):
        for have, application, whole in ((self.piv, "piv", PIV), (self.jpki, "jpki", JPKI)):
            if have and len(name) >= 5 and whole.startswith(name):
                if self.application != application:
                    self.verified = False
                self.application, self.file = application, None
                return (tlv(0x61, tlv(0x4F, PIV[5:]) + tlv(0x79, tlv(0x4F, PIV[:5]))) if application == "piv" else b""), 0x9000
        return b"", 0x6A82

    def verify(self, pin, data):
        if not data:
            return b"", 0x9000 if self.verified else 0x63C0 | pin.left if pin.left else 0x6983
        self.presented += 1
        sw = pin.verify(data)
        self.verified = sw == 0x9000
        return b"", sw

    def piv_command(self, ins, p1, p2, data):
        if ins == 0x20 and p2 == 0x80:
            return self.verify(self.pin, data) if len(data) in (0, 8) else (b"", 0x6A80)
        if ins == 0xCB and data == bytes.fromhex("5c035fc105"):
            if self.object is not None:
                return self.object, 0x9000
            if not self.der:
                return b"", 0x6A82
            packed = gzip.compress(self.der) if self.compressed else self.der
            return tlv(0x53, tlv(0x70, packed) + tlv(0x71, b"\x01" if self.compressed else b"\x00") + tlv(0xFE, b"")), 0x9000
        if ins == 0x87 and p2 == 0x9A:
            return self.piv_sign(p1, data)
        return b"", 0x6A82 if ins == 0xCB else 0x6D00

    def piv_sign(self, algorithm, data):
        if not self.verified:
            return b"", 0x6982
        if algorithm != {"rsa": 0x07, "p256": 0x11}[self.piv]:
            return b"", 0x6A86
        size = 256 if algorithm == 0x07 else 32
        head = tlv(0x7C, tlv(0x82, b"") + tlv(0x81, bytes(size)))[:-size]
        if data[:-size] != head:
            return b"", 0x6A80
        if algorithm == 0x07:
            signature = raw_rsa(self.key, data[-size:])
        else:
            signature = self.key.sign(data[-size:], ec.ECDSA(utils.Prehashed(hashes.SHA256())))
        return tlv(0x7C, tlv(0x82, signature)), 0x9000

    def jpki_command(self, cla, ins, p1, p2, data, le):
        if (ins, p1, p2) == (0xA4, 0x02, 0x0C):
            self.files.append(data.hex())
            self.file = data.hex()
            return b"", 0x9000 if self.file in ("0018", "0017", "000a") else 0x6A82
        if ins == 0x20 and self.file == "0018":
            return self.verify(self.jpki_pin, data)
        if ins == 0xB0 and self.file == "000a" and p1 < 0x80:
            content = self.jpki_der + b"\xff" * 64 if self.jpki_der else b""
            offset = p1 << 8 | p2
            return (content[offset:offset + le], 0x9000) if offset < len(content) else (b"", 0x6B00)
        if (cla, ins, p1, p2) == (0x80, 0x2A, 0x00, 0x80) and self.file == "0017":
            if not self.verified:
                return b"", 0x6982
            if len(data) != 51:
                return b"", 0x6A80
            return raw_rsa(self.jpki_key, b"\x00\x01" + b"\xff" * (253 - len(data)) + b"\x00" + data), 0x9000
        return b"", 0x6D00


class Slot:
    """A reader's slot of the vpcd driver: a card is put in and taken out."""

    def __init__(self, port=PORT):
        self.port, self.socket, self.thread, self.card = port, None, None, None

    def insert(self, card, seconds=10):
        end = time.monotonic() + seconds
        while True:
            try:
                s = socket.create_connection(("127.0.0.1", self.port))
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.card = s, card
        card.remove = self.remove
        self.thread = threading.Thread(target=self.serve, args=(s,), daemon=True)
        self.thread.start()

    def swap(self, card):
        """Another card with the same answer to reset, which pcscd does not notice."""
        assert self.socket and card.atr == self.card.atr
        card.remove = self.remove
        self.card = card

    def remove(self):
        s, self.socket = self.socket, None
        if s:
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            s.close()

    @staticmethod
    def receive(s, n):
        data = b""
        while len(data) < n:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)  # the driver sends length and data apart, and waits in between
            part = s.recv(n - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def serve(self, s):
        try:
            while True:
                message = self.receive(s, struct.unpack(">H", self.receive(s, 2))[0])
                card = self.card
                if len(message) == 1:
                    if message[0] in (0, 1, 2):
                        with card.lock:
                            card.reset()
                        continue
                    reply = card.atr
                else:
                    reply = card.transmit(message)
                    if reply is None:
                        return
                    reply = reply[:65535]
                s.sendall(struct.pack(">H", len(reply)) + reply)
        except (OSError, EOFError):
            pass


def control(path, card, slot):
    """Commands by a Unix socket, one connection at a time."""
    if os.path.exists(path):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    while True:
        connection = listener.accept()[0]
        with connection, connection.makefile("rw") as f:
            for line in f:
                for name, value in json.loads(line).items():
                    if name == "insert":
                        slot.insert(card)
                    elif name == "remove":
                        slot.remove()
                    elif name in ("mischief", "on", "delay"):
                        setattr(card, name, value)
                f.write(json.dumps(card.state()) + "\n")
                f.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--piv", choices=("rsa", "p256"))
    parser.add_argument("--jpki", action="store_true")
    parser.add_argument("--pin", default="123456")
    parser.add_argument("--jpki-pin", default="1234")
    parser.add_argument("--control")
    parser.add_argument("--key", help="PEM of PIV's key: made when the file is not there, so that a card stays the same one")
    arguments = parser.parse_args()
    key = None
    if arguments.key and os.path.exists(arguments.key):
        with open(arguments.key, "rb") as f:
            key = serialization.load_pem_private_key(f.read(), None)
    card = Card(piv=arguments.piv, jpki=arguments.jpki, pin=arguments.pin, jpki_pin=arguments.jpki_pin, key=key)
    if arguments.key and not key:
        with open(arguments.key, "wb") as f:
            f.write(card.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    slot = Slot(arguments.port)
    slot.insert(card)
    for der in filter(None, (card.der, card.jpki_der)):
        sys.stdout.write(x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM).decode())
    sys.stdout.flush()
    if arguments.control:
        control(arguments.control, card, slot)
    slot.thread.join()


if __name__ == "__main__":
    main()
