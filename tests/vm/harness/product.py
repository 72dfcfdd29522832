# SPDX-License-Identifier: LGPL-2.1-or-later
"""keishi itself: its packages built, installed and set up in a terminal."""

import fcntl
import subprocess

from .failure import Failure
from .places import BUILD, HERE, TOP, key, say, source_key

SETUP_FILE = HERE / "setup" / "designated.ini"


def package_key():
    return (source_key(),)


def setup_key():
    return (SETUP_FILE,) if SETUP_FILE.exists() else ()


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


def set_up(terminal):
    """Designates this terminal to hanako, without asking questions."""
    terminal.put(SETUP_FILE, "/root/setup.ini")
    terminal.run("keishictl setup --unattended /root/setup.ini", timeout=180)
