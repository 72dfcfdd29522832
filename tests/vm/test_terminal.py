# SPDX-License-Identifier: LGPL-2.1-or-later
"""The terminal itself, before keishi is on it: what every other scenario takes for granted."""

from harness import PASSWORD, check, desk, scenario
from harness.places import BUILD

SNAPSHOT = "plain"
PICTURES = BUILD / "pictures"


def test_plain_debian_lets_staff_log_in_by_typed_keys_on_tty1(terminal):
    terminal.console_login("hanako")
    terminal.type_keys("echo $((6*7)) ~/\n")
    terminal.wait_text(r"^42 /home/hanako/$")
    picture = terminal.screendump(PICTURES / "plain-console.png")
    check(picture.read_bytes().startswith(b"\x89PNG"), "the picture of the console is no PNG")
    check("hanako" in terminal.run("loginctl list-sessions --no-legend"), "logind knows no session of hanako")
    terminal.console_logout()


def test_a_wrong_password_is_refused_on_tty2(terminal):
    terminal.console_login("hanako", "not-it", vt=2, expect="Login incorrect")


def test_the_desk_lets_staff_log_in_at_a_japanese_greeter(terminal):
    desk.start_greeter(terminal)
    desk.screen_settles(terminal, PICTURES / "plain-greeter.png")
    desk.greeter_login(terminal, "hanako")
    desk.wait_for_desktop(terminal, "hanako")


def test_remote_login_over_sshd_is_debians_own(terminal):
    result = terminal.ssh_login("hanako", "id -un", password=PASSWORD["hanako"])
    check(result.out.strip() == "hanako", f"ssh said {result.err.strip()!r}")
    result = terminal.ssh_login("hanako", "id -un", password="not-it")
    check(result.rc != 0, "sshd took a wrong password")


@scenario(durable=True)
def test_what_was_flushed_survives_a_power_cut_and_what_was_not_is_gone(terminal):
    terminal.run("echo kept >/root/kept; sync /root/kept /root; echo lost >/root/lost")
    terminal.power_cut()
    terminal.start()
    check(terminal.run("cat /root/kept").strip() == "kept", "a flushed file is gone after a power cut")
    check(terminal.ssh("test -s /root/lost").rc != 0, "an unflushed file outlived a power cut: it is none")
    terminal.wait_text(r"login:\s*$", timeout=120)
