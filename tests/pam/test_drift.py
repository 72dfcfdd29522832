# SPDX-License-Identifier: LGPL-2.1-or-later
"""Changes of the configuration, PAM stacks and sudoers are noticed, recorded with the difference, shown, and by policy close logins until accepted."""
import json
import os
import subprocess
import sys

from rig import HANAKO, PASSWORD, rig_main, wait_for
from test_ctl import KACHO, KANRI, REFUSED, SEKININ, UIDS, USAGE, Office

CLOSE = "[Policy]\nOnDrift=close\n"
SUDO = "Defaults use_pty\n%sudo ALL=(ALL:ALL) ALL\n"


class Watched(Office):
    """A terminal whose configuration was recorded at the end of the setup."""

    def __init__(self, **options):
        super().__init__(**options)
        self.write("etc/pam.d/login", "auth include common-auth\naccount include common-account\n")
        self.write("etc/sudoers", SUDO, 0o440)
        os.makedirs(self.path("etc/sudoers.d"), 0o750)
        self.bus_call("SetupFinished")
        self.accepted = int(self.trail(event="drift-accepted")[0]["KEISHI_SEQ"])

    def since(self, **filters):
        """Entries config-drift behind the acceptance at the end of the setup."""
        return [e for e in self.trail(event="config-drift", **filters) if int(e["KEISHI_SEQ"]) > self.accepted]

    def drift(self, path, count=1):
        return wait_for("the entry about " + path, lambda: self.entries(path, count), 30)

    def entries(self, path, count):
        found = self.since(path=path)
        return found if len(found) >= count else None

    def changed(self):
        return {f["path"]: f["change"] for f in json.loads(self.bus_call("Status")[0])["configuration"]["files"]}


def value(entry, field):
    return json.loads(entry["KEISHI_" + field].encode().decode("unicode_escape").encode("latin-1").decode())


def test_sudoers_that_switches_logging_off_is_recorded_with_the_lines_that_differ():
    with Watched() as rig:
        rig.write("etc/sudoers", SUDO.replace("use_pty", "!syslog, !use_pty"), 0o440)
        entry = rig.drift("/etc/sudoers")[0]
        before, after = value(entry, "BEFORE"), value(entry, "AFTER")
        assert entry["KEISHI_RESULT"] == "changed" and before["hash"] != after["hash"] and len(after["hash"]) == 64, entry
        assert before["lines"] == ["Defaults use_pty"] and after["lines"] == ["Defaults !syslog, !use_pty"], (before, after)
        assert rig.changed() == {"/etc/sudoers": "changed"}
        assert "/etc/sudoers" in rig.ctl("root", "status").stdout
        assert "CLOSED" not in rig.ctl("root", "status").stdout


def test_files_that_come_and_go_are_recorded_and_a_change_taken_back_is_no_drift():
    with Watched() as rig:
        rig.write("etc/sudoers.d/extra", "hanako ALL=(ALL) NOPASSWD: ALL\n", 0o440)
        assert rig.drift("/etc/sudoers.d/extra")[0]["KEISHI_RESULT"] == "added"
        assert rig.changed() == {"/etc/sudoers.d/extra": "added"}
        os.unlink(rig.path("etc/sudoers.d/extra"))
        assert rig.drift("/etc/sudoers.d/extra", 2)[1]["KEISHI_RESULT"] == "removed"
        os.rename(rig.path("etc/pam.d/login"), rig.path("etc/pam.d/login.off"))
        rig.drift("/etc/pam.d/login")
        assert rig.changed() == {"/etc/pam.d/login": "removed", "/etc/pam.d/login.off": "added"}
        os.rename(rig.path("etc/pam.d/login.off"), rig.path("etc/pam.d/login"))
        assert rig.drift("/etc/pam.d/login", 2)[1]["KEISHI_RESULT"] == "restored"
        assert rig.changed() == {}


def test_a_mode_and_the_break_glass_list_count_and_secrets_stay_out():
    with Watched() as rig:
        os.chmod(rig.path("etc/pam.d/login"), 0o666)
        entry = rig.drift("/etc/pam.d/login")[0]
        assert value(entry, "BEFORE")["access"] == "0644 0:0" and value(entry, "AFTER")["access"] == "0666 0:0", entry
        assert "lines" not in value(entry, "AFTER")
        rig.write("etc/keishi/break-glass", "root\n")
        rig.drift("/etc/keishi/break-glass")
        rig.write("etc/pam.d/ldap", "auth required pam_ldap.so bindpw=himitsu7 use_first_pass\n")
        entry = rig.drift("/etc/pam.d/ldap")[0]
        assert "himitsu7" not in json.dumps(entry) and value(entry, "AFTER")["lines"] == ["auth required pam_ldap.so bindpw="], entry
        assert not rig.sql("SELECT path FROM watched_files WHERE seen_text LIKE '%himitsu7%'")


def test_a_change_while_the_agent_was_away_is_recorded_once():
    with Watched() as rig:
        rig.stop_agent()
        rig.write("etc/pam.d/login", "auth sufficient pam_permit.so\n")
        rig.start_agent()
        entry = rig.drift("/etc/pam.d/login")[0]
        assert entry["KEISHI_DETAIL"] == "changed while the agent did not run", entry
        rig.stop_agent()
        rig.start_agent()
        rig.bus_call("Status")
        assert len(rig.since()) == 1


