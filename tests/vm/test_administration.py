# SPDX-License-Identifier: LGPL-2.1-or-later
"""What administrators do and staff may not (R13, R31): a changed configuration, software, sudo's ticket, the boot chain.

kanri is system manager and in the group sudo, bucho system owner; hanako is staff.
"""

import json

from harness import PASSWORD, check, keishi, scenario

CONTROL = """Package: keishi-witness
Version: 1.0
Architecture: all
Maintainer: nobody <nobody@invalid>
Description: a package with nothing in it
"""

# What PackageKit ships; it stands for the service, which is not installed. It cannot show PackageKit at work.
ACTIONS = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE policyconfig PUBLIC "-//freedesktop//DTD PolicyKit Policy Configuration 1.0//EN" "http://www.freedesktop.org/standards/PolicyKit/1/policyconfig.dtd">
<policyconfig><action id="org.freedesktop.packagekit.package-install"><description>Install</description><message>Install</message>
<defaults><allow_any>yes</allow_any><allow_inactive>yes</allow_inactive><allow_active>yes</allow_active></defaults></action></policyconfig>
"""


@scenario(timeout=540)
def test_a_changed_configuration_closes_logins_until_somebody_who_may_has_accepted_it(terminal):
    terminal.run("printf '[Policy]\\nOnDrift=close\\n' >/etc/keishi/keishid.conf; systemctl restart keishid.service")
    keishi.agent_ready(terminal)
    keishi.ctl_must(terminal, "kanri", "terminal", "accept-drift", "--reason", "close from now on")
    terminal.console_login("hanako")
    terminal.console_logout()

    terminal.run("install -m 0440 /dev/stdin /etc/sudoers.d/zz-mine", input="hanako ALL=(ALL) NOPASSWD: ALL\nDefaults !syslog\n")
    entry = keishi.wait_trail(terminal, "config-drift", timeout=60, path="/etc/sudoers.d/zz-mine")
    check("!syslog" in entry.get("after", ""), f"the trail does not say what stands there: {entry.get('after')!r}")
    check("/etc/sudoers.d/zz-mine" in terminal.run("keishictl status"), "status does not show the file")
    lines = keishi.console_refused(terminal, "hanako")
    check(any("configuration" in line for line in lines), f"hanako is told {lines}")
    check(keishi.wait_trail(terminal, "login-refused", account="hanako").get("rule") == "policy:OnDrift", "the rule is another")
    terminal.run("rm /etc/sudoers.d/zz-mine; echo '# a comment' >>/etc/sudoers.d/README")
    keishi.wait_trail(terminal, "config-drift", timeout=60, path="/etc/sudoers.d/README")
    keishi.ctl_must(terminal, "kanri", "terminal", "accept-drift", "--reason", "looked at")
    terminal.console_login("hanako")


@scenario(timeout=420)
def test_software_that_comes_and_goes_is_recorded_and_staff_install_none(terminal):
    terminal.run("mkdir -p /root/witness/DEBIAN && cat >/root/witness/DEBIAN/control && dpkg-deb --build /root/witness /tmp/witness.deb", input=CONTROL)
    terminal.run("cat >/usr/share/polkit-1/actions/org.freedesktop.packagekit.policy", input=ACTIONS)
    terminal.console_login("hanako")
    for command in ("dpkg -i /tmp/witness.deb", "apt-get install -y /tmp/witness.deb", "sudo -n dpkg -i /tmp/witness.deb", "loginctl enable-linger",
                    "pkcheck --action-id org.freedesktop.packagekit.package-install --process $$"):
        status, text = terminal.console_command(command + " </dev/null 2>&1 | tail -n 1; (exit ${PIPESTATUS[0]})")
        check(status not in (0, 127), f"'{command}' of hanako ended with {status}: {text[-200:]!r}")
    check(terminal.ssh("dpkg -s keishi-witness").rc != 0, "hanako installed a package")
    check(terminal.ssh("ls /var/lib/systemd/linger/hanako").rc != 0, "hanako lets her processes linger")
    check(not keishi.trail(terminal, "software-changed", object="keishi-witness:all"), "the trail speaks of what did not happen")

    terminal.run("dpkg -i /tmp/witness.deb")
    entry = keishi.wait_trail(terminal, "software-changed", timeout=60, object="keishi-witness:all")
    check(entry.get("after") == "1.0" and not entry.get("before"), f"the versions are {entry.get('before')!r}, {entry.get('after')!r}")
    terminal.run("dpkg -r keishi-witness")
    entry = keishi.wait_trail(terminal, "software-changed", timeout=60, count=2, object="keishi-witness:all")
    check(entry.get("before") == "1.0" and not entry.get("after"), f"the versions are {entry.get('before')!r}, {entry.get('after')!r}")


@scenario(timeout=420)
def test_sudo_asks_each_time(terminal):
    terminal.console_login("kanri")
    status, text = terminal.console_command("sudo id -un", [PASSWORD["kanri"]], timeout=120)
    check(status == 0 and "\nroot\n" in f"\n{text}\n", f"sudo ended with {status}: {text[-200:]!r}")
    status, text = terminal.console_command("sudo -n id -un", timeout=60)
    check(status == 1 and "\nroot\n" not in f"\n{text}\n", f"a second sudo did not ask: {status}, {text[-200:]!r}")


@scenario(timeout=420)
def test_hardening_closes_the_boot_chain_as_far_as_it_can_and_undo_opens_it_as_it_was(terminal):
    look = "systemctl is-enabled rescue.service emergency.service debug-shell.service; cat /proc/sys/kernel/sysrq; ls /var/lib/systemd/linger"
    terminal.run("loginctl enable-linger hanako; sysctl -q kernel.sysrq=438")
    before = terminal.ssh(look).out
    keishictl = "systemd-run --quiet --wait --pipe keishictl "  # not from the harness's session
    terminal.run(keishictl + "setup --harden")
    closed = terminal.ssh(look).out.split()
    check(closed == ["masked"] * 3 + ["0"], f"closed is {closed}")
    status, text = keishi.ctl(terminal, "kanri", "audit", "--format", "json", "--output", "/tmp/audit.json")
    check(status in (0, 1), f"audit ended with {status}: {text[-300:]!r}")
    held = {row["id"]: row["state"] for row in json.loads(terminal.run("cat /tmp/audit.json"))["preconditions"]}
    check({held.get(name) for name in ("rescue-shells", "sysrq", "linger")} == {"held"}, f"the audit report says {held}")
    check(keishi.wait_trail(terminal, "hardened").get("detail") == "harden", "the trail does not say who closed it")
    terminal.run(keishictl + "setup --harden --undo")
    check(terminal.ssh(look).out == before, f"after --undo it is {terminal.ssh(look).out!r}, before it was {before!r}")
    keishi.wait_trail(terminal, "hardened", count=3)
