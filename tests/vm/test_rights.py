# SPDX-License-Identifier: LGPL-2.1-or-later
"""Rights that end act on what is open (R2, R4), on a real system: logind sessions, user managers, lingering, jobs that ignore to be terminated.

bucho is system owner; hanako is designated to this terminal, jiro is her colleague.
"""

from harness import check, keishi, scenario

# Ignores every signal that can be ignored, and makes children as fast as they die.
STUBBORN = "trap '' TERM HUP INT QUIT; while :; do (trap '' TERM HUP; exec sleep 1000) & sleep 0.1; done"


def processes(terminal, user):
    return terminal.ssh(f"ps -o pid=,comm= -u {user} | grep -v ' (sd-pam)$'").out.strip()


@scenario(timeout=420)
def test_a_restriction_ends_all_that_a_user_has_open_and_nothing_of_others(terminal):
    terminal.console_login("jiro", vt=2)
    terminal.console_login("hanako")
    terminal.run("loginctl enable-linger hanako")
    terminal.run("install -m 0755 /dev/stdin /usr/local/bin/stubborn", input=f"#!/bin/sh\n{STUBBORN}\n")
    terminal.type_keys("setsid stubborn >/dev/null 2>&1 </dev/null & exec stubborn\n")
    terminal.run("systemd-run --quiet --collect --uid=hanako --unit=witness-job stubborn")
    terminal.wait_for(lambda: terminal.ssh("pgrep -c -u hanako stubborn").out.strip() not in ("", "0", "1", "2"), "three stubborn jobs", 60)

    keishi.ctl_must(terminal, "bucho", "restriction", "add", "--account", "hanako", "--reason", "investigation")
    terminal.wait_for(lambda: not processes(terminal, "hanako"), "every process of hanako to be gone", 30)
    ended = keishi.wait_trail(terminal, "session-ended", account="hanako")
    check(ended.get("reason") == "restricted", f"the reason is {ended.get('reason')!r}")
    closed = keishi.wait_trail(terminal, "session-closed", account="hanako", service="login")
    check(closed.get("session"), "the end of the session names no session")
    check(terminal.ssh("ls /var/lib/systemd/linger/hanako").rc != 0, "hanako still lingers")
    check("hanako" not in terminal.run("loginctl list-sessions --no-legend"), "logind still has a session of hanako")

    terminal.switch_vt(1)
    lines = keishi.console_refused(terminal, "hanako")
    check(any("restricted" in line and "Ask" in line for line in lines), f"at the next login hanako is told {lines}")
    check("bash" in processes(terminal, "jiro"), "jiro's shell is gone too")
    check(not keishi.trail(terminal, "session-ended", account="jiro"), "jiro was ended too")


@scenario(timeout=420)
def test_who_is_retired_while_at_work_is_logged_out(terminal):
    terminal.console_login("hanako")
    keishi.ctl_must(terminal, "kanri", "user", "change", "hanako", "--retired", "yes")
    terminal.wait_for(lambda: not processes(terminal, "hanako"), "every process of hanako to be gone", 30)
    check(keishi.wait_trail(terminal, "session-ended", account="hanako").get("reason") == "retired", "the reason is not retirement")