def test_by_policy_staff_logins_close_until_a_system_manager_accepts():
    with Watched(config=CLOSE) as rig:
        assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=0"
        rig.write("etc/pam.d/sudo", "auth sufficient pam_permit.so\n")
        rig.drift("/etc/pam.d/sudo")
        said = rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])
        assert said[-1] == "auth=6" and any("system manager" in line for line in said), said
        refused = rig.trail(event="login-refused")[-1]
        assert refused["KEISHI_REASON"] == "drift" and refused["KEISHI_RULE"] == "policy:OnDrift", refused
        assert rig.drive("swaylock", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=0"
        assert rig.json(KACHO, "check", HANAKO, "--service", "cron")["reason"] != "drift"
        assert rig.ctl(KACHO, "check", HANAKO).returncode == REFUSED
        # who may accept is not kept out by the change itself
        assert json.loads(rig.ctl(KACHO, "check", KANRI, "--json").stdout)["reason"] == "default"
        assert "CLOSED" in rig.ctl("root", "status").stdout

        rig.refused(KACHO, "terminal", "accept-drift", "--reason", "x")
        rig.refused("root", "terminal", "accept-drift", "--reason", "x")
        rig.refused(KANRI, "terminal", "accept-drift", code=USAGE)
        assert "1" in rig.done(KANRI, "terminal", "accept-drift", "--reason", "sudo の設定を確認")
        accepted = rig.trail(event="drift-accepted")[-1]
        assert accepted["KEISHI_ACCOUNT"] == KANRI and accepted["KEISHI_COUNT"] == "1" and accepted["KEISHI_DETAIL"] == "sudo の設定を確認", accepted
        assert rig.changed() == {}
        assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=0"
        rig.stop_agent()
        rig.start_agent()
        assert rig.changed() == {} and not rig.since(detail="changed while the agent did not run")


def test_what_was_not_looked_at_is_not_accepted_and_root_accepts_nothing_after_the_setup():
    with Watched() as rig:
        state = json.loads(rig.bus_call("Status")[0])["configuration"]["state"]
        rig.write("etc/sudoers", SUDO + "# x\n", 0o440)
        rig.drift("/etc/sudoers")
        env = dict(rig.names(), DBUS_SYSTEM_BUS_ADDRESS=rig.bus_address)
        call = ["busctl", "--address=" + rig.bus_address, "call", "org.keishi1", "/org/keishi1", "org.keishi1.Manager"]
        r = subprocess.run([*call, "AcceptDrift", "ss", state, "x"], env=env, capture_output=True, text=True, user=UIDS[SEKININ], group=UIDS[SEKININ], extra_groups=[])
        assert r.returncode != 0 and "look again" in r.stderr, r.stderr
        assert "recorded before" in rig.bus_call("SetupFinished", check=False)
        assert rig.changed() == {"/etc/sudoers": "changed"}


def test_a_directory_that_comes_later_is_watched_and_odd_files_hold_nobody_up():
    with Watched() as rig:
        os.rmdir(rig.path("etc/sudoers.d"))
        rig.drift("/etc/sudoers.d")
        os.makedirs(rig.path("etc/sudoers.d"), 0o750)
        rig.drift("/etc/sudoers.d", 2)
        os.mkfifo(rig.path("etc/sudoers.d/pipe"))
        assert value(rig.drift("/etc/sudoers.d/pipe")[0], "AFTER")["state"].startswith("not a file")
        os.symlink("/nowhere", rig.path("etc/sudoers.d/link"))
        assert value(rig.drift("/etc/sudoers.d/link")[0], "AFTER")["state"] == "a link to nothing"
        with open(rig.path("etc/sudoers.d/huge"), "w") as f:
            f.truncate(1 << 30)
        assert value(rig.drift("/etc/sudoers.d/huge")[0], "AFTER")["state"].startswith("too large")
        assert rig.drive("login", HANAKO, "auth", answers=[PASSWORD[HANAKO]])[-1] == "auth=0"


DPKG = "Package: %s\nStatus: install ok %s\nArchitecture: amd64\nVersion: %s\nDescription: x\n long text\n\n"


def dpkg(rig, *packages):
    """Writes the status file as dpkg does: beside it, and renames."""
    rig.write("var/lib/dpkg/status-new", "".join(DPKG % p for p in packages))
    os.rename(rig.path("var/lib/dpkg/status-new"), rig.path("var/lib/dpkg/status"))


def test_software_that_came_went_or_has_another_version_is_recorded():
    with Watched() as rig:
        rig.stop_agent()
        os.makedirs(rig.path("var/lib/dpkg"))
        many = [("lib%04d" % i, "installed", "1:1.0-%d~deb12" % i) for i in range(4000)]
        dpkg(rig, *many)
        rig.start_agent()
        first = wait_for("the first look", lambda: rig.trail(event="software-changed"), 30)
        assert len(first) == 1 and first[0]["KEISHI_COUNT"] == "4000" and first[0]["KEISHI_RESULT"] == "first-seen", first
        dpkg(rig, ("lib0000", "installed", "1:2.0"), ("lib0001", "config-files", "1:1.0-1~deb12"), *many[2:], ("gimp", "unpacked", "2.10"))
        changed = wait_for("the entries", lambda: rig.trail(event="software-changed")[1:], 30)
        assert {e["KEISHI_OBJECT"]: (e["KEISHI_RESULT"], e.get("KEISHI_BEFORE"), e.get("KEISHI_AFTER")) for e in changed} == {
            "lib0000:amd64": ("changed", "1:1.0-0~deb12", "1:2.0"), "lib0001:amd64": ("removed", "1:1.0-1~deb12", None), "gimp:amd64": ("installed", None, "2.10")}


if __name__ == "__main__":
    sys.exit(rig_main(globals()))
