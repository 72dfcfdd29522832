# SPDX-License-Identifier: LGPL-2.1-or-later
"""The rig with the real pam_unix behind pam_keishi, in stacks as pam-auth-update makes them.

/etc is private here, so that pam_unix has a passwd and a shadow file to write."""
import ctypes
import os
import shutil
import subprocess
import time

from rig import HANAKO, PASSWORD, UID, Rig, crypt_sha512, wait_for

PAM_SUCCESS, PAM_SYSTEM_ERR, PAM_PERM_DENIED, PAM_AUTH_ERR, PAM_MAXTRIES, PAM_NEW_AUTHTOK_REQD, PAM_SESSION_ERR = 0, 4, 6, 7, 11, 12, 14
PAM_CONV_ERR, PAM_AUTHTOK_ERR, PAM_AUTHINFO_UNAVAIL, PAM_TRY_AGAIN = 19, 20, 9, 24

GOOD, BETTER, THIRD = "Kx9-mmvQ72wz", "rT4;wowLq08p", "Hv7,uunPd31e"
NEVER_OLD = "[Password]\nMaxDays=0\n"
TODAY = int(time.time()) // 86400


def private_etc():
    """An /etc of our own, a copy."""
    if os.path.ismount("/etc"):
        return
    held = os.open("/etc", os.O_PATH)
    copy = "/tmp/etc"
    shutil.copytree("/etc", copy, symlinks=True, ignore=shutil.ignore_patterns("alternatives", "ssl", "ssh"))
    library = ctypes.CDLL(None, use_errno=True)
    if library.mount(copy.encode(), b"/etc", None, 1 << 12, None) != 0:
        raise OSError(ctypes.get_errno(), "mount")
    os.close(held)


class PasswordRig(Rig):
    """`changed`: {account: days ago}, for shadow(5); 0 days for the others. `passwords`: others than the rig's. `stack`: what comes after
    pam_keishi in the password stack."""

    UNIX = ("password [success=1 default=ignore] pam_unix.so use_authtok try_first_pass sha512 rounds=1000\n"
            "password requisite pam_deny.so\npassword required pam_permit.so\n")

    def __init__(self, config=NEVER_OLD, changed=None, passwords=None, stack=UNIX, **options):
        private_etc()
        self.changed, self.stack, self.passwords = changed or {}, stack, dict(PASSWORD, **(passwords or {}))
        super().__init__(config=config, **options)

    def make_accounts(self):
        super().make_accounts()
        with open("/etc/shadow", "w") as f:
            f.write("root:*:%d:0:99999:7:::\n" % TODAY)
            for name in UID:
                f.write("%s:%s:%d:0:99999:7:::\n" % (name, crypt_sha512(self.passwords[name]), TODAY - self.changed.get(name, 0)))
        os.chmod("/etc/shadow", 0o600)
        with open(self.path("etc/passwd")) as f:
            lines = [line.split(":") for line in f.read().splitlines()]
        for fields in lines:
            if fields[0] in UID:
                fields[1] = "x"
        self.write("etc/passwd", "\n".join(":".join(x) for x in lines) + "\n")
        shutil.copyfile(self.path("etc/passwd"), "/etc/passwd")
        shutil.copyfile(self.path("etc/group"), "/etc/group")

    def make_services(self):
        super().make_services()
        for service in ("login", "lightdm", "su", "sshd", "passwd", "chpasswd", "swaylock", "sudo"):
            with open(self.dir + "/pam.d/" + service, "w") as f:
                for kind in ("auth", "session"):
                    f.write("%s required %s root=%s\n" % (kind, self.module, self.root))
                # as pam-auth-update makes them from the profiles of keishi and pam_unix
                f.write("account [success=ok new_authtok_reqd=ok ignore=ignore default=die] %s root=%s\n" % (self.module, self.root))
                f.write("account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\naccount requisite pam_deny.so\naccount required pam_permit.so\n")
                f.write("password [success=ok ignore=ignore default=die] %s root=%s\n" % (self.module, self.root))
                f.write(self.stack)

    def shadow(self, name):
        with open("/etc/shadow") as f:
            return next(line.split(":") for line in f if line.startswith(name + ":"))

    def change(self, *answers, user=HANAKO, **options):
        """passwd, as the user: the lines of drive."""
        return self.drive("passwd", user, "password", answers=answers, R=UID[user], **options)

    def run_drive(self, command, timeout=60):
        """The lines of a drive_command(), which may hold bytes."""
        r = subprocess.run(command, env=self.environment(), capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL)
        assert r.returncode == 0, r
        return r.stdout.decode(errors="replace").splitlines()

    def login(self, user, password, service="login", **options):
        """The lines of a login until its session is open."""
        return self.drive(service, user, "auth", "account", "open", answers=[password], **options)

    def seen(self, user):
        """Waits until the fingerprint of the user's password is taken."""
        wait_for("the fingerprint of %s" % user, lambda: self.sql(
            "SELECT 1 FROM password_fingerprints JOIN users ON uuid = user WHERE account = ? AND state = 1", user), 30)


def last(rig, **filters):
    entries = rig.trail(**filters)
    assert entries, "no entry %r among %r" % (filters, [(e["KEISHI_EVENT"], e.get("KEISHI_REASON")) for e in rig.trail()])
    return entries[-1]


def written(rig, n=1, **filters):
    return wait_for("the change to be seen as written", lambda: len(rig.trail(event="password-changed", result="done", **filters)) >= n and rig.trail(event="password-changed")[-1], 30)


TEXTS = {
    "too-short": "too short", "few-classes": "too few kinds", "same": "is the current password", "similar": "too much like the current one",
    "easy": "too easy", "personal": "too easy", "anothers": "too easy", "used-before": "used before", "characters": "characters that cannot be used",
    "too-long": "too long", "empty": "No password was given",
}


def refused(rig, user, current, *tries):
    """That three new passwords, (reason, password) each, are refused for these reasons, and the call with them."""
    command = rig.drive_command("passwd", user, "password", answers=[current], R=UID[user])
    at = command.index("passwd")
    for reason, password in tries:
        command[at:at] = [] if reason == "empty" else ["-a", password]
        command[at:at] = ["-a", password]
        at = command.index("passwd")
    lines = rig.run_drive(command)
    assert lines[-1] == "password=%d" % PAM_AUTHTOK_ERR, lines
    shown = [x for x in lines if x.startswith("error: ")]
    assert len(shown) == 3 and all(TEXTS[reason] in text for text, (reason, _) in zip(shown, tries)), (shown, tries)
    entries = rig.trail(event="password-refused")
    assert [e["KEISHI_REASON"] for e in entries[-3:]] == [reason for reason, _ in tries], entries
    assert entries[-1]["KEISHI_ACCOUNT"] == user and entries[-1]["KEISHI_RULE"] == "policy:Password", entries[-1]
    assert not rig.trail(event="password-allowed")
