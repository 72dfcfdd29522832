# SPDX-License-Identifier: LGPL-2.1-or-later
"""A terminal on trial (Mode=observe): what would be refused is let in, told and recorded, until the last day of the trial is over."""

import re

from harness import check, keishi, scenario


def configure(terminal, text):
    terminal.run("cat >/etc/keishi/keishid.conf && systemctl restart keishid.service", input=text)
    keishi.agent_ready(terminal)


@scenario(timeout=420)
def test_a_trial_lets_in_what_the_rules_refuse_until_its_last_day_is_over_but_never_the_restricted(terminal):
    until = terminal.run("date -d +1day +%F").strip()
    configure(terminal, f"[Policy]\nMode=observe\nObserveUntil={until}\n")
    check(until in terminal.run("keishictl status"), "status does not say that the terminal is on trial")

    terminal.switch_vt(1)
    terminal.wait_text(r"login:\s*$", last=True)
    terminal.console_login("taro")
    shown = " ".join(terminal.vt_text(1).split())
    check(f"on trial until {until}" in shown and "not designated" in shown, f"taro is told {shown[-400:]!r}")
    entry = keishi.wait_trail(terminal, "login-granted", account="taro")
    check((entry.get("result"), entry.get("reason")) == ("would-refuse", "default"), f"the trail says {entry.get('result')!r}, {entry.get('reason')!r}")
    terminal.console_logout()

    keishi.ctl_must(terminal, "bucho", "restriction", "add", "--account", "jiro", "--reason", "investigation")
    lines = keishi.console_refused(terminal, "jiro")
    check(any("restricted" in line for line in lines), f"a restricted user is told {lines}")

    # The clock goes on two days while the terminal is off: the trial is over, and nobody has to say so.
    terminal.run("timedatectl set-ntp false 2>/dev/null; systemctl stop keishid.service; date -s +2days; systemctl start keishid.service")
    keishi.agent_ready(terminal)
    lines = keishi.console_refused(terminal, "taro")
    check(any("not designated" in line for line in lines), f"after the trial taro is told {lines}")
    check(not any(re.search("trial", line) for line in lines), "the prompt still speaks of a trial")
    check(keishi.wait_trail(terminal, "login-refused", account="taro").get("reason") == "default", "the reason is another")
