# SPDX-License-Identifier: LGPL-2.1-or-later
"""Passwords (R7): those that are due, those that are refused, and whoever changes them, on a real system.

Who has logged in is known by a fingerprint of the password. How old a password is says shadow(5): chage stands for the time that passes.
"""

import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile

from harness import PASSWORD, check, desk, keishi, scenario
from harness.places import BUILD
from harness.terminal import PASSWORD_PROMPT

SNAPSHOT = "passwords"
PICTURES = BUILD / "pictures"
GOOD = "Minato-no-akari-52"
BETTER = "Tori-ga-naku-asa-31"

OF_BIRTH = "Showa50.4.1#a"  # jiro's, of 1975-04-01
OF_NUMBER = "Nr.1002/1002"  # taro's staff number

TOO_EASY = "This password is too easy. Choose another one."
TOO_EASY_JA = "推測されやすい"


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


def greeter_types(terminal, text, picture=None):
    """Types at the greeter, after a picture of what it asks."""
    desk.greeter_types(terminal, text, between=picture and (lambda: desk.screen_settles(terminal, PICTURES / picture)))


def window_passwd(terminal, user, current, candidates, picture):
    """passwd in the window that has the keyboard; returns what it said. Modules before keishi's (pam_pwquality) may ask, too."""
    log = f"/home/{user}/passwd.log"
    again, left, answered_prompts = "", list(candidates), 0
    terminal.type_keys(f"clear; script -q -f -c passwd {log}; touch {log}.end\n")

    def ended():
        nonlocal again, answered_prompts
        asked = re.findall(r"(?i)[^\n]*" + PASSWORD_PROMPT.removeprefix("(?i)"), terminal.ssh(f"cat {log}").out)
        if len(asked) > answered_prompts:
            prompt = asked[answered_prompts]
            answered_prompts += 1
            if "今の" in prompt:
                terminal.type_keys(f"{current}\n")
            elif re.search("もう一度|再入力", prompt):
                terminal.type_keys(f"{again}\n")
            elif re.search(r"新しい ?パスワード: *$", prompt):
                again = left.pop(0)
                terminal.type_keys(f"{again}\n")
        return terminal.ssh(f"test -e {log}.end").rc == 0

    terminal.wait_for(ended, "passwd to end", 120)
    desk.screen_settles(terminal, PICTURES / picture)
    return terminal.run(f"cat {log}; rm {log} {log}.end")


