# SPDX-License-Identifier: LGPL-2.1-or-later
"""A double of keishi-factor, and cards for it.

Stands for the worker of agent/factor/keishi-factor.c together with pcscd, readers and cards: it speaks factor-wire.h, keeps a count of
tries in a file, signs with a real key when it is shown the right PIN, and misbehaves on command. What it cannot show is how real cards,
pcscd and the worker's own sandbox behave: that is tested with the worker and a card over vpcd."""
import base64
import json
import os
import sqlite3
import subprocess
import uuid

WORKER = r'''
import base64, json, os, socket, struct, subprocess, sys, time
STATE = %(state)r
MAGIC, VERSION = 0x4B46, 1
FIND, SIGN, WATCH = 1, 2, %(watch)d
OK, PROGRESS, NO_SERVICE, NO_READER, NO_CARD, NO_KEY, REMOVED, WRONG, BLOCKED, CHANGED, BUSY = range(1, 12)
PIN_LENGTH, MISBEHAVED, MUTE = 16, 18, 21
READER, CARD, APPLICATION, TRIES, CERTIFICATE, TOO_LONG, PIN, DIGEST, SIGNATURE = range(1, 10)
STATES = {"absent": 1, "present": 2, "mute": 3, "busy": 4, "misbehaved": 5}
link = socket.socket(fileno=3)

def item(kind, value):
    if isinstance(value, int):
        value = struct.pack("=I", value)
    elif isinstance(value, str):
        value = value.encode()
    return struct.pack("=HH", kind, len(value)) + value

def frame(what, *items):
    body = b"".join(items)
    return struct.pack("=HHHH", MAGIC, VERSION, what, len(body)) + body

def say(what, *items):
    link.send(frame(what, *items))

def load():
    with open(STATE) as f:
        return json.load(f)

def store(state):
    with open(STATE + ".new", "w") as f:
        json.dump(state, f)
    os.rename(STATE + ".new", STATE)

def describe(state, full):
    items = []
    for r in state["readers"]:
        items += [item(READER, r["name"]), item(CARD, STATES[r.get("state", "absent")])]
        for a in r.get("apps", []) if full and r.get("state") == "present" else []:
            items.append(item(APPLICATION, a["app"]))
            if a.get("tries") is not None:
                items.append(item(TRIES, a["tries"]))
            if a.get("long"):
                items.append(item(TOO_LONG, a["long"]))
            elif a.get("cert"):
                items.append(item(CERTIFICATE, base64.b64decode(a["cert"])))
    return items

def log(text):
    with open(STATE + ".log", "a") as f:
        f.write(text + "\n")

data = link.recv(1 << 17)
magic, version, what, length = struct.unpack_from("=HHHH", data)
assert (magic, version, length) == (MAGIC, VERSION, len(data) - 8)
items, at = {}, 8
while at < len(data):
    kind, size = struct.unpack_from("=HH", data, at)
    items[kind] = data[at + 4:at + 4 + size]
    at += 4 + size
state = load()
log({FIND: "find", SIGN: "sign", WATCH: "watch"}[what])
how = state.get("how", {}).get({FIND: "find", SIGN: "sign", WATCH: "watch"}[what])
if how == "hang":
    time.sleep(600)
elif how == "die":
    sys.exit(1)
elif how == "garbage":
    link.send(b"\xff" * 512)
    sys.exit(0)
elif how == "empty":
    link.send(frame(OK))
    sys.exit(0)
elif how == "huge":
    link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    link.send(b"\x00" * 100000)
    sys.exit(0)
elif how == "flood":
    try:
        while True:
            say(PROGRESS, item(READER, "x"))
    except OSError:
        sys.exit(0)
elif how == "yes":
    say(OK, item(SIGNATURE, os.urandom(256))) if what == SIGN else say(OK, *describe(state, True))
    sys.exit(0)
elif isinstance(how, int):
    say(how)
    sys.exit(0)

if not state.get("service", True):
    say(NO_SERVICE)
elif what == FIND:
    say(OK, *describe(state, True)) if state["readers"] else say(NO_READER)
elif what == WATCH:
    before = None
    while True:
        now = describe(load(), False)
        if now != before:
            say(PROGRESS, *now)
            log("told")
        before = now
        time.sleep(0.05)
else:
    number = lambda kind: struct.unpack("=I", items[kind])[0]
    for r in state["readers"]:
        if r["name"] != items[READER].decode():
            continue
        if r.get("state") != "present":
            say(REMOVED)
            break
        app = [a for a in r["apps"] if a["app"] == number(APPLICATION)][0]
        pin = items[PIN].decode()
        if not pin.isdigit() or not (6 <= len(pin) <= 8 if app["app"] == 1 else len(pin) == 4):
            say(PIN_LENGTH)
        elif app["tries"] == 0:
            say(BLOCKED)
        elif TRIES in items and app["tries"] < number(TRIES):
            say(CHANGED, item(TRIES, app["tries"]))
        elif pin != app["pin"]:
            app["tries"] -= 1
            store(state)
            say(WRONG, item(TRIES, app["tries"]))
        else:
            app["tries"] = 3
            store(state)
            key = app.get("signs_with", app["key"])
            p = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", key, "-pkeyopt", "digest:sha256"], input=items[DIGEST], capture_output=True, check=True)
            if state.get("replay"):
                path = STATE + ".signature"
                if os.path.exists(path):
                    with open(path, "rb") as f:
                        p.stdout = f.read()
                else:
                    with open(path, "wb") as f:
                        f.write(p.stdout)
            say(OK, item(SIGNATURE, p.stdout))
        break
    else:
        say(NO_READER)
'''


