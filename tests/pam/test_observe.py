# SPDX-License-Identifier: LGPL-2.1-or-later
"""A terminal on trial (Mode=observe): it judges and records as ever, and refuses nothing but the restricted, the retired and wrong factors."""
import datetime
import json
import sys

from rig import HANAKO, PASSWORD, TARO, Rig, has_other_users, rig_main, wait_for
from test_ctl import ETSURAN, KANRI, REFUSED, SEKININ, Office, last
from test_enforce import logged_in

PAM_PERM_DENIED, PAM_AUTH_ERR, PAM_MAXTRIES = 6, 7, 11
TODAY = datetime.date.today()
UNTIL = (TODAY + datetime.timedelta(days=2)).isoformat()
TRIAL = "[Policy]\nMode=observe\nObserveUntil=%s\n" % UNTIL


def on_trial(function):
    def run():
        with Rig(config=TRIAL) as rig:
            function(rig)
    run.__name__ = function.__name__
    return run


def office_on_trial(function):
    def run():
        o = Office(config=TRIAL)
        try:
            function(o)
        finally:
            o.close()
    run.__name__ = function.__name__
    return run


@on_trial
def test_who_would_be_refused_is_let_in_told_and_recorded_with_the_real_rule(rig):
    lines = rig.drive("login", TARO, "auth", "account", "open", "close", answers=[PASSWORD[TARO]])
    assert [x for x in lines if "=" in x] == ["auth=0", "account=0", "open=0", "close=0"], lines
    assert any(x.startswith("info: ") and UNTIL in x and "not designated" in x for x in lines), lines
    for e in rig.trail(event="login-granted") + rig.trail(event="session-opened"):
        assert e["KEISHI_RESULT"] == "would-refuse" and e["KEISHI_REASON"] == "default" and e["KEISHI_RULE"] == "default", e
    assert "would be refused: default" in rig.trail(event="login-granted")[0]["MESSAGE"]
    assert len(rig.trail(event="login-granted")) == 2 and rig.trail(event="login-refused") == []


@on_trial
def test_the_designated_see_that_it_is_a_trial_and_nothing_else(rig):
    lines = rig.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
    assert len([x for x in lines if x.startswith("info: ")]) == 1 and "trial until " + UNTIL in lines[0], lines
    assert {e["KEISHI_RESULT"] for e in rig.trail(event="login-granted")} == {"granted"}


@on_trial
def test_wrong_passwords_are_refused_counted_and_look_the_same_for_everybody(rig):
    seen = {user: rig.drive("login", user, "auth", answers=["wrong"]) for user in (HANAKO, TARO, "soto", "nobody-knows")}
    assert len(set(map(tuple, seen.values()))) == 1 and seen[HANAKO][-1] == "auth=%d" % PAM_AUTH_ERR, seen
    for _ in range(2):
        rig.drive("login", TARO, "auth", answers=["wrong"])
    assert rig.drive("login", TARO, "auth", answers=[PASSWORD[TARO]])[-1] == "auth=%d" % PAM_MAXTRIES


@on_trial
def test_unregistered_users_and_unknown_services_and_logins_without_our_factors_are_let_in(rig):
    assert "account=0" in rig.drive("login", "soto", "auth", "account", answers=[PASSWORD["soto"]])
    assert last(rig, "login-granted")["KEISHI_REASON"] == "unregistered"
    assert "account=0" in rig.drive("unknown-service", HANAKO, "account")
    assert last(rig, "login-granted")["KEISHI_REASON"] == "service-unknown"
    lines = rig.drive("sshd", HANAKO, "account", "open", r="192.0.2.7")
    assert "account=0" in lines and "open=0" in lines, lines
    assert last(rig, "login-granted")["KEISHI_REASON"] == "not-authenticated" and last(rig, "session-opened")["KEISHI_RESULT"] == "would-refuse"
    assert "account=%d" % PAM_PERM_DENIED in rig.drive("login", "nobody-knows", "account")


