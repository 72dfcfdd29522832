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
    terminal.run("cd /tmp && setpriv --reuid hanako --regid hanako --init-groups at now", input="trap '' TERM; sleep 4242\n")
    terminal.wait_for(lambda: terminal.ssh("pgrep -c -u hanako stubborn").out.strip() not in ("", "0", "1", "2") and
                      terminal.ssh("pgrep -u hanako -f 'sleep 4242'").rc == 0, "three stubborn jobs, and that of at", 60)

    keishi.ctl_must(terminal, "bucho", "restriction", "add", "--account", "hanako", "--reason", "investigation")
    terminal.wait_for(lambda: not processes(terminal, "hanako"), "every process of hanako to be gone", 30)
    ended = keishi.wait_trail(terminal, "session-ended", account="hanako")
    check(ended.get("reason") == "restricted", f"the reason is {ended.get('reason')!r}")
    closed = keishi.wait_trail(terminal, "session-closed", account="hanako", service="login")
    check(closed.get("session"), "the end of the session names no session")
    check(terminal.ssh("ls /var/lib/systemd/linger/hanako").rc != 0, "hanako still lingers")
    check("hanako" not in terminal.run("loginctl list-sessions --no-legend"), "logind still has a session of hanako")

    terminal.switch_vt(1)
    terminal.wait_text(r"Your session is ended\. Your use is restricted\. Ask the system owner\.")
    terminal.run("cd /tmp && echo touch /tmp/too-late | setpriv --reuid hanako --regid hanako --init-groups at now")
    lines = keishi.console_refused(terminal, "hanako")
    check(any("last session at this terminal was ended" in line for line in lines), f"the prompt does not say why: {lines}")
    check(any("restricted" in line and "Ask" in line for line in lines), f"at the next login hanako is told {lines}")
    check(keishi.wait_trail(terminal, "login-refused", account="hanako", service="atd"), "a job of at was let in")
    check(terminal.ssh("test -e /tmp/too-late").rc != 0, "a job of at ran after the restriction")
    check("bash" in processes(terminal, "jiro"), "jiro's shell is gone too")
    check(not keishi.trail(terminal, "session-ended", account="jiro"), "jiro was ended too")


@scenario(timeout=420)
def test_who_is_retired_while_at_work_is_logged_out(terminal):
    terminal.console_login("hanako")
    keishi.ctl_must(terminal, "kanri", "user", "retire", "hanako", "--reason", "end of contract")
    terminal.wait_for(lambda: not processes(terminal, "hanako"), "every process of hanako to be gone", 30)
    check(keishi.wait_trail(terminal, "session-ended", account="hanako").get("reason") == "retired", "the reason is not retirement")


@scenario(timeout=420)
def test_a_netgroup_designates_and_its_members_change_with_it(terminal):
    """One that goes round in a circle, as well."""
    terminal.run("sed -i -E '/^netgroup:/d' /etc/nsswitch.conf; echo 'netgroup: files' >>/etc/nsswitch.conf; printf 'madoguchi again (,taro,)\\nagain madoguchi\\n' >/etc/netgroup")
    keishi.ctl_must(terminal, "bucho", "designation", "add", "--scope", "kaikei", "--subject", "netgroup:madoguchi", "--terminals", "name:desk1")
    terminal.console_login("taro")
    check(keishi.wait_trail(terminal, "login-granted", account="taro").get("rule", "").startswith("designation:"), "the rule is no designation")
    terminal.console_logout()
    terminal.run("echo 'madoguchi (,somebody,)' >/etc/netgroup; systemctl restart keishid.service")
    keishi.agent_ready(terminal)
    keishi.console_refused(terminal, "taro")


@scenario(timeout=420)
def test_a_process_that_the_kernel_does_not_let_die_is_told_of_and_holds_nobody_else_up(terminal):
    """A frozen file system stands for a disk that does not answer: who writes to it is in state D until it is thawed."""
    terminal.run("truncate -s 16M /root/disk && mkfs.ext4 -q /root/disk && mount -o loop /root/disk /mnt && chmod 1777 /mnt && fsfreeze -f /mnt")
    terminal.console_login("hanako")
    terminal.type_keys("setsid touch /mnt/stuck &\n")
    terminal.wait_for(lambda: terminal.ssh("ps -o stat= -C touch").out.startswith("D"), "a process in state D", 60)
    keishi.ctl_must(terminal, "bucho", "restriction", "add", "--account", "hanako", "--reason", "investigation")
    terminal.wait_for(lambda: {line.split()[1] for line in processes(terminal, "hanako").splitlines()} == {"touch"}, "all but the one to be gone", 30)
    terminal.console_login("jiro", vt=2)
    left = keishi.wait_trail(terminal, "session-ended", timeout=60, uid=terminal.run("id -u hanako").strip(), result="failed")
    check("left" in left.get("detail", ""), f"the trail does not say that something is left: {left.get('detail')!r}")
    terminal.run("fsfreeze -u /mnt")
    terminal.wait_for(lambda: not processes(terminal, "hanako"), "the last process of hanako to be gone", 30)
