# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ways in other than the console: what acts for somebody, what runs with nobody in front, and what comes from afar."""

import pathlib
import subprocess
import tempfile

from harness import PASSWORD, check, keishi, scenario


def test_su_by_an_administrator_is_recorded_with_actor_and_target(terminal):
    terminal.console_login("kanri")
    status, text = terminal.console_command("su jiro -c 'id -un'", [PASSWORD["jiro"]])
    check(status == 0 and "\njiro\n" in f"\n{text}\n", f"su ended with {status}: {text[-200:]!r}")
    entry = keishi.wait_trail(terminal, "login-granted", service="su")
    check(entry.get("account") == "kanri", f"the actor in the trail is {entry.get('account')!r}")
    check(entry.get("target") == "jiro", f"the target in the trail is {entry.get('target')!r}")


def test_su_by_who_is_designated_for_the_console_only_is_refused(terminal):
    terminal.console_login("hanako")
    status, _ = terminal.console_command("su jiro -c id", [PASSWORD["jiro"]], timeout=90)
    check(status != 0, "su worked without a designation for administration")
    keishi.wait_trail(terminal, "login-refused", service="su", account="hanako", target="jiro")


def test_su_with_a_wrong_password_is_refused_and_recorded(terminal):
    terminal.console_login("kanri")
    status, _ = terminal.console_command("su jiro -c id", ["wrong"], timeout=90)
    check(status != 0, "su took a wrong password")
    keishi.wait_trail(terminal, "login-refused", service="su", account="kanri", target="jiro")


def test_sudo_without_a_designation_for_administration_is_refused(terminal):
    terminal.run("gpasswd -a hanako sudo")
    terminal.console_login("hanako")
    status, _ = terminal.console_command("sudo id", [PASSWORD["hanako"]], timeout=120)
    check(status != 0, "sudo worked for somebody who is designated for the console only")
    check(keishi.trail(terminal, "login-refused", service="sudo"), "the refusal of sudo is not in the trail")


@scenario(timeout=420)
def test_sudo_by_an_administrator_works_and_names_both(terminal):
    terminal.console_login("kanri")
    status, text = terminal.console_command("sudo id -un", [PASSWORD["kanri"]], timeout=120)
    check(status == 0 and "\nroot\n" in f"\n{text}\n", f"sudo ended with {status}: {text[-200:]!r}")
    keishi.wait_trail(terminal, "session-opened", service="sudo", account="kanri", target="root")
    check(not keishi.trail(terminal, "login-refused", service="sudo"), "a sudo that worked is in the trail as refused, too")


def test_remote_logins_are_closed_by_default_for_password_keyboard_interactive_and_key(terminal):
    terminal.run("echo 'KbdInteractiveAuthentication yes' >/etc/ssh/sshd_config.d/kbd.conf && systemctl reload ssh")
    for method in ("password", "keyboard-interactive"):
        result = terminal.ssh_login("hanako", password=PASSWORD["hanako"], method=method, timeout=120)
        check(result.rc != 0 and "hanako" not in result.out, f"{method} from afar was let in")
    with tempfile.TemporaryDirectory() as scratch:
        key = pathlib.Path(scratch) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        terminal.run("install -d -m 0700 -o hanako -g hanako /home/hanako/.ssh && "
                     "install -m 0600 -o hanako -g hanako /dev/stdin /home/hanako/.ssh/authorized_keys",
                     input=key.with_suffix(".pub").read_bytes())
        result = terminal.ssh_login("hanako", key=key, timeout=120)
        check(result.rc != 0 and "hanako" not in result.out, "a key from afar was let in")
    refusals = keishi.trail(terminal, "login-refused", service="sshd")
    check(len(refusals) >= 3, f"the trail has {len(refusals)} refusals of sshd, not 3")
    reasons = {entry.get("reason", "") for entry in refusals}
    check(reasons == {"remote-closed", "not-authenticated"}, f"the reasons are {sorted(reasons)}")
    terminal.console_login("hanako")


def test_jobs_of_cron_and_at_run_for_designated_staff_and_for_the_system(terminal):
    terminal.run("echo '* * * * * root id -un >>/run/cron-root' >/etc/cron.d/witness")
    terminal.run("install -m 0600 /dev/stdin /var/spool/cron/crontabs/hanako && chown hanako:crontab /var/spool/cron/crontabs/hanako && "
                 "systemctl restart cron", input="* * * * * id -un >>/tmp/cron-hanako\n")
    terminal.run("cd / && echo 'id -un >/tmp/at-hanako' | setpriv --reuid hanako --regid hanako --init-groups at now")
    terminal.wait_for(lambda: terminal.ssh("cat /tmp/at-hanako").out.strip() == "hanako", "the job of at", 60)
    terminal.wait_for(lambda: "root" in terminal.ssh("cat /run/cron-root").out, "root's job of cron", 130, every=2)
    terminal.wait_for(lambda: "hanako" in terminal.ssh("cat /tmp/cron-hanako").out, "hanako's job of cron", 130, every=2)


def test_the_user_manager_and_logind_sessions_work_after_a_login(terminal):
    terminal.console_login("hanako")
    terminal.wait_for(lambda: terminal.ssh("systemctl is-active user@$(id -u hanako).service").out.strip() == "active",
                      "hanako's user manager", 60)
    check("seat0" in terminal.run("loginctl list-sessions --no-legend | grep hanako"), "the session is not on seat0")


def test_root_becomes_a_member_of_staff_without_being_asked(terminal):
    check(terminal.run("runuser -u hanako -- id -un").strip() == "hanako", "runuser does not work")
    check(terminal.run("su - hanako -c 'id -un'").strip() == "hanako", "su from root does not work")


def test_passwd_at_the_console_still_changes_the_password(terminal):
    terminal.console_login("hanako")
    status, text = terminal.console_command("passwd", [PASSWORD["hanako"], "Atarashii-kotoba-9"])
    check(status == 0, f"passwd ended with {status}: {text}")
    terminal.console_logout()
    terminal.console_login("hanako", "Atarashii-kotoba-9")
