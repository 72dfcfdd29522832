# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prepared terminals: made once, kept, and copied for each scenario.

  plain       Debian, booted, nobody logged in
  installed   plain, with keishi's packages installed and nothing set up
  designated  installed, after `keishictl setup --unattended`: terminal desk1, designated to hanako among others
  passwords   installed, set up for scenarios about passwords: see setup/passwords.ini
  elsewhere   the same directory on terminal desk2, which is not designated to hanako
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile

from . import machine, product
from .failure import Failure
from .places import BUILD, LOGS, key, say
from .terminal import Terminal

STATE = "ready"


def _plain(terminal):
    """Boots, and waits until the first login prompt is on the screen."""
    terminal.start()
    terminal.wait_text(r"login:\s*$", 1, timeout=120)
    terminal.wait_for(lambda: terminal.ssh("systemctl is-system-running").out.strip() in ("running", "degraded"),
                      "systemd to have started everything", timeout=120)


RECIPES = {
    "plain": (None, _plain, lambda: ()),
    "installed": ("plain", product.install, product.package_key),
    "designated": ("installed", product.set_up, product.setup_key),
    "passwords": ("installed", product.set_up_passwords, product.setup_key),
    "elsewhere": ("installed", product.set_up_elsewhere, product.setup_key),
}


def snapshot_key(name):
    """The key of a prepared terminal: its own recipe and everything below it."""
    parent, _, extra = RECIPES[name]
    below = snapshot_key(parent) if parent else machine.rootfs().name + machine.signature()
    return key(name, below, *extra())


def ensure(name):
    """The qcow2 file of the prepared terminal `name`, built when it is not there."""
    parent, prepare, _ = RECIPES[name]
    place = BUILD / "snapshots"
    place.mkdir(parents=True, exist_ok=True)
    target = place / f"{name}-{snapshot_key(name)}.qcow2"
    with open(place / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if target.exists():
            return target
        below = ensure(parent) if parent else None
        say(f"preparing terminal '{name}'")
        for old in place.glob(f"{name}-*.part"):
            old.unlink()
        part = target.with_suffix(".part")
        if below:
            _copy(below, part)
        else:
            _overlay(part)
        with Terminal(part, name) as terminal:
            try:
                if below:
                    terminal.start(loadvm=STATE)
                prepare(terminal)
                if below:
                    terminal.qmp.monitor(f"delvm {STATE}")
                terminal.savevm(STATE)
            except BaseException:
                terminal.save_evidence(LOGS / f"prepare-{name}")
                raise
            terminal.qmp.execute("quit")
            terminal.process.wait(timeout=60)
        part.rename(target)
        say(f"terminal '{name}' is ready ({target.stat().st_blocks * 512 >> 20} MB)")
        return target


_in_use = None


def use():
    """To be called first: says that the prepared terminals are in use, and removes what nobody uses any more."""
    global _in_use
    place = BUILD / "snapshots"
    place.mkdir(parents=True, exist_ok=True)
    _in_use = open(place / "use.lock", "w")
    try:
        fcntl.flock(_in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        current = machine.rootfs()
        for old in BUILD.glob("rootfs-*"):
            if old.is_dir() and old != current:
                shutil.rmtree(old, ignore_errors=True)
        wanted = {f"{name}-{snapshot_key(name)}.qcow2" for name in RECIPES}
        for old in [*place.glob("*.qcow2"), *place.glob("*.part"), *place.glob("*.disk")]:
            if old.name not in wanted:
                old.unlink()
    except BlockingIOError:
        pass
    fcntl.flock(_in_use, fcntl.LOCK_SH)


def _overlay(path):
    base = machine.rootfs() / "root.img"
    made = subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw",
                           "-b", os.path.relpath(base, path.parent), str(path)], capture_output=True, text=True)
    if made.returncode != 0:
        raise Failure(f"qemu-img: {made.stderr.strip()}")


def _copy(source, target):
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", str(source), str(target)], check=True)


@contextlib.contextmanager
def terminal(name, label, *, durable=False):
    """A fresh running terminal from the snapshot `name`; its disk is thrown away at the end."""
    source = ensure(name)
    handle, disk = tempfile.mkstemp(prefix="run-", suffix=".disk", dir=source.parent)
    os.close(handle)
    try:
        _copy(source, disk)
        with Terminal(disk, label, durable=durable) as fresh:
            fresh.start(loadvm=STATE)
            yield fresh
    finally:
        os.unlink(disk)


def forget():
    """Throws away every prepared terminal."""
    shutil.rmtree(BUILD / "snapshots", ignore_errors=True)
