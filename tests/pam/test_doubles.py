# SPDX-License-Identifier: LGPL-2.1-or-later
"""What keishid asks and what it goes by, misbehaving: NSS, the password helper, the clock. A clear error, nobody let in."""
import json
import os
import sqlite3
import sys
import time

import wire
from rig import HANAKO, JIRO, PASSWORD, TARO, UID, Rig, rig_main, wait_for

PAM_SYSTEM_ERR, PAM_PERM_DENIED, PAM_AUTH_ERR, PAM_MAXTRIES = 4, 6, 7, 11
REGISTRY = "var/lib/keishi/registry.db"
GRANTED = {"auth=0", "account=0", "open=0"}


def log_in(rig):
    lines = rig.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
    assert lines[1:] == ["auth=0", "account=0"], lines


def refused(rig, code, text=None, user=HANAKO, service="login"):
    lines = rig.drive(service, user, "auth", "account", "open", answers=[PASSWORD[user]])
    assert not GRANTED & set(lines), lines
    assert "auth=%d" % code in lines, lines
    assert not text or any(text in x for x in lines), lines
    return lines


def last(rig, **filters):
    entries = rig.trail(**filters)
    assert entries, "no entry %r among %r" % (filters, [e["KEISHI_EVENT"] for e in rig.trail()])
    return entries[-1]


# ---- NSS ----

# Stands for keishi-lookup over a directory that misbehaves in the way that the file `nss` says. Shows keishid's side only.
LOOKUP = r"""
import os, pwd, socket, sys
s = socket.socket(fileno=3)
kind, key = (b.decode() for b in s.recv(65536).split(b"\0")[:2])
path = os.path.dirname(os.environ["NSS_WRAPPER_PASSWD"]) + "/nss"
mode = open(path).read() if os.path.exists(path) else "honest"
try:
    p = pwd.getpwnam(key) if kind == "n" else pwd.getpwuid(int(key))
except KeyError:
    s.send(b"unknown\0")
    sys.exit()
name, uid, gid, groups, netgroups = p.pw_name, p.pw_uid, p.pw_gid, [p.pw_name], []
def reply(*parts, end=b""):
    s.send(b"".join(str(x).encode() + b"\0" for x in parts) + end)
def good(**o):
    g = o.get("groups", groups)
    return ["ok", o.get("name", name), o.get("uid", uid), gid, "", len(g), *g, 0]
if mode == "honest": reply(*good())
elif mode == "hang": s.recv(1)
elif mode == "vanish": sys.exit(1)
elif mode == "crash": os.abort()
elif mode == "other name": reply(*good(name="jiro"))
elif mode == "root": reply("ok", "root", 0, 0, "", 1, "root", 0)
elif mode == "uid 0": reply(*good(uid=0))
elif mode == "5000 groups": reply(*good(groups=["g%d" % i for i in range(5000)]))
elif mode == "4000 groups": reply(*good(groups=["g%d" % i for i in range(4000)]))
elif mode == "fewer groups": reply("ok", name, uid, gid, "", 9, "a", 0)
elif mode == "huge number": reply("ok", name, uid, gid, "", 99999999999999999999, 0)
elif mode == "negative uid": reply("ok", name, -1, gid, "", 0, 0)
elif mode == "after the end": reply(*good(), end=b"x")
elif mode == "no end": s.send(b"ok\0" + name.encode())
elif mode == "invalid UTF-8": s.send(b"ok\0\xff\xfe\0" + b"1\0" * 5)
elif mode == "nothing": s.send(b"")
elif mode == "60 KiB": s.send(b"A" * 61440)
elif mode == "100 KiB": s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20); s.send(b"A" * 102400)
elif mode == "flood":
    while True: reply(*good())
elif mode == "unknown": s.send(b"unknown\0")
"""
NSS = "[Agent]\nLookupTimeoutSec=1\nLookupCacheSec=0\n"


