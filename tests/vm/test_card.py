# SPDX-License-Identifier: LGPL-2.1-or-later
"""IC cards on a real terminal: pcscd started by its socket, keishi-factor as its own user inside keishid's sandbox, and who else reaches cards and keys. The card is
tests/double/card.py over vpcd.

Beyond what the fast tier shows: the unit's sandbox, socket activation, users, udev. What it cannot show: a USB reader, a card of plastic.
"""

import json
import os
import pathlib

from harness import check

DOUBLE = pathlib.Path(__file__).resolve().parent.parent / "double"
SNAPSHOT = "installed"
WORKER = "/usr/libexec/keishi/keishi-factor"
READER = "Virtual PCD 00 00"
# Another program of the seat: what libpcsclite answers it.
STRANGER = """
import ctypes
context = ctypes.c_long()
print("%x" % (ctypes.CDLL("libpcsclite.so.1").SCardEstablishContext(ctypes.c_ulong(2), None, None, ctypes.byref(context)) & 0xffffffff))
"""
# keishid's own unit, with the worker's questions in the place of keishid.
SANDBOX = r"""
sed -e '/^ExecStart=/d; /^Type=/d; /^NotifyAccess=/d; /^Restart/d; /^WatchdogSec=/d; /^Upholds=/d; /^RuntimeDirectory/d; /^StateDirectory/d; /^Before=/d' \
        -e 's|^\[Service\]|[Service]\nType=oneshot\nEnvironment=KEISHI_FACTOR=%s PYTHONDONTWRITEBYTECODE=1\nStandardOutput=file:/run/ask.json\nExecStart=/usr/bin/python3 /opt/double/worker.py|' \
        /lib/systemd/system/keishid.service >/run/systemd/system/ask.service
systemctl daemon-reload
""" % WORKER


def prepare(terminal):
    terminal.run("mkdir -p /opt/double")
    for name in ("card.py", "worker.py"):
        terminal.put(DOUBLE / name, f"/opt/double/{name}")
    terminal.run(SANDBOX)


def ask(terminal, *words):
    """One operation of the worker, in keishid's sandbox."""
    terminal.run("rm -f /run/ask.json; sed -i 's|worker.py.*|worker.py %s|' /run/systemd/system/ask.service && systemctl daemon-reload && systemctl start ask" % " ".join(words), timeout=90)
    return json.loads(terminal.run("cat /run/ask.json"))


def insert(terminal, options):
    terminal.run("systemctl stop card 2>/dev/null; systemctl reset-failed card 2>/dev/null; rm -f /run/card.sock; "
                 f"systemd-run --quiet --unit=card --property=StandardOutput=file:/run/card.pem python3 /opt/double/card.py --control /run/card.sock {options}")
    terminal.wait_for(lambda: ask(terminal, "find")["readers"].get(READER, {}).get("state") == "present", "the card in its reader", 60)


def test_a_card_is_found_and_signs_from_inside_the_agents_sandbox(terminal):
    prepare(terminal)
    check(terminal.run("systemctl is-active pcscd.socket").strip() == "active", "pcscd's socket is not there")
    check(ask(terminal, "find")["status"] == "ok", "pcscd is not started by its socket, or refuses the worker")
    for options, application, algorithm, pin in (("--piv p256", "piv", "p256", "123456"), ("--piv rsa", "piv", "rsa", "123456"), ("--jpki", "jpki", "rsa", "1234")):
        insert(terminal, options)
        found = ask(terminal, "find")["readers"][READER]["applications"][application]
        check(found["tries"] == 3, f"{options}: {found}")
        digest = os.urandom(32).hex()
        got = ask(terminal, "sign", f'"{READER}"', application, algorithm, pin, digest)
        check(got["status"] == "ok", f"{options}: {got}")
        terminal.run(f"cd /run; python3 -c 'open(\"digest\", \"wb\").write(bytes.fromhex(\"{digest}\")); open(\"signature\", \"wb\").write(bytes.fromhex(\"{got['signature']}\"))'; "
                     "openssl pkeyutl -verify -certin -inkey card.pem -in digest -sigfile signature -pkeyopt digest:sha256")
        wrong = ask(terminal, "sign", f'"{READER}"', application, algorithm, pin[::-1], digest)
        check((wrong["status"], wrong["tries"]) == ("wrong", 2), f"{options}: {wrong}")
    said = terminal.run("journalctl --boot --no-pager -o cat")
    check("123456" not in said, "a PIN is in the journal")
    check("audit" not in said or "keishi-factor" not in "".join(x for x in said.splitlines() if "type=1326" in x), "the worker's filter killed it")


def test_nobody_at_the_seat_reaches_a_card_but_whom_the_site_lets(terminal):
    check(terminal.run("stat -c %U:%G:%a /run/pcscd/pcscd.comm").strip() == "keishi-factor:keishi-card:660", "pcscd's socket")
    terminal.run("cat >/opt/stranger.py", input=STRANGER)
    stranger = "runuser -u hanako -- python3 /opt/stranger.py"
    check(terminal.run(stranger).strip() == "8010001d", "staff reach pcscd")
    terminal.run("gpasswd -a hanako keishi-card")
    check(terminal.run(stranger).strip() == "0", "the group keishi-card does not")
    terminal.run("gpasswd -d hanako keishi-card")
    check(terminal.run(stranger).strip() == "8010001d", "staff reach pcscd again")


def test_a_keys_node_is_not_handed_to_the_seat(terminal):
    terminal.run("modprobe uhid; mkdir -p /root/double /run/key1")
    for name in ("key.py", "key_maker.py", "key_client.py", "ctap_cbor.py"):
        terminal.put(DOUBLE / name, f"/root/double/{name}")
    terminal.run("systemd-run --quiet --unit=key1 python3 /root/double/key.py --uhid --serial=1 --control=/run/key1")
    find = "grep -l HID_UNIQ=1$ /sys/class/hidraw/*/device/uevent"
    terminal.wait_for(lambda: terminal.ssh(find).rc == 0, "the key", 60)
    node = "/dev/" + terminal.run(find).split("/")[4]
    terminal.run("udevadm settle")
    about = terminal.run(f"udevadm info {node}")
    check("ID_SECURITY_TOKEN=1" in about, about)
    check("uaccess" not in next((x for x in about.splitlines() if "CURRENT_TAGS" in x), ""), about)
    check(terminal.run(f"stat -c %U:%G:%a {node}").strip() == "root:keishi-card:660", terminal.run(f"stat {node}"))
    check(terminal.ssh(f"runuser -u hanako -- test -r {node}").rc != 0, "staff can read a key")
