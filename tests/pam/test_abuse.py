# SPDX-License-Identifier: LGPL-2.1-or-later
"""What others do to the agent and its sockets: each is refused and in the trail, within bounds, and logins go on meanwhile."""
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time

import wire
from rig import HANAKO, JIRO, PASSWORD, SANITIZED, TARO, UID, Rig, rig_main, wait_for

PAM_PERM_DENIED, PAM_AUTH_ERR, PAM_CONV_ERR = 6, 7, 19
ABUSE_ALL_MAX = 100  # entries of protocol-abuse that may come at once (agent/login/abuse.c)
BOUND = 6.0          # seconds that a login may take while somebody does their worst; it takes 0.1 s otherwise


def pam_socket(rig):
    return rig.path("run/keishi/pam.sock")


def root_socket(rig):
    return rig.path("run/keishi/root.sock")


def log_in(rig):
    start = time.monotonic()
    lines = rig.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
    took = time.monotonic() - start
    assert lines[1:] == ["auth=0", "account=0"], lines
    assert took < BOUND, "%.1f s" % took


def background(uid, function, *arguments):
    """A child that is this uid and does something until end()."""
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(60)
            resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            function(*arguments)
        finally:
            os._exit(1)
    return pid


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def settled(rig):
    """The agent's descriptors when nothing is under way."""
    seen = []

    def same():
        seen.append(descriptors(rig))
        return len(seen) > 15 and len(set(seen[-15:])) == 1
    wait_for("nothing to be under way", same)
    return seen[-1]


def descriptors(rig):
    return len(os.listdir("/proc/%d/fd" % rig.agent.pid))


def anonymous_kb(rig):
    with open("/proc/%d/smaps_rollup" % rig.agent.pid) as f:
        return sum(int(line.split()[1]) for line in f if line.startswith("Private_"))


# Each of them ends the connection. (Names are those that a failure shows.)
MALFORMED = {
    "nothing but one byte": b"\0",
    "half a header": wire.begin("login", HANAKO)[:6],
    "half a message": wire.begin("login", HANAKO)[:-3],
    "more than it says": wire.begin("login", HANAKO) + b"\0",
    "wrong magic": wire.message(wire.BEGIN, magic=0x1234),
    "version 0": wire.message(wire.BEGIN, version=0),
    "version 2": wire.message(wire.BEGIN, version=2),
    "an unknown type": wire.message(9),
    "type 65535": wire.message(65535),
    "a result": wire.message(wire.RESULT, wire.item(wire.RESULT_CODE, wire.SUCCESS)),
    "a prompt": wire.message(wire.PROMPT, wire.item(wire.TEXT, "x"), wire.item(wire.PROMPT_STYLE, 1)),
    "no items": wire.message(wire.BEGIN),
    "no service": wire.message(wire.BEGIN, wire.item(wire.STAGE, 1), wire.item(wire.FLAGS, 0), wire.item(wire.USER, "a")),
    "an empty service": wire.begin("", HANAKO),
    "no user": wire.begin("login", None),
    "a user and a length": wire.begin("login", HANAKO, user_length=70000),
    "stage 0": wire.begin("login", HANAKO, stage=0),
    "stage 7": wire.begin("login", HANAKO, stage=7),
    "stage 4294967295": wire.begin("login", HANAKO, stage=b"\xff\xff\xff\xff"),
    "item 0": wire.begin("login", HANAKO) [:8] + wire.item(0, "x"),
    "item 13": wire.message(wire.BEGIN, wire.item(13, "x")),
    "item 65535": wire.message(wire.BEGIN, wire.item(65535, "x")),
    "an item that BEGIN has not": wire.begin("login", HANAKO, text="x"),
    "an item longer than the message": wire.message(wire.BEGIN, wire.item(wire.STAGE, 1), wire.item(wire.USER, "a", length=500)),
    "an item cut in its header": wire.message(wire.BEGIN, wire.item(wire.STAGE, 1), b"\x03\0"),
    "the user twice": wire.message(wire.BEGIN, wire.item(wire.STAGE, 1), wire.item(wire.FLAGS, 0), wire.item(wire.SERVICE, "login"),
                                   wire.item(wire.USER, HANAKO), wire.item(wire.USER, "root")),
    "a number of 3 bytes": wire.message(wire.BEGIN, wire.item(wire.STAGE, b"\1\0\0"), wire.item(wire.FLAGS, 0),
                                        wire.item(wire.SERVICE, "login"), wire.item(wire.USER, "a")),
    "a zero byte in a name": wire.begin("login", "han\0ako"),
    "a name of 256 bytes": wire.begin("login", "a" * 256),
    "a service of 8000 bytes": wire.begin("s" * 8000, "a"),
    "8193 bytes": wire.message(wire.BEGIN, b"\0" * 8185),
    "60000 bytes": wire.message(wire.BEGIN, b"\0" * 59992),
    "8 KiB of 0xff": b"\xff" * 8192,
}


