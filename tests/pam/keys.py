# SPDX-License-Identifier: LGPL-2.1-or-later
"""A double of keishi-factor-key, and FIDO2 keys for it.

Stands for the worker of agent/factor/keishi-factor-key.c together with the keys: it speaks factor-wire.h, tells keys apart by the file that
each descriptor was opened from, signs authenticator data with a real key, and misbehaves on command. What it cannot show is CTAP, HID and
how real keys behave: that is tested with the worker and a test key (tests/double)."""
import base64
import hashlib
import json
import os
import sqlite3
import uuid

from cards import openssl

# Vendor-independent part of a FIDO key's HID report descriptor: usage page 0xF1D0, usage 1.
FIDO = bytes.fromhex("06d0f10901a1010920150026ff007508954081020921150026ff00750895409102c0")
MOUSE = bytes.fromhex("05010902a1010901a100050919012903150025019503750181029501750581010501093009311581257f750895028106c0c0")

WORKER = r'''
import base64, hashlib, json, os, socket, struct, subprocess, sys, time
STATE = %(state)r
MAGIC, VERSION = 0x4B46, 1
LIST, FIND, ASSERT, MAKE, ENROLL, TEMPLATES, REMOVE = range(3, 10)
NAMES = {LIST: "list", FIND: "find", ASSERT: "assert", MAKE: "make", ENROLL: "enroll", TEMPLATES: "templates", REMOVE: "remove"}
PROGRESS, PIN_NEEDED = 2, 15
PIN, AAGUID, FLAGS, FORMAT, SAMPLE, REMAINING, TEMPLATE, PIN_TRIES = 7, 11, 12, 18, 19, 20, 21, 23
OK, NO_KEY, REMOVED, WRONG, BLOCKED, TIMEOUT = 1, 6, 7, 8, 9, 12
TRIES, DIGEST, SIGNATURE, KEY, RP, CREDENTIAL, AUTH_DATA = 4, 8, 9, 10, 13, 14, 17
link = socket.socket(fileno=3)

def item(kind, value):
    if isinstance(value, int):
        value = struct.pack("=I", value)
    return struct.pack("=HH", kind, len(value)) + value

def say(what, *items):
    body = b"".join(items)
    link.send(struct.pack("=HHHH", MAGIC, VERSION, what, len(body)) + body)

def store(state):
    with open(STATE + ".new", "w") as f:
        json.dump(state, f)
    os.rename(STATE + ".new", STATE)

data, fds, _, _ = socket.recv_fds(link, 1 << 17, 8)
magic, version, what, length = struct.unpack_from("=HHHH", data)
items, at = [], 8
while at < len(data):
    kind, size = struct.unpack_from("=HH", data, at)
    items.append((kind, data[at + 4:at + 4 + size]))
    at += 4 + size
with open(STATE) as f:
    state = json.load(f)
names = [os.path.basename(os.readlink("/proc/self/fd/%%d" %% fd)) for fd in fds]
with open(STATE + ".log", "a") as f:
    f.write("%%s:%%s\n" %% (NAMES[what], ",".join(names)))
how = state.get("how", {}).get(NAMES[what])
if how == "hang":
    time.sleep(600)
if how == "die":
    sys.exit(1)
if how == "garbage":
    link.send(b"\xff" * 300)
    sys.exit(0)
if how == "empty":
    say(OK)
    sys.exit(0)
if isinstance(how, int):
    say(how)
    sys.exit(0)
values = lambda kind: [v for k, v in items if k == kind]

def check_pin(own):
    if values(PIN)[0].decode() != own["pin"]:
        own["pin_tries"] -= 1
        store(state)
        say(WRONG, item(PIN_TRIES, own["pin_tries"]))
        sys.exit(0)

def make(own, rp):
    path = "%%s.%%s" %% (STATE, os.urandom(4).hex())
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path], check=True)
    public = subprocess.run(["openssl", "pkey", "-in", path, "-pubout", "-outform", "DER"], check=True, capture_output=True).stdout[-64:]
    own.update(credential=base64.b64encode(os.urandom(48)).decode(), key=path, counter=own["counter"] + 1)
    store(state)
    name = base64.b64decode(own["credential"])
    cose = bytes.fromhex("a5010203262001215820") + public[:32] + bytes.fromhex("225820") + public[32:]
    auth = hashlib.sha256(rp).digest() + bytes([0x45 if how != "no-uv" else 0x41]) + struct.pack(">I", own["counter"]) + bytes(16) + struct.pack(">H", len(name)) + name + cose
    say(OK, item(CREDENTIAL, name), item(AUTH_DATA, auth), item(FORMAT, b"none"))

if what == LIST:
    out = []
    for n, name in enumerate(names):
        own = state["keys"].get(name)
        if own:
            flags = 16 | (2 if own.get("bio", True) else 0) | (1 if own.get("fingers") else 0) | (8 if own.get("pin") else 0)
            out += [item(KEY, n), item(AAGUID, bytes(16)), item(FLAGS, flags), item(TRIES, own["tries"])]
            if own.get("pin"):
                out.append(item(PIN_TRIES, own["pin_tries"]))
    say(OK, *out)
    sys.exit(0)
if what in (MAKE, ENROLL, TEMPLATES, REMOVE):
    own = state["keys"][names[0]]
    check_pin(own)
    if what == TEMPLATES:
        say(OK, *[item(TEMPLATE, f.encode()) for f in own["fingers"]])
    elif what == REMOVE:
        own["fingers"].remove(values(TEMPLATE)[0].decode())
        store(state)
        say(OK)
    elif what == ENROLL:
        say(PROGRESS, item(REMAINING, 4))
        for left, hint in ((3, 1), (3, 6), (2, 1), (1, 1), (0, 1)):
            say(PROGRESS, item(SAMPLE, hint), item(REMAINING, left))
        own["fingers"].append("new")
        store(state)
        say(OK, item(TEMPLATE, b"new"))
    else:
        make(own, values(RP)[0])
    sys.exit(0)
if what == FIND:
    if how == "yes":
        say(OK, item(KEY, 0), item(CREDENTIAL, values(CREDENTIAL)[0]))
        sys.exit(0)
    for n, name in enumerate(names):
        own = state["keys"].get(name)
        if own and base64.b64decode(own["credential"]) in values(CREDENTIAL):
            say(OK, item(KEY, n), item(CREDENTIAL, base64.b64decode(own["credential"])))
            sys.exit(0)
    say(NO_KEY)
else:
    own = state["keys"].get(names[0])
    rp, digest = values(RP)[0], values(DIGEST)[0]
    if how == "yes" or not own:
        say(OK, item(AUTH_DATA, hashlib.sha256(rp).digest() + b"\x05" + struct.pack(">I", 2 ** 31)), item(SIGNATURE, os.urandom(70)))
        sys.exit(0)
    finger = own.get("finger", "right")
    if own["tries"] == 0:
        say(BLOCKED)
    elif finger == "none":
        say(TIMEOUT)
    elif finger == "gone":
        say(REMOVED)
    elif finger == "wrong":
        own["tries"] -= 1
        store(state)
        say(WRONG, item(TRIES, own["tries"]))
    else:
        own["counter"] += own.get("step", 1)
        own["tries"] = 3
        store(state)
        flags = 1 if how == "no-uv" else 4 if how == "no-up" else 5
        auth = hashlib.sha256(b"other.example" if how == "rp" else rp).digest() + bytes([flags]) + struct.pack(">I", own["counter"])
        key = own.get("signs_with", own["key"])
        p = subprocess.run(["openssl", "dgst", "-sha256", "-sign", key], input=auth + digest, capture_output=True, check=True)
        say(OK, item(AUTH_DATA, auth), item(SIGNATURE, p.stdout))
'''


