# SPDX-License-Identifier: LGPL-2.1-or-later
"""No agent: everybody is refused and told why, but for the break-glass account at the screen; and that is remembered."""

import re

from harness import PASSWORD, check, keishi, scenario


def stop_agent(terminal):
    terminal.run("systemctl mask --runtime --now keishid.service")


def start_agent(terminal):
    terminal.run("systemctl unmask --runtime keishid.service; systemctl start keishid.service")
    keishi.agent_ready(terminal)


@scenario(timeout=420)
def test_without_the_agent_only_the_break_glass_account_gets_in_at_the_console_and_the_trail_learns_of_it(terminal):
    stop_agent(terminal)
    terminal.switch_vt(1)
    terminal.wait_text(r"login:\s*$", last=True)
    terminal.type_keys("hanako\n")
    terminal.wait_for(lambda: re.search(r"keishid|system manager", terminal.vt_text(1)) or
                      re.search(r"assword:\s*$", terminal.vt_text(1)), "an answer at the console", 30)
    if re.search(r"assword:\s*$", terminal.vt_text(1)):
        terminal.type_keys(f"{PASSWORD['hanako']}\n")
    terminal.wait_text(r"keishid", timeout=60)
    terminal.wait_text(r"login:\s*$", timeout=60, last=True)

    terminal.console_login("breakglass", vt=2)
    check("breakglass" in terminal.run("journalctl -b --no-pager -t login | cat"), "the journal does not name the use")
    start_agent(terminal)
    entry = keishi.wait_trail(terminal, "break-glass", account="breakglass")
    check(entry.get("tty") == "tty2", f"the trail's tty is {entry.get('tty')!r}")
    check(entry.get("service") == "login", f"the trail's service is {entry.get('service')!r}")
    terminal.console_login("hanako", vt=1)


def test_break_glass_takes_the_right_password_only(terminal):
    stop_agent(terminal)
    keishi.console_refused(terminal, "breakglass", "not-it", timeout=90)


def test_break_glass_is_not_a_way_in_from_afar_or_by_su(terminal):
    stop_agent(terminal)
    result = terminal.ssh_login("breakglass", password=PASSWORD["breakglass"], timeout=120)
    check(result.rc != 0, "break-glass works over ssh")
    result = terminal.ssh("runuser -u jiro -- sh -c 'echo guess | timeout 30 su breakglass -c id'", timeout=60)
    check(result.rc != 0, "break-glass works by su")


def test_while_the_agent_runs_the_break_glass_account_is_an_account_like_others(terminal):
    keishi.console_refused(terminal, "breakglass")
    check(not keishi.trail(terminal, "break-glass"), "a break-glass use was recorded though the agent ran")


def test_a_full_spool_refuses_break_glass(terminal):
    stop_agent(terminal)
    # Every slot taken: the magic of spool.h at the beginning of each.
    terminal.run("python3 -c \"\nimport struct\n"
                 "f = open('/var/lib/keishi/break-glass.spool', 'r+b')\n"
                 "for at in range(1024):\n    f.seek(at * 1024); f.write(struct.pack('=II', 0x3176504b, 0))\n\"")
    keishi.console_refused(terminal, "breakglass", timeout=90)
