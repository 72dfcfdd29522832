# SPDX-License-Identifier: LGPL-2.1-or-later
"""The protocol of include/keishi/protocol.h as bytes, for callers that do not keep to it.

Stands for a program that an attacker writes; what the real module sends is tested through libpam (test_login.py)."""
import os
import socket
import struct

MAGIC, VERSION, MESSAGE_MAX = 0x4B50, 1, 8192
BEGIN, ANSWER, CANCEL, PROMPT, INFORM, ERROR, WAIT, RESULT = 1, 2, 3, 16, 17, 18, 19, 20
STAGE, FLAGS, SERVICE, USER, USER_LENGTH, RUSER, RHOST, TTY, LOCALE, TEXT, PROMPT_STYLE, RESULT_CODE = range(1, 13)
OLD_TOKEN = 13
AUTH, ACCOUNT, SESSION_OPEN, SESSION_CLOSE, PASSWORD_PRELIM, PASSWORD_UPDATE = range(1, 7)
(SUCCESS, AUTH_ERR, PERM_DENIED, MAXTRIES, ACCT_EXPIRED, AUTHTOK_ERR, SESSION_ERR, CONV_ERR, SYSTEM_ERR, UNAVAILABLE,
 NEW_AUTHTOK_REQD, TRY_AGAIN) = range(1, 13)


def item(number, value, length=None):
    if isinstance(value, int):
        value = struct.pack("=I", value)
    elif isinstance(value, str):
        value = value.encode()
    return struct.pack("=HH", number, len(value) if length is None else length) + value


def message(kind, *items, magic=MAGIC, version=VERSION, length=None):
    body = b"".join(items)
    return struct.pack("=HHHH", magic, version, kind, (len(body) if length is None else length) & 0xFFFF) + body


def begin(service, user, stage=AUTH, **extra):
    items = [item(STAGE, stage), item(FLAGS, 0), item(SERVICE, service)]
    if user is not None:
        items.append(item(USER, user))
    for name, value in extra.items():
        items.append(item(globals()[name.upper()], value))
    return message(BEGIN, *items)


def answer(text):
    return message(ANSWER, item(TEXT, text))


class Ended(Exception):
    """The agent ended the connection without a result."""


class Call:
    """One connection. `path`: pam.sock or root.sock."""

    def __init__(self, path, timeout=20):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout)
        self.socket.connect(path)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        """False when the agent has ended the connection already."""
        try:
            self.socket.send(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def receive(self):
        """(kind, {item: bytes})"""
        while True:
            try:
                data = self.socket.recv(1 << 16)
                break
            except ConnectionResetError:
                continue  # said once; what came before is still there
        if not data:
            raise Ended()
        magic, version, kind, length = struct.unpack_from("=HHHH", data)
        assert (magic, version, length) == (MAGIC, VERSION, len(data) - 8), data
        items, at = {}, 8
        while at < len(data):
            number, size = struct.unpack_from("=HH", data, at)
            items[number] = data[at + 4:at + 4 + size]
            at += 4 + size
        return kind, items

    def expect(self, kind):
        """The next message but WAIT, which must be of this kind."""
        while True:
            got, items = self.receive()
            if got != WAIT:
                assert got == kind, (got, items)
                return items

    def result(self):
        """The code of RESULT, after whatever is shown before it."""
        while True:
            kind, items = self.receive()
            if kind == RESULT:
                return struct.unpack("=I", items[RESULT_CODE])[0]
            assert kind in (INFORM, ERROR, WAIT), (kind, items)

    def ended(self):
        """Whether the agent ends the connection without granting anything; what it asks goes unanswered."""
        try:
            while True:
                kind, items = self.receive()
                if kind == RESULT:
                    return struct.unpack("=I", items[RESULT_CODE])[0] != SUCCESS
        except Ended:
            return True


def as_user(uid, function, *arguments):
    """Runs the function in a child that is this uid for good; what it returns, true or false, or its exception as an AssertionError."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(read)
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            status = 0 if function(*arguments) in (None, True) else 1
        except BaseException as e:  # noqa: B902 - it must not reach the parent's code
            os.write(write, repr(e).encode()[:4096])
        os._exit(status)
    os.close(write)
    with os.fdopen(read, "rb") as f:
        text = f.read().decode(errors="replace")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if text:
        raise AssertionError("as uid %d: %s" % (uid, text))
    return status == 0
