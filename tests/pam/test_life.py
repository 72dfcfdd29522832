# SPDX-License-Identifier: LGPL-2.1-or-later
"""The life of a terminal: a copied disk, enrolment, epochs of the trail, retirement, backup and restore.

Another machine is another etc/machine-id, or other files of firmware, below the rig's directory: see rig.py for what that cannot show."""
import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading

from rig import HANAKO, PASSWORD, SETUP, TARO, Rig, has_other_users, rig_main, wait_for
from test_ctl import DONE, KACHO, KANRI, NOT_FOUND, USAGE, Office, last, office
from test_enforce import logged_in

KEY = "var/lib/keishi/identity.key"
UNAVAIL = "auth=9"  # PAM_AUTHINFO_UNAVAIL: what leaves the module its break-glass branch


def status(o):
    return json.loads(o.bus_call("Status")[0])


def identity(o):
    return status(o)["identity"]


def start(o):
    o.start_agent()
    wait_for("the agent on the bus", lambda: o.ctl(HANAKO, "status").returncode == DONE)


def become(o, machine_id="f" * 31 + "1", **hardware):
    """The disk wakes up in another machine."""
    o.stop_agent()
    o.write("etc/machine-id", machine_id + "\n")
    give_hardware(o, **hardware)
    start(o)


def give_hardware(o, **items):
    os.makedirs(o.path("sys/class/dmi/id"), exist_ok=True)
    for name, value in items.items():
        o.write("sys/class/dmi/id/" + name, value + "\n", 0o400)


def login(o, user=HANAKO):
    return o.drive("login", user, "auth", "account", answers=[PASSWORD.get(user, "x")])


def gets_in(o, user=HANAKO):
    return "account=0" in login(o, user)


def test_setup_binds_the_terminal_to_the_machine_and_keeps_the_key_to_itself():
    with Office() as o:
        i = identity(o)
        assert i["state"] == "right" and i["epoch"].startswith("1-") and len(i["key"]) == 64 and not i["closes"], i
        st = os.stat(o.path(KEY))
        assert stat.S_IMODE(st.st_mode) == 0o600 and st.st_uid == 0
        with open(o.path(KEY), "rb") as f:
            private = f.read()[-32:]
        for name in os.listdir(o.path("var/lib/keishi")):
            if name != "identity.key":
                with open(o.path("var/lib/keishi/" + name), "rb") as f:
                    data = f.read()
                assert private not in data and private.hex().encode() not in data, name
        bound = last(o, "identity-bound")
        assert bound["KEISHI_EPOCH"] == i["epoch"] and json.loads(bound["KEISHI_AFTER"])["key"] == i["key"], bound
        assert all(e.get("KEISHI_EPOCH") == i["epoch"] for e in o.trail() if int(e["KEISHI_SEQ"]) >= int(bound["KEISHI_SEQ"]))
        assert "this machine, enrolled" in o.done(HANAKO, "status") and i["epoch"] in o.done(HANAKO, "status")
        row = o.json(KANRI, "terminal", "show", "T01")
        assert row["epoch"] == 1 and row["key"] == i["key"] and row["retired"] is False, row
        o.refused(KANRI, "terminal", "change", "T01", "--fields", "/dev/null", "--epoch", "7", code=USAGE)


@office
def test_a_restart_on_the_same_machine_changes_nothing(o):
    before = identity(o)
    o.stop_agent()
    start(o)
    assert identity(o) == before and len(o.trail(event="identity-bound")) == 1 and not o.trail(event="identity-mismatch")
    assert gets_in(o)


