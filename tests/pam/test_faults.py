# SPDX-License-Identifier: LGPL-2.1-or-later
"""What breaks: the agent itself, the bus, the registry, the disk, the configuration: a clear error, nothing lost, nobody let in."""
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading

from rig import HANAKO, PASSWORD, TARO, UID, Rig, rig_main, wait_for

PAM_PERM_DENIED, PAM_AUTHINFO_UNAVAIL, PAM_MAXTRIES, PAM_SESSION_ERR = 6, 9, 11, 14
GRANTED = {"auth=0", "account=0", "open=0"}


def start(rig, service, user, *calls, **options):
    """A login whose steps wait for a line each."""
    return subprocess.Popen(rig.drive_command(service, user, *calls, i=1, **options), env=rig.environment(), text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def go_on(p, line=""):
    p.stdin.write(line + "\n")
    p.stdin.flush()


def rest(p):
    return p.communicate(timeout=60)[0].splitlines()


def log_in(rig):
    lines = rig.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
    assert lines[1:] == ["auth=0", "account=0"], lines


def refused(rig, code, text=None, user=HANAKO, service="login"):
    lines = rig.drive(service, user, "auth", "account", "open", answers=[PASSWORD[user]])
    assert not GRANTED & set(lines), lines
    assert "auth=%d" % code in lines, lines
    assert not text or any(text in x for x in lines), lines
    return lines


def not_running(rig):
    """With no agent: refused, and told why. (One call: the module waits a while for each.)"""
    lines = rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])
    assert lines[-1] == "auth=%d" % PAM_AUTHINFO_UNAVAIL and any("not running" in x for x in lines), lines


def last(rig, **filters):
    entries = rig.trail(**filters)
    assert entries, "no entry %r among %r" % (filters, [e["KEISHI_EVENT"] for e in rig.trail()])
    return entries[-1]


def kill(rig):
    rig.agent.kill()
    rig.agent.wait()


def restart(rig):
    kill(rig)
    rig.start_agent()


def check_sequence(rig):
    seqs = [int(e["KEISHI_SEQ"]) for e in rig.trail()]
    assert seqs == list(range(1, len(seqs) + 1)), seqs


# ---- the agent killed at every step of a login ----

def test_killed_before_it_reads_the_call(rig):
    rig.agent.send_signal(signal.SIGSTOP)
    p = start(rig, "login", HANAKO, "auth")
    wait_for("the module to connect", lambda: any("socket:" in os.readlink("/proc/%d/fd/%s" % (p.pid, fd)) for fd in fds_of(p.pid)))
    kill(rig)
    assert rest(p)[-1] == "auth=9"
    rig.start_agent()
    log_in(rig)


def fds_of(pid):
    """Descriptors that are there now; one that goes away while it is looked at is not."""
    there = []
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            os.readlink("/proc/%d/fd/%s" % (pid, fd))
            there.append(fd)
        except FileNotFoundError:
            pass
    return there


def test_killed_while_the_password_is_asked_for(rig):
    p = start(rig, "login", HANAKO, "auth")
    assert p.stdout.readline().startswith("secret:")
    kill(rig)
    go_on(p, PASSWORD[HANAKO])
    assert rest(p)[-1] == "auth=4"
    rig.start_agent()
    assert last(rig, event="agent-crashed") and rig.sql("SELECT count(*) FROM attempts") == [(0,)]
    log_in(rig)


def test_killed_before_it_reads_the_answer(rig):
    p = start(rig, "login", HANAKO, "auth")
    assert p.stdout.readline().startswith("secret:")
    rig.agent.send_signal(signal.SIGSTOP)
    go_on(p, PASSWORD[HANAKO])
    kill(rig)
    assert rest(p)[-1] == "auth=4"
    rig.start_agent()
    log_in(rig)


# Stands for keishi-password over a service that never answers; it ends with the agent that asked.
HANGS = "import socket\ns = socket.socket(fileno=3)\nwhile s.recv(65536):\n    pass\n"


def test_killed_while_it_verifies_the_attempt_stays_charged():
    with Rig(helpers={"keishi-password": HANGS}) as rig:
        for expected in (1, 2, 3):
            p = start(rig, "login", HANAKO, "auth")
            assert p.stdout.readline().startswith("secret:")
            go_on(p, "guess")
            wait_for("the charge", lambda: rig.sql("SELECT count FROM attempts WHERE account = ?", HANAKO) == [(expected,)])
            kill(rig)
            assert rest(p)[-1] == "auth=4"
            rig.start_agent()
        # Killing the agent saves nobody an attempt: that was the third.
        assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=%d" % PAM_MAXTRIES