def test_nss_that_hangs_lies_or_vanishes_lets_nobody_in():
    with Rig(config=NSS, helpers={"keishi-lookup": LOOKUP}) as rig:
        rig.write("etc/nss", "honest")
        log_in(rig)
        for mode in ("hang", "vanish", "crash", "5000 groups", "fewer groups", "huge number", "negative uid", "after the end", "no end", "invalid UTF-8", "nothing",
                     "60 KiB", "100 KiB"):
            rig.write("etc/nss", mode)
            lines = refused(rig, PAM_SYSTEM_ERR, "directory does not answer")
            assert not any(x.startswith("secret") for x in lines), (mode, lines)
            assert last(rig, event="login-refused", stage="auth")["KEISHI_REASON"] == "directory-unavailable", mode
        for mode in ("other name", "root", "unknown"):
            rig.write("etc/nss", mode)
            refused(rig, PAM_AUTH_ERR, "is wrong")
            release(rig)
        rig.write("etc/nss", "uid 0")
        refused(rig, PAM_PERM_DENIED, "not registered")
        for mode in ("4000 groups", "flood", "honest"):  # much, but no nonsense
            rig.write("etc/nss", mode)
            log_in(rig)


def release(rig):
    """Attempts that the test has used up on purpose."""
    rig.stop_agent()
    with sqlite3.connect(rig.path(REGISTRY)) as db:
        db.execute("DELETE FROM attempts")
    db.close()
    rig.start_agent()


def test_nss_that_calls_su_s_caller_root_does_not_make_it_root():
    with Rig(config=NSS, helpers={"keishi-lookup": LOOKUP}) as rig:
        for mode in ("root", "uid 0", "other name"):
            rig.write("etc/nss", mode)
            for service, options in (("su", {"R": UID[TARO]}), ("sudo", {"u": TARO})):
                lines = rig.drive(service, "root", "account", "open", **options)
                assert not GRANTED & set(lines), (mode, service, lines)
        rig.write("etc/nss", "honest")
        assert rig.drive("su", "root", "account")[-1] == "account=0", "root itself may"


def test_a_cached_account_serves_on_while_nss_hangs():
    with Rig(config="[Agent]\nLookupTimeoutSec=1\nLookupCacheSec=1\n", helpers={"keishi-lookup": LOOKUP}) as rig:
        rig.write("etc/nss", "honest")
        log_in(rig)
        rig.write("etc/nss", "hang")

        def served_after_asking():
            start = time.monotonic()
            log_in(rig)
            return time.monotonic() - start >= 1
        wait_for("an answer that is older than its time", served_after_asking)
        refused(rig, PAM_SYSTEM_ERR, "directory does not answer", user="soto")


# ---- the password helper ----

# Stands for keishi-password over a service that misbehaves in the way that the file `password` says.
PASSWORD_HELPER = r"""
import os, socket, sys
s = socket.socket(fileno=3)
s.recv(65536)
with open(os.path.dirname(os.environ["NSS_WRAPPER_PASSWD"]) + "/password") as f:
    mode = f.read()
if mode == "hang": s.recv(1)
elif mode == "crash": os.abort()
elif mode == "vanish": sys.exit(0)
elif mode == "zero": s.send(b"\0")
elif mode == "unavailable": s.send(b"\3")
elif mode == "nonsense": s.send(b"\x7f")
elif mode == "text": s.send(b"1")
elif mode == "two bytes": s.send(b"\1\1")
elif mode == "empty": s.send(b"")
elif mode == "60 KiB": s.send(b"\1" * 61440)
elif mode == "flood":
    while True: s.send(b"\2" * 1024)
elif mode == "child":
    if os.fork(): sys.exit(0)
    s.recv(1)
elif mode == "wrong then right": s.send(b"\2"); s.send(b"\1")
elif mode == "right": s.send(b"\1")
"""