@office
def test_a_copied_disk_refuses_all_staff_until_it_is_enrolled(o):
    first = identity(o)["epoch"]
    o.done(KACHO, "designation", "add", "--scope", "会計", "--subject", "user:taro")
    assert gets_in(o, TARO)
    become(o)
    i = identity(o)
    assert i["state"] == "other-machine-id" and i["closes"], i
    for user in (HANAKO, TARO, "soto"):
        said = login(o, user)
        assert UNAVAIL in said and any("not the machine" in line for line in said), said
        assert not any("not running" in line for line in said), said
    refused = last(o, "login-refused")
    assert refused["KEISHI_REASON"] == "cloned", refused
    told = last(o, "identity-mismatch")
    assert told["KEISHI_REASON"] == "other-machine-id" and told["PRIORITY"] == "1" and "terminal enrol" in told["KEISHI_DETAIL"], told
    # what the copy records is never mixed up with what the original does
    assert i["epoch"].startswith("2-") and told["KEISHI_EPOCH"] == i["epoch"] and refused["KEISHI_EPOCH"] == i["epoch"]
    assert all(e["KEISHI_EPOCH"] == i["epoch"] for e in o.trail() if int(e["KEISHI_SEQ"]) >= int(last(o, "agent-started")["KEISHI_SEQ"]))
    assert "account=0" in o.drive("cron", "daemon1", "account"), "the system's own jobs go on"
    assert "NOT THE MACHINE" in o.ctl(HANAKO, "status").stdout
    assert json.loads(o.ctl(KACHO, "check", HANAKO, "--json").stdout)["reason"] == "cloned"
    # who may enrol is not kept out by it
    assert json.loads(o.ctl(KACHO, "check", KANRI, "--json").stdout)["reason"] == "default"

    o.refused(KACHO, "terminal", "enrol", "--reason", "x")
    o.refused(HANAKO, "terminal", "enrol", "--reason", "x")
    o.refused(KANRI, "terminal", "enrol", code=USAGE)
    o.refused(KANRI, "terminal", "enrol", "T09", "--reason", "x", code=NOT_FOUND)
    assert not gets_in(o)
    key = identity(o)["key"]
    o.done(KANRI, "terminal", "enrol", "--reason", "機器更新")
    bound = last(o, "identity-bound")
    assert bound["KEISHI_ACCOUNT"] == KANRI and "機器更新" in bound["KEISHI_DETAIL"] and bound["KEISHI_EPOCH"].startswith("3-"), bound
    assert identity(o)["state"] == "right" and identity(o)["key"] != key and first != identity(o)["epoch"]
    assert gets_in(o)
    o.stop_agent()
    start(o)
    assert identity(o)["state"] == "right" and gets_in(o)
    assert {e["event"] for e in map(json.loads, o.done(KANRI, "trail", "list", "--epoch", i["epoch"], "--json").splitlines())} >= {"identity-mismatch", "login-refused"}
    unique = {(e.get("KEISHI_TERMINAL_UUID"), e.get("KEISHI_EPOCH"), e["KEISHI_SEQ"]) for e in o.trail()}
    assert len(unique) == len(o.trail())


@office
def test_an_image_of_one_terminal_becomes_another_terminal(o):
    o.done(KANRI, "terminal", "add", "T02", "--unit", "会計課")
    become(o)
    o.done(KANRI, "terminal", "enrol", "T02", "--reason", "複製からの設置")
    assert status(o)["terminal"]["name"] == "T02"
    assert not gets_in(o), "hanako is designated to T01 only"
    e = last(o, "login-refused")
    assert e["KEISHI_TERMINAL"] == "T02" and e["KEISHI_REASON"] != "cloned", e


@office
def test_what_passwords_are_compared_by_stays_with_the_machine_that_it_was_made_on(o):
    login(o)
    wait_for("her fingerprint", lambda: o.sql("SELECT 1 FROM password_fingerprints"), 30)
    with open(o.path("var/lib/keishi/password-secret"), "rb") as f:
        secret = f.read()
    become(o)
    assert o.sql("SELECT count(*) FROM password_fingerprints") == [(1,)]
    o.done(KANRI, "terminal", "enrol", "--reason", "複製")
    assert o.sql("SELECT count(*) FROM password_fingerprints") == [(0,)]
    login(o)
    wait_for("her fingerprint", lambda: o.sql("SELECT 1 FROM password_fingerprints"), 30)
    with open(o.path("var/lib/keishi/password-secret"), "rb") as f:
        assert f.read() != secret


@office
def test_other_hardware_under_the_same_machine_id_is_noticed(o):
    o.stop_agent()
    give_hardware(o, product_uuid="4c4c4544-0042-3510-8053-b4c04f333132", board_serial="/B1/CN1/")
    start(o)
    assert identity(o)["state"] == "other-hardware", "nothing was known of the hardware when it was bound"
    o.done(KANRI, "terminal", "enrol", "--reason", "登録")
    assert identity(o)["hardware"] == ["product_uuid", "board_serial"] and gets_in(o)
    become(o, "0123456789abcdef0123456789abcde1", product_uuid="4c4c4544-0042-3510-8053-b4c04f333132", board_serial="Default string")
    assert identity(o)["state"] == "right" and gets_in(o), "one item that agrees, and none that does not"
    become(o, "0123456789abcdef0123456789abcde1", product_uuid="11111111-2222-3333-4444-555555555555")
    assert identity(o)["state"] == "other-hardware" and not gets_in(o)
    # the disk goes back to where it belongs
    become(o, "0123456789abcdef0123456789abcde1", product_uuid="4c4c4544-0042-3510-8053-b4c04f333132")
    assert identity(o)["state"] == "right" and gets_in(o)
    assert last(o, "identity-bound")["KEISHI_RESULT"] == "right-again"


