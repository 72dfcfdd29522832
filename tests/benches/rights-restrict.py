# SPDX-License-Identifier: LGPL-2.1-or-later
"""rights-restrict.py SOURCE_ROOT BUILD [RUNS]: from the start of `keishictl restriction add` until nothing of the user is left. The last line is one line of JSON.

In the test terminal (tests/vm), each run: hanako logs in at the console; she has a session of logind, a user manager with a job of its own, and a job that left her
session and ignores to be terminated. The clock is the guest's CLOCK_MONOTONIC; it starts where keishictl is executed and stops when every process that hanako had is gone
and logind has no session of hers any more (the empty entry of a user stays 10 s: UserStopDelaySec=). A rule of polkit stands for the system owner's password, which is a person's time."""
import json
import math
import sys

RUNS, LIMIT_MS = 30, 1000
SINCE = "/run/bench-pids"

RULE = """polkit.addRule(function(action, subject) {
        return action.id.indexOf("org.keishi1.") == 0 ? polkit.Result.YES : polkit.Result.NOT_HANDLED;
});
"""

# What hanako's shell leaves behind, and says when it has.
PROFILE = """setsid -f sh -c 'trap "" TERM HUP INT; while :; do sleep 1000; done' </dev/null >/dev/null 2>&1
systemd-run --user --quiet --collect sleep 1000
touch /tmp/at-work
"""

GUEST = r"""
import json, os, pwd, select, subprocess, sys, time

user, owner = (pwd.getpwnam(name) for name in ("hanako", "bucho"))


def processes():
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat("/proc/" + name).st_uid == user.pw_uid:
                found.append(int(name))
        except OSError:
            pass
    return found


sessions = [name for name in os.listdir("/run/systemd/sessions") if name.isalnum() and
            "UID=%d\n" % user.pw_uid in open("/run/systemd/sessions/" + name).read()]
marks = ["/run/systemd/sessions/" + name for name in sessions]
pids = [pid for pid in processes()]
names = [open("/proc/%d/comm" % pid).read().strip() for pid in pids]
assert sessions and "systemd" in names and names.count("sleep") >= 2, (sessions, names)
poll = select.poll()
for pid in pids:
    poll.register(os.pidfd_open(pid), select.POLLIN)
argv = ["keishictl", "restriction", "add", "--account", "hanako", "--reason", "bench", "--json"]
left = len(pids)
began = time.monotonic()
caller = subprocess.Popen(argv, stdout=subprocess.PIPE, user=owner.pw_uid, group=owner.pw_gid, extra_groups=os.getgrouplist("bucho", owner.pw_gid))
while left:
    for fd, _ in poll.poll():
        poll.unregister(fd)
        left -= 1
dead = time.monotonic()
while any(map(os.path.exists, marks)):
    time.sleep(0.005)
gone = time.monotonic()
row = json.loads(caller.communicate()[0])
assert not processes(), processes()
print(json.dumps({"ms": (gone - began) * 1000, "dead_ms": (dead - began) * 1000, "processes": len(pids), "row": row["uuid"]}))
"""


def as_owner(command):
    return f"setpriv --reuid bucho --regid bucho --init-groups keishictl {command}"


def one(terminal):
    terminal.run("rm -f /tmp/at-work")
    terminal.console_login("hanako", timeout=120)
    terminal.wait_for(lambda: terminal.ssh("test -e /tmp/at-work").rc == 0, "hanako to be at work", 60)
    result = json.loads(terminal.run("python3 /root/restrict.py", timeout=60))
    terminal.run(as_owner(f"restriction lift {result['row']} --reason bench"))
    return result


def measure(top, runs):
    sys.path.insert(0, top + "/tests/vm")
    from harness import snapshots, terminal as machines

    machines.stop_on_signals()
    snapshots.use()
    with snapshots.terminal("designated", "bench") as terminal:
        terminal.put(GUEST.encode(), "/root/restrict.py")
        terminal.put(RULE.encode(), "/etc/polkit-1/rules.d/00-bench.rules")
        terminal.put(PROFILE.encode(), "/home/hanako/.bash_profile")
        terminal.wait_for(lambda: terminal.ssh(as_owner("user list --json")).rc == 0, "polkit to have read its rule", 30)
        times = []
        for run in range(runs):
            result = one(terminal)
            times.append(result["ms"])
            print(f"restriction {run + 1}: {result['processes']} processes dead after {result['dead_ms']:.0f} ms, all gone after {result['ms']:.0f} ms", flush=True)
    return sorted(times)


if __name__ == "__main__":
    times = measure(sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else RUNS)
    p95 = times[math.ceil(len(times) * 0.95) - 1]
    print(json.dumps({"runs": len(times), "median_ms": round(times[len(times) // 2]), "restrict_p95_ms": round(p95), "max_ms": round(times[-1])}))
    sys.exit(p95 > LIMIT_MS)
