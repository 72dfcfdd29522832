# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's control socket, and keys typed at its keyboard."""

import json
import socket
import time

from .failure import Failure

PLAIN = {" ": "spc", "\n": "ret", "\t": "tab", "-": "minus", "=": "equal", "[": "bracket_left", "]": "bracket_right",
         ";": "semicolon", "'": "apostrophe", "`": "grave_accent", "\\": "backslash", ",": "comma", ".": "dot",
         "/": "slash", "\x1b": "esc", "\b": "backspace"}
SHIFTED = {"!": "1", "@": "2", "#": "3", "$": "4", "%": "5", "^": "6", "&": "7", "*": "8", "(": "9", ")": "0",
           "_": "minus", "+": "equal", "{": "bracket_left", "}": "bracket_right", ":": "semicolon",
           '"': "apostrophe", "~": "grave_accent", "|": "backslash", "<": "comma", ">": "dot", "?": "slash"}


def keys_for(char):
    """The keys, held together, that give `char` on a US keyboard."""
    if char in PLAIN:
        return [PLAIN[char]]
    if char in SHIFTED:
        return ["shift", SHIFTED[char]]
    if char.isascii() and char.isalnum():
        return ["shift", char.lower()] if char.isupper() else [char]
    raise ValueError(f"no key for {char!r} on a US keyboard")


class Qmp:
    """One connection to QEMU's QMP socket."""

    def __init__(self, path, alive, timeout=30):
        """Connects to the socket `path`; alive() says whether QEMU still runs."""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        deadline = time.monotonic() + timeout
        while True:
            try:
                self.socket.connect(str(path))
                break
            except (FileNotFoundError, ConnectionRefusedError):
                if not alive() or time.monotonic() > deadline:
                    raise Failure("QEMU did not open its control socket") from None
                time.sleep(0.02)
        self.stream = self.socket.makefile("rw", encoding="utf-8", newline="\n")
        self._read()
        self.execute("qmp_capabilities")

    def _read(self):
        line = self.stream.readline()
        if not line:
            raise Failure("QEMU closed its control socket")
        return json.loads(line)

    def execute(self, command, timeout=60, **arguments):
        """Runs one QMP command and returns what it returns. Events in between are dropped."""
        self.socket.settimeout(timeout)
        self.stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.stream.flush()
        while True:
            answer = self._read()
            if "return" in answer:
                return answer["return"]
            if "error" in answer:
                raise Failure(f"QEMU refused {command}: {answer['error']['desc']}")

    def monitor(self, line, timeout=120):
        """Runs one line of the human monitor; its output, where there is any, is an error here."""
        said = self.execute("human-monitor-command", timeout=timeout, **{"command-line": line}).strip()
        if said:
            raise Failure(f"QEMU said to '{line}': {said}")

    def press(self, keys, hold=0.02):
        """Presses `keys` (QEMU key codes) together and lets go of them."""
        for down, order in ((True, keys), (False, reversed(keys))):
            self.execute("input-send-event", events=[
                {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": name}}} for name in order])
            time.sleep(hold)

    def close(self):
        self.stream.close()
        self.socket.close()
