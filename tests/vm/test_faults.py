# SPDX-License-Identifier: LGPL-2.1-or-later
"""What breaks around a login must not open it, lose a record, or last longer than its cause."""

import json
import re

from harness import PASSWORD, Failure, check, keishi, scenario


def begin_login(terminal, user="hanako", vt=1):
    """Types the name on `vt` and waits for the password prompt."""
    terminal.switch_vt(vt)
    terminal.wait_text(r"login:\s*$", vt, 60, last=True)
    terminal.type_keys(f"{user}\n")
    terminal.wait_text(r"assword:\s*$", vt, 60, last=True)


def refused_or_in(terminal, user="hanako", vt=1, timeout=90):
    """Waits until `vt` shows a shell or a login prompt again; whether it is a shell."""
    def ended():
        text = terminal.vt_text(vt)
        if re.search(rf"^{user}@\S+[$#]\s*$", text, re.MULTILINE):
            return "in"
        return re.search(r"login:\s*$", text) and "refused"

    return terminal.wait_for(ended, "the end of the login", timeout) == "in"


def kill_agent(terminal):
    terminal.run(f"kill -9 {keishi.agent_pid(terminal)}")


# --- the journal ---------------------------------------------------------------------------------

@scenario(timeout=420)
def test_logins_go_on_while_the_trails_journal_is_stopped_and_nothing_is_lost(terminal):
    terminal.run("systemctl mask --runtime --now systemd-journald@keishi.socket systemd-journald-varlink@keishi.socket systemd-journald@keishi.service")
    before = keishi.outbox(terminal)
    terminal.console_login("hanako")
    terminal.console_logout()
    check(keishi.outbox(terminal) >= before + 2, "the outbox did not take the login's entries")
    terminal.run("systemctl unmask --runtime systemd-journald@keishi.socket systemd-journald-varlink@keishi.socket systemd-journald@keishi.service; "
                 "systemctl start systemd-journald@keishi.socket")
    keishi.wait_trail(terminal, "login-granted", account="hanako", timeout=60)
    keishi.wait_trail(terminal, "session-closed", account="hanako", timeout=60)


# --- the agent dies ---------------------------------------------------------------------------------

@scenario(timeout=420)
def test_the_agent_killed_at_any_step_of_a_login_grants_nothing_unrecorded_and_comes_back(terminal):
    def before_the_name():
        kill_agent(terminal)
        begin_login(terminal)
        terminal.type_keys(f"{PASSWORD['hanako']}\n")

    def at_the_password_prompt():
        begin_login(terminal)
        kill_agent(terminal)
        terminal.type_keys(f"{PASSWORD['hanako']}\n")

    def while_it_verifies():
        begin_login(terminal)
        terminal.type_keys(f"{PASSWORD['hanako']}\n")
        kill_agent(terminal)

    def with_an_open_session():
        terminal.console_login("hanako")
        kill_agent(terminal)

    steps = (before_the_name, at_the_password_prompt, while_it_verifies, with_an_open_session)
    granted = 0
    for step in steps:
        step()
        if refused_or_in(terminal):
            granted += 1
            keishi.agent_ready(terminal)
            keishi.wait_trail(terminal, "login-granted", count=granted, account="hanako", service="login", stage="auth")
            terminal.console_logout()
        keishi.agent_ready(terminal)
    keishi.wait_trail(terminal, "agent-crashed", count=len(steps))
    terminal.console_login("hanako")


# --- the disk ------------------------------------------------------------------------------------

@scenario(timeout=420)
def test_a_full_disk_refuses_logins_says_so_and_loses_nothing(terminal):
    terminal.run("fallocate -l $(df --output=avail -B1 / | tail -n 1) /root/filler 2>/dev/null; "
                 "dd if=/dev/zero of=/root/filler2 bs=4k 2>/dev/null; sync; test $(df --output=avail / | tail -n 1) = 0")
    granted = 0
    for _ in range(3):
        begin_login(terminal)
        terminal.type_keys(f"{PASSWORD['hanako']}\n")
        if refused_or_in(terminal):
            granted += 1
            terminal.console_logout()
    terminal.run("rm /root/filler /root/filler2; sync")
    terminal.wait_for(lambda: _login_works(terminal), "logins to work again once there is space", 120, every=2)
    entries = keishi.wait_trail(terminal, "login-granted", count=granted + 1, account="hanako", service="login", stage="auth", timeout=60)
    check(entries, "a login that was granted on a full disk is not in the trail")


