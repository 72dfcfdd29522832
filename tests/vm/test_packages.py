# SPDX-License-Identifier: LGPL-2.1-or-later
"""Installing and removing: nobody is locked out, and PAM is left as it was found."""

from harness import check, keishi, scenario

SAME_PAM = "diff -r /root/pam.d.before /etc/pam.d"


@scenario(snapshot="installed")
def test_installing_alone_leaves_every_login_as_it_was(terminal):
    changed = terminal.ssh(f"{SAME_PAM} | grep -v '^Only in /etc/pam.d: keishi-password$'").out.strip()
    check(not changed, f"the PAM stacks changed: {changed.splitlines()[:1]}")
    for user, vt in (("hanako", 1), ("taro", 2)):
        terminal.console_login(user, vt=vt)


@scenario(snapshot="installed")
def test_the_profile_cannot_be_enabled_by_a_later_pam_auth_update_by_accident(terminal):
    terminal.run("DEBIAN_FRONTEND=noninteractive pam-auth-update --package")
    check(terminal.ssh("grep -l pam_keishi /etc/pam.d/common-*").out == "", "pam-auth-update alone enabled keishi")


@scenario(snapshot="installed")
def test_setup_without_a_break_glass_account_or_designation_refuses_and_changes_nothing(terminal):
    terminal.run("printf '' >/root/empty.ini")
    result = terminal.ssh("keishictl setup --unattended /root/empty.ini", timeout=120)
    check(result.rc != 0, "setup accepted an empty file")
    check(result.err.strip(), "setup does not say what is missing")
    check(terminal.ssh("grep -l pam_keishi /etc/pam.d/common-*").out == "", "a refused setup changed the PAM stacks")
    terminal.console_login("hanako")


@scenario(snapshot="installed", timeout=420)
def test_purge_before_setup_leaves_pam_as_it_was(terminal):
    purge(terminal)


@scenario(timeout=420)
def test_purge_after_setup_leaves_pam_as_it_was_and_everybody_logs_in_again(terminal):
    check(terminal.ssh("grep -l pam_keishi /etc/pam.d/common-auth").rc == 0, "keishi is not in the PAM stack to begin with")
    purge(terminal)
    terminal.console_login("hanako", vt=1)
    terminal.console_login("taro", vt=2)


def purge(terminal):
    terminal.run("DEBIAN_FRONTEND=noninteractive apt-get purge --yes libpam-keishi keishi-agent", timeout=300)
    changed = terminal.ssh(SAME_PAM).out.strip()
    check(not changed, f"PAM is not as it was: {changed}")
    check(terminal.ssh("test -e /usr/libexec/keishi/keishid").rc != 0, "keishid is still there")


def test_installing_the_same_packages_again_keeps_the_terminal_working(terminal):
    before = keishi.agent_pid(terminal)
    terminal.run("DEBIAN_FRONTEND=noninteractive apt-get install --yes --reinstall /root/debs/*.deb", timeout=300)
    keishi.agent_ready(terminal)
    check(keishi.agent_pid(terminal) != before, "the agent still runs the old program")
    check(terminal.ssh("grep -l pam_keishi /etc/pam.d/common-auth").rc == 0, "the upgrade took keishi out of PAM")
    terminal.console_login("hanako")
    keishi.console_refused(terminal, "taro", vt=2)
