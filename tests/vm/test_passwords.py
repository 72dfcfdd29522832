# SPDX-License-Identifier: LGPL-2.1-or-later
"""Passwords (R7): those that are due, those that are refused, and whoever changes them, on a real system.

Who has logged in is known by a fingerprint of the password. How old a password is says shadow(5): chage stands for the time that passes.
"""

import re

from harness import PASSWORD, check, desk, keishi, scenario
from harness.places import BUILD
from harness.terminal import PASSWORD_PROMPT

SNAPSHOT = "passwords"
PICTURES = BUILD / "pictures"
GOOD = "Minato-no-akari-52"

OF_BIRTH = "Showa50.4.1#a"  # jiro's, of 1975-04-01

TOO_EASY = "This password is too easy. Choose another one."


def age(terminal, user, days):
    """The password of `user` becomes that old, for keishi too: it has not been used yet."""
    terminal.run(f"chage --lastday \"$(date --date '{days} days ago' +%F)\" {user}")


def answered(terminal, vt, prompt, answer, timeout=60):
    """Waits for a prompt on the last line, types; returns what was on the screen."""
    terminal.wait_text(prompt + r"\s*$", vt, timeout, last=True)
    text = terminal.vt_text(vt)
    terminal.type_keys(f"{answer}\n")
    # What follows the prompt is not to be taken for the prompt itself.
    terminal.wait_for(lambda: terminal.vt_text(vt) != text, "an answer to be taken", timeout)
    return text


def begin_login(terminal, user, password=None, vt=1):
    """Types name and password at the console; what comes then is the caller's."""
    terminal.switch_vt(vt)
    answered(terminal, vt, r"login:", user)
    answered(terminal, vt, r"Password:", PASSWORD[user] if password is None else password)


def reasons(terminal, **fields):
    return [entry.get("reason") for entry in keishi.trail(terminal, "password-refused", **fields)]


@scenario(timeout=420)
def test_an_overdue_password_is_changed_at_the_console_before_the_session_begins(terminal):
    terminal.console_login("hanako", vt=2)  # her password is known from now on
    age(terminal, "jiro", 100)
    begin_login(terminal, "jiro")
    text = answered(terminal, 1, "Current password:", PASSWORD["jiro"])
    check("older than allowed" in text, f"jiro is not told why: {text[-300:]!r}")
    check(not terminal.ssh("loginctl list-sessions --no-legend | grep jiro").out, "jiro has a session already")
    answered(terminal, 1, "New password:", OF_BIRTH)
    answered(terminal, 1, "Retype new password:", OF_BIRTH)
    terminal.wait_text(re.escape(TOO_EASY))
    answered(terminal, 1, "New password:", PASSWORD["hanako"])
    answered(terminal, 1, "Retype new password:", PASSWORD["hanako"])
    terminal.wait_for(lambda: terminal.vt_text(1).count(TOO_EASY) == 2, "the same refusal of hanako's password", 60)
    terminal.screendump(PICTURES / "passwords-console-refused.png")
    answered(terminal, 1, "New password:", GOOD)
    answered(terminal, 1, "Retype new password:", GOOD)
    terminal.wait_text(r"^jiro@\S+:\S*[$#]\s*$")
    terminal.screendump(PICTURES / "passwords-console-changed.png")

    due = keishi.wait_trail(terminal, "password-due", account="jiro")
    check(due.get("reason") == "max-age", f"it is due because of {due.get('reason')!r}")
    check(reasons(terminal, account="jiro") == ["personal", "anothers"], f"the refusals were {reasons(terminal)}")
    changed = keishi.wait_trail(terminal, "password-changed", account="jiro")
    opened = keishi.wait_trail(terminal, "session-opened", account="jiro", service="login")
    check(int(due["seq"]) < int(opened["seq"]), "the session was opened before the password was due")
    check(changed.get("service") == "login", f"the change is in the trail by {changed.get('service')!r}")
    written = "".join(str(entry) for entry in keishi.trail(terminal))
    check(not any(secret in written for secret in (GOOD, PASSWORD["hanako"], "50.4.1", "1975-04-01")), "the trail tells a secret")
    counted = terminal.run(f"sqlite3 -readonly {keishi.REGISTRY} \"select origin, count from attempts where account = 'jiro'\"").splitlines()
    check(len(counted) == 1 and counted[0].endswith("|1"), f"the attempts counted for jiro are {counted}")

    terminal.console_logout()
    keishi.console_refused(terminal, "jiro")
    terminal.console_login("jiro", GOOD)


@scenario(timeout=420)
def test_days_before_a_password_is_due_are_said_at_console_and_greeter(terminal):
    age(terminal, "jiro", 80)
    terminal.console_login("jiro")
    check(re.search(r"has to be changed: 10\.", terminal.vt_text(1)), f"the console shows {terminal.vt_text(1)[-300:]!r}")
    terminal.console_logout()
    desk.start_greeter(terminal)
    desk.greeter_login(terminal, "jiro")
    terminal.screendump(PICTURES / "passwords-greeter-warns.png")
    desk.wait_for_desktop(terminal, "jiro")
    check(not keishi.trail(terminal, "password-due"), "a password that is not due yet is in the trail as due")


@scenario(timeout=420)
def test_a_password_that_becomes_due_while_at_work_stops_neither_sudo_nor_lockers_nor_jobs(terminal):
    age(terminal, "kanri", 20)
    terminal.console_login("kanri")
    terminal.run("install -m 0600 /dev/stdin /var/spool/cron/crontabs/kanri && chown kanri:crontab /var/spool/cron/crontabs/kanri && "
                 "systemctl restart cron", input="* * * * * id -un >>/tmp/cron-kanri\n")
    terminal.run("printf '[Password]\\nMaxDays=10\\nWarnDays=0\\n' >>/etc/keishi/keishid.conf && systemctl restart keishid.service")
    keishi.agent_ready(terminal)
    status, text = terminal.console_command("sudo id -un", [PASSWORD["kanri"]], timeout=120)
    check(status == 0 and "\nroot\n" in f"\n{text}\n", f"sudo ended with {status}: {text[-300:]!r}")
    terminal.type_keys("clear; vlock -c; echo status=$?.\n")
    terminal.wait_for(lambda: re.search(PASSWORD_PROMPT + "$", terminal.vt_text(1)) or terminal.type_keys("\n"), "vlock to ask", 60, every=1)
    terminal.type_keys(f"{PASSWORD['kanri']}\n")
    terminal.wait_text(r"^status=0\.", timeout=60)
    terminal.wait_for(lambda: "kanri" in terminal.ssh("cat /tmp/cron-kanri").out, "kanri's job of cron", 130, every=2)
    check(not keishi.trail(terminal, "password-due"), "a change was demanded where none can be made")
    terminal.console_logout()
    begin_login(terminal, "kanri")
    terminal.wait_text(r"Current password:\s*$", last=True)
    keishi.wait_trail(terminal, "password-due", account="kanri", service="login")