def from_afar(terminal, user, answers, command="id -un"):
    """Logs in over the guest's sshd by keyboard-interactive; returns (status, prompts and texts, output)."""
    terminal.run("echo 'KbdInteractiveAuthentication yes' >/etc/ssh/sshd_config.d/kbd.conf && systemctl restart ssh")
    terminal.wait_for(lambda: terminal.ssh("ss -Hltn 'sport = :22'").out, "the guest's sshd", 30)
    with tempfile.TemporaryDirectory() as scratch:
        asked, askpass = pathlib.Path(scratch) / "asked", pathlib.Path(scratch) / "askpass"
        asked.touch()
        askpass.write_text(f"#!/bin/bash\nanswers=({' '.join(shlex.quote(answer) for answer in answers)})\n"
                           f"n=$(wc -l <{asked}); printf '%s\\n' \"${{1//$'\\n'/ }}\" >>{asked}; printf '%s\\n' \"${{answers[$n]}}\"\n")
        askpass.chmod(0o700)
        process = subprocess.run(
            ["ssh", "-F", "/dev/null", "-p", str(terminal.ports["ssh"]), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
             "-o", "NumberOfPasswordPrompts=1", "-o", "PreferredAuthentications=keyboard-interactive", "-o", "PubkeyAuthentication=no",
             f"{user}@127.0.0.1", command],
            env={"PATH": os.environ["PATH"], "HOME": scratch, "SSH_ASKPASS": str(askpass), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":none",
                 "LC_ALL": "C.UTF-8"},  # else ssh writes what is not ASCII in octal
            start_new_session=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
        return process.returncode, asked.read_text() + process.stderr.decode(errors="replace"), process.stdout.decode(errors="replace")


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
def test_an_overdue_password_is_changed_at_the_greeter_and_refusals_are_japanese_on_the_desk(terminal):
    terminal.console_login("hanako", vt=2)
    age(terminal, "jiro", 100)
    desk.start_greeter(terminal)
    greeter_types(terminal, "jiro")
    greeter_types(terminal, PASSWORD["jiro"])
    greeter_types(terminal, PASSWORD["jiro"], "passwords-greeter-is-due.png")
    greeter_types(terminal, OF_BIRTH, "passwords-greeter-new.png")
    greeter_types(terminal, OF_BIRTH, "passwords-greeter-again.png")
    greeter_types(terminal, GOOD, "passwords-greeter-refused.png")
    greeter_types(terminal, GOOD)
    desk.wait_for_desktop(terminal, "jiro")
    keishi.wait_trail(terminal, "password-changed", account="jiro", service="lightdm")
    keishi.wait_trail(terminal, "session-opened", account="jiro", service="lightdm")
    check(reasons(terminal, account="jiro", service="lightdm") == ["personal"], f"refused at the greeter: {reasons(terminal)}")

    text = window_passwd(terminal, "jiro", GOOD, ("Kaze-31x", "kazenouta-kikoe", PASSWORD["hanako"]), "passwords-window-refused.png")
    check(TOO_EASY_JA in text, f"the refusal of a colleague's password is not in Japanese: {text[-400:]!r}")
    check(reasons(terminal, account="jiro", service="passwd") == ["too-short", "few-classes", "anothers"], f"refused by passwd: {reasons(terminal)}")
    window_passwd(terminal, "jiro", GOOD, [BETTER], "passwords-window-changed.png")
    keishi.wait_trail(terminal, "password-changed", account="jiro", service="passwd")


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
def test_an_overdue_password_is_changed_over_ssh_and_by_su(terminal):
    age(terminal, "taro", 100)
    status, said, out = from_afar(terminal, "taro", [PASSWORD["taro"], PASSWORD["taro"], OF_NUMBER, OF_NUMBER, GOOD, GOOD])
    check(status == 0 and out.strip() == "taro", f"ssh ended with {status}: {said[-400:]!r}")
    check(TOO_EASY_JA in said, f"the refusal is not told from afar: {said[-400:]!r}")
    keishi.wait_trail(terminal, "password-changed", account="taro", service="sshd")

    age(terminal, "jiro", 100)
    terminal.console_login("kanri")
    status, text = terminal.console_command("su - jiro -c 'id -un'", [PASSWORD["jiro"], PASSWORD["jiro"], BETTER], timeout=120)
    check(status == 0 and "\njiro\n" in f"\n{text}\n", f"su ended with {status}: {text[-300:]!r}")
    check("older than allowed" in text, f"kanri is not told why: {text[-300:]!r}")
    changed = keishi.wait_trail(terminal, "password-changed", service="su-l")
    check((changed.get("account"), changed.get("target")) == ("kanri", "jiro"), f"the change is {changed.get('account')!r}'s of {changed.get('target')!r}")


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


@scenario(timeout=420)
def test_the_password_of_a_shared_id_is_due_once_a_member_has_left(terminal):
    keishi.ctl_must(terminal, "kanri", "member", "remove", "saburo/1003", "--reason", "left the unit")
    begin_login(terminal, "saburo")
    answered(terminal, 1, r"staff number:", "1001")
    text = answered(terminal, 1, "Current password:", PASSWORD["saburo"])
    check("member left" in text, f"the reason is not told: {text[-300:]!r}")
    answered(terminal, 1, "New password:", GOOD)
    answered(terminal, 1, "Retype new password:", GOOD)
    terminal.wait_text(r"^saburo@\S+:\S*[$#]\s*$")
    check(keishi.wait_trail(terminal, "password-due", account="saburo").get("reason") == "member-left", "the reason in the trail is another")
    changed = keishi.wait_trail(terminal, "password-changed", account="saburo")
    check(changed.get("person") == "1001", f"the change is by {changed.get('person')!r}")
    terminal.wait_for(lambda: not terminal.run(f"sqlite3 -readonly {keishi.REGISTRY} 'select account from shared_password_due'").strip(),
                      "the shared ID to be no longer due", 30)


def test_root_is_held_to_the_rules_by_chpasswd_and_passwd(terminal):
    for locale, easy, number in (("en_US.UTF-8", TOO_EASY, 1), ("ja_JP.UTF-8", TOO_EASY_JA, 2)):
        result = terminal.ssh(f"LANG={locale} chpasswd", input=f"jiro:{OF_BIRTH}\n")
        check(result.rc != 0 and easy in result.err, f"chpasswd in {locale} ended with {result.rc}: {result.err.strip()!r}")
        check(reasons(terminal, target="jiro", service="chpasswd") + reasons(terminal, account="jiro", service="chpasswd") == ["personal"] * number,
              f"refused by chpasswd: {reasons(terminal)}")
    hash_before = terminal.run("getent shadow jiro")
    check(terminal.ssh("chpasswd", input=f"jiro:{GOOD}\n").rc == 0, "chpasswd does not change a password any more")
    check(terminal.run("getent shadow jiro") != hash_before, "the password is as it was")
    terminal.console_login("jiro", GOOD)


@scenario(timeout=420)
def test_a_password_that_is_kept_elsewhere_is_told_to_be_changed_there(terminal):
    """extrausers stands for a directory: an account that pam_unix cannot write. It cannot show LDAP or Kerberos."""
    terminal.run("install -d /var/lib/extrausers; cd /var/lib/extrausers; echo 'fumiko:x:3001:3001:fumiko:/tmp:/bin/bash' >passwd; "
                 "echo 'fumiko:x:3001:' >group; echo \"fumiko:$(openssl passwd -6 Yama-yama-9):20000:0:99999:7:::\" >shadow; chmod 0640 shadow; "
                 "sed -i -E 's/^(passwd|group|shadow):.*/\\1: files extrausers/' /etc/nsswitch.conf")
    terminal.put(json.dumps({"person": "3001", "name": "岡本文子", "unit": "会計課"}).encode(), "/tmp/fumiko.json")
    keishi.ctl_must(terminal, "kanri", "user", "add", "fumiko", "--fields", "/tmp/fumiko.json")
    terminal.console_login("fumiko", "Yama-yama-9")
    check("has to be changed" not in terminal.vt_text(1), "a password that keishi sees for the first time is due")
    status, text = terminal.console_command("passwd", ["Yama-yama-9", GOOD], timeout=120)
    check(status != 0 and "A directory keeps this password" in text, f"passwd ended with {status}: {text[-300:]!r}")
    terminal.console_logout()
    terminal.run(f"systemctl stop keishid.service; sqlite3 {keishi.REGISTRY} 'UPDATE passwords SET changed = changed - 100 * 86400000000'; systemctl start keishid.service")
    keishi.agent_ready(terminal)
    begin_login(terminal, "fumiko", "Yama-yama-9")
    answered(terminal, 1, "Current password:", "Yama-yama-9")
    terminal.wait_text(r"login:\s*$", last=True)  # login clears what was said
    keishi.wait_trail(terminal, "password-due", account="fumiko")
    check(not keishi.trail(terminal, "session-opened", account="fumiko")[1:], "fumiko has a session with a password that is due")