def test_malformed_messages_end_the_connection_whoever_sends_them(rig):
    for name, data in MALFORMED.items():
        with wire.Call(root_socket(rig)) as c:
            assert c.send(data), name
            assert c.ended(), name
    for n, (name, data) in enumerate(MALFORMED.items()):
        def try_it():
            with wire.Call(pam_socket(rig)) as c:
                return not c.send(data) or c.ended()
        assert wire.as_user(4000 + n % 8, try_it), name
    abuse = rig.trail(event="protocol-abuse")
    assert len(abuse) > 20 and {e["KEISHI_REASON"] for e in abuse} == {"malformed"}, abuse
    log_in(rig)


def test_messages_in_the_wrong_state_end_the_connection(rig):
    def started():
        c = wire.Call(root_socket(rig))
        c.send(wire.begin("login", HANAKO))
        return c
    for kind in (wire.ANSWER, wire.CANCEL):
        with wire.Call(root_socket(rig)) as c:
            c.send(wire.answer("x") if kind == wire.ANSWER else wire.message(wire.CANCEL))
            assert c.ended()
    with started() as c:  # BEGIN again
        c.expect(wire.PROMPT)
        c.send(wire.begin("login", JIRO))
        assert c.ended()
    with started() as c:  # a second answer while the first is verified
        c.expect(wire.PROMPT)
        c.send(wire.answer("wrong"))
        c.send(wire.answer(PASSWORD[HANAKO]))
        assert c.ended()
    log_in(rig)


def test_a_flood_of_answers_is_one_attempt(rig):
    with wire.Call(root_socket(rig)) as c:
        c.send(wire.begin("login", TARO))
        c.expect(wire.PROMPT)
        for n in range(1000):
            if not c.send(wire.answer("guess%d" % n)):
                break
        assert c.ended()
    assert rig.sql("SELECT count FROM attempts WHERE account = ?", TARO) == [(1,)]


def test_a_thousand_connections_of_one_user_leave_room_for_everyone(rig):
    before = settled(rig)

    def crowd():
        held = []
        for n in range(1000):
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.connect(pam_socket(rig))
            held.append(s)
        signal.pause()
    pid = background(4000, crowd)
    try:
        wait_for("the crowd to be turned away", lambda: rig.trail(event="protocol-abuse", reason="too-many-connections"))
        for _ in range(5):
            log_in(rig)
        assert "auth=0" in rig.drive("swaylock", HANAKO, "auth", answers=[PASSWORD[HANAKO]], U=UID[HANAKO])
        assert descriptors(rig) - before <= 16 + 4, "%d more descriptors" % (descriptors(rig) - before)
    finally:
        end(pid)
    wait_for("the descriptors to go", lambda: descriptors(rig) <= before)


def test_a_queue_that_is_kept_full_does_not_hold_root_up(rig):
    """What once made the agent look absent, and break-glass open."""
    def spin():
        held = [None] * 256
        n = 0
        while True:
            s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            s.setblocking(False)
            s.connect_ex(pam_socket(rig))
            held[n % 256] = s
            n += 1
    pids = [background(4000 + n, spin) for n in range(4)]
    try:
        wait_for("them to be turned away", lambda: rig.trail(event="protocol-abuse"))
        for _ in range(8):
            log_in(rig)
    finally:
        for pid in pids:
            end(pid)
    assert len(rig.trail(event="protocol-abuse")) <= ABUSE_ALL_MAX + 10
    log_in(rig)


