# SPDX-License-Identifier: LGPL-2.1-or-later
"""What administrators do with sudo and pkexec is in the trail, on a real system: sudo's and pkexec's own lines, journald, cvtsudoers, PAM.

kanri is an administrator: in group sudo, and designated for it.
"""

import re

from harness import PASSWORD, check, keishi, scenario

SHARED = True

# Everything that a shell can hand over in arguments: a line break, escapes of a terminal, Japanese, text that turns around, what is no UTF-8.
ODD = r"""sudo /bin/echo 'a b' $'new\nline' $'\e[31mred\a' 日本 $'\u202egnp' "it's" '' $'\xff\xfe' >/dev/null
"""


def script(terminal, name, text):
    terminal.run(f"install -m 0755 -o kanri /dev/stdin /home/kanri/{name}", input="#!/bin/bash\n" + text)


def command(terminal, **fields):
    return keishi.wait_trail(terminal, "admin-command", timeout=40, **fields)


def sit_down(terminal):
    """kanri's shell on the first console: the one of the scenario before, or a login."""
    if re.search(r"login:\s*$", terminal.vt_text(1)):
        terminal.console_login("kanri")


@scenario(timeout=420)
def test_a_command_of_sudo_is_recorded_with_who_where_and_every_argument(terminal):
    script(terminal, "odd", ODD)
    sit_down(terminal)
    status, text = terminal.console_command("bash odd", [PASSWORD["kanri"]], timeout=120)
    check(status == 0, f"sudo ended with {status}: {text[-200:]!r}")
    ended = command(terminal, result="ended")
    entry = command(terminal, result="accepted")
    check(entry["command"] == "/bin/echo 'a b' 'new\\x0aline' '\\x1b[31mred\\x07' 日本 \\xe2\\x80\\xaegnp 'it'\"'\"'s' '' \\xff\\xfe",
          f"the command is {entry['command']!r}")
    seen = {name: entry.get(name) for name in ("account", "person", "name", "target", "service", "tty", "cwd")}
    check("via" not in entry, f"it came {entry.get('via')}")
    check(seen == {"account": "kanri", "person": "9001", "name": "管理一郎", "target": "root", "service": "sudo", "tty": "tty1", "cwd": "/home/kanri"}, f"it says {seen}")
    check(ended.get("exit") == "0" and ended.get("object") == entry.get("object") and ended.get("account") == "kanri", f"its end is {ended}")


@scenario(timeout=420)
def test_what_sudo_refuses_is_recorded_and_the_root_shell_but_not_what_is_typed_in_it(terminal):
    sit_down(terminal)
    terminal.run("echo 'kanri ALL=(ALL) !/usr/bin/whoami' | install -m 0440 /dev/stdin /etc/sudoers.d/no-whoami")
    status, _ = terminal.console_command("sudo whoami", [PASSWORD["kanri"]], timeout=120)
    check(status != 0, "sudo ran what sudoers refuses")
    refused = command(terminal, result="refused")
    check(refused["command"] == "/usr/bin/whoami" and "not allowed" in refused["detail"], f"the refusal is {refused}")
    terminal.run("rm /etc/sudoers.d/no-whoami")

    terminal.type_keys("clear; sudo -i\n")
    terminal.wait_text(r"\[sudo\].*:\s*$", last=True)
    terminal.type_keys(f"{PASSWORD['kanri']}\n")
    terminal.wait_text(r"#\s*$", last=True)
    terminal.type_keys("touch /root/unseen; sudo -u nobody true; exit\n")
    shell = command(terminal, result="accepted", command="/bin/bash")
    check(shell["service"] in ("sudo", "sudo-i") and shell["person"] == "9001", f"the shell is {shell}")
    inner = command(terminal, result="accepted", target="nobody")
    check(inner["account"] == "root" and inner.get("person") == "9001", f"sudo in a shell of root names {inner.get('account')!r} {inner.get('person')!r}")
    check(not [e for e in keishi.trail(terminal, "admin-command") if "unseen" in e.get("command", "")], "what is typed in the shell was seen")


@scenario(timeout=420)
def test_a_long_command_is_cut_with_a_count_and_one_too_long_for_the_log_is_noticed(terminal):
    sit_down(terminal)
    script(terminal, "long", "sudo true $(seq 1 4000)\n")
    script(terminal, "huge", "sudo true $(seq 1 60000)\n")
    check(terminal.console_command("bash long", [PASSWORD["kanri"]], timeout=120)[0] == 0, "sudo did not run the long command")
    entry = terminal.wait_for(lambda: [e for e in keishi.trail(terminal, "admin-command", result="accepted") if "bytes cut]" in e["command"]], "the long command", 40)[0]
    text, cut = entry["command"].rsplit(" …[", 1)
    check(int(cut.split()[0]) + len(text) == len("/usr/bin/true") + sum(len(f" {i}") for i in range(1, 4001)), f"it ends in {cut!r}")
    check(terminal.console_command("bash huge", [PASSWORD["kanri"]], timeout=120)[0] == 0, "sudo did not run the huge command")
    missing = keishi.wait_trail(terminal, "admin-command", timeout=90, result="not-logged")
    check(missing["account"] == "kanri" and missing["target"] == "root" and missing.get("session"), f"it says {missing}")


