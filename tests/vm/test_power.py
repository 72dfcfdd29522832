# SPDX-License-Identifier: LGPL-2.1-or-later
"""The power goes in the middle of a login: whoever was let in is in the trail.

A cut disk is not booted each time (20 s) but attached to a second terminal, which replays its journal, lets SQLite
recover the registry, and counts. Some are booted as well.
"""

import concurrent.futures
import random
import time

from harness import PASSWORD, Failure, Terminal, check, keishi, scenario, snapshots

CUTS = 50
BOOTED = 2
GRANTED = ("select count(*) from outbox where cast(entry as text) like '%KEISHI_EVENT=login-granted%' "
           "and cast(entry as text) like '%KEISHI_ACCOUNT=hanako%' and cast(entry as text) like '%KEISHI_SERVICE=login%' "
           "and cast(entry as text) like '%KEISHI_STAGE=auth%'")
# Written by the shell of whoever got in, to the serial line, which ends in a file outside of the machine.
WITNESS = "echo 'WITNESS: '$USER' is in' >/dev/ttyS0\n"


def cut_in_a_login(number):
    """Logs hanako in and takes the power away at some moment. Returns (disk to keep, times she was seen in)."""
    chance = random.Random(number)
    keep = snapshots.BUILD / "snapshots" / f"cut-{number}.disk"
    with snapshots.terminal("designated", f"cut {number}", durable=True) as victim:
        victim.put(WITNESS.encode(), "/etc/profile.d/witness.sh")
        victim.run("chmod 0666 /dev/ttyS0; sync")
        victim.wait_text(r"login:\s*$", last=True)
        victim.type_keys("hanako\n")
        victim.wait_text(r"assword:\s*$", last=True)
        victim.type_keys(f"{PASSWORD['hanako']}\n")
        serial = victim.work / "serial.log"
        # Every other cut comes the moment she is seen to be in, the others at any moment before or after.
        end = time.monotonic() + (60 if number % 2 else chance.uniform(0, 2.5))
        while time.monotonic() < end and not (number % 2 and b"WITNESS" in serial.read_bytes()):
            time.sleep(0.001)
        victim.power_cut()
        seen = serial.read_bytes().count(b"WITNESS: hanako")
        victim.disk.rename(keep)
        victim.disk.touch()
    if number % 2 and not seen:
        raise Failure(f"cut {number}: hanako did not get in within 60 s")
    return keep, seen


def granted_on(checker, disk, name):
    """How many granted logins of hanako the registry on `disk` holds once it is recovered."""
    checker.qmp.execute("blockdev-add", **{"driver": "qcow2", "node-name": name,
                                           "file": {"driver": "file", "filename": str(disk)}})
    checker.qmp.execute("device_add", driver="usb-storage", drive=name, id=name)
    try:
        device = checker.wait_for(lambda: checker.ssh("ls /sys/block | grep '^sd'").out.strip(), "the cut disk", 30)
        checker.wait_for(lambda: checker.ssh(f"mount /dev/{device} /mnt").rc == 0, "the cut disk to be mounted", 20)
        out = checker.run(f"sqlite3 /mnt/var/lib/keishi/registry.db 'pragma integrity_check' \"{GRANTED}\"").split()
        checker.run("umount /mnt")
        check(out[0] == "ok", f"{name}: the registry is damaged: {out}")
        return int(out[1])
    finally:
        checker.qmp.execute("device_del", id=name)
        checker.wait_for(lambda: not checker.ssh("ls /sys/block | grep '^sd'").out.strip(), "the cut disk to go", 30)
        checker.qmp.execute("blockdev-del", **{"node-name": name})


@scenario(timeout=1800)
def test_every_login_granted_before_one_of_fifty_power_cuts_is_in_the_trail(terminal):
    before = int(terminal.run(f"sqlite3 -readonly {keishi.REGISTRY} \"{GRANTED}\""))
    witnessed = recorded = 0
    with concurrent.futures.ThreadPoolExecutor(1) as cutter:
        cuts = [cutter.submit(cut_in_a_login, number) for number in range(CUTS)]
        try:
            for number, cut in enumerate(cuts):
                disk, seen = cut.result()
                try:
                    found = granted_on(terminal, disk, f"cut{number}") - before
                    check(found >= seen, f"cut {number}: {seen} logins were seen, the trail has {found}")
                    check(found <= 1, f"cut {number}: one login was made, the trail has {found}")
                    witnessed += seen
                    recorded += found
                    if number < BOOTED:
                        boots_and_serves(disk, found)
                finally:
                    disk.unlink(missing_ok=True)
        finally:
            for cut in cuts:
                cut.cancel()
    check(witnessed >= CUTS // 2, f"only {witnessed} of {CUTS} logins were seen to succeed")
    print(f"     power: {CUTS} cuts, {witnessed} logins seen, {recorded} in the trail")


def boots_and_serves(disk, found):
    """The cut terminal comes up again, keeps what it had, and lets hanako in."""
    with Terminal(disk, "after a cut", durable=True) as again:
        again.start()
        keishi.agent_ready(again, 90)
        again.console_login("hanako", timeout=120)
        keishi.wait_trail(again, "login-granted", count=found + 1, account="hanako", service="login", stage="auth", timeout=60)