@office
def test_a_registry_without_its_key_and_a_machine_without_an_id_are_refused(o):
    o.stop_agent()
    os.rename(o.path(KEY), o.dir + "/key")
    start(o)
    assert identity(o)["state"] == "no-key" and not gets_in(o)
    o.stop_agent()
    os.rename(o.dir + "/key", o.path(KEY))
    start(o)
    assert identity(o)["state"] == "right" and gets_in(o)
    for text in ("", "uninitialized", "zzzz"):
        become(o, text)
        assert identity(o)["state"] == "no-machine-id" and not gets_in(o), text
        assert "machine-id" in o.refused(KANRI, "terminal", "enrol", "--reason", "x", code=5)


@office
def test_a_mismatch_begins_one_epoch_for_each_machine_not_for_each_start(o):
    become(o)
    epoch = identity(o)["epoch"]
    o.stop_agent()
    start(o)
    assert identity(o)["epoch"] == epoch and len(o.trail(event="identity-mismatch")) == 2
    become(o, "e" * 32)
    assert identity(o)["epoch"].startswith("3-")


@office
def test_root_enrols_what_is_closed_and_nothing_else(o):
    o.refused("root", "terminal", "enrol", "--reason", "x", says="people with a role")
    become(o)
    o.done("root", "terminal", "enrol", "--reason", "担当者不在")
    assert last(o, "identity-bound")["KEISHI_ACCOUNT"] == "root" and gets_in(o)
    o.refused("root", "terminal", "enrol", "--reason", "x", says="people with a role")


@office
def test_a_terminal_on_trial_refuses_on_a_copy_all_the_same(o):
    o.stop_agent()
    with open(o.path("etc/keishi/keishid.conf"), "a") as f:
        f.write("[Policy]\nMode=observe\nObserveUntil=2099-12-31\n")
    start(o)
    assert gets_in(o, TARO)
    become(o)
    assert not gets_in(o, TARO) and not gets_in(o)


def test_a_terminal_from_before_identities_is_bound_once_at_the_start():
    with Office() as o:
        o.stop_agent()
        with sqlite3.connect(o.path("var/lib/keishi/registry.db")) as db:
            db.execute("DELETE FROM meta WHERE name IN ('identity', 'epoch')")
            db.execute("UPDATE terminals SET epoch = 0, agent_key = NULL")
        db.close()
        os.unlink(o.path(KEY))
        os.mkdir(o.path(KEY + ".new"))  # no key can be made: as it was, and told
        start(o)
        assert identity(o)["state"] == "unbound" and gets_in(o) and "NOT BOUND" in o.ctl(HANAKO, "status").stdout
        o.stop_agent()
        os.rmdir(o.path(KEY + ".new"))
        start(o)
        i = identity(o)
        assert i["state"] == "right" and i["epoch"].startswith("1-") and gets_in(o), i
        assert "set up before" in last(o, "identity-bound")["KEISHI_DETAIL"]
        o.stop_agent()
        start(o)
        assert identity(o)["epoch"] == i["epoch"] and len(o.trail(event="identity-bound")) == 2