def test_after_the_day_it_enforces_and_a_trial_without_a_day_does_not_start():
    with Rig(config=TRIAL.replace(UNTIL, (TODAY - datetime.timedelta(days=1)).isoformat())) as rig:
        lines = rig.drive("login", TARO, "auth", answers=[PASSWORD[TARO]])
        assert lines[-1] == "auth=%d" % PAM_PERM_DENIED and not any("trial" in x for x in lines), lines
        assert json.loads(rig.bus_call("Status")[0])["mode"] == "enforce"
        rig.stop_agent()
        rig.write("etc/keishi/keishid.conf", "[Policy]\nMode=observe\n")
        try:
            rig.start_agent()
            raise RuntimeError("it started")
        except AssertionError:
            pass
        rig.write("etc/keishi/keishid.conf", TRIAL)
        rig.start_agent()


@office_on_trial
def test_restricted_and_retired_are_refused_and_what_they_have_open_is_ended(o):
    o.done(SEKININ, "restriction", "add", "--account", TARO, "--reason", "調査中")
    lines = o.drive("login", TARO, "auth", answers=[PASSWORD[TARO]])
    assert lines[-1] == "auth=%d" % PAM_PERM_DENIED and any("restricted" in x for x in lines), lines
    assert last(o, "login-refused")["KEISHI_RULE"].startswith("restriction:")
    o.done(KANRI, "user", "change", HANAKO, "--retired", "yes")
    lines = o.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])
    assert lines[-1] == "auth=%d" % PAM_PERM_DENIED and last(o, "login-refused")["KEISHI_REASON"] == "retired", lines


@office_on_trial
def test_open_sessions_outlive_what_the_trial_lets_in_and_end_with_a_restriction(o):
    sessions = {user: logged_in(o, user) for user in (HANAKO, TARO)}
    try:
        for row in o.json(KANRI, "designation", "list"):
            if row["subject"] == "user:" + HANAKO:
                o.done(SEKININ, "designation", "remove", row["uuid"], "--reason", "x")
        o.done(SEKININ, "restriction", "add", "--account", TARO, "--reason", "調査中")
        ended = wait_for("the end of the restricted", lambda: o.trail(event="session-ended"), 5)
        assert {e["KEISHI_ACCOUNT"] for e in ended} == {TARO}, ended
        assert o.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=0"
        assert {e["KEISHI_ACCOUNT"] for e in o.trail(event="session-ended")} == {TARO}
    finally:
        for p in sessions.values():
            p.stdin.close()
            p.wait(10)


@office_on_trial
def test_status_check_and_audit_say_that_it_is_a_trial(o):
    assert "ON TRIAL until " + UNTIL in o.done(HANAKO, "status")
    r = o.ctl(KANRI, "check", TARO, "--json")
    verdict = json.loads(r.stdout)
    assert r.returncode == REFUSED and verdict["granted"] is False and verdict["observed"] is True and verdict["reason"] == "default", verdict
    assert "observed" not in json.loads(o.ctl(KANRI, "check", HANAKO, "--json").stdout)
    assert "trial" in o.ctl(KANRI, "check", TARO).stdout
    for stage in ("auth", "account", "session"):
        o.write("etc/pam.d/common-" + stage, "%s required pam_keishi.so\n" % stage)
    rows = {row["row"]: row for row in json.loads(o.ctl(ETSURAN, "audit", "--root", o.root, "--json").stdout)["rows"]}
    assert rows["R11"]["state"] == "partly" and any("on trial until " + UNTIL in t for t in rows["R11"]["lacking"]), rows["R11"]
    assert rows["R2"]["state"] == "partly" and rows["R4"]["state"] == "yes", rows["R4"]
    assert any(UNTIL in e.get("KEISHI_DETAIL", "") for e in o.trail(event="policy-loaded"))


if __name__ == "__main__":
    if not has_other_users():
        print("1..0 # SKIP callers are real uids: needs root, or a user namespace with more than one")
        sys.exit(0)
    sys.exit(rig_main(globals()))