def test_killed_and_back_between_account_and_session_refuses_the_session(rig):
    p = start(rig, "login", HANAKO, "auth", "account", "line", "open")
    go_on(p, PASSWORD[HANAKO])
    assert [p.stdout.readline() for _ in range(3)][-1] == "account=0\n"
    kill(rig)
    rig.start_agent()
    go_on(p)
    assert rest(p)[-1] == "open=%d" % PAM_SESSION_ERR
    assert rig.sql("SELECT count(*) FROM sessions") == [(0,)]


def test_killed_and_back_while_a_session_is_open_keeps_the_session(rig):
    p = start(rig, "login", HANAKO, "auth", "account", "open", "line", "close")
    go_on(p, PASSWORD[HANAKO])
    assert [p.stdout.readline() for _ in range(4)][-1] == "open=0\n"
    opened = last(rig, event="session-opened")
    kill(rig)
    rig.start_agent()
    assert not rig.trail(event="session-closed")
    go_on(p)
    assert rest(p)[-1] == "close=0"
    closed = last(rig, event="session-closed")
    assert closed["KEISHI_SESSION"] == opened["KEISHI_SESSION"] and closed["KEISHI_REASON"] == "closed", closed
    assert (closed["KEISHI_PERSON"], closed["KEISHI_NAME"]) == (opened["KEISHI_PERSON"], opened["KEISHI_NAME"]), closed


def test_session_that_ends_while_the_agent_is_dead_is_closed_at_its_next_start(rig):
    p = start(rig, "login", HANAKO, "auth", "account", "open", "line")
    go_on(p, PASSWORD[HANAKO])
    assert [p.stdout.readline() for _ in range(4)][-1] == "open=0\n"
    kill(rig)
    go_on(p)
    rest(p)
    rig.start_agent()
    assert last(rig, event="session-closed")["KEISHI_REASON"] == "process-gone"
    assert rig.sql("SELECT count(*) FROM sessions") == [(0,)]


def test_killed_at_any_moment_what_was_granted_is_in_the_trail(rig):
    moments = random.Random(13)
    granted = 0
    for _ in range(25):
        p = start(rig, "login", HANAKO, "auth", "account", "open")
        go_on(p, PASSWORD[HANAKO])
        timer = threading.Timer(moments.uniform(0.005, 0.08), restart, [rig])
        timer.start()
        lines = rest(p)
        timer.join()
        mine = [e for e in rig.trail() if e.get("KEISHI_PEER_PID") == str(p.pid)]
        for line, kind, stage in (("auth=0", "login-granted", "auth"), ("account=0", "login-granted", "account"), ("open=0", "session-opened", None)):
            if line in lines:
                granted += 1
                assert any(e["KEISHI_EVENT"] == kind and e.get("KEISHI_STAGE", stage) in (stage, "session") for e in mine), (lines, mine)
        codes = {x for x in lines if re.match("(auth|account|open)=", x)}
        assert codes <= GRANTED | {"auth=4", "auth=9", "account=4", "account=6", "account=9", "open=4", "open=9", "open=14"}, lines
    assert granted > 5, "the moments are too early to show anything"
    check_sequence(rig)
    opened, closed = rig.trail(event="session-opened"), rig.trail(event="session-closed")
    assert sorted(e["KEISHI_SESSION"] for e in opened) == sorted(e["KEISHI_SESSION"] for e in closed)


def test_helpers_do_not_outlive_the_agent():
    with Rig() as rig:
        # The real keishi-password, held by a PAM module that does not come back.
        with open(rig.dir + "/pam.d/keishi-password", "w") as f:
            f.write("auth required pam_exec.so quiet /bin/sleep 20\n")
        p = start(rig, "login", HANAKO, "auth")
        assert p.stdout.readline().startswith("secret:")
        go_on(p, "guess")

        pid = wait_for("the helper", lambda: [pid for pid, name in rig.working() if name == "keishi-password"])[0]
        kill(rig)
        rest(p)

        def gone():
            try:
                with open("/proc/%d/stat" % pid) as f:
                    return f.read().rsplit(")", 1)[1].split()[0] == "Z"
            except FileNotFoundError:
                return True
        wait_for("it to end", gone)
        rig.start_agent()


# ---- around it ----

def test_bus_gone_logins_go_on_and_it_comes_back(rig):
    rig.bus.terminate()
    rig.bus.wait()
    log_in(rig)
    rig.start_bus()
    assert '"registry":"ok"' in rig.bus_call("Status")[0].replace(" ", "")
    log_in(rig)


def test_started_without_a_bus_logins_go_on(rig):
    rig.stop_agent()
    rig.bus.terminate()
    rig.bus.wait()
    rig.start_agent()
    log_in(rig)
    rig.start_bus()
    rig.bus_call("Status")


