# SPDX-License-Identifier: LGPL-2.1-or-later
"""FIDO2 keys with a fingerprint reader, over the kernel's HID: keishi-factor-key with the test key (tests/double/key.py) behind /dev/uhid and hidraw.

Beyond what the fast tier shows: real hidraw nodes, of which each reader gets its own copy of every report, the worker as its own user in its filter, two keys, and
a key that is pulled out. What it cannot show: a sensor, USB.
"""

import json
import os
import pathlib
import sys

from harness import check

DOUBLE = pathlib.Path(__file__).resolve().parent.parent / "double"
sys.path.insert(0, str(DOUBLE))

import key_client  # noqa: E402

SNAPSHOT = "installed"
WORKER = "/usr/libexec/keishi/keishi-factor-key"
RP, PIN = "keishi.example.jp", "123456"


class Key:
    """One of the test keys, plugged into the guest."""

    def __init__(self, terminal, number, options=""):
        self.terminal, self.number, self.control = terminal, number, f"/run/key{number}"
        if number == 1:
            terminal.run("modprobe uhid; mkdir -p /root/double")
            for name in ("key.py", "key_maker.py", "key_client.py", "ctap_cbor.py"):
                terminal.put(DOUBLE / name, f"/root/double/{name}")
        terminal.run(f"mkdir -p {self.control}; systemd-run --quiet --unit=key{number} "
                     f"python3 /root/double/key.py --uhid --serial={number} --control={self.control} {options}")
        find = f"grep -l HID_UNIQ={number}$ /sys/class/hidraw/*/device/uevent"
        terminal.wait_for(lambda: terminal.ssh(f"{find} && test -e {self.control}/state.json").rc == 0, f"key {number}", 60)
        self.node = "/dev/" + terminal.run(find).split("/")[4]
        terminal.wait_for(lambda: terminal.ssh(f"test -c {self.node}").rc == 0, f"{self.node}", 20)
        self.credential = self.public = None

    def put(self, **files):
        for name, text in files.items():
            self.terminal.run(f"printf %s '{text}' >{self.control}/{name}.new; mv {self.control}/{name}.new {self.control}/{name}")

    def state(self):
        return json.loads(self.terminal.run(f"cat {self.control}/state.json"))

    def pull(self):
        self.terminal.run(f"systemctl stop key{self.number}")

    def ask(self, operation, *others, **items):
        return ask(self.terminal, operation, [self.node, *(o.node for o in others)], **items)

    def sign(self):
        self.digest = os.urandom(32)
        return self.ask("assert", rp=RP, digest=self.digest, credential=self.credential)

    def ready(self, finger="hanako"):
        self.put(finger=finger)
        status, _, progress = self.ask("enroll", pin=PIN)
        check(status == "ok" and progress[-1] == {"sample": 1, "remaining": 0}, f"enrolment: {status} {progress}")
        digest = os.urandom(32)
        status, items, _ = self.ask("make", rp=RP, user_id=b"u" * 16, user_name="hanako", digest=digest, pin=PIN)
        check(status == "ok", f"registration: {status}")
        self.credential = dict(items)["credential"]
        self.public = self.check(items, "made", RP, digest.hex(), f"{self.control}/root.pem")
        return self

    def check(self, items, *how):
        return self.terminal.run(f"python3 /root/double/key_client.py {' '.join(how)}", input=key_client.to_json("ok", items, [])).strip()


def words(items):
    return " ".join(f"{name}={value.hex() if isinstance(value, bytes) else value}" for name, value in items.items())


def ask(terminal, operation, nodes, **items):
    return key_client.from_json(
        terminal.run(f"python3 /root/double/key_client.py {WORKER} {operation} {' '.join(nodes)} {words(items)}", timeout=90))


def begin(terminal, key, unit):
    """A login that waits for a finger."""
    digest = os.urandom(32)
    terminal.run(f"systemd-run --quiet --unit={unit} --property=StandardOutput=file:/run/{unit}.json "
                 f"python3 /root/double/key_client.py {WORKER} assert {key.node} {words({'rp': RP, 'digest': digest, 'credential': key.credential})}")
    terminal.wait_for(lambda: key.state()["blinking"], "the key to blink", 30)


def ended(terminal, unit):
    terminal.wait_for(lambda: terminal.ssh(f"systemctl is-active {unit}").rc != 0, f"{unit} to end", 30)
    return json.loads(terminal.run(f"cat /run/{unit}.json"))["status"]


def test_a_key_is_listed_gets_a_finger_and_a_credential_and_logs_its_holder_in(terminal):
    key = Key(terminal, 1)
    status, items, _ = key.ask("list")
    check(status == "ok" and dict(items)["flags"] == key_client.FIDO2 | key_client.BIO | key_client.HAS_PIN, f"{status} {items}")
    key.ready()
    for _ in range(2):
        status, items, _ = key.sign()
        check(status == "ok", f"the holder's finger: {status}")
        key.check(items, "asserted", RP, key.digest.hex(), key.public)
    key.put(finger="taro")
    status, items, _ = key.sign()
    check((status, dict(items)) == ("wrong", {"tries": 4}), f"another finger: {status} {items}")
    check("clientPin.9" in key.state()["asked"] and key.state()["pin_tries"] == 8, "the PIN was not used as it should")


def test_of_two_keys_only_the_holders_blinks(terminal):
    first, second = Key(terminal, 1), Key(terminal, 2)
    second.ready()
    before = first.state()["blinks"]
    status, items, _ = first.ask("find", second, rp=RP, credential=second.credential)
    check(status == "ok" and items == [("key", 1), ("credential", second.credential)], f"{status} {items}")
    check(second.sign()[0] == "ok", "the holder's finger")
    check(first.state()["blinks"] == before == 0, "the other key blinked")


def test_a_key_that_is_in_use_pulled_out_or_no_longer_wanted(terminal):
    key = Key(terminal, 1).ready()
    key.put(finger="")
    begin(terminal, key, "first")
    status = key.sign()[0]
    check(status == "busy", f"a key that waits for another login's finger is said to be {status}")
    # keishid has given up: the worker stops the key before it goes.
    terminal.run("systemctl kill --kill-whom=main first")
    terminal.wait_for(lambda: not key.state()["blinking"], "the key to stop blinking", 10)
    key.put(finger="hanako")
    check(key.sign()[0] == "ok", "the key is usable again")
    key.put(finger="")
    begin(terminal, key, "second")
    key.pull()
    check(ended(terminal, "second") == "removed", "a key that was pulled out is not said to be so")
