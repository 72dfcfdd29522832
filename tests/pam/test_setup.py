# SPDX-License-Identifier: LGPL-2.1-or-later
"""keishictl setup against a real keishid, up to (not including) pam-auth-update, which the VM tier runs."""
import json
import os
import pty
import select
import subprocess
import sys
import time

from rig import BUILD, HANAKO, PASSWORD, TARO, UID, Rig, crypt_sha512, has_other_users, rig_main, wait_for

DONE, FAILED, USAGE, REFUSED, NOT_FOUND, UNAVAILABLE, INVALID = range(7)
EXAMPLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "packaging", "examples", "setup.conf")


class Fresh(Rig):
    """A terminal on which keishi is installed, and nothing more."""

    def __init__(self):
        super().__init__(setup=None)
        wait_for("the agent on the bus", lambda: self.ctl("status", "--json").returncode == DONE)

    def make_accounts(self):
        super().make_accounts()
        with open(self.path("etc/passwd"), "a") as f:
            for name, shadow in (("hijo", crypt_sha512("himitsu-9")), ("locked", "!" + crypt_sha512("x")), ("empty", "")):
                f.write("%s:%s:2900:2900::/:/bin/bash\n" % (name, shadow))
            f.write("noshell:%s:2901:2901::/:/usr/sbin/nologin\n" % crypt_sha512("x"))
            f.write("shadowed:x:2902:2902::/:/bin/bash\nexpired:x:2903:2903::/:/bin/bash\n")
        self.write("etc/shadow", "shadowed:%s:19000::::::\nexpired:%s:19000:::::100:\n" % (crypt_sha512("x"), crypt_sha512("x")), 0o600)

    def ctl(self, *arguments, stdin=""):
        env = dict(self.names(), DBUS_SYSTEM_BUS_ADDRESS=self.bus_address)
        return subprocess.run([BUILD + "/agent/ctl/keishictl", *arguments, "--root", self.root], env=env, input=stdin, capture_output=True, text=True, timeout=120)

    def setup(self, text, *arguments):
        self.write("setup.conf", text)
        return self.ctl("setup", "--unattended", self.path("setup.conf"), "--no-activate", "--module", self.module, *arguments)

    def untouched(self):
        return not os.path.exists(self.path("etc/keishi/break-glass")) and not self.sql("SELECT 1 FROM meta WHERE name = 'setup'")


def example(**replaced):
    with open(EXAMPLE) as f:
        text = f.read()
    text = text.replace("Accounts=root", "Accounts=hijo")
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def fresh(function):
    def run():
        o = Fresh()
        try:
            function(o)
        finally:
            o.close()
    run.__name__ = function.__name__
    return run


@fresh
def test_the_example_sets_up_the_terminal_of_the_example(o):
    r = o.setup(example())
    assert r.returncode == DONE, (r.stdout, r.stderr)
    assert "FAILED" not in r.stdout and "hanako would be let in" in r.stdout and "an unknown user is refused" in r.stdout, r.stdout
    with open(o.path("etc/keishi/break-glass")) as f:
        assert [line for line in f.read().splitlines() if not line.startswith("#")] == ["hijo"]
    assert os.stat(o.path("etc/keishi/break-glass")).st_mode & 0o7777 == 0o644
    assert [e["KEISHI_NOUN"] for e in o.trail(event="directory-changed")] == ["terminal", "user", "user", "scope", "designation"]
    assert len(o.trail(event="setup")) == 1 and o.trail(event="setup")[0]["KEISHI_TERMINAL"] == "T01"
    assert "account=0" in o.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
    assert "auth=6" in o.drive("login", TARO, "auth", answers=[PASSWORD[TARO]])


@fresh
def test_setup_tries_a_real_login_and_stops_when_it_fails(o):
    o.write("try-password", PASSWORD[HANAKO] + "\n", 0o600)
    attempt = "[Try]\nUser=hanako\nPasswordFile=%s\n" % o.path("try-password")
    o.write("wrong-password", "wrong\n", 0o600)
    r = o.setup(example() + attempt.replace("try-password", "wrong-password"))
    assert r.returncode == FAILED and "could not log in" in r.stdout and not os.path.exists(o.path("etc/keishi/break-glass")), (r.stdout, r.stderr)
    r = o.setup(example() + attempt)  # mended, and run again
    assert r.returncode == DONE and "hanako logs in" in r.stdout, (r.stdout, r.stderr)


@fresh
def test_a_password_file_that_others_can_read_is_not_used(o):
    o.write("try-password", PASSWORD[HANAKO] + "\n", 0o644)
    r = o.setup(example() + "[Try]\nUser=hanako\nPasswordFile=%s\n" % o.path("try-password"))
    assert r.returncode == FAILED and "0600" in r.stdout, (r.stdout, r.stderr)


