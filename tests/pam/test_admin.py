# SPDX-License-Identifier: LGPL-2.1-or-later
"""What administrators do: from the host's journal into the trail, each once, and what is said when it cannot be.

The journal's files are real ones, written by systemd-journal-remote from entries in the export format; what stands for sudo are the lines that sudo 1.9.13
wrote when it was tried. It cannot show what journald makes of a sender (trusted fields, rate limits), nor sudo's own order of PAM and log: the VM tier does.
"""
import glob
import json
import os
import signal
import subprocess
import sys
import time

from rig import HANAKO, MADOGUCHI, PASSWORD, SETUP, TARO, UID, has_other_users, rig_main, wait_for
from test_ctl import Office

REMOTE = "/usr/lib/systemd/systemd-journal-remote"
MACHINE, BOOT = "0123456789abcdef0123456789abcdef", "1" * 32


def event(kind, **fields):
    """A line as sudo writes it with log_format=json."""
    body = {"uuid": "0904eb9c51-b859-4fbf-2ad4-853da80221", "server_time": {"seconds": 1795168582, "nanoseconds": 169614774, "iso8601": "20261120095622Z", "localtime": "Nov 20 09:56:22"}}
    body.update(fields)
    return "@cee:" + json.dumps({"sudo": {kind: body}}, ensure_ascii=False, separators=(",", ":"))


def ran(*argv, user=HANAKO, command="/usr/bin/id", **fields):
    return event(fields.pop("kind", "accept"), submituser=user, command=command, runuser="root", runcwd="/tmp", ttyname="/dev/pts/3", submithost="vm", submitcwd="/home/" + user, runuid=0,
                 columns=80, lines=24, runargv=["id", *argv], runenv=["LANG=C.UTF-8", "SUDO_USER=" + user], **fields)


