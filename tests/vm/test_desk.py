# SPDX-License-Identifier: LGPL-2.1-or-later
"""The graphical desk: lightdm's greeter in Japanese, and screen lockers.

The GTK greeter shows no text of a password prompt, only messages: pictures of both are kept in build/vm/pictures.
"""

import re

from harness import PASSWORD, check, desk, keishi, scenario
from harness.places import BUILD
from harness.terminal import PASSWORD_PROMPT

PICTURES = BUILD / "pictures"


@scenario(timeout=420)
def test_designated_staff_log_in_at_the_greeter(terminal):
    desk.start_greeter(terminal)
    desk.greeter_login(terminal, "hanako",
                       between=lambda: desk.screen_settles(terminal, PICTURES / "greeter-asks.png"))
    desk.wait_for_desktop(terminal, "hanako")
    desk.screen_settles(terminal, PICTURES / "greeter-desktop.png")
    entry = keishi.wait_trail(terminal, "login-granted", account="hanako", service="lightdm")
    check(entry.get("seat", "seat0") == "seat0", f"the seat is {entry.get('seat')!r}")
    keishi.wait_trail(terminal, "session-opened", account="hanako", service="lightdm")


@scenario(timeout=420)
def test_who_is_not_designated_is_refused_at_the_greeter_in_japanese(terminal):
    desk.start_greeter(terminal)
    desk.greeter_login(terminal, "taro")
    desk.screen_settles(terminal, PICTURES / "greeter-refuses.png")
    keishi.wait_trail(terminal, "login-refused", account="taro", service="lightdm")
    check(terminal.ssh("pgrep -u taro -x openbox").rc != 0, "taro has a desktop")


@scenario(timeout=420)
def test_a_desktop_that_is_ended_comes_back_as_a_greeter_that_says_why(terminal):
    desk.start_greeter(terminal)
    desk.greeter_login(terminal, "hanako")
    desk.wait_for_desktop(terminal, "hanako")
    asked = desk.said(terminal, "Greeter start authentication")
    keishi.ctl_must(terminal, "bucho", "restriction", "add", "--account", "hanako", "--reason", "investigation")
    terminal.wait_for(lambda: terminal.ssh("pgrep -u hanako").rc != 0, "every process of hanako to be gone", 30)
    terminal.wait_for(lambda: desk.said(terminal, "Greeter start authentication") > asked, "the next greeter to ask who it is", 90)
    terminal.switch_vt(7)
    desk.screen_settles(terminal, PICTURES / "greeter-again.png")
    told = desk.said(terminal, "Prompt greeter with")
    terminal.type_keys("taro\n")
    # Twice: why the session before was ended, and the question for the password.
    terminal.wait_for(lambda: desk.said(terminal, "Prompt greeter with") >= told + 2, "the greeter to say why", 60)
    desk.screen_settles(terminal, PICTURES / "greeter-says-why.png")


@scenario(timeout=420)
def test_swaylock_opens_with_the_right_password_only(terminal):
    terminal.console_login("hanako")
    terminal.type_keys("WLR_RENDERER=pixman sway\n")
    socket = "export SWAYSOCK=$(ls /run/user/$(id -u hanako)/sway-ipc.*.sock | head -n 1)"
    terminal.wait_for(lambda: terminal.ssh(f"{socket}; swaymsg -t get_version").rc == 0, "sway", timeout=120, every=1)
    terminal.run(f"{socket}; swaymsg exec 'swaylock 2>/tmp/swaylock.log'")
    terminal.wait_for(lambda: terminal.ssh("pgrep -u hanako -x swaylock").rc == 0, "swaylock", timeout=60)
    desk.screen_settles(terminal, PICTURES / "swaylock.png", least=500)
    terminal.type_keys("wrong-one\n")
    keishi.wait_trail(terminal, "login-refused", account="hanako", service="swaylock", timeout=60)
    # The trail knows at once; swaylock, which drops what is typed meanwhile, is told after the delay that failures are given.
    terminal.wait_for(lambda: terminal.ssh("grep -q 'pam_authenticate failed' /tmp/swaylock.log").rc == 0, "swaylock to be told", timeout=60)
    check(terminal.ssh("pgrep -u hanako -x swaylock").rc == 0, "swaylock went away after a wrong password")
    terminal.type_keys(f"{PASSWORD['hanako']}\n")
    terminal.wait_for(lambda: terminal.ssh("pgrep -u hanako -x swaylock").rc != 0, "swaylock to open", timeout=60)
    keishi.wait_trail(terminal, "login-granted", account="hanako", service="swaylock")


def vlock_asks(terminal, seen=""):
    """Waits until vlock asks for the password, on a screen that is not `seen`; returns what it shows."""
    def asks():
        text = terminal.vt_text(1)
        if text != seen and text.rstrip().endswith("to unlock."):
            terminal.type_keys("\n")
            return False
        return text != seen and re.search(PASSWORD_PROMPT + "$", text) and text

    return terminal.wait_for(asks, "vlock to ask", 60, every=1)


def test_vlock_on_the_console_opens_with_the_right_password_only(terminal):
    terminal.console_login("hanako")
    terminal.type_keys("clear; vlock -c; echo status=$?.\n")
    seen = vlock_asks(terminal)
    terminal.type_keys("wrong-one\n")
    keishi.wait_trail(terminal, "login-refused", account="hanako", service="vlock", timeout=60)
    # vlock then offers root's password as another way.
    seen = vlock_asks(terminal, seen)
    terminal.type_keys("wrong-two\n")
    keishi.wait_trail(terminal, "login-refused", account="root", service="vlock", timeout=60)
    vlock_asks(terminal, seen)
    terminal.type_keys(f"{PASSWORD['hanako']}\n")
    terminal.wait_text(r"^status=0\.", timeout=60)
    keishi.wait_trail(terminal, "login-granted", account="hanako", service="vlock")