def test_abuse_from_many_uids_is_counted_not_written_for_ever(rig):
    def burst():
        for _ in range(40):
            with wire.Call(pam_socket(rig)) as c:
                c.send(b"garbage")
                c.ended()
    for uid in range(4000, 4030):
        assert wire.as_user(uid, burst)
    abuse = rig.trail(event="protocol-abuse")
    assert 20 < len(abuse) <= ABUSE_ALL_MAX + 10, len(abuse)
    assert any("KEISHI_COUNT" in e for e in abuse), "what was left out is told"
    per_uid = [sum(e["KEISHI_UID"] == str(uid) for e in abuse) for uid in range(4000, 4030)]
    assert max(per_uid) <= 21, per_uid
    log_in(rig)


def test_slow_readers_and_those_who_never_answer_are_dropped():
    with Rig(config="[Agent]\nTransactionTimeoutSec=5\n") as rig:
        before = settled(rig)

        def sit():
            held = []
            for n in range(16):
                c = wire.Call(pam_socket(rig))
                c.send(wire.begin("swaylock", TARO))
                held.append(c)
            signal.pause()
        pid = background(UID[TARO], sit)
        try:
            wait_for("them to sit", lambda: descriptors(rig) >= before + 16)
            log_in(rig)
            wait_for("them to be dropped", lambda: descriptors(rig) <= before, 20)
        finally:
            end(pid)
        assert len(rig.trail(event="login-abandoned", account=TARO)) == 16
        assert rig.sql("SELECT count(*) FROM attempts") == [(0,)]


def test_who_says_nothing_is_dropped(rig):
    before = settled(rig)
    pid = background(4000, lambda: [wire.Call(pam_socket(rig)), signal.pause()])
    try:
        wait_for("the connection", lambda: descriptors(rig) > before)
        wait_for("it to be dropped", lambda: descriptors(rig) <= before, 15)
    finally:
        end(pid)


def test_nobody_but_root_asks_about_another(rig):
    def ask(service, user, stage):
        with wire.Call(pam_socket(rig)) as c:
            c.send(wire.begin(service, user, stage=stage))
            assert c.result() == wire.PERM_DENIED
    for service, user, stage, reason in (
            ("swaylock", HANAKO, wire.AUTH, "about-another"),
            ("swaylock", "nobody-knows", wire.AUTH, "about-another"),
            ("swaylock", "root", wire.ACCOUNT, "about-another"),
            ("vlock", "\xff\x1b", wire.AUTH, "about-another"),
            ("login", TARO, wire.AUTH, "not-root"),
            ("unknown-service", TARO, wire.AUTH, "not-root"),
            ("swaylock", TARO, wire.SESSION_OPEN, "not-root"),
            ("swaylock", TARO, wire.SESSION_CLOSE, "not-root"),
            ("swaylock", TARO, wire.PASSWORD_UPDATE, "not-root")):
        assert wire.as_user(UID[TARO], ask, service, user, stage)
        assert rig.trail(event="protocol-abuse")[-1]["KEISHI_REASON"] == reason
    assert wire.as_user(4001, ask, "swaylock", "nobody-knows", wire.AUTH)
    assert rig.sql("SELECT count(*) FROM attempts") == [(0,)]
    # With 64 KiB of a name, through the real module.
    assert rig.drive("swaylock", "x" * 65536, "auth", answers=["x"], U=UID[TARO])[-1] == "auth=%d" % PAM_PERM_DENIED


def test_root_s_socket_is_root_s(rig):
    def connect():
        try:
            wire.Call(root_socket(rig))
        except PermissionError:
            return True
        return False
    assert wire.as_user(UID[TARO], connect)


def test_a_locker_s_user_clears_no_counter_and_is_locked_out_alone(rig):
    for _ in range(3):
        rig.drive("swaylock", TARO, "auth", answers=["wrong"], U=UID[TARO])
    assert rig.drive("swaylock", TARO, "auth", answers=[PASSWORD[TARO]], U=UID[TARO])[-1] == "auth=11"
    assert "auth=%d" % PAM_PERM_DENIED in rig.drive("login", TARO, "auth", answers=[PASSWORD[TARO]])  # not designated, but not locked


def test_calls_of_one_user_are_bounded_in_time(rig):
    """Each unlocking is worth an entry; a loop of them is not."""
    def loop():
        granted = 0
        for _ in range(60):
            with wire.Call(pam_socket(rig)) as c:
                c.send(wire.begin("swaylock", HANAKO))
                try:
                    c.expect(wire.PROMPT)
                    granted += 1
                except AssertionError:
                    break
        assert 20 <= granted <= 32, granted
    assert wire.as_user(UID[HANAKO], loop)
    assert len(rig.trail(event="login-abandoned")) <= 32
    log_in(rig)