@fresh
def test_break_glass_accounts_that_would_not_work_are_refused_before_anything_is_written(o):
    for account in ("nobody-such", "locked", "empty", "noshell", "expired", "hijo locked"):
        r = o.setup(example().replace("Accounts=hijo", "Accounts=" + account))
        assert r.returncode == FAILED and "[FAILED] break-glass" in r.stdout and o.untouched(), (account, r.stdout, r.stderr)
    r = o.setup(example().replace("Accounts=hijo", "Accounts=hanako"))
    assert r.returncode == FAILED and "registered as staff" in r.stdout and o.untouched(), (r.stdout, r.stderr)
    assert o.setup(example().replace("Accounts=hijo", "Accounts=shadowed")).returncode == DONE


@fresh
def test_a_plan_that_lets_nobody_in_is_refused_before_anything_is_written(o):
    r = o.setup(example().replace("user:hanako", "user:nobody-such"))
    assert r.returncode in (FAILED, INVALID) and o.untouched(), (r.stdout, r.stderr)
    r = o.setup(example().replace("[Scope", "[User nssless]\nPerson=1\nName=x\nUnit=会計課\n[Scope").replace("user:hanako", "user:nssless"))
    assert r.returncode == FAILED and "nobody would be let in" in r.stdout and o.untouched(), (r.stdout, r.stderr)


@fresh
def test_a_plan_that_the_registry_does_not_take_changes_nothing(o):
    r = o.setup(example().replace("Terminals=name:T01", "Terminals=T01"))
    assert r.returncode == INVALID and "scope 1" in r.stderr and o.untouched(), (r.stdout, r.stderr)
    assert not o.trail(event="setup") and not o.trail(event="directory-changed")


@fresh
def test_strict_reading_names_file_and_line(o):
    for text, says in (
        ("[Terminal]\nName=T01\n Unit=x\n", ":3: the line is indented"),
        ("[Terminal]\nName=T01\nName=T02\n", ":3: Name= is given twice"),
        ("[Terminal]\nname=T01\n", ":2: there is no key name="),
        ("[Terminals]\n", ":1: there is no section [Terminals]"),
        ("Name=T01\n", ":1: Name= stands before"),
        ("[Terminal]\nName=T01\n[Terminal]\nUnit=x\n", ":3: [Terminal] is there twice"),
        ("[Terminal]\nName=" + "あ" * 80 + "\n", ":2: the line is longer"),
        ("[User hanako]\nAccount=x\n", ":2: Account= is given twice"),
        ("[Terminal]\nName=T01\n", "there is no [BreakGlass]"),
        ("[BreakGlass]\nAccounts=hijo\n", "there is no [Terminal]"),
        ("[BreakGlass]\nAccounts=\n", ":2: Accounts= names nobody"),
        ("[Terminal]\nName=T\x1b01\n", ":2: the line has a control character"),
        ("[Terminal]\nName=T01 ; one\n", ":2: a comment has a line of its own"),
        ("[Terminal]\nName\n", ":2: neither"),
        ("[Try]\nUser=x\n[Terminal]\nName=a\n[BreakGlass]\nAccounts=hijo\n", "[Try] needs both"),
        ("[User " + "x" * 60 + "]\n", ":1: a section's name"),
    ):
        r = o.setup(text)
        assert r.returncode == INVALID and says in r.stderr, (text, r.returncode, r.stderr)
    assert o.setup("").returncode == INVALID
    assert o.untouched()


@fresh
def test_without_the_agent_setup_says_how_to_start_it(o):
    o.stop_agent()
    r = o.setup(example())
    assert r.returncode == UNAVAILABLE and "systemctl start keishid" in r.stdout and not os.path.exists(o.path("etc/keishi/break-glass")), (r.stdout, r.stderr)


@fresh
def test_a_module_that_does_not_load_stops_setup_before_the_directory_is_written(o):
    r = o.setup(example(), "--json")
    assert r.returncode == DONE and json.loads(r.stdout)["done"], r
    p = Fresh()
    try:
        p.module = "/nonexistent/pam_keishi.so"
        r = p.setup(example())
        assert r.returncode == FAILED and "did not reach a verdict" in r.stdout and p.untouched(), (r.stdout, r.stderr)
        p.module = "pam_permit.so"
        r = p.setup(example())
        assert r.returncode == FAILED and "was let in" in r.stdout and p.untouched(), (r.stdout, r.stderr)
    finally:
        p.close()


@fresh
def test_check_verifies_and_changes_nothing(o):
    r = o.ctl("setup", "--check", "--module", o.module)
    assert r.returncode == FAILED and "not set up" in r.stdout and o.untouched(), (r.stdout, r.stderr)
    assert o.setup(example()).returncode == DONE
    for stage in ("auth", "account"):
        o.write("etc/pam.d/common-" + stage, stage + " [success=end default=die] pam_keishi.so\n")
    r = o.ctl("setup", "--check", "--module", o.module)
    assert r.returncode == FAILED and "profile is not active" in r.stdout, (r.stdout, r.stderr)  # half of it is none of it
    o.write("etc/pam.d/common-session", "session required pam_keishi.so\n")
    r = o.ctl("setup", "--check", "--module", o.module, "--json")
    assert r.returncode == DONE and json.loads(r.stdout)["done"], (r.stdout, r.stderr)
    assert {s["step"]: s["ok"] for s in json.loads(r.stdout)["steps"]} == {
        "agent": True, "break-glass": True, "terminal": True, "designation": True, "identity": True, "try-unknown": True, "profile": True}
    with open(o.path("etc/keishi/break-glass"), "w") as f:
        f.write("locked # oops\n")
    r = o.ctl("setup", "--check", "--module", o.module, "--json")
    assert r.returncode == FAILED and not {s["step"]: s["ok"] for s in json.loads(r.stdout)["steps"]}["break-glass"], r.stdout


