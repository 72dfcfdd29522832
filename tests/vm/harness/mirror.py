# SPDX-License-Identifier: LGPL-2.1-or-later
"""Sits a person at a terminal's text console from any plain terminal: shows its screen, types their keys.

The keys go to the virtual keyboard, so what is used is the guest's real console, not a serial line or ssh.
"""

import base64
import fcntl
import json
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import tty
import zlib

from .failure import Failure
from .qmp import keys_for

ESCAPE = 0x1D  # Ctrl-]
HELP = "Ctrl-] then: q leave · 1-6 text consoles · 7 greeter (graphical) · p picture"

# Runs in the guest: one line of JSON for each change of the screen that is shown.
WATCHER = r"""
import base64, json, sys, time, zlib
last = None
while True:
    vt = open("/sys/class/tty/tty0/active").read().strip()[3:]
    try:
        with open("/dev/vcsa" + vt, "rb") as a, open("/dev/vcsu" + vt, "rb") as u:
            now = (vt, a.read(), u.read())
    except OSError:
        now = (vt, b"", b"")
    if now != last:
        last = now
        print(json.dumps([vt] + [base64.b64encode(zlib.compress(part, 1)).decode() for part in now[1:]]), flush=True)
    time.sleep(0.1)
"""

ARROWS = {b"A": "up", b"B": "down", b"C": "right", b"D": "left", b"H": "home", b"F": "end"}
COLOURS = (0, 4, 2, 6, 1, 5, 3, 7)  # VGA's order to ANSI's


class Mirror:
    def __init__(self, terminal, picture):
        self.terminal = terminal
        self.picture = picture
        self.shown = None
        self.note = HELP

    def run(self):
        """Until the person leaves by Ctrl-] q, or the virtual machine ends."""
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise Failure("--shell needs a terminal to show the console in")
        rows, columns = struct.unpack("HHHH", fcntl.ioctl(sys.stdout, termios.TIOCGWINSZ, b"\0" * 8))[:2]
        for number in range(1, 7):
            self.terminal.ssh(f"stty -F /dev/tty{number} rows {min(rows - 1, 48)} columns {min(columns, 128)}")
        self.terminal.put(WATCHER.encode(), "/run/watcher.py")
        watcher = subprocess.Popen(self.terminal._ssh_line("root@127.0.0.1", "exec python3 -u /run/watcher.py"),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        before = termios.tcgetattr(sys.stdin)
        tty.setraw(sys.stdin)
        sys.stdout.write("\x1b[?1049h\x1b[2J")
        try:
            self._loop(watcher)
        finally:
            watcher.send_signal(signal.SIGTERM)
            watcher.wait()
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
            sys.stdout.write("\x1b[0m\x1b[?25h\x1b[?1049l")
            sys.stdout.flush()

    def _loop(self, watcher):
        pending = b""
        waiting_for_command = False
        while True:
            ready, _, _ = select.select([sys.stdin, watcher.stdout], [], [])
            if watcher.stdout in ready:
                data = os.read(watcher.stdout.fileno(), 1 << 16)
                if not data:
                    return
                pending += data
                *lines, pending = pending.split(b"\n")
                if lines:
                    self._draw(json.loads(lines[-1]))
            if sys.stdin in ready:
                keys = os.read(sys.stdin.fileno(), 1024)
                if not keys:
                    return
                while keys:
                    if waiting_for_command:
                        waiting_for_command = False
                        if self._command(keys[:1]):
                            return
                        keys = keys[1:]
                    elif keys[0] == ESCAPE:
                        waiting_for_command = True
                        keys = keys[1:]
                    else:
                        keys = self._type(keys)

    def _command(self, key):
        if key == b"q":
            return True
        if key in (b"1", b"2", b"3", b"4", b"5", b"6", b"7"):
            self.terminal.press("ctrl", "alt", f"f{key.decode()}")
        elif key == b"p":
            self.terminal.screendump(self.picture)
            self.note = f"picture: {self.picture}"
            self._draw(self.shown)
        return False

    def _type(self, keys):
        """Presses the first key of `keys`; returns the rest."""
        if keys.startswith(b"\x1b[") and keys[2:3] in ARROWS:
            self.terminal.press(ARROWS[keys[2:3]])
            return keys[3:]
        byte, rest = keys[0], keys[1:]
        if byte == 0x0D:
            self.terminal.press("ret")
        elif byte in (0x7F, 0x08):
            self.terminal.press("backspace")
        elif byte == 0x09:
            self.terminal.press("tab")
        elif 1 <= byte <= 26:
            self.terminal.press("ctrl", chr(byte + 96))
        elif 0x20 <= byte < 0x7F or byte == 0x1B:
            self.terminal.press(*keys_for(chr(byte)))
        return rest

    def _draw(self, screen):
        if not screen:
            return
        self.shown = screen
        vt, cells, text = screen[0], *(zlib.decompress(base64.b64decode(part)) for part in screen[1:])
        out = ["\x1b[?25l\x1b[H"]
        if len(cells) < 4 or vt == "7":
            out.append("\x1b[2J(a graphical screen: Ctrl-] p saves a picture of it, Ctrl-] 1 goes back to text)")
        else:
            rows, columns, x, y = cells[:4]
            chars = text.decode("utf-32-le", errors="replace")
            for row in range(rows):
                colour = None
                for column in range(columns):
                    at = row * columns + column
                    attribute = cells[4 + at * 2 + 1]
                    if attribute != colour:
                        colour = attribute
                        out.append(f"\x1b[0;{'1;' if attribute & 8 else ''}3{COLOURS[attribute & 7]};4{COLOURS[attribute >> 4 & 7]}m")
                    char = chars[at]
                    out.append(char if char.isprintable() else " ")
                out.append("\x1b[0m\x1b[K\r\n")
            out.append(f"\x1b[7m tty{vt} · {self.note} \x1b[0m\x1b[K\x1b[{y + 1};{x + 1}H\x1b[?25h")
        sys.stdout.write("".join(out))
        sys.stdout.flush()