NASTY = {
    "controls": b"a\x01\x1b[31m\x7f\r\nKEISHI_RULE=forged",
    "C1 and separators": "a\u0085\u2028\u2029b".encode(),
    "bidi": "a\u202e\u2066\u200fb".encode(),
    "cut UTF-8": b"a\xe5\xb1",
    "overlong UTF-8": b"\xc0\xaf\xe0\x80\xaf",
    "surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "past the last": b"\xf4\x90\x80\x80\xff\xfe",
    "noncharacters": "\ufdd0\ufffe".encode(),
    "percent and braces": b"%s%n%1000000d ${HOME} `id` ;\\",
    "255 bytes": b"\xff" * 255,
    "a path": b"../../etc/shadow",
}
NOT_PLAIN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufdd0-\ufdef\ufffe\uffff]")


def check_trail_is_plain(rig):
    for (entry,) in rig.sql("SELECT entry FROM outbox"):
        for line in entry.decode("utf-8").split("\n"):
            assert not NOT_PLAIN.search(line), line
            assert not line or re.match(r"[A-Z_]+=", line), line
        assert b"\nKEISHI_RULE=forged" not in entry


def test_nasty_text_in_every_field_is_refused_and_recorded_in_safe_form(rig):
    for name, value in NASTY.items():
        for field in ("service", "user", "ruser", "rhost", "tty", "locale"):
            for stage in (wire.AUTH, wire.ACCOUNT):
                fields = {"service": "login", "user": "user-%d-%s" % (len(name), field)}
                fields[field] = value
                with wire.Call(root_socket(rig)) as c:
                    c.send(wire.begin(fields.pop("service"), fields.pop("user"), stage=stage, **fields))
                    if stage == wire.AUTH:
                        c.expect(wire.PROMPT)
                        c.send(wire.answer("wrong\x1b\x7f"))
                    assert c.result() not in (wire.SUCCESS, wire.UNAVAILABLE), (name, field)
    check_trail_is_plain(rig)
    text = "".join(value for e in rig.trail() for value in e.values())
    assert "\\xe2\\x80\\xae" in text and "wrong" not in text.replace("wrong-password", ""), "escaped, and no password in it"
    # The same through libpam, for what fits into a C string.
    for value in NASTY.values():
        value = os.fsdecode(value)
        assert rig.drive("login", value, "auth", answers=["wrong"], t=value, r=value, u=value)[-1] in ("auth=7", "auth=11")
    check_trail_is_plain(rig)
    log_in(rig)


def test_a_sudo_that_names_nobody_or_nonsense_is_nobody(rig):
    assert rig.drive("sudo", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=%d" % PAM_PERM_DENIED
    assert rig.drive("sudo", HANAKO, "auth", answers=[PASSWORD[HANAKO]], u="\x1b[2J")[-1] == "auth=%d" % PAM_PERM_DENIED
    assert {e["KEISHI_REASON"] for e in rig.trail(event="protocol-abuse")} == {"no-actor"}


def test_answers_that_are_garbage_missing_or_too_long(rig):
    assert rig.drive("login", HANAKO, "auth", g=200)[-1] == "auth=%d" % PAM_AUTH_ERR
    assert rig.drive("login", HANAKO, "auth", "authtok", g=1024)[-3:-1] == ["auth=%d" % PAM_AUTH_ERR, "token: (none)"]
    for option in ({"g": 1025}, {"g": 100000}, {"N": 1}, {"n": 1}, {"f": 1}):
        lines = rig.drive("login", JIRO, "auth", "authtok", **option)
        assert "auth=%d" % PAM_CONV_ERR in lines and "token: (none)" in lines, (option, lines)
    assert len(rig.trail(event="login-abandoned", account=JIRO)) == 5
    assert rig.sql("SELECT count(*) FROM attempts WHERE account = ?", JIRO) == [(0,)], "nothing was tried"
    check_trail_is_plain(rig)


def test_a_conversation_that_never_returns_ends_with_its_process(rig):
    before = settled(rig)
    p = subprocess.Popen(rig.drive_command("login", HANAKO, "auth", h=1), env=rig.environment(), stdout=subprocess.PIPE)
    try:
        assert p.stdout.readline().startswith(b"secret:")
        log_in(rig)  # nobody waits for it
    finally:
        p.kill()
        p.wait()
        p.stdout.close()
    wait_for("the entry", lambda: rig.trail(event="login-abandoned", account=HANAKO))
    wait_for("its descriptor", lambda: descriptors(rig) <= before)


def test_a_fork_between_calls_carries_no_proof_to_a_sibling(rig):
    # auth in one child, account in another child of the same parent: neither the process, nor its parent, nor its child
    lines = rig.drive("login", HANAKO, "fork", "auth", "join", "fork", "account", "open", "join", answers=[PASSWORD[HANAKO]])
    assert "auth=0" in lines and "account=%d" % PAM_PERM_DENIED in lines and not any(x == "open=0" for x in lines), lines
    # nor to another service
    lines = rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])
    assert rig.drive("lightdm", HANAKO, "account")[-1] == "account=%d" % PAM_PERM_DENIED
    # nor to another user on the same handle
    lines = rig.drive("login", HANAKO, "auth", "user=" + JIRO, "account", "open", answers=[PASSWORD[HANAKO]])
    assert "account=%d" % PAM_PERM_DENIED in lines and lines[-1] != "open=0", lines