class Key:
    """A credential on a key, with a finger."""

    def __init__(self, directory, name):
        os.makedirs(directory, exist_ok=True)
        self.key = "%s/%s.fido" % (directory, name)
        pem = openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
        with open(self.key, "wb") as f:
            f.write(pem)
        self.spki = openssl("pkey", "-pubout", "-outform", "DER", input=pem)
        self.id = hashlib.sha256(name.encode()).digest() * 2

    def entry(self, **more):
        return dict({"credential": base64.b64encode(self.id).decode(), "key": self.key, "counter": 7, "tries": 3, "pin": "654321", "pin_tries": 8, "fingers": []}, **more)

    def register(self, rig, person, state="active", rp="keishi.example.lg.jp"):
        name = str(uuid.uuid4())
        with sqlite3.connect(rig.path("var/lib/keishi/registry.db")) as db:
            db.execute("INSERT INTO credentials (uuid, kind, person, key, credential, rp, state, state_by, attested) VALUES (?,'key',?,?,?,?,?,'9',1)",
                       (name, person, base64.b64encode(self.spki).decode(), base64.b64encode(self.id).decode(), rp, state))
        return name


class Plugs:
    """What is plugged in, for the agent (files that stand for sysfs and hidraw nodes) and for the double."""

    def __init__(self, directory):
        self.path = directory + "/keys.json"
        self.rig = None
        self.keys = {}
        self.store({})

    def worker(self):
        return WORKER % {"state": self.path}

    def store(self, how):
        with open(self.path + ".new", "w") as f:
            json.dump({"keys": self.keys, "how": how}, f)
        os.rename(self.path + ".new", self.path)

    def put(self, rig, *keys, how=None):
        """Each: a Key, the entry of one, None (a mouse)."""
        import shutil
        base = rig.path("sys/class/hidraw")
        shutil.rmtree(base, ignore_errors=True)
        os.makedirs(base)
        os.makedirs(rig.path("dev"), exist_ok=True)
        self.keys = {}
        for number, k in enumerate(keys):
            name = "hidraw%d" % number
            if k is not None:
                self.keys[name] = k.entry() if isinstance(k, Key) else k
        self.store(how or {})
        for number, k in enumerate(keys):
            name = "hidraw%d" % number
            os.makedirs(base + "/" + name + "/device")
            with open(base + "/" + name + "/device/report_descriptor", "wb") as f:
                f.write(MOUSE if k is None else FIDO)
            with open(rig.path("dev/" + name), "w"):
                pass

    def log(self):
        try:
            with open(self.path + ".log") as f:
                return f.read().split()
        except FileNotFoundError:
            return []