def _login_works(terminal):
    begin_login(terminal)
    terminal.type_keys(f"{PASSWORD['hanako']}\n")
    return refused_or_in(terminal)


def test_a_read_only_registry_refuses_and_break_glass_remains(terminal):
    terminal.run("chattr +i /var/lib/keishi/registry.db")
    terminal.run("systemctl restart --no-block keishid.service")
    keishi.console_refused(terminal, "hanako", timeout=90) if _asks_password(terminal, "hanako") else None
    check(not keishi.trail(terminal, "login-granted", account="hanako"), "hanako got in without a record")
    terminal.console_login("breakglass", vt=2, timeout=90)


def _asks_password(terminal, user):
    """Types `user` on tty1; whether a password is asked for (else the refusal came at once). Leaves a login prompt."""
    terminal.switch_vt(1)
    terminal.wait_text(r"login:\s*$", last=True)
    terminal.type_keys(f"{user}\n")
    terminal.wait_for(lambda: re.search(r"assword:\s*$", terminal.vt_text(1)) or
                      (terminal.vt_text(1).count("login:") > 1 and re.search(r"login:\s*$", terminal.vt_text(1))), "an answer", 60)
    if re.search(r"assword:\s*$", terminal.vt_text(1)):
        terminal.press("ctrl", "d")
        terminal.wait_text(r"login:\s*$", timeout=60, last=True)
        return True
    return False


@scenario(timeout=420)
def test_a_truncated_registry_refuses_everybody_and_says_so(terminal):
    terminal.run("systemctl stop keishid.service; rm -f /var/lib/keishi/registry.db-wal /var/lib/keishi/registry.db-shm; "
                 "truncate -s 8000 /var/lib/keishi/registry.db; systemctl start --no-block keishid.service")
    refuse_all(terminal, r"registry")


@scenario(timeout=420)
def test_a_registry_of_a_newer_version_refuses_everybody_and_says_so(terminal):
    terminal.run("systemctl stop keishid.service; sqlite3 /var/lib/keishi/registry.db 'pragma user_version = 9999'; "
                 "systemctl start --no-block keishid.service")
    refuse_all(terminal, r"registry|newer")


@scenario(timeout=420)
def test_an_unknown_key_in_the_configuration_refuses_to_start_and_names_file_and_line(terminal):
    terminal.run("printf '[Agent]\\nNoSuchKey=1\\n' >/etc/keishi/keishid.conf; systemctl restart --no-block keishid.service")
    refuse_all(terminal, r"keishid\.conf:2")


@scenario(timeout=420)
def test_a_configuration_that_others_can_write_is_refused(terminal):
    terminal.run("chmod 0666 /etc/keishi/keishid.conf; systemctl restart --no-block keishid.service")
    refuse_all(terminal, r"keishid\.conf")


def refuse_all(terminal, journal):
    """Nobody but the break-glass account gets in, and the journal says why."""
    terminal.switch_vt(1)
    terminal.wait_text(r"login:\s*$", last=True)
    terminal.type_keys("hanako\n")
    terminal.wait_for(lambda: re.search(r"assword:\s*$|keishid", terminal.vt_text(1)), "an answer", 60)
    if re.search(r"assword:\s*$", terminal.vt_text(1)):
        terminal.type_keys(f"{PASSWORD['hanako']}\n")
    check(not refused_or_in(terminal), "hanako got in")
    said = terminal.run("journalctl -b -u keishid.service --no-pager -o cat")
    check(re.search(journal, said), f"keishid's journal does not say why: {said[-200:]}")
    terminal.console_login("breakglass", vt=2, timeout=90)


# --- name service ----------------------------------------------------------------------------------