def test_a_fork_in_the_middle_keeps_both_processes_honest(rig):
    # the child opens the session and ends: closed in the trail; the parent's own calls go on
    lines = rig.drive("login", HANAKO, "auth", "account", "fork", "open", "join", "close", answers=[PASSWORD[HANAKO]])
    assert "open=0" in lines and lines[-1] == "close=0", lines
    wait_for("the end of the session", lambda: rig.trail(event="session-closed"))
    assert rig.sql("SELECT count(*) FROM sessions") == [(0,)]


def test_nothing_leaks_over_hundreds_of_calls(rig):
    def round_of_calls(n):
        for i in range(n):
            with wire.Call(root_socket(rig)) as c:
                c.send(wire.begin("login", "user%d" % i))
                c.expect(wire.PROMPT)
                if i % 3:
                    c.send(wire.message(wire.CANCEL))
                    c.result()
            with wire.Call(root_socket(rig)) as c:
                c.send(list(MALFORMED.values())[i % len(MALFORMED)])
                c.ended()
            with wire.Call(root_socket(rig)) as c:
                c.send(wire.begin("login", HANAKO, stage=wire.ACCOUNT))
                c.result()
    fds = settled(rig)
    round_of_calls(150)
    log_in(rig)
    warm = anonymous_kb(rig)
    round_of_calls(300)
    log_in(rig)
    wait_for("the descriptors to go", lambda: descriptors(rig) <= fds)
    if not SANITIZED:  # its quarantine keeps what is freed
        assert anonymous_kb(rig) - warm < 512, "%d kB more" % (anonymous_kb(rig) - warm)


def test_a_lack_of_descriptors_passes(rig):
    """200 calls at once with room for 64 descriptors: the rest waits, nobody spins, nothing is left."""
    fds = settled(rig)
    resource.prlimit(rig.agent.pid, resource.RLIMIT_NOFILE, (64, 64))
    held = []
    for _ in range(200):
        c = wire.Call(root_socket(rig))
        c.send(wire.begin("login", HANAKO))
        held.append(c)
    wait_for("it to be full", lambda: descriptors(rig) >= 60)

    def cpu():
        with open("/proc/%d/stat" % rig.agent.pid) as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    before, start = cpu(), time.monotonic()
    wait_for("a second", lambda: time.monotonic() - start > 1)
    assert cpu() - before < 0.3, "%.2f s of CPU in one second" % (cpu() - before)
    for c in held:
        c.close()
    wait_for("the descriptors to go", lambda: descriptors(rig) <= fds, 30)
    log_in(rig)


def test_refused_bus_calls_are_bounded_in_the_trail(rig):
    def flood():
        for _ in range(90):
            r = subprocess.run(["busctl", "--address=" + rig.bus_address, "call", "org.keishi1", "/org/keishi1", "org.keishi1.Manager", "Add", "ss", "user",
                                '{"account":"taro2","person":"1","name":"x","unit":"x"}'], capture_output=True, text=True)
            assert r.returncode != 0, r.stdout
    assert wire.as_user(UID[TARO], flood)
    refused = rig.trail(event="change-refused")
    assert 30 <= len(refused) <= 62, len(refused)
    log_in(rig)


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