class Host(Office):
    """A terminal with a journal of the host."""

    def __init__(self, setup=SETUP):
        self.now = time.time_ns() // 1000
        self.pid = 70000
        super().__init__(start=False)
        os.makedirs(self.path("var/log/journal/" + MACHINE), mode=0o755)
        self.log("the journal begins", identifier="systemd")
        self.start_agent()
        self.bus_call("Setup", "s", json.dumps(setup))
        wait_for("the reader", lambda: self.sql("SELECT 1 FROM meta WHERE name = 'admin-cursor'"), 20)

    def log(self, *messages, identifier="sudo", uid=0, pid=None, name="system", **fields):
        """Writes entries behind those that are there."""
        text = b""
        for message in messages:
            self.now = max(self.now + 1000, time.time_ns() // 1000)
            self.pid += 1
            data = message if isinstance(message, bytes) else message.encode()
            values = dict(fields, _BOOT_ID=BOOT, _MACHINE_ID=MACHINE, _UID=uid, _PID=pid or self.pid, SYSLOG_IDENTIFIER=identifier)
            text += b"__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n" % (self.now, self.now % 10**9)
            text += "".join("%s=%s\n" % i for i in values.items()).encode()
            text += b"MESSAGE\n" + len(data).to_bytes(8, "little") + data + b"\n\n"
        path = self.path("var/log/journal/%s/%s.journal" % (MACHINE, name))
        subprocess.run([REMOTE, "-o", path, "-"], input=text, check=True, capture_output=True)
        os.chmod(path, 0o644)

    def commands(self, count=1, seconds=30, **filters):
        def look():
            found = self.trail(event="admin-command", **filters)
            return found if len(found) >= count else None
        return wait_for("%d commands in the trail" % count, look, seconds)

    def reader(self):
        """The process that reads the journal."""
        r = subprocess.run(["pgrep", "-P", str(self.agent.pid), "-f", "keishi-admin"], capture_output=True, text=True)
        return int(r.stdout.split()[0]) if r.stdout.split() else None


def test_a_command_is_in_the_trail_with_who_as_whom_where_and_what():
    with Host() as rig:
        rig.log(ran("-u"))
        e = rig.commands()[0]
        assert {k: e.get("KEISHI_" + k) for k in ("ACCOUNT", "PERSON", "NAME", "USER_UNIT", "TARGET", "SERVICE", "TTY", "RESULT", "COMMAND", "CWD", "PEER_PID")} == {
            "ACCOUNT": HANAKO, "PERSON": "100001", "NAME": "山田花子", "USER_UNIT": "会計課", "TARGET": "root", "SERVICE": "sudo", "TTY": "pts/3", "RESULT": "accepted",
            "COMMAND": "/usr/bin/id -u", "CWD": "/home/hanako", "PEER_PID": str(rig.pid)}, e
        assert e["KEISHI_HAPPENED"] == str(rig.now) and "/usr/bin/id -u" in e["MESSAGE"], e


def test_refusals_alerts_and_ends_are_told_apart():
    with Host() as rig:
        rig.log(ran(kind="reject", reason="command not allowed"), event("alert", reason="/etc/sudoers.d/x: Permission denied", submituser=TARO),
                event("exit", run_time={"seconds": 1, "nanoseconds": 0}, exit_value=3), event("exit", signal="KILL", dumped_core=False, exit_value=137))
        assert [(e["KEISHI_RESULT"], e.get("KEISHI_DETAIL"), e.get("KEISHI_EXIT")) for e in rig.commands(4)] == [
            ("refused", "command not allowed", None), ("alert", "/etc/sudoers.d/x: Permission denied", None), ("ended", None, "3"), ("ended", None, "KILL")]


def test_whatever_is_typed_stays_one_value_that_can_be_read_back():
    with Host() as rig:
        rig.log(ran("a b", "it's", "", "日本", "new\nline", "\x1b[31mred\x07", "\u202egnp.exe", "back\\slash", "x=1"),
                ran("RAW").encode().replace(b"RAW", b"\xff\xfe"), ran("A" * 20000), ran(*("%d" % i for i in range(3000))))
        e = rig.commands(4)
        assert e[0]["KEISHI_COMMAND"] == ("/usr/bin/id 'a b' 'it'\"'\"'s' '' 日本 'new\\x0aline' '\\x1b[31mred\\x07' \\xe2\\x80\\xaegnp.exe 'back\\x5cslash' x=1"), e[0]
        assert e[1]["KEISHI_COMMAND"] == "/usr/bin/id \\xff\\xfe", e[1]
        for long, total in ((e[2], 20000 + 1), (e[3], sum(len("%d" % i) + 1 for i in range(3000)))):
            text, cut = long["KEISHI_COMMAND"].rsplit(" …[", 1)
            assert cut == "%d bytes cut]" % (len("/usr/bin/id") + total - len(text)), long["KEISHI_COMMAND"][-60:]
            assert 3900 < len(long["KEISHI_COMMAND"].encode()) <= 4096


def test_what_nothing_confirms_is_marked_under_the_uid_that_wrote_it():
    with Host() as rig:
        rig.log(ran("forged", user=TARO), uid=UID[HANAKO], name="user-2001")
        rig.log("taro: Executing command [USER=root] [TTY=/dev/pts/0] [CWD=/tmp] [COMMAND=/usr/bin/forged]", identifier="pkexec", uid=UID[HANAKO])
        rig.log(ran("other"), _EXE="/usr/bin/python3.11")
        rig.log(ran("other"), identifier="su")
        rig.log("pam_unix(sudo:session): session opened for user root(uid=0) by (uid=2001)")
        rig.log(ran("real"), _EXE="/usr/bin/sudo")
        assert [(e["KEISHI_COMMAND"], e["KEISHI_ACCOUNT"], e["KEISHI_PERSON"], e.get("KEISHI_VIA")) for e in rig.commands(3)] == [
            ("/usr/bin/id forged", HANAKO, "100001", "unconfirmed"), ("/usr/bin/forged", HANAKO, "100001", "unconfirmed"), ("/usr/bin/id real", HANAKO, "100001", None)]


def test_a_flood_that_nothing_confirms_is_bounded_and_told_and_hides_nothing():
    with Host() as rig:
        rig.log(*[ran("flood%d" % i) for i in range(500)], uid=UID[TARO])
        rig.log(ran("real"))
        wait_for("the real one", lambda: [e for e in rig.trail(event="admin-command") if e["KEISHI_COMMAND"] == "/usr/bin/id real"], 30)
        assert 30 <= len(rig.trail(event="admin-command", via="unconfirmed")) <= 35
        assert [e["KEISHI_RESULT"] for e in rig.trail(event="admin-log", reason="unconfirmed")] == ["dropped"]


def test_what_is_not_in_the_asked_form_is_kept_as_it_is():
    with Host() as rig:
        rig.log("  hanako : TTY=pts/3 ; PWD=/tmp ; USER=root ; COMMAND=/usr/bin/id -u", ran("x")[:-1], "@cee:{}", "@cee:" + "[" * 5000, ran("x") + "x")
        found = rig.commands(5)
        assert {e["KEISHI_RESULT"] for e in found} == {"unparsed"}
        assert found[0]["KEISHI_DETAIL"] == "  hanako : TTY=pts/3 ; PWD=/tmp ; USER=root ; COMMAND=/usr/bin/id -u", found[0]


def test_each_is_recorded_once_however_often_the_agent_and_its_reader_end():
    with Host() as rig:
        for i in range(4):
            rig.log(ran("a%d" % i), ran("b%d" % i))
            if i % 2:
                rig.commands(4 * (i // 2) + 1)
                rig.stop_agent(signal.SIGKILL)
                rig.log(ran("c%d" % i))
                rig.start_agent()
            else:
                os.kill(wait_for("the reader", rig.reader), signal.SIGKILL)
        wanted = ["/usr/bin/id " + w for w in "a0 b0 a1 b1 c1 a2 b2 a3 b3 c3".split()]
        rig.commands(len(wanted))
        rig.log(ran("last"))
        assert [e["KEISHI_COMMAND"] for e in rig.commands(len(wanted) + 1)] == wanted + ["/usr/bin/id last"]


def test_what_was_run_while_the_agent_was_away_is_recorded_after_its_start():
    with Host() as rig:
        rig.stop_agent()
        rig.log(ran("meanwhile"))
        rig.start_agent()
        assert rig.commands()[0]["KEISHI_COMMAND"] == "/usr/bin/id meanwhile"


def test_a_journal_without_the_entry_read_last_is_a_gap_and_what_follows_is_recorded():
    with Host() as rig:
        rig.log(ran("before"))
        rig.commands()
        rig.stop_agent()
        for path in glob.glob(rig.path("var/log/journal/%s/*" % MACHINE)):
            os.unlink(path)
        rig.log("the journal begins anew", identifier="systemd")
        rig.log(ran("after"))
        rig.start_agent()
        assert [e["KEISHI_COMMAND"] for e in rig.commands(2)] == ["/usr/bin/id before", "/usr/bin/id after"]
        gap = rig.trail(event="admin-log")
        assert [(e["KEISHI_RESULT"], e["KEISHI_REASON"]) for e in gap if e["KEISHI_REASON"] == "journal"] == [("gap", "journal")], gap


def test_a_reader_that_lies_is_ended_and_that_is_told():
    # Stands for a reader that is taken over: it sends what is no record, again and again.
    liar = "import os, socket, time\ns = socket.socket(fileno=3)\ns.recv(65536)\ns.send(b'x' * 100)\ntime.sleep(60)\n"
    with Office(helpers={"keishi-admin": liar}) as rig:
        told = wait_for("the entry", lambda: rig.trail(event="admin-log", reason="reader"), 40)
        assert told[0]["KEISHI_RESULT"] == "off", told
        assert not rig.trail(event="admin-command")
        assert json.loads(rig.bus_call("Status")[0])["administrators"]["read"] is False


def test_an_administrator_in_a_shell_of_root_is_named():
    with Host() as rig:
        rig.log(ran(user="root"), _AUDIT_LOGINUID=UID[TARO])
        e = rig.commands()[0]
        assert (e["KEISHI_ACCOUNT"], e.get("KEISHI_PERSON"), e.get("KEISHI_NAME")) == ("root", "100002", "鈴木太郎"), e


def sudo(rig, *said, user=HANAKO, answers=None):
    """A sudo that goes through PAM, writes `said` after the account stage, opens its session and stays. Stands for sudo itself, whose real uid is the caller's."""
    p = subprocess.Popen(rig.drive_command("sudo", user, "auth", "account", "user=root", "line", "open", "wait", "close", answers=answers or [PASSWORD[user]], u=user),
                         env=rig.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait_for("its account stage", lambda: rig.trail(event="login-granted", stage="account", peer_pid=str(p.pid)))
    if said:
        rig.log(*said, pid=p.pid, uid=UID[user])
    p.stdin.write("\n")
    p.stdin.flush()
    wait_for("its session", lambda: rig.trail(event="session-opened", peer_pid=str(p.pid)))
    return p


def test_a_command_that_pam_let_through_and_the_log_does_not_tell_is_recorded_as_such():
    with Host() as rig:
        rig.log(ran("before"), pid=70001, uid=UID[HANAKO])  # the number of a process to come is of no use
        told, silent = sudo(rig, ran("told")), sudo(rig)
        rig.log(ran("late"), pid=silent.pid, uid=UID[HANAKO])  # what its command may have written
        rig.log(event("exit", exit_value=0), pid=told.pid, uid=UID[HANAKO])
        told_entry = rig.commands(result="accepted", peer_pid=str(told.pid))[0]
        assert "KEISHI_VIA" not in told_entry and "KEISHI_VIA" not in rig.commands(result="ended")[0]
        missing = rig.commands(seconds=60, result="not-logged")[0]
        opened = {e["KEISHI_PEER_PID"]: e for e in rig.trail(event="session-opened")}
        assert {k: missing.get("KEISHI_" + k) for k in ("ACCOUNT", "PERSON", "TARGET", "SERVICE", "PEER_PID", "SESSION")} == {
            "ACCOUNT": HANAKO, "PERSON": "100001", "TARGET": "root", "SERVICE": "sudo", "PEER_PID": str(silent.pid), "SESSION": opened[str(silent.pid)]["KEISHI_SESSION"]}, missing
        unconfirmed = [e["KEISHI_COMMAND"] for e in rig.trail(event="admin-command", via="unconfirmed")]
        assert unconfirmed == ["/usr/bin/id before", "/usr/bin/id late"], rig.trail(event="admin-command")
        for p in (told, silent):
            p.communicate(timeout=30)
        assert len(rig.trail(event="admin-command", result="not-logged")) == 1


def test_the_person_behind_a_shared_id_is_named():
    with Host(dict(SETUP, designations=[{"scope": "会計", "subject": "user:" + MADOGUCHI, "services": "@console @admin"}])) as rig:
        p = sudo(rig, ran(user=MADOGUCHI), user=MADOGUCHI, answers=[PASSWORD[MADOGUCHI], "100001"])
        e = rig.commands(result="accepted")[0]
        assert (e["KEISHI_ACCOUNT"], e["KEISHI_PERSON"], e["KEISHI_NAME"]) == (MADOGUCHI, "100001", "山田花子"), e
        p.communicate(timeout=30)


GOOD = "Defaults log_format=json\nroot ALL=(ALL:ALL) ALL\n@includedir %s\n"


class Sudoers(Office):
    """A terminal whose sudo writes what is done with it; cvtsudoers is sudo's own."""

    def __init__(self):
        super().__init__(start=False)
        os.makedirs(self.path("etc/sudoers.d"), 0o750)
        self.write("etc/sudoers", GOOD % self.path("etc/sudoers.d"), 0o440)
        self.start_agent()
        wait_for("the first look", lambda: self.administrators()["sudo"] == "logs", 20)

    def administrators(self):
        return json.loads(self.bus_call("Status")[0])["administrators"]

    def told(self, count):
        return wait_for("%d entries" % count, lambda: len(found := self.trail(event="admin-log", reason="sudoers")) >= count and found, 30)


def test_sudoers_that_keeps_sudo_from_writing_is_told_once_and_shown_wherever_it_stands():
    with Sudoers() as rig:
        rig.write("etc/sudoers.d/zz", "Defaults:taro !log_allowed\nDefaults!/bin/sh !syslog\nDefaults log_format=sudo\n", 0o440)
        e = rig.told(1)[0]
        assert e["KEISHI_RESULT"] == "off" and "taro" in e["KEISHI_DETAIL"] and "!syslog for" in e["KEISHI_DETAIL"] and "log_format=sudo" in e["KEISHI_DETAIL"], e
        assert "!log_allowed" in rig.ctl("root", "status").stdout
        assert rig.administrators()["sudo"] == "does-not-log"
        rig.stop_agent()
        rig.start_agent()
        assert rig.administrators()["sudo"] == "does-not-log"
        os.unlink(rig.path("etc/sudoers.d/zz"))
        assert [e["KEISHI_RESULT"] for e in rig.told(2)] == ["off", "on"]
        assert rig.administrators()["sudo"] == "logs"
        rig.write("etc/sudoers.d/broken", "Defaults = = nonsense (\n", 0o440)
        assert "cannot be read" in rig.told(3)[2]["KEISHI_DETAIL"]


def main():
    if not os.path.exists(REMOTE) or not has_other_users():
        print("1..0 # SKIP needs systemd-journal-remote and root")
        return 0
    return rig_main(globals())


if __name__ == "__main__":
    sys.exit(main())