def test_a_second_agent_does_not_take_the_sockets(rig):
    assert "another keishid runs here" in rig.try_to_start()
    log_in(rig)
    assert not rig.trail(event="agent-crashed")


def test_journald_that_never_reads_delays_nothing_and_misses_nothing(rig):
    for _ in range(20):
        log_in(rig)
    total, seen = len(rig.trail()), []

    def all_seen():
        seen.extend(int(e["KEISHI_SEQ"]) for e in rig.journal.read())
        return len(seen) >= total
    wait_for("all of it", all_seen, 60)
    assert seen == list(range(1, total + 1)), seen


# ---- the registry ----

REGISTRY = "var/lib/keishi/registry.db"


def test_registry_locked_by_another_process_refuses_and_loses_no_entry(rig):
    log_in(rig)
    other = sqlite3.connect(rig.path(REGISTRY), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused(rig, PAM_AUTHINFO_UNAVAIL, "registry")
    refused(rig, PAM_AUTHINFO_UNAVAIL, "registry")
    other.execute("ROLLBACK")
    other.close()
    log_in(rig)
    wait_for("the reserve to be imported", lambda: len(rig.trail(event="login-refused", reason="registry-unusable")) >= 2, 20)
    assert {e["KEISHI_VIA"] for e in rig.trail(reason="registry-unusable")} == {"reserve"}
    check_sequence(rig)


def fill(rig):
    with open(rig.path("var/lib/keishi/filler"), "wb", buffering=0) as f:
        try:
            while f.write(b"\0" * 4096):
                pass
        except OSError:
            pass


def test_full_disk_refuses_records_and_recovers():
    with Rig(state_size=16 << 20) as rig:
        log_in(rig)
        fill(rig)
        lines = []
        for _ in range(200):  # what SQLite has room for in blocks it already owns may still be granted, and then it is in the trail
            lines = rig.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
            if "account=0" not in lines:
                break
        assert "auth=%d" % PAM_AUTHINFO_UNAVAIL in lines or "account=%d" % PAM_AUTHINFO_UNAVAIL in lines, lines
        assert any("disk full" in x for x in lines), lines
        for _ in range(3):
            refused(rig, PAM_AUTHINFO_UNAVAIL, "disk full")
        # What ends is still written, in blocks that are set aside.
        os.unlink(rig.path("var/lib/keishi/filler"))
        log_in(rig)
        wait_for("the reserve to be imported", lambda: len(rig.trail(event="login-refused", reason="registry-unusable")) >= 3, 20)
        check_sequence(rig)
        assert not rig.trail(event="login-refused", reason="wrong-password")


def test_full_disk_at_start_is_a_refusal_to_start():
    with Rig(state_size=16 << 20) as rig:
        rig.stop_agent()
        fill(rig)
        text = rig.try_to_start()
        assert "registry.db" in text and ("full" in text or "I/O error" in text), text
        not_running(rig)
        os.unlink(rig.path("var/lib/keishi/filler"))
        rig.start_agent()
        log_in(rig)


def test_read_only_state_is_a_refusal_to_start():
    with Rig(state_size=16 << 20) as rig:
        rig.stop_agent()
        subprocess.run(["mount", "-o", "remount,ro", rig.path("var/lib/keishi")], check=True)
        text = rig.try_to_start()
        assert "registry.db" in text, text
        not_running(rig)
        subprocess.run(["mount", "-o", "remount,rw", rig.path("var/lib/keishi")], check=True)
        rig.start_agent()
        log_in(rig)


def damage(rig, what):
    path = rig.path(REGISTRY)
    size = os.path.getsize(path)
    if what == "empty":
        os.truncate(path, 0)
    elif what == "cut":
        os.truncate(path, size // 2 + 100)
    elif what == "no database":
        rig.write(REGISTRY, "この表は壊れている" * 1000, mode=0o600)
    elif what == "another database":
        os.unlink(path)
        sqlite3.connect(path).execute("CREATE TABLE t (a)").connection.close()
        os.chmod(path, 0o600)
    elif what == "newer":
        with sqlite3.connect(path) as db:
            db.execute("PRAGMA user_version = 999")
        db.close()
    elif what == "of another owner":
        os.chown(path, UID[TARO], UID[TARO])
    elif what == "a link":
        os.rename(path, path + ".real")
        os.symlink(path + ".real", path)
    elif what == "log without its database":
        shutil.copy(path, path + "-wal")
        os.unlink(path)


def test_damaged_or_foreign_registries_are_a_refusal_to_start_that_names_the_file(rig):
    rig.stop_agent()
    shutil.copytree(rig.path("var/lib/keishi"), rig.path("var/lib/saved"))
    for what, says in (("empty", "truncated"), ("cut", ""), ("no database", ""), ("another database", "not a keishi registry"), ("newer", "newer"),
                       ("of another owner", "belongs to uid"), ("a link", "not a regular file"), ("log without its database", "missing")):
        damage(rig, what)
        text = rig.try_to_start()
        assert "registry.db" in text and says in text, (what, text)
        shutil.rmtree(rig.path("var/lib/keishi"))
        shutil.copytree(rig.path("var/lib/saved"), rig.path("var/lib/keishi"))
        os.chown(rig.path(REGISTRY), 0, 0)
    rig.start_agent()
    log_in(rig)


def test_a_corrupt_page_lets_nobody_in_who_may_not(rig):
    """After an orderly stop nothing is read through at start; the damage is met by whoever needs the page."""
    rig.stop_agent()
    path = rig.path(REGISTRY)
    db = sqlite3.connect(path)
    columns = [row[1] for row in db.execute("PRAGMA table_info(restrictions)")]
    values = dict.fromkeys(columns, 0) | {"uuid": "00000000-0000-4000-8000-000000000001", "account": HANAKO, "person": None, "reason": "x", "origin": "x"}
    values.pop("id", None)
    with db:
        db.execute("INSERT INTO restrictions (%s) VALUES (%s)" % (",".join(values), ",".join("?" * len(values))), list(values.values()))
    roots = db.execute("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 1 AND tbl_name NOT IN ('media', 'approvals', 'credentials')").fetchall()
    size = db.execute("PRAGMA page_size").fetchone()[0]
    db.close()
    with open(path, "rb") as f:
        good = f.read()
    rig.start_agent()
    refused(rig, PAM_PERM_DENIED, "restricted")
    refused(rig, PAM_PERM_DENIED, "not designated", user=TARO)
    started = 0
    for name, page in roots:
        rig.stop_agent(signal.SIGKILL)
        for suffix in ("-wal", "-shm"):
            if os.path.exists(path + suffix):
                os.unlink(path + suffix)
        with open(path, "wb") as f:
            f.write(good[:(page - 1) * size] + b"\xa5" * size + good[page * size:])
        try:
            rig.start_agent()
            started += 1
        except AssertionError:
            assert rig.agent.returncode == 1, (name, rig.agent.returncode)
            continue
        for user in (HANAKO, TARO):
            lines = rig.drive("login", user, "auth", "account", "open", answers=[PASSWORD[user]])
            assert not GRANTED & set(lines), (name, user, lines)
            assert rig.agent.poll() is None or "auth=9" in lines, (name, "the agent crashed")
    assert started > 5, started
    rig.stop_agent(signal.SIGKILL)


# ---- the configuration ----

def test_bad_configuration_is_a_refusal_to_start_with_file_and_line(rig):
    rig.stop_agent()
    path = rig.path("etc/keishi/keishid.conf")
    for text, line in (("[Agent]\nLocal=en\n", 2), ("[Agentt]\n", 1), ("[Agent]\nLocale=en\nLocale=ja\n", 3), ("Locale=en\n", 1), ("[Attempts]\nMax=three\n", 2),
                       ("[Attempts]\nMax=-1\n", 2), ("[Attempts]\nMax=0\n", 2), ("[Attempts]\nMax=99999999999999999999\n", 2), ("[Attempts]\nMax=3 \n\n  WindowSec=5\n", 4),
                       ("[Agent]\nTransactionTimeoutSec=1\n", 2), ("[Agent]\n# ok\n" + "Locale=" + "x" * 300 + "\n", 3), ("[Agent]\nLocale=e\x01n\n", 2),
                       ("[Factors]\nDefault=none\n", 2), ("[Agent\n", 1), ("\n\nnonsense\n", 3)):
        with open(path, "w") as f:
            f.write(text)
        said = rig.try_to_start()
        assert "keishid.conf:%d: " % line in said, (text, said)
    for mode, owner in ((0o666, 0), (0o664, 0), (0o600, UID[TARO])):
        rig.write("etc/keishi/keishid.conf", "[Agent]\n")
        os.chmod(path, mode)
        os.chown(path, owner, 0)
        assert "must belong to root" in rig.try_to_start()
    os.unlink(path)
    assert "keishid.conf" in rig.try_to_start()
    os.symlink("/dev/null", path)
    assert "symbolic link" in rig.try_to_start()
    os.unlink(path)
    rig.write("etc/keishi/keishid.conf", "[Agent]\nLocale=en\n")
    os.chmod(rig.path("etc/keishi"), 0o777)
    assert "directory" in rig.try_to_start()
    not_running(rig)
    os.chmod(rig.path("etc/keishi"), 0o755)
    rig.start_agent()
    log_in(rig)


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
