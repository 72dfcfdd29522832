# SPDX-License-Identifier: LGPL-2.1-or-later
"""keishi itself: its packages built, installed and set up in a terminal."""

import fcntl
import re
import subprocess

from .accounts import PASSWORD
from .failure import Failure
from .places import BUILD, HERE, TOP, key, say, source_key

SETUP = HERE / "setup"


def package_key():
    return (source_key(),)


def setup_key():
    return sorted(SETUP.iterdir()) if SETUP.exists() else ()


def packages():
    """The Debian packages of the tree as it is now, built when they are not there."""
    builder = TOP / "packaging" / "build-deb"
    if not builder.exists():
        raise Failure("there is no packaging/build-deb in this tree")
    place = BUILD / f"debs-{source_key()}"
    with open(BUILD / "debs.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not any(place.glob("*.deb")):
            say("building the packages")
            place.mkdir(parents=True, exist_ok=True)
            log = BUILD / "build-deb.log"
            with open(log, "wb") as out:
                if subprocess.run([str(builder), str(place)], stdin=subprocess.DEVNULL, stdout=out, stderr=out).returncode:
                    raise Failure(f"packaging/build-deb failed; see {log}")
            for old in BUILD.glob("debs-*"):
                if old != place:
                    for file in old.iterdir():
                        file.unlink()
                    old.rmdir()
    debs = sorted(deb for deb in place.glob("*.deb") if "-dbgsym_" not in deb.name)
    if not debs:
        raise Failure("packaging/build-deb made no package")
    return debs


def install(terminal):
    """Installs the packages as a system manager would."""
    debs = packages()
    terminal.run("mkdir -p /root/debs")
    for deb in debs:
        terminal.put(deb, f"/root/debs/{deb.name}")
    terminal.run("cp -a /etc/pam.d /root/pam.d.before")
    terminal.run("DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends /root/debs/*.deb", timeout=300)


# Who holds a role, by its group (keishid.conf, [Roles]).
ROLES = {"kanri": ("keishi-system-manager", "keishi-trail-viewer", "sudo"),
         "bucho": ("keishi-system-owner", "keishi-unit-head", "keishi-duty-officer")}


def set_up(terminal, plan=None):
    """Sets this terminal up as desk1 without asking questions."""
    for user, groups in ROLES.items():
        terminal.run(f"usermod --append --groups {','.join(groups)} {user}")
    # Passwords are as old as the disk; they are to be of today.
    terminal.run(f"for user in {' '.join(PASSWORD)}; do chage --lastday \"$(date +%F)\" $user; done")
    plan = SETUP / f"{plan or terminal.run('hostname').strip()}.ini"
    who = re.search(r"^\[Try\]\nUser=(\S+)$", plan.read_text(), re.MULTILINE).group(1)
    terminal.run("install -m 0600 /dev/stdin /root/try-password", input=PASSWORD[who])
    terminal.put(plan, "/root/setup.ini")
    # Not from the harness's ssh: a session from afar is remote, for the trial of a login too.
    terminal.run("systemd-run --quiet --wait --pipe keishictl setup --unattended /root/setup.ini", timeout=180)
    terminal.run("rm /root/try-password; sqlite3 -readonly /var/lib/keishi/registry.db 'select max(seq) from outbox' >/root/trail.before")


def set_up_passwords(terminal):
    """Sets it up with what scenarios about passwords need: birth dates, a shared ID with two members, a login from afar."""
    set_up(terminal, "passwords")


def set_up_elsewhere(terminal):
    """The same for desk2, where hanako is not designated."""
    terminal.run("hostnamectl set-hostname desk2; sed -i s/desk1/desk2/ /etc/hosts; systemctl restart getty@tty1")
    set_up(terminal)
    terminal.wait_text(r"desk2 login:\s*$", last=True)