def openssl(*arguments, **more):
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, **more).stdout


class Card:
    """A card with one application and a certificate of its own making."""

    def __init__(self, directory, name, app=1, algorithm="ec", pin="123456", days=30, authority=None, start=None):
        os.makedirs(directory, exist_ok=True)
        self.key = "%s/%s.key" % (directory, name)
        self.app, self.pin = app, pin
        kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if algorithm == "ec" else ["-newkey", "rsa:2048"]
        if authority:
            request = openssl("req", "-new", *kind, "-nodes", "-subj", "/CN=" + name, "-keyout", self.key)
            pem = openssl("x509", "-req", "-CA", authority + ".pem", "-CAkey", authority + ".key", "-CAcreateserial", "-days", str(days), input=request)
        else:
            pem = openssl("req", "-x509", *kind, "-nodes", "-subj", "/CN=" + name, "-days", str(days), "-keyout", self.key)
        self.certificate = openssl("x509", "-outform", "DER", input=pem)
        self.spki = openssl("pkey", "-pubin", "-outform", "DER", input=openssl("x509", "-noout", "-pubkey", input=pem))

    def application(self, tries=3, **more):
        return dict({"app": self.app, "tries": tries, "cert": base64.b64encode(self.certificate).decode(), "key": self.key, "pin": self.pin}, **more)

    def register(self, rig, person, state="active", until=0, start=0, replaces=None):
        """Puts the row of the registered card into the registry, as the verb `card register` would."""
        name = str(uuid.uuid4())
        with sqlite3.connect(rig.path("var/lib/keishi/registry.db")) as db:
            db.execute("INSERT INTO credentials (uuid, kind, person, application, key, state, state_by, valid_from, valid_until, replaces) VALUES (?,'card',?,?,?,?,'9',?,?,?)",
                       (name, person, {1: "piv", 2: "jpki"}[self.app], base64.b64encode(self.spki).decode(), state, start, until, replaces))
        return name


class Readers:
    """What lies in the readers, for the double."""

    def __init__(self, directory):
        self.path = directory + "/cards.json"
        self.put()

    def worker(self):
        return WORKER % {"state": self.path, "watch": 10}

    def put(self, *readers, **more):
        """Each reader: None (empty), a state ("mute"), a card, or a list of applications."""
        found = []
        for number, r in enumerate(readers):
            entry = {"name": "Reader %d" % number, "state": "absent"}
            if isinstance(r, str):
                entry["state"] = r
            elif r is not None:
                entry.update(state="present", apps=r if isinstance(r, list) else [r.application()])
            found.append(entry)
        with open(self.path + ".new", "w") as f:
            json.dump(dict({"readers": found}, **more), f)
        os.rename(self.path + ".new", self.path)

    def state(self):
        with open(self.path) as f:
            return json.load(f)

    def log(self):
        try:
            with open(self.path + ".log") as f:
                return f.read().split()
        except FileNotFoundError:
            return []