@office
def test_a_retired_terminal_ends_what_is_open_erases_its_key_and_lets_no_staff_in(o):
    session = logged_in(o, HANAKO)
    try:
        o.refused(KACHO, "terminal", "retire", "T01", "--reason", "x")
        o.refused(KANRI, "terminal", "retire", "T01", code=USAGE)
        o.refused(KANRI, "terminal", "retire", "T09", "--reason", "x", code=NOT_FOUND)
        with open(o.path(KEY), "rb") as held:
            out = o.done(KANRI, "terminal", "retire", "T01", "--reason", "廃棄")
            assert not held.read().strip(b"\0"), "what the file was is still there"
        assert "key is erased" in out and "keishictl backup" in out and "terminal enrol" in out, out
        assert not os.path.exists(o.path(KEY))
        retired = last(o, "terminal-retired")
        assert retired["KEISHI_ACCOUNT"] == KANRI and retired["KEISHI_DETAIL"] == "廃棄" and json.loads(retired["KEISHI_AFTER"])["retired"] is True, retired
        ended = wait_for("the session to be ended", lambda: o.trail(event="session-ended", account=HANAKO), 10)[-1]
        assert ended["KEISHI_REASON"] == "terminal-retired", ended
    finally:
        session.stdin.close()
        session.wait(10)
    said = login(o)
    assert UNAVAIL in said and any("retired" in line for line in said), said
    assert last(o, "login-refused")["KEISHI_REASON"] == "terminal-retired"
    assert "RETIRED" in o.ctl(HANAKO, "status").stdout and identity(o)["state"] == "retired"
    o.stop_agent()
    start(o)
    assert identity(o)["state"] == "retired" and not gets_in(o)
    epoch = identity(o)["epoch"]
    o.done(KANRI, "terminal", "enrol", "--reason", "再利用")
    assert gets_in(o) and identity(o)["state"] == "right" and identity(o)["epoch"] != epoch
    assert o.json(KANRI, "terminal", "show", "T01")["retired"] is False


@office
def test_a_cut_between_the_retirement_and_the_erasure_is_finished_at_the_start(o):
    o.stop_agent()
    shutil.copy(o.path(KEY), o.dir + "/key")
    start(o)
    o.done(KANRI, "terminal", "retire", "T01", "--reason", "廃棄")
    o.stop_agent(signal.SIGKILL)
    shutil.copy(o.dir + "/key", o.path(KEY))
    start(o)
    assert not os.path.exists(o.path(KEY)) and identity(o)["state"] == "retired"


@office
def test_another_terminal_is_retired_without_this_one_noticing(o):
    o.done(KANRI, "terminal", "add", "T02", "--unit", "会計課")
    out = o.done(KANRI, "terminal", "retire", "T02", "--reason", "廃棄")
    assert "key" not in out and identity(o)["state"] == "right" and gets_in(o), out
    assert json.loads(o.ctl(KACHO, "check", HANAKO, "--terminal", "T02", "--json").stdout)["reason"] == "terminal-retired"


def test_whenever_the_agent_is_killed_while_it_enrols_the_next_start_is_whole():
    with Office() as o:
        for number in range(12):
            call = o.start(KANRI, "terminal", "enrol", "--reason", "%d" % number)
            threading.Event().wait(0.01 + 0.006 * number)  # some moment on its way
            o.stop_agent(signal.SIGKILL)
            call.communicate()
            start(o)
            assert identity(o)["state"] == "right" and gets_in(o), number
            assert not os.path.exists(o.path(KEY + ".new"))


def test_whenever_the_agent_is_killed_while_it_is_set_up_the_setup_was_or_can_be_made():
    for number in range(6):
        with Rig(setup=None) as o:
            call = subprocess.Popen(["busctl", "--address=" + o.bus_address, "call", "org.keishi1", "/org/keishi1", "org.keishi1.Manager", "Setup", "s", json.dumps(SETUP)],
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for("the setup to begin", lambda: call.poll() is not None or os.path.exists(o.path(KEY)) or os.path.exists(o.path(KEY + ".new")))
            threading.Event().wait(0.002 * number)
            o.stop_agent(signal.SIGKILL)
            call.wait()
            o.start_agent()
            s = status(o)
            assert s["identity"]["state"] == ("right" if s["setup"] else "unbound") and not os.path.exists(o.path(KEY + ".new")), s
            if not s["setup"]:
                o.bus_call("Setup", "s", json.dumps(SETUP))
            assert identity(o)["state"] == "right" and gets_in(o) and identity(o)["epoch"].startswith("1-")


def test_a_full_disk_leaves_the_enrolment_as_it_was():
    with Office(state_size=16 << 20) as o:
        become(o)
        with open(o.path("var/lib/keishi/filler"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        r = o.ctl(KANRI, "terminal", "enrol", "--reason", "x")
        assert r.returncode == 5 and not os.path.exists(o.path(KEY + ".new")), r
        assert identity(o)["state"] == "other-machine-id"
        os.unlink(o.path("var/lib/keishi/filler"))
        o.done(KANRI, "terminal", "enrol", "--reason", "x")
        assert gets_in(o)


if __name__ == "__main__":
    if not has_other_users():
        print("1..0 # SKIP callers are real uids: needs root, or a user namespace with more than one")
        sys.exit(0)
    sys.exit(rig_main(globals()))