@fresh
def test_setup_on_another_machine_says_that_it_has_to_be_enrolled(o):
    assert o.setup(example()).returncode == DONE
    o.stop_agent()
    o.write("etc/machine-id", "f" * 32 + "\n")
    o.start_agent()
    o.bus_call("Status")
    for arguments in (("setup", "--check", "--module", o.module), ("setup", "--unattended", o.path("setup.conf"), "--module", o.module, "--no-activate")):
        r = o.ctl(*arguments)
        assert r.returncode == FAILED and "keishictl terminal enrol" in r.stdout, (r.stdout, r.stderr)


@fresh
def test_setup_is_roots_and_needs_somebody_to_ask(o):
    env = dict(o.names(), DBUS_SYSTEM_BUS_ADDRESS=o.bus_address)
    r = subprocess.run([BUILD + "/agent/ctl/keishictl", "setup", "--check"], env=env, capture_output=True, text=True, user=UID[HANAKO], group=UID[HANAKO], extra_groups=[])
    assert r.returncode == REFUSED, r
    assert o.ctl("setup").returncode == USAGE
    r = subprocess.run(["busctl", "--address=" + o.bus_address, "call", "org.keishi1", "/org/keishi1", "org.keishi1.Manager", "Setup", "s", "{}"], env=o.names(),
                       capture_output=True, text=True, user=UID[HANAKO], group=UID[HANAKO], extra_groups=[])
    assert r.returncode != 0 and "Only root" in r.stderr, r


class Terminal:
    """A person at a terminal who waits for a question and answers it."""

    def __init__(self, command, env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, env)
        self.text = ""

    def read(self, seconds):
        """More of what is shown, or None at the end."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return ""
        try:
            return os.read(self.fd, 4096).decode(errors="replace") or None
        except OSError:
            return None

    def answer(self, question, text):
        end = time.monotonic() + 20
        while question not in self.text:
            more = self.read(0.5)
            if more is None or time.monotonic() > end:
                raise AssertionError("no %r in %r" % (question, self.text))
            self.text += more
        self.text = self.text[self.text.index(question) + len(question):]
        os.write(self.fd, (text + "\n").encode())

    def end(self):
        """Everything up to the end, and the exit status."""
        more = ""
        while more is not None:
            self.text += more
            more = self.read(20)
        os.close(self.fd)
        return self.text, os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@fresh
def test_the_guide_asks_and_lets_somebody_try_until_it_works(o):
    command = [BUILD + "/agent/ctl/keishictl", "setup", "--no-activate", "--module", o.module, "--root", o.root]
    person = Terminal(command, dict(o.names(), DBUS_SYSTEM_BUS_ADDRESS=o.bus_address))
    for question, text in (
        ("Name of this terminal:", "T01"), ("Unit that it belongs to:", "会計課"), ("confidentiality", ""), ("integrity", ""), ("availability", ""),
        ("external line", ""), ("Designated for a purpose", ""), ("Business that", "会計業務"), ("Hours,", ""),
        ("Account of the user:", "hanako"), ("Staff number:", "100001"), ("Name:", "山田花子"), ("Unit: [会計課]", ""), ("Designate this user", "yes"),
        ("Another user?", "yes"),
        ("Account of the user:", "taro"), ("Staff number:", "100002"), ("Name:", "鈴木太郎"), ("Unit:", ""), ("Designate this user", "no"),
        ("Another user?", "no"), ("Break-glass account: [root]", "hijo"),
        ("Who tries a login now", "hanako"), ("Password: ", "wrong"), ("Who tries a login now", "hanako"), ("Password: ", PASSWORD[HANAKO]),
    ):
        person.answer(question, text)
    shown, status = person.end()
    assert status == DONE and "hanako logs in" in shown and PASSWORD[HANAKO] not in shown, (status, shown)
    assert "auth=0" in o.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])
    assert "auth=6" in o.drive("login", TARO, "auth", answers=[PASSWORD[TARO]])


@fresh
def test_a_guide_that_is_broken_off_leaves_nothing(o):
    person = Terminal([BUILD + "/agent/ctl/keishictl", "setup", "--no-activate", "--root", o.root], dict(o.names(), DBUS_SYSTEM_BUS_ADDRESS=o.bus_address))
    person.answer("Name of this terminal:", "T01")
    person.answer("Unit that it belongs to:", "\x04")
    shown, status = person.end()
    assert status == FAILED and "PAM is as it was" in shown and o.untouched(), (status, shown)


if __name__ == "__main__":
    if not has_other_users():
        print("1..0 # SKIP callers are real uids: needs root, or a user namespace with more than one")
        sys.exit(0)
    sys.exit(rig_main(globals()))