def test_a_password_helper_that_hangs_crashes_floods_or_lies_is_a_failure_without_an_attempt():
    with Rig(config="[Agent]\nPasswordTimeoutSec=1\n", helpers={"keishi-password": PASSWORD_HELPER}) as rig:
        for mode in ("hang", "crash", "vanish", "zero", "unavailable", "nonsense", "text", "two bytes", "empty", "60 KiB", "flood", "child"):
            rig.write("etc/password", mode)
            refused(rig, PAM_SYSTEM_ERR, "cannot be checked")
            assert last(rig, event="login-refused", stage="auth")["KEISHI_REASON"] == "password-unavailable", mode
            assert rig.sql("SELECT count(*) FROM attempts") == [(0,)], mode
        rig.write("etc/password", "wrong then right")
        refused(rig, PAM_AUTH_ERR, "is wrong")
        rig.write("etc/password", "right")
        log_in(rig)
        rig.write("etc/password", "right")  # a helper that is taken over says yes to anyone: the verdict stays keishid's
        refused(rig, PAM_PERM_DENIED, "not designated", user=TARO)
        refused(rig, PAM_PERM_DENIED, "not registered", user="soto")
        with wire.Call(rig.path("run/keishi/root.sock")) as c:
            c.send(wire.begin("login", "nobody-knows"))
            c.expect(wire.PROMPT)
            c.send(wire.answer("x"))
            assert c.result() == wire.AUTH_ERR
        wait_for("all helpers to be reaped", lambda: not rig.working())


# ---- the clock ----

TIMED = {
    "terminal": {"name": "T01", "unit": "会計課", "confidentiality": 2},
    "users": [{"account": HANAKO, "person": "100001", "name": "山田花子", "unit": "会計課"}, {"account": JIRO, "person": "100003", "name": "佐藤次郎", "unit": "会計課"}],
    "scopes": [{"name": "会計", "business": "会計業務", "unit": "会計課", "terminals": "name:T01", "services": "*"}],
    "designations": [{"scope": "会計", "subject": "user:" + HANAKO}, {"scope": "会計", "subject": "user:" + JIRO, "hours": "daily 00:00-24:00"}],
}
YEAR = 365 * 24 * 3600


def set_clock(rig, seconds):
    rig.write("clock", "%d" % seconds)


def test_a_clock_that_is_set_closes_what_has_hours_until_it_is_confirmed():
    for seconds in (73 * YEAR, -YEAR, 3600, -3600):
        rig = Rig(setup=None, start=False)
        try:
            set_clock(rig, 0)
            rig.start_agent()
            rig.bus_call("Setup", "s", json.dumps(TIMED))
            assert "account=0" in rig.drive("login", JIRO, "auth", "account", answers=[PASSWORD[JIRO]])
            set_clock(rig, seconds)
            refused(rig, PAM_PERM_DENIED, "clock", user=JIRO)
            log_in(rig)  # no hours, no dates: goes on
            assert len(rig.trail(event="clock-distrusted")) == 1
            # Setting it right again is not enough, and neither is a restart: somebody has to look.
            set_clock(rig, 0)
            refused(rig, PAM_PERM_DENIED, "clock", user=JIRO)
            rig.stop_agent()
            rig.start_agent()
            refused(rig, PAM_PERM_DENIED, "clock", user=JIRO)
            assert len(rig.trail(event="clock-distrusted")) == 1
            rig.check_end()
        finally:
            rig.close()


def test_a_clock_that_was_set_while_the_agent_was_down_is_noticed():
    for seconds, reason in ((73 * YEAR, "ahead-at-start"), (-YEAR, "back")):
        rig = Rig(setup=None, start=False)
        try:
            set_clock(rig, 0)
            rig.start_agent()
            rig.bus_call("Setup", "s", json.dumps(TIMED))
            rig.stop_agent()
            set_clock(rig, seconds)
            rig.start_agent()
            refused(rig, PAM_PERM_DENIED, "clock", user=JIRO)
            assert last(rig, event="clock-distrusted")["KEISHI_REASON"] == reason
            rig.check_end()
        finally:
            rig.close()


def test_a_clock_that_is_set_saves_nobody_an_attempt():
    rig = Rig(start=False, setup=None)
    try:
        set_clock(rig, 0)
        rig.start_agent()
        codes = []
        for seconds in (0, 73 * YEAR, -YEAR, 0):
            set_clock(rig, seconds)
            codes.append(rig.drive("login", HANAKO, "auth", answers=["wrong"])[-1])
        rig.stop_agent()
        set_clock(rig, 73 * YEAR)
        rig.start_agent()
        codes.append(rig.drive("login", HANAKO, "auth", answers=["wrong"])[-1])
        assert codes == ["auth=7", "auth=7", "auth=11", "auth=11", "auth=11"], codes
        rig.check_end()
    finally:
        rig.close()


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
