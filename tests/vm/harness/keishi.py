# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scenarios ask of keishi on a terminal: its trail, its agent, and keishictl used by people at the console."""

import json
import re
import shlex

from .accounts import PASSWORD
from .failure import Failure

REGISTRY = "/var/lib/keishi/registry.db"


def trail(terminal, event=None, **fields):
    """Entries of the trail since the terminal was set up, as root finds them in the journal namespace, oldest first.

    Each is a dict of lower-case names without "keishi_". `event` and `fields` select by equality.
    """
    before, *out = terminal.run("cat /root/trail.before; journalctl --namespace=keishi --no-pager --quiet -o json --all "
                                "_SYSTEMD_UNIT=keishid.service").splitlines()
    entries = [{name.lower().removeprefix("keishi_"): value for name, value in json.loads(line).items()}
               for line in out]
    wanted = dict(fields, **({"event": event} if event else {}))
    return [entry for entry in entries
            if int(entry.get("seq", 0)) > int(before) and all(entry.get(name) == value for name, value in wanted.items())]


def wait_trail(terminal, event, timeout=20, count=1, **fields):
    """Waits until the trail has `count` such entries; returns the newest."""
    try:
        return terminal.wait_for(lambda: len(found := trail(terminal, event, **fields)) >= count and found[-1],
                                 f"{count} x {event} {fields or ''} in the trail", timeout, every=0.5)
    except Failure as error:
        seen = [f"{entry['event']}({entry.get('account', '')} {entry.get('reason', '')})" for entry in trail(terminal)[-8:]]
        raise Failure(f"{error}; its end: {' '.join(seen)}") from None


def outbox(terminal, where="1"):
    """How many entries the registry's outbox holds."""
    return int(terminal.run(f"sqlite3 -readonly {REGISTRY} 'select count(*) from outbox where {where}'").strip())


def agent_pid(terminal):
    return int(terminal.run("systemctl show -P MainPID keishid.service").strip())


def agent_ready(terminal, timeout=30):
    """Waits until keishid says that it serves."""
    terminal.wait_for(lambda: terminal.ssh("systemctl is-active keishid.service").out.strip() == "active",
                      "keishid to serve", timeout)


def ctl(terminal, user, *arguments, vt=4, timeout=60):
    """Runs keishictl as a person does: logged in on `vt`, proving who they are each time they are asked.

    Returns (status, text): what keishictl ended with, and what the console showed.
    """
    command = shlex.join(("keishictl",) + arguments)
    terminal.switch_vt(vt)
    if terminal.wait_text(r"(login:|[$#])\s*$", vt, last=True).group(1) == "login:":
        terminal.console_login(user, vt=vt)
    return terminal.console_command(command, [PASSWORD[user]], vt, timeout)


def ctl_must(terminal, user, *arguments, **options):
    """ctl() that must succeed; returns the text."""
    status, text = ctl(terminal, user, *arguments, **options)
    if status != 0:
        raise Failure(f"keishictl {' '.join(arguments)} ended with {status}: {' / '.join(text.splitlines()[-4:])}")
    return text


def console_refused(terminal, user, password=None, vt=1, timeout=90):
    """Tries to log in on `vt` and waits for the refusal, which may come without a password being asked for.

    Returns the lines that were shown after the password, or after the name when no password was asked for.
    """
    password = PASSWORD.get(user, "no-such-password") if password is None else password
    terminal.switch_vt(vt)
    terminal.wait_text(r"login:\s*$", vt, timeout, last=True)
    prompts = terminal.vt_text(vt).count("login:")
    terminal.type_keys(f"{user}\n")
    named = rf"login: {re.escape(user)}$"
    shown, asked = "", False

    def back_at_the_prompt():
        nonlocal shown, asked
        text = terminal.vt_text(vt)
        if re.search(named, text, re.MULTILINE):
            shown = re.split(named, text, flags=re.MULTILINE)[-1]
        if re.search(rf"^{re.escape(user)}@\S+[$#]", shown, re.MULTILINE):
            raise Failure(f"{user} got in")
        if not asked and re.search(r"(?i)password:\s*$", text):
            asked = True
            terminal.type_keys(f"{password}\n")
            return False
        # After too many failures login ends, and getty clears the screen.
        return re.search(r"login:\s*$", text) and shown and (text.count("login:") > prompts or not re.search(named, text, re.MULTILINE))

    terminal.wait_for(back_at_the_prompt, f"the refusal of {user} on tty{vt}", timeout)
    lines = [line.strip() for line in shown.splitlines() if line.strip() and not re.search(r"login:\s*$", line)]
    return [line for line in lines if not re.match(r"(?i)password:", line)]
