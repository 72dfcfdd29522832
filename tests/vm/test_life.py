# SPDX-License-Identifier: LGPL-2.1-or-later
"""A disk that wakes up in another machine lets no staff in until it is enrolled, and its trail goes on in another epoch.

Another machine is the same virtual machine with another /etc/machine-id: what systemd makes anew on a copied image. Other hardware, by what SMBIOS says, is
shown by tests/pam/test_life.py on files that stand for it.
"""

import json
import random
import re
import time

from harness import PASSWORD, check, keishi, scenario

CUTS = 4
ENROL = "keishictl terminal enrol --reason test"


def identity(terminal):
    return json.loads(terminal.run("keishictl status --json"))["agent"]["identity"]


def epochs(terminal):
    """Epochs of the trail, in the order in which they began."""
    out = terminal.run(f"sqlite3 -readonly {keishi.REGISTRY} 'select cast(entry as text) from outbox order by seq' | sed -n 's/^KEISHI_EPOCH=//p' | uniq")
    return out.split()


def copy_the_disk(terminal):
    """What cloning does: the image is the same, systemd makes another machine-id."""
    terminal.run("systemd-id128 new >/etc/machine-id; sync")


def break_glass_login(terminal, vt):
    """keishi asks first, and then, since it does not decide here, pam_unix does."""
    terminal.switch_vt(vt)
    terminal.wait_text(r"login:\s*$", vt, last=True)
    terminal.type_keys("breakglass\n")
    for number in (1, 2):
        terminal.wait_for(lambda: len(re.findall(r"(?i)^password:", terminal.vt_text(vt), re.MULTILINE)) >= number, f"password prompt {number}", 60)
        terminal.type_keys(f"{PASSWORD['breakglass']}\n")
    terminal.wait_text(r"^breakglass@\S+:\S*[$#]\s*$", vt, 60)


@scenario(timeout=900)
def test_a_copied_disk_refuses_staff_tells_them_why_and_is_enrolled_by_the_system_manager(terminal):
    first = identity(terminal)
    check(first["state"] == "right" and first["epoch"].startswith("1-"), f"after the setup: {first}")
    check(terminal.run("stat -c '%a %U' /var/lib/keishi/identity.key").strip() == "600 root", "the key is not root's alone")
    copy_the_disk(terminal)
    terminal.reboot()
    keishi.agent_ready(terminal, 90)
    now = identity(terminal)
    check(now["state"] == "other-machine-id" and now["closes"] and now["epoch"].startswith("2-"), f"in another machine: {now}")
    lines = keishi.console_refused(terminal, "hanako")
    check(any("not the machine" in line for line in lines), f"hanako is told {lines}")
    check(not any("not running" in line for line in lines), f"hanako is told that the agent does not run: {lines}")
    entry = keishi.wait_trail(terminal, "login-refused", account="hanako")
    check(entry.get("reason") == "cloned" and entry.get("epoch") == now["epoch"], f"the trail says {entry}")
    break_glass_login(terminal, 2)
    keishi.wait_trail(terminal, "break-glass", account="breakglass")

    keishi.ctl_must(terminal, "kanri", "terminal", "enrol", "--reason", "image")
    after = identity(terminal)
    check(after["state"] == "right" and after["key"] != first["key"], f"enrolled: {after}")
    terminal.switch_vt(1)
    terminal.console_login("hanako")
    granted = keishi.wait_trail(terminal, "login-granted", account="hanako", service="login")
    check(granted.get("epoch") == after["epoch"], f"the grant is of epoch {granted.get('epoch')}")
    check(epochs(terminal) == [first["epoch"], now["epoch"], after["epoch"]], f"epochs: {epochs(terminal)}")
    terminal.run("systemctl restart keishid")
    keishi.agent_ready(terminal)
    check(identity(terminal) == after, "a restart changed it")


@scenario(timeout=900, durable=True)
def test_wherever_the_power_goes_in_an_enrolment_the_terminal_can_be_used_or_enrolled(terminal):
    chance = random.Random(7)
    copy_the_disk(terminal)
    terminal.run("systemctl restart keishid; sync")
    keishi.agent_ready(terminal)
    whole = 0
    for number in range(CUTS):
        terminal.run(f"systemd-run --quiet --no-block {ENROL}")
        time.sleep(chance.uniform(0, 0.6))
        terminal.power_cut()
        terminal.start()
        keishi.agent_ready(terminal, 90)
        state = identity(terminal)["state"]
        check(state in ("right", "other-machine-id"), f"cut {number}: {state}")
        check(terminal.ssh("ls /var/lib/keishi/identity.key.new").rc != 0, f"cut {number}: an unfinished key is left")
        check(terminal.run(f"sqlite3 -readonly {keishi.REGISTRY} 'pragma integrity_check'").strip() == "ok", f"cut {number}: the registry is damaged")
        if state == "right":
            whole += 1
            copy_the_disk(terminal)  # once more
            terminal.run("systemctl restart keishid; sync")
            keishi.agent_ready(terminal)
    terminal.run(ENROL)
    check(identity(terminal)["state"] == "right", "it cannot be enrolled any more")
    terminal.console_login("hanako", timeout=120)
    seen = epochs(terminal)
    check(len(set(seen)) == len(seen), f"an epoch came back: {seen}")
    print(f"     life: {CUTS} cuts, {whole} enrolments whole")
