# SPDX-License-Identifier: LGPL-2.1-or-later
"""A person at the graphical greeter: lightdm with its GTK greeter on Xorg."""

from .accounts import PASSWORD

LOG = "/var/log/lightdm/lightdm.log"


def said(terminal, text):
    """How often lightdm's log contains `text`."""
    return int(terminal.ssh(f"grep -c -F -- '{text}' {LOG}").out.strip() or 0)


def start_greeter(terminal):
    """Starts lightdm and waits until its greeter is the active session of the seat."""
    terminal.run("systemctl start --no-block lightdm")
    terminal.wait_for(lambda: said(terminal, "Greeter connected"), "the greeter to start", timeout=120)
    terminal.wait_for(lambda: active_vt(terminal) == "tty7", "the greeter's virtual terminal", timeout=60)
    terminal.wait_for(lambda: terminal.ssh(f"grep -q 'Greeter start authentication' {LOG}").rc == 0,
                      "the greeter to ask who it is", timeout=60)


def active_vt(terminal):
    return terminal.run("cat /sys/class/tty/tty0/active").strip()


def screen_settles(terminal, path, timeout=60, least=8000):
    """Saves a picture once the screen shows something and two pictures a second apart are the same, but for a cursor's blinking."""
    kept = b""

    def settled():
        nonlocal kept
        before, kept = kept, terminal.screendump(path).read_bytes()
        return len(kept) > least and abs(len(before) - len(kept)) < 100

    terminal.wait_for(settled, "the screen to come to rest", timeout, every=1)
    return path


def greeter_login(terminal, user, password=None, *, between=None):
    """Types name and password at the greeter; between() is called when the password is asked for."""
    prompts = said(terminal, "Prompt greeter with")
    terminal.type_keys(f"{user}\n")
    terminal.wait_for(lambda: said(terminal, "Prompt greeter with") > prompts, "a prompt at the greeter", timeout=60)
    if between:
        between()
    ended = said(terminal, "Authenticate result for user")
    terminal.type_keys(f"{PASSWORD[user] if password is None else password}\n")
    terminal.wait_for(lambda: said(terminal, "Authenticate result for user") > ended,
                      "lightdm's answer to the password", timeout=60)


def greeter_types(terminal, text, *, between=None):
    """Types an answer to what the greeter asks, and waits until lightdm asks for more or has enough; between() is called before."""
    def steps():
        return said(terminal, "Prompt greeter with"), said(terminal, "Authenticate result for user")

    before = steps()
    if between:
        between()
    terminal.type_keys(f"{text}\n")
    terminal.wait_for(lambda: steps() != before, "lightdm's next step", timeout=60)


def wait_for_desktop(terminal, user, timeout=90):
    """Waits until `user` has a window manager and a terminal window."""
    for program in ("openbox", "xterm"):
        terminal.wait_for(lambda: terminal.ssh(f"pgrep -u {user} -x {program}").rc == 0, f"{user}'s {program}", timeout)
