# SPDX-License-Identifier: LGPL-2.1-or-later
"""A terminal: a running virtual machine with a console, a keyboard, a screen and a way in."""

import collections
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import machine
from .accounts import PASSWORD
from .failure import Failure
from .qmp import Qmp, keys_for

Result = collections.namedtuple("Result", "rc out err")

BOOT_SECONDS = 240
# A question for a password, in English or Japanese; a console shows two cells for a Japanese character.
PASSWORD_PROMPT = r"(?i)(?:password|パ ?ス ?ワ ?ー ?ド)[^:\n]*: *"


# Virtual machines that run now, so that none outlives a run that is cut short.
running = set()


def stop_on_signals():
    """On SIGTERM or SIGINT, takes every virtual machine along."""

    def stop(number, _):
        for process in list(running):
            process.kill()
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Terminal:
    """One virtual machine on the qcow2 file `disk`, which it may change.

    Sockets and logs live in a directory of its own under the system's temporary directory, as a
    unix socket's path must be short; stop() removes it. Use as a context manager.
    """

    def __init__(self, disk, name="terminal", *, durable=False):
        self.disk = pathlib.Path(disk)
        self.name = name
        self.durable = durable
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="keishi-vm-"))
        self.process = None
        self.qmp = None
        self.master = None
        self.ports = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        shutil.rmtree(self.work, ignore_errors=True)

    # --- power --------------------------------------------------------------------------------

    def start(self, loadvm=None):
        """Switches on: from the saved state `loadvm`, or by booting. Returns when the harness's ssh answers."""
        self.ports = {"harness": free_port(), "ssh": free_port()}
        (self.work / "qmp").unlink(missing_ok=True)
        line = machine.command(self.disk, self.work, self.ports, durable=self.durable, loadvm=loadvm)
        with open(self.work / "qemu.log", "ab") as log:
            self.process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        running.add(self.process)
        self.qmp = self._guard(Qmp, self.work / "qmp", lambda: self.process.poll() is None)
        self.connect(30 if loadvm else BOOT_SECONDS)
        return self

    def _guard(self, function, *arguments):
        try:
            return function(*arguments)
        except Failure as error:
            said = (self.work / "qemu.log").read_text(errors="replace").strip().splitlines()
            raise Failure(f"{error}: {said[-1]}" if said else str(error)) from None

    def _ssh_line(self, *more):
        return ["ssh", "-F", "/dev/null", "-p", str(self.ports["harness"]),
                "-i", str(machine.rootfs() / "id_ed25519"),
                "-o", "IdentitiesOnly=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", f"ControlPath={self.work / 'ssh'}", *more]

    def connect(self, timeout=60):
        """Opens the harness's connection; waits until the guest answers."""
        deadline = time.monotonic() + timeout
        self.disconnect()
        while True:
            self._alive()
            if self._banner(self.ports["harness"]):
                self.master = subprocess.Popen(
                    self._ssh_line("-M", "-N", "-o", "ConnectTimeout=20", "-o", "ServerAliveInterval=15",
                                   "root@127.0.0.1"),
                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                while self.master.poll() is None and time.monotonic() < deadline:
                    if (self.work / "ssh").exists():
                        return
                    time.sleep(0.02)
                self.disconnect()
            if time.monotonic() > deadline:
                raise Failure(f"the terminal did not answer within {timeout:.0f} s")
            time.sleep(0.2)

    @staticmethod
    def _banner(port):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=3) as probe:
                return probe.recv(4) == b"SSH-"
        except OSError:
            return False

    def disconnect(self):
        """Closes the harness's connection, and with it whatever still runs through it."""
        if self.master:
            self.master.terminate()
            self.master.wait()
            self.master = None
        (self.work / "ssh").unlink(missing_ok=True)

    def _alive(self):
        if not self.process or self.process.poll() is not None:
            said = (self.work / "qemu.log").read_text(errors="replace").strip().splitlines()
            raise Failure("the virtual machine is not running" + (f": {said[-1]}" if said else ""))

    def stop(self):
        """Switches off without ceremony. Harmless when it is off already."""
        self.disconnect()
        if self.qmp:
            self.qmp.close()
            self.qmp = None
        if self.process:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            running.discard(self.process)
            self.process = None

    def power_cut(self):
        """Takes the power away: what the guest had not flushed to its disk is gone.

        It stands for a pulled plug as far as the guest's own caches go. It cannot show a disk that
        lies about flushing, or a sector torn in the middle.
        """
        if not self.durable:
            raise Failure("power_cut() needs a durable terminal: @scenario(durable=True)")
        self.stop()

    def reboot(self):
        """Reboots the guest in an orderly way."""
        before = self.run("cat /proc/sys/kernel/random/boot_id")
        self.ssh("systemd-run --no-block systemctl reboot")
        self.disconnect()
        deadline = time.monotonic() + BOOT_SECONDS
        while True:
            self.connect(BOOT_SECONDS)
            try:
                if self.run("cat /proc/sys/kernel/random/boot_id", timeout=20) != before:
                    return
            except Failure:
                pass
            if time.monotonic() > deadline:
                raise Failure("the terminal did not come back after a reboot")
            time.sleep(0.5)

    def savevm(self, name):
        """Saves disk and machine state under `name` in the disk file, replacing what was there."""
        self.run("sync; echo 3 >/proc/sys/vm/drop_caches")
        self.disconnect()
        time.sleep(0.3)
        self.qmp.monitor(f"savevm {name}", timeout=300)

    # --- commands and files ---------------------------------------------------------------------

    def ssh(self, command, timeout=60, input=None):
        """Runs a shell command as root, outside PAM. Returns Result(rc, out, err), bytes decoded as UTF-8."""
        self._alive()
        remote = f"timeout -k 5 {timeout} bash -c {shlex.quote(command)}"
        data = input.encode() if isinstance(input, str) else input
        process = subprocess.Popen(self._ssh_line("root@127.0.0.1", remote),
                                   stdin=subprocess.PIPE if data is not None else subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(data, timeout=timeout + 30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failure(f"no end within {timeout} s: {command}") from None
        if process.returncode == 124:
            raise Failure(f"took longer than {timeout} s: {command}")
        return Result(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    def run(self, command, timeout=60, input=None):
        """Runs a shell command as root that must succeed; returns its output."""
        result = self.ssh(command, timeout, input)
        if result.rc != 0:
            said = (result.err.strip() or result.out.strip()).splitlines()
            raise Failure(f"'{command}' ended with {result.rc}" + (f": {said[-1]}" if said else ""))
        return result.out

    def put(self, source, target):
        """Copies a file of this machine, or bytes, to the path `target` in the guest."""
        data = source if isinstance(source, bytes) else pathlib.Path(source).read_bytes()
        self.run(f"cat >{shlex.quote(str(target))}", timeout=120, input=data)

    def get(self, source, target):
        """Copies the guest's file `source` to the path `target` of this machine."""
        process = subprocess.run(self._ssh_line("root@127.0.0.1", f"cat {shlex.quote(str(source))}"),
                                 stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
        if process.returncode != 0:
            raise Failure(f"could not read {source}: {process.stderr.decode(errors='replace').strip()}")
        pathlib.Path(target).write_bytes(process.stdout)

    def ssh_login(self, user, command="id -un", *, password=None, key=None, method=None, timeout=60):
        """Logs in over the guest's ordinary sshd, as a remote user would.

        password  answers each password or keyboard-interactive prompt
        key       path of a private key; then only publickey is offered
        method    "password" or "keyboard-interactive"
        """
        line = ["ssh", "-F", "/dev/null", "-p", str(self.ports["ssh"]), "-o", "StrictHostKeyChecking=no",
                "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "NumberOfPasswordPrompts=1",
                "-o", "ConnectTimeout=30", "-o", "IdentitiesOnly=yes"]
        environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        if key:
            line += ["-o", "PreferredAuthentications=publickey", "-o", "BatchMode=yes", "-i", str(key)]
        else:
            answer = self.work / "askpass"
            answer.write_text(f"#!/bin/sh\nprintf '%s\\n' {shlex.quote(password or '')}\n")
            answer.chmod(0o700)
            line += ["-o", f"PreferredAuthentications={method or 'password'}", "-o", "PubkeyAuthentication=no"]
            environment |= {"SSH_ASKPASS": str(answer), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": ":none"}
        self.wait_for(lambda: self._banner(self.ports["ssh"]), "the guest's sshd", 30)
        process = subprocess.Popen(line + [f"{user}@127.0.0.1", command], env=environment, start_new_session=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failure(f"ssh login of {user} did not end within {timeout} s") from None
        return Result(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"))

    # --- keyboard and screen ----------------------------------------------------------------------

    def type_keys(self, text):
        """Types `text` at the terminal's own keyboard (US layout); "\\n" is Enter."""
        for char in text:
            self.qmp.press(keys_for(char))

    def press(self, *keys):
        """Presses keys together, by QEMU's names: press("ctrl", "alt", "f2")."""
        self.qmp.press(list(keys))

    def switch_vt(self, number, timeout=30):
        """Goes to another virtual terminal by Ctrl-Alt-Fn, as a person does, and waits until it is shown."""
        deadline = time.monotonic() + timeout
        while True:
            self.press("ctrl", "alt", f"f{number}")
            for _ in range(10):
                if self.run("cat /sys/class/tty/tty0/active").strip() == f"tty{number}":
                    return
                time.sleep(0.2)
            if time.monotonic() > deadline:
                raise Failure(f"Ctrl-Alt-F{number} did not lead to tty{number}")

    def screendump(self, path):
        """Saves a picture of the screen as PNG."""
        path = pathlib.Path(path).resolve()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.qmp.execute("screendump", filename=str(path), format="png")
        return path

    def vt_text(self, number=1):
        """What virtual terminal `number` shows, as lines of text without trailing blanks."""
        process = subprocess.run(
            self._ssh_line("root@127.0.0.1", f"head -c 2 /dev/vcsa{number} && cat /dev/vcsu{number}"),
            stdin=subprocess.DEVNULL, capture_output=True, timeout=60)
        if process.returncode != 0 or len(process.stdout) < 2:
            raise Failure(f"could not read tty{number}: {process.stderr.decode(errors='replace').strip()}")
        columns = process.stdout[1]
        text = process.stdout[2:].decode("utf-32-le", errors="replace")
        lines = [text[at:at + columns].rstrip() for at in range(0, len(text), columns)]
        return "\n".join(lines).rstrip()

    # --- waiting --------------------------------------------------------------------------------

    def wait_for(self, predicate, what, timeout=30, every=0.2):
        """Waits until predicate() is true; returns its value."""
        deadline = time.monotonic() + timeout
        while True:
            value = predicate()
            if value:
                return value
            if time.monotonic() > deadline:
                raise Failure(f"waited {timeout:.0f} s for {what}")
            time.sleep(every)

    def wait_text(self, pattern, vt=1, timeout=40, last=False):
        """Waits until virtual terminal `vt` shows `pattern` (a regular expression; `last`: on its last line)."""
        seen = ""

        def shown():
            nonlocal seen
            seen = self.vt_text(vt)
            text = seen.splitlines()[-1] if last and seen else seen
            return re.search(pattern, text, re.MULTILINE)

        try:
            return self.wait_for(shown, f"'{pattern}' on tty{vt}", timeout)
        except Failure as error:
            tail = " / ".join(line for line in seen.splitlines() if line.strip())[-300:]
            raise Failure(f"{error}; it shows: {tail}") from None

    # --- a person at the console --------------------------------------------------------------------

    def console_login(self, user, password=None, vt=1, expect=None, timeout=60):
        """Logs in at the text console of `vt` by typed keys; waits for `expect` (default: the user's shell prompt)."""
        self.switch_vt(vt)
        self.wait_text(r"login:\s*$", vt, timeout, last=True)
        self.type_keys(f"{user}\n")
        self.wait_text(r"(?i)password:\s*$", vt, timeout, last=True)
        self.type_keys(f"{PASSWORD[user] if password is None else password}\n")
        self.wait_text(expect or rf"^{user}@\S+:\S*[$#]\s*$", vt, timeout)

    def console_command(self, command, answers=(), vt=1, timeout=60):
        """Types `command` at the shell on `vt`; each password that is asked for gets the next of `answers`, the last for all further.

        Returns (status, what the console shows).
        """
        self.type_keys(f"clear; {command}; echo status=$?.\n")
        asked = 0

        def ended():
            nonlocal asked
            text = self.vt_text(vt)
            prompts = len(re.findall(PASSWORD_PROMPT, text))
            if answers and prompts > asked and re.search(PASSWORD_PROMPT + r"$", text):
                self.type_keys(f"{answers[min(asked, len(answers) - 1)]}\n")
                asked = prompts
            return re.search(r"^status=(\d+)\.", text, re.MULTILINE)

        try:
            return int(self.wait_for(ended, f"'{command}' on tty{vt} to end", timeout).group(1)), self.vt_text(vt)
        except Failure as error:
            raise Failure(f"{error}; it shows: {' / '.join(self.vt_text(vt).split(chr(10))[-4:])}") from None

    def console_logout(self, vt=1):
        """Ends the shell on `vt` and waits for the next login prompt."""
        self.switch_vt(vt)
        self.type_keys("\nexit\n")
        self.wait_text(r"login:\s*$", vt, last=True)

    # --- after a failure ----------------------------------------------------------------------------

    def save_evidence(self, directory):
        """Leaves serial log, picture, console text and journal in `directory`; does what still can be done."""
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        for name in ("serial.log", "qemu.log"):
            if (self.work / name).exists():
                shutil.copy(self.work / name, directory / name)
        if not self.process or self.process.poll() is not None:
            return
        attempts = {
            "screen.png": lambda path: self.screendump(path),
            "console.txt": lambda path: path.write_text(
                "".join(f"--- tty{number}\n{self.vt_text(number)}\n" for number in (1, 2))),
            "journal.txt": lambda path: path.write_text(
                self.ssh("journalctl -b --no-pager -o short-precise --namespace='*' || "
                         "journalctl -b --no-pager -o short-precise", timeout=60).out),
            "state.txt": lambda path: path.write_text(self.ssh(
                "systemctl --failed --no-pager; loginctl --no-pager; ps axf; df -h; "
                "keishictl status 2>&1; keishictl trail list 2>&1", timeout=60).out),
        }
        for name, attempt in attempts.items():
            try:
                attempt(directory / name)
            except Exception as error:
                (directory / f"{name}.missing").write_text(f"{error}\n")
