# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scenarios ask of keishi on a terminal: its trail, its agent, and keishictl used by people at the console."""

import json
import re
import shlex

from .accounts import PASSWORD
from .failure import Failure

REGISTRY = "/var/lib/keishi/registry.db"


def trail(terminal, event=None, **fields):
    """Entries of the trail as root finds them in the journal namespace, oldest first.

    Each is a dict of lower-case names without "keishi_". `event` and `fields` select by equality.
    """
    out = terminal.run("journalctl --namespace=keishi --no-pager --quiet -o json --all _SYSTEMD_UNIT=keishid.service")
    entries = [{name.lower().removeprefix("keishi_"): value for name, value in json.loads(line).items()}
               for line in out.splitlines() if line]
    wanted = dict(fields, **({"event": event} if event else {}))
    return [entry for entry in entries
            if "event" in entry and all(entry.get(name) == value for name, value in wanted.items())]


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
    if re.search(r"login:\s*$", terminal.vt_text(vt) or "login:"):
        terminal.console_login(user, vt=vt)
    terminal.type_keys(f"clear; {command}; echo status=$?.\n")
    asked = 0

    def ended():
        nonlocal asked
        text = terminal.vt_text(vt)
        if len(re.findall(r"(?i)password:", text)) > asked and re.search(r"(?i)password:\s*$", text):
            asked += 1
            terminal.type_keys(f"{PASSWORD[user]}\n")
        return re.search(r"^status=(\d+)\.", text, re.MULTILINE)

    status = terminal.wait_for(ended, f"'{command}' on tty{vt} to end", timeout)
    return int(status.group(1)), terminal.vt_text(vt)


def ctl_must(terminal, user, *arguments, **options):
    """ctl() that must succeed; returns the text."""
    status, text = ctl(terminal, user, *arguments, **options)
    if status != 0:
        raise Failure(f"keishictl {' '.join(arguments)} ended with {status}: {' / '.join(text.splitlines()[-4:])}")
    return text


def console_refused(terminal, user, password=None, vt=1, timeout=60):
    """Tries to log in on `vt` and waits for the refusal; returns the lines between the password and the next prompt."""
    terminal.switch_vt(vt)
    terminal.wait_text(r"login:\s*$", vt, timeout, last=True)
    before = terminal.vt_text(vt).count("login:")
    terminal.type_keys(f"{user}\n")
    terminal.wait_text(r"(?i)password:\s*$", vt, timeout, last=True)
    terminal.type_keys(f"{PASSWORD.get(user, 'no-such-password') if password is None else password}\n")

    def next_prompt():
        text = terminal.vt_text(vt)
        if re.search(rf"^{re.escape(user)}@\S+[$#]", text, re.MULTILINE):
            raise Failure(f"{user} got in")
        # After several failures login starts anew and clears the screen.
        return re.search(r"login:\s*$", text) and (text.count("login:") != before or "assword" not in text) and text

    text = terminal.wait_for(next_prompt, f"the refusal of {user} on tty{vt}", timeout)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    passwords = [at for at, line in enumerate(lines) if re.match(r"(?i)password:", line)]
    return lines[passwords[-1] + 1:-1] if passwords else []
