# SPDX-License-Identifier: LGPL-2.1-or-later
"""Staff at the text console: who gets in, who does not, what they see, and what the trail says of it.

hanako is designated to this terminal; taro is registered but not designated; saburo is not registered; bucho holds the roles of
system owner, unit head and duty officer.
"""

import re

from harness import PASSWORD, check, keishi, scenario


def test_designated_staff_log_in_and_out_and_the_trail_says_who_where_and_by_which_rule(terminal):
    terminal.console_login("hanako")
    granted = keishi.wait_trail(terminal, "login-granted", account="hanako", service="login")
    opened = keishi.wait_trail(terminal, "session-opened", account="hanako", service="login")
    expected = {"person": "1001", "name": "桜田花子", "user_unit": "会計課", "terminal": "desk1", "terminal_unit": "会計課",
                "tty": "/dev/tty1", "business": "会計", "factors": "password"}
    for name, value in expected.items():
        check(granted.get(name) == value, f"the trail's {name} is {granted.get(name)!r}, not {value!r}")
    check(granted.get("rule", "").startswith("designation:"), f"the rule is {granted.get('rule')!r}")
    terminal.console_logout()
    closed = keishi.wait_trail(terminal, "session-closed", account="hanako", service="login")
    check(closed.get("session") and closed["session"] == opened.get("session"), "opening and closing name different sessions")


def test_a_wrong_password_tells_nothing_about_who_is_known_registered_or_designated(terminal):
    seen = {user: keishi.console_refused(terminal, user, "not-the-password") for user in ("dareka", "taro", "saburo", "hanako")}
    check(len({tuple(lines) for lines in seen.values()}) == 1, f"the refusals can be told apart: {seen}")
    check(any("keishi" not in line for line in seen["taro"]), "the refused person is told nothing at all")
    keishi.wait_trail(terminal, "login-refused", count=4)
    check(not keishi.trail(terminal, "login-granted"), "somebody was granted a login")


def test_who_is_not_designated_or_not_registered_is_refused_with_the_right_password_and_told_whom_to_ask(terminal):
    for user, reason in (("taro", "default"), ("saburo", "unregistered")):
        lines = keishi.console_refused(terminal, user)
        check(any("Ask" in line for line in lines), f"{user} is told {lines}")
        entry = keishi.wait_trail(terminal, "login-refused", account=user)
        check(entry.get("reason") == reason, f"the trail's reason for {user} is {entry.get('reason')!r}")
        check(entry.get("rule"), f"the refusal of {user} names no rule")
    check(not keishi.trail(terminal, "login-granted"), "somebody was granted a login")


@scenario(timeout=420)
def test_a_restriction_closes_the_terminal_at_once_and_lifting_it_opens_it(terminal):
    keishi.ctl_must(terminal, "bucho", "restriction", "add", "--account", "hanako", "--reason", "investigation")
    lines = keishi.console_refused(terminal, "hanako")
    check(any("Ask" in line for line in lines), f"a restricted user with the right password is told {lines}")
    refused = keishi.wait_trail(terminal, "login-refused", account="hanako")
    check(refused.get("reason") == "restricted", f"the reason is {refused.get('reason')!r}")
    check(refused.get("rule", "").startswith("restriction:"), f"the rule is {refused.get('rule')!r}")
    check(keishi.console_refused(terminal, "hanako", "not-it") == keishi.console_refused(terminal, "dareka", "not-it"),
          "a wrong password tells a restricted user from an unknown one")
    changed = keishi.wait_trail(terminal, "directory-changed", account="bucho", noun="restriction")
    check("hanako" in changed.get("after", ""), "the change of the directory does not say what came of it")
    keishi.ctl_must(terminal, "bucho", "restriction", "lift", refused["rule"].split(":")[1], "--reason", "cleared")
    terminal.console_login("hanako")


@scenario(timeout=600)
def test_three_wrong_passwords_lock_even_over_a_reboot_until_the_duty_officer_releases(terminal):
    for _ in range(3):
        keishi.console_refused(terminal, "hanako", "not-the-password")
    keishi.wait_trail(terminal, "login-locked", account="hanako")
    check(any("Too many" in line for line in keishi.console_refused(terminal, "hanako")), "a locked user is not told so")
    terminal.reboot()
    keishi.agent_ready(terminal)
    keishi.console_refused(terminal, "hanako")
    check(not keishi.trail(terminal, "login-granted", account="hanako"), "a locked account got in")
    text = keishi.ctl_must(terminal, "bucho", "attempt", "list", "--json").replace("\n", "")
    check(re.search(r'"account":\s*"hanako"[^}]*"locked":\s*true', text), f"attempt list does not show hanako as locked: {text}")
    keishi.ctl_must(terminal, "bucho", "attempt", "release", "hanako", "--reason", "identity checked")
    keishi.wait_trail(terminal, "attempts-released")
    terminal.console_login("hanako")


@scenario(timeout=420)
def test_wrong_passwords_typed_by_a_colleague_do_not_lock_somebody_out_of_the_console(terminal):
    terminal.console_login("jiro", vt=2)
    for _ in range(3):
        terminal.type_keys("clear; su hanako -c id; echo tried\n")
        terminal.wait_text(r"assword:\s*$", vt=2, last=True)
        terminal.type_keys("guess\n")
        terminal.wait_text(r"^tried$", vt=2, timeout=90)
    keishi.wait_trail(terminal, "login-locked", service="su")
    terminal.console_login("hanako", vt=1)


def test_an_empty_password_is_never_one(terminal):
    terminal.run("passwd --delete hanako")
    keishi.console_refused(terminal, "hanako", "")
    check(not keishi.trail(terminal, "login-granted", account="hanako"), "an empty password was accepted")


def test_enter_at_the_password_prompt_and_ctrl_d_grant_nothing(terminal):
    terminal.switch_vt(1)
    terminal.wait_text(r"login:\s*$", last=True)
    terminal.type_keys("hanako\n")
    terminal.wait_text(r"assword:\s*$", last=True)
    terminal.press("ctrl", "d")
    terminal.wait_text(r"login:\s*$", timeout=60, last=True)
    check(not keishi.trail(terminal, "login-granted"), "Ctrl-D logged somebody in")
    terminal.console_login("hanako", PASSWORD["hanako"])
