# SPDX-License-Identifier: LGPL-2.1-or-later
"""The virtual machine: which QEMU, which accelerator, which command line."""

import fcntl
import functools
import pathlib
import subprocess
import tempfile
import time

from .failure import Failure
from .places import BUILD, ROOTFS, key, say

QEMU = "qemu-system-x86_64"
MEMORY_MB = 1024
CPUS = 2
SCREEN = (1024, 768)
CMDLINE = "root=/dev/vda rw console=tty0 console=ttyS0,115200 net.ifnames=0 loglevel=4 panic=-1 systemd.show_status=no"

DEVICES = [
    "-device", "virtio-blk-pci,drive=disk",
    "-device", f"virtio-gpu-pci,xres={SCREEN[0]},yres={SCREEN[1]}",
    "-device", "qemu-xhci",
    "-device", "virtio-keyboard-pci",
    "-device", "virtio-tablet-pci",
    "-device", "virtio-rng-pci",
    "-device", "virtio-net-pci,netdev=lan,mac=52:54:00:12:34:56",
]


@functools.lru_cache(maxsize=None)
def rootfs():
    """The directory with root.img, vmlinuz, initrd.img and id_ed25519; built when it is not there."""
    recipe = key(*(ROOTFS / name for name in ("packages", "setup", "accounts", "build")))
    place = BUILD / f"rootfs-{recipe}"
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / "rootfs.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (place / "root.img").exists():
            say("building the terminal's disk (about 2 minutes the first time)")
            if subprocess.run([str(ROOTFS / "build"), str(place)]).returncode != 0:
                raise Failure("the terminal's disk could not be built; see the lines above")
    return place


def accelerator():
    """"kvm" where it boots this kernel within 10 s, else "tcg". Tried once per boot of this machine."""
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    kept = BUILD / "accelerator"
    place = rootfs()
    with open(BUILD / "accelerator.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists() and kept.read_text().split()[:1] == [boot]:
            return kept.read_text().split()[1]
        found = "kvm" if pathlib.Path("/dev/kvm").exists() and _kvm_works(place) else "tcg"
        kept.write_text(f"{boot} {found}\n")
        say(f"accelerator: {found}")
        return found


def _kvm_works(place):
    with tempfile.TemporaryDirectory(prefix="keishi-kvm-") as scratch:
        serial = pathlib.Path(scratch) / "serial"
        process = subprocess.Popen(
            [QEMU, "-accel", "kvm", "-cpu", "max", "-m", "512", "-nodefaults", "-display", "none", "-no-reboot",
             "-kernel", str(place / "vmlinuz"), "-append", "console=ttyS0 panic=-1", "-serial", f"file:{serial}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            deadline = time.monotonic() + 10
            while time.monotonic() < deadline and process.poll() is None:
                if serial.exists() and b"Linux version" in serial.read_bytes():
                    return True
                time.sleep(0.1)
            return serial.exists() and b"Linux version" in serial.read_bytes()
        finally:
            process.kill()
            process.wait()


@functools.lru_cache(maxsize=None)
def signature():
    """What a saved machine state depends on."""
    version = subprocess.run([QEMU, "--version"], check=True, capture_output=True, text=True).stdout
    return key(version, accelerator(), MEMORY_MB, CPUS, CMDLINE, *DEVICES)


def command(disk, work, ports, *, durable, loadvm):
    """QEMU's command line for the qcow2 `disk`, with its sockets and logs under `work`."""
    place = rootfs()
    accel = accelerator()
    # What a power cut may lose is what the guest had not flushed. "unsafe" forgets qcow2's own tables as well.
    cache = "writeback" if durable else "unsafe"
    line = [
        QEMU, "-name", f"keishi-{work.name}", "-machine", "q35", "-cpu", "max",
        "-accel", "tcg,thread=multi" if accel == "tcg" else accel,
        "-smp", str(CPUS), "-m", str(MEMORY_MB), "-nodefaults", "-no-user-config", "-display", "none",
        "-rtc", "base=utc",
        "-kernel", str(place / "vmlinuz"), "-initrd", str(place / "initrd.img"), "-append", CMDLINE,
        "-drive", f"file={disk},if=none,id=disk,format=qcow2,cache={cache},discard=unmap",
        "-netdev", "user,id=lan,restrict=on,"
                   f"hostfwd=tcp:127.0.0.1:{ports['harness']}-:2022,hostfwd=tcp:127.0.0.1:{ports['ssh']}-:22",
        "-chardev", f"file,id=serial,path={work / 'serial.log'},append=on", "-serial", "chardev:serial",
        "-chardev", f"socket,id=qmp,path={work / 'qmp'},server=on,wait=off", "-mon", "chardev=qmp,mode=control",
        *DEVICES,
    ]
    if loadvm:
        line += ["-loadvm", loadvm]
    return line