@scenario(timeout=600)
def test_accounts_of_extrausers_and_sssd_log_in_and_a_stopped_sssd_stops_nobody_else(terminal):
    """sssd's proxy provider stands for a directory: it serves the accounts that libnss-extrausers has in its files,
    and a script stands for the directory's answer about a password. They cannot show LDAP or Kerberos."""
    for user, uid in (("fumiko", 3001), ("goro", 3002)):
        terminal.run(f"install -d /var/lib/extrausers; cd /var/lib/extrausers; "
                     f"echo '{user}:x:{uid}:{uid}:{user}:/tmp:/bin/bash' >>passwd; echo '{user}:x:{uid}:' >>group; "
                     f"echo \"{user}:$(openssl passwd -6 Yama-yama-9):20000:0:99999:7:::\" >>shadow; chmod 0640 shadow")
        terminal.put(json.dumps({"person": str(uid), "name": user, "unit": "会計課"}).encode(), f"/tmp/{user}.json")
        terminal.put(json.dumps({"scope": "kaikei", "subject": f"user:{user}", "terminals": "name:desk1"}).encode(),
                     f"/tmp/{user}-designated.json")
    terminal.run("sed -i -E 's/^(passwd|group|shadow):.*/\\1: files extrausers/' /etc/nsswitch.conf")
    for user in ("fumiko", "goro"):
        keishi.ctl_must(terminal, "kanri", "user", "add", user, "--fields", f"/tmp/{user}.json", vt=4)
        keishi.ctl_must(terminal, "bucho", "designation", "add", "--fields", f"/tmp/{user}-designated.json", vt=5)
    terminal.console_login("fumiko", "Yama-yama-9")
    terminal.console_logout()

    terminal.run("install -m 0600 /dev/stdin /etc/sssd/sssd.conf && systemctl restart sssd", input=(
        "[sssd]\nservices = nss, pam\ndomains = site\n[domain/site]\nid_provider = proxy\nproxy_lib_name = extrausers\n"
        "auth_provider = proxy\nproxy_pam_target = directory\naccess_provider = permit\n"))
    terminal.put(b"auth required pam_exec.so expose_authtok quiet /usr/local/sbin/directory\naccount required pam_permit.so\n",
                 "/etc/pam.d/directory")
    terminal.run("install -m 0755 /dev/stdin /usr/local/sbin/directory",
                 input="#!/bin/sh\n[ \"$(tr -d '\\0')\" = Yama-yama-9 ]\n")
    terminal.put(b"auth sufficient pam_unix.so\nauth required pam_sss.so use_first_pass\naccount required pam_permit.so\n",
                 "/etc/pam.d/keishi-password")
    # sssd itself goes on to extrausers; everybody else is answered by sssd first.
    terminal.run("sed -i -E 's/^passwd:.*/passwd: files sss extrausers/' /etc/nsswitch.conf; systemctl restart keishid.service")
    keishi.agent_ready(terminal)
    terminal.wait_for(lambda: terminal.ssh("getent passwd goro").rc == 0, "sssd to know goro", 60)
    terminal.console_login("goro", "Yama-yama-9")
    terminal.console_logout()
    terminal.run("systemctl stop sssd")
    terminal.console_login("hanako")


# --- the clock ---------------------------------------------------------------------------------------

@scenario(timeout=600)
def test_a_clock_in_2099_closes_what_is_bound_to_hours_until_a_manager_confirms_the_right_time(terminal):
    terminal.console_login("jiro")
    terminal.console_logout()
    now = terminal.run("date +%s").strip()
    terminal.run("date -s '2099-01-01 09:00'")
    keishi.console_refused(terminal, "jiro")
    refused = keishi.wait_trail(terminal, "login-refused", account="jiro")
    check(refused.get("reason") == "clock", f"the reason is {refused.get('reason')!r}")
    keishi.wait_trail(terminal, "clock-distrusted")
    terminal.console_login("hanako", vt=2)
    terminal.run(f"date -s @{now}")
    keishi.console_refused(terminal, "jiro")
    keishi.ctl_must(terminal, "kanri", "terminal", "confirm-clock", "--reason", "compared with the radio clock", timeout=120)
    keishi.wait_trail(terminal, "clock-confirmed", account="kanri")
    terminal.console_login("jiro")


def test_a_clock_set_back_is_noticed_and_recorded_even_if_the_agent_did_not_run_then(terminal):
    terminal.run("systemctl stop keishid.service; date -s '2020-01-01 09:00'; systemctl start keishid.service")
    keishi.agent_ready(terminal)
    entry = keishi.wait_trail(terminal, "clock-distrusted")
    check(entry.get("reason") == "back", f"the reason is {entry.get('reason')!r}")
    keishi.console_refused(terminal, "jiro")


# --- a local user who means harm -----------------------------------------------------------------------