@scenario(timeout=420)
def test_pkexec_goes_on_with_a_password_given_to_an_agent_elsewhere_and_its_command_is_recorded(terminal):
    sit_down(terminal)
    # polkit asks for the person's own password, not for that of one of several administrators.
    terminal.run("""cat >/etc/polkit-1/rules.d/10-self.rules <<'END'
polkit.addRule(function(a, s) { if (a.id == "org.freedesktop.policykit.exec" && s.user == "kanri") return polkit.Result.AUTH_SELF; });
END
systemctl restart polkit""")
    # An agent that is no parent of pkexec, as a desktop's is.
    script(terminal, "agent", "bash -c 'sleep 4; pkexec id -u >pk.out 2>&1; echo status=$? >>pk.out; sleep 1' &\nexec pkttyagent --process $!\n")
    terminal.type_keys("clear; bash agent\n")
    terminal.wait_text(r"Password:\s*$", last=True, timeout=60)
    terminal.type_keys(f"{PASSWORD['kanri']}\n")
    terminal.wait_for(lambda: "status=" in terminal.ssh("cat /home/kanri/pk.out").out, "pkexec to end", 60)
    out = terminal.run("cat /home/kanri/pk.out")
    terminal.run("kill $(pidof pkttyagent)")
    check(out == "0\nstatus=0\n", f"pkexec with an agent elsewhere: {out!r}")
    entry = command(terminal, service="polkit-1", result="accepted")
    check("via" not in entry and entry["account"] == "kanri" and entry["person"] == "9001" and entry["target"] == "root" and entry["command"].endswith("id -u"), f"it says {entry}")
    keishi.wait_trail(terminal, "session-opened", service="polkit-1", account="kanri", target="root")

    # A line that a user writes under its name is marked as what it is.
    terminal.run("setpriv --reuid hanako --regid hanako --init-groups logger -t pkexec "
                 "'kanri: Executing command [USER=root] [TTY=/dev/tty1] [CWD=/tmp] [COMMAND=/usr/bin/forged]'")
    forged = command(terminal, command="/usr/bin/forged")
    check(forged["account"] == "hanako" and forged.get("via") == "unconfirmed", f"a forged line is {forged}")


@scenario(timeout=420)
def test_sudo_that_is_told_to_be_silent_is_noticed_within_a_minute_and_what_it_runs_too(terminal):
    sit_down(terminal)
    terminal.run("echo 'Defaults:kanri !log_allowed' | install -m 0440 /dev/stdin /etc/sudoers.d/zz-quiet")
    off = keishi.wait_trail(terminal, "admin-log", timeout=60, result="off")
    check(off["reason"] == "sudoers" and "!log_allowed" in off["detail"] and "kanri" in off["detail"], f"it says {off}")
    keishi.wait_trail(terminal, "config-drift", timeout=60, path="/etc/sudoers.d/zz-quiet")
    check("!log_allowed" in terminal.run("LC_ALL=C.UTF-8 keishictl status || :"), "status does not say it")
    known = len(keishi.trail(terminal, "admin-command", result="not-logged"))
    check(terminal.console_command("sudo true", [PASSWORD["kanri"]], timeout=120)[0] == 0, "sudo does not work")
    keishi.wait_trail(terminal, "admin-command", timeout=90, result="not-logged", count=known + 1)
    terminal.run("rm /etc/sudoers.d/zz-quiet")
    keishi.wait_trail(terminal, "admin-log", timeout=60, result="on")


@scenario(timeout=420)
def test_what_sudo_writes_while_the_agent_is_away_is_recorded_once_after_its_start(terminal):
    before = len(keishi.trail(terminal, "admin-command"))
    terminal.run("systemctl stop keishid")
    # Without the agent PAM lets nobody through, root neither: sudo says so.
    check(terminal.ssh("sudo -u nobody true meanwhile").rc != 0, "sudo worked without the agent")
    terminal.run("systemctl start keishid")
    keishi.agent_ready(terminal)
    entry = terminal.wait_for(lambda: [e for e in keishi.trail(terminal, "admin-command") if "meanwhile" in e.get("command", "")], "the refusal", 40)
    check(len(entry) == 1 and entry[0]["result"] in ("refused", "alert"), f"it says {entry}")
    terminal.run("systemctl kill -s KILL keishid")
    keishi.agent_ready(terminal)
    terminal.run("sudo -u nobody true marker")
    terminal.wait_for(lambda: [e for e in keishi.trail(terminal, "admin-command") if "marker" in e.get("command", "")], "the next command", 40)
    after = keishi.trail(terminal, "admin-command")
    # An agent that was killed hands journald again what it may not have kept, under the same number.
    check(len({e["seq"] for e in after if "meanwhile" in e.get("command", "")}) == 1, "it was recorded twice")
    check(len(after) > before, "nothing was recorded")


@scenario(timeout=420)
def test_a_file_of_sudoers_that_sudo_cannot_read_is_put_aside_by_the_package(terminal):
    told = {result: len(keishi.trail(terminal, "admin-log", result=result)) for result in ("off", "on")}
    terminal.run("cp -a /etc/sudoers.d/keishi /root/sudoers.keishi && echo 'Defaults = (' >>/etc/sudoers.d/keishi")
    result = terminal.ssh("/var/lib/dpkg/info/keishi-agent.postinst configure 2>&1")
    check(result.rc == 0 and "put aside" in result.out, f"the package says {result.out[-300:]!r}")
    check(terminal.ssh("visudo -c -q").rc == 0, "sudoers is still broken")
    off = keishi.wait_trail(terminal, "admin-log", timeout=60, result="off", count=told["off"] + 1)
    check("log_format" in off["detail"], f"it says {off}")
    terminal.run("mv /root/sudoers.keishi /etc/sudoers.d/keishi")
    result = terminal.ssh("/var/lib/dpkg/info/keishi-agent.postinst configure 2>&1")
    check(result.rc == 0 and "put aside" not in result.out and terminal.ssh("test -e /etc/sudoers.d/keishi").rc == 0, f"a right file was put aside: {result.out[-300:]!r}")
    keishi.wait_trail(terminal, "admin-log", timeout=60, result="on", count=told["on"] + 1)