ATTACK = r"""
import os, random, socket, struct, sys, time

PATH = "/run/keishi/pam.sock"
random.seed(1)


def connect():
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(2)
    s.connect(PATH)
    return s


kinds = {"refused": 0, "closed": 0}
for turn in range(300):
    try:
        s = connect()
        for _ in range(random.randrange(1, 4)):
            head = struct.pack("=HHHH", random.choice((0x4b50, 0, 65535)), random.choice((1, 2)), random.randrange(32), random.randrange(65536))
            s.send(random.choice((os.urandom(random.randrange(1, 9000)), head, head + os.urandom(random.randrange(400)))))
        s.recv(10000)
        s.close()
        kinds["closed"] += 1
    except OSError:
        kinds["refused"] += 1
held = []
for _ in range(1000):
    try:
        held.append(connect())
    except OSError:
        kinds["refused"] += 1
print(kinds, len(held), flush=True)
# A slow reader of an honest beginning, and half a message.
item = lambda number, value: struct.pack("=HH", number, len(value)) + value
body = item(1, struct.pack("=I", 1)) + item(2, struct.pack("=I", 0)) + item(3, b"login") + item(4, b"hanako")
for s in held:
    try:
        s.send(struct.pack("=HHHH", 0x4b50, 1, 1, len(body)) + body)
    except OSError:
        pass
time.sleep(600)
"""


@scenario(timeout=420)
def test_garbage_and_a_thousand_connections_of_a_local_user_do_not_keep_staff_out_or_kill_the_agent(terminal):
    before = keishi.agent_pid(terminal)
    terminal.put(ATTACK.encode(), "/tmp/attack.py")
    terminal.run("systemd-run --quiet --unit=attack --uid=saburo --property=LimitNOFILE=4096 python3 -u /tmp/attack.py")
    terminal.wait_for(lambda: "closed" in terminal.ssh("journalctl -u attack -o cat --no-pager").out, "the attack to hold its connections", 180, every=1)
    terminal.console_login("hanako", timeout=120)
    check(keishi.agent_pid(terminal) == before, "the agent was restarted")
    keishi.wait_trail(terminal, "protocol-abuse", timeout=60)
    check(not keishi.trail(terminal, "login-granted", uid=terminal.run("id -u saburo").strip()), "saburo was granted something")
    terminal.run("systemctl stop attack")
    terminal.console_logout()
    terminal.console_login("hanako")


def test_a_local_user_cannot_ask_about_another_over_the_socket(terminal):
    terminal.put(b"""
import socket, struct
item = lambda number, value: struct.pack("=HH", number, len(value)) + value
def ask(stage, user):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(60)
    s.connect("/run/keishi/pam.sock")
    body = item(1, struct.pack("=I", stage)) + item(2, struct.pack("=I", 0)) + item(3, b"login") + item(4, user)
    s.send(struct.pack("=HHHH", 0x4b50, 1, 1, len(body)) + body)
    while True:
        data = s.recv(9000)
        if not data:
            return "closed"
        kind = struct.unpack("=HHHH", data[:8])[2]
        if kind == 16:
            return "prompt"
        if kind == 20:
            return "result %d" % struct.unpack("=I", data[12:16])
for stage in (1, 2, 3):
    print(stage, ask(stage, b"hanako"))
""", "/tmp/ask.py")
    out = terminal.run("setpriv --reuid saburo --regid saburo --init-groups python3 /tmp/ask.py", timeout=240)
    check("result 1\n" not in out and "prompt" not in out, f"a local user may ask about another: {out.strip()!r}")


def test_the_trails_socket_and_journal_are_closed_to_others(terminal):
    mode = terminal.run("stat -c '%a %U' /run/systemd/journal.keishi/socket").split()
    check(mode == ["600", "root"], f"the trail's journal socket is {mode}")
    result = terminal.ssh("setpriv --reuid saburo --regid saburo --groups adm journalctl --namespace=keishi --no-pager -q -o cat")
    check("login" not in result.out and "agent" not in result.out, "group adm reads the trail")
    if terminal.ssh("test -e /var/lib/keishi/registry.db").rc != 0:
        raise Failure("there is no registry")
    result = terminal.ssh("setpriv --reuid saburo --regid saburo --clear-groups cat /var/lib/keishi/registry.db")
    check(result.rc != 0, "everybody reads the registry")
