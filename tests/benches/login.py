# SPDX-License-Identifier: LGPL-2.1-or-later
"""tests/bench login: what a decision costs, beside peers; see tests/README.md. Last line: one line of JSON."""
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import time

from fleet import BURST_USERS, Fleet, USER, candidates
from place import Agent, Bus, PASSWORD, make_etc, make_stack

SIZES = (100, 10000, 1000000)
FLOORS_MAX, GROWTH_MAX, PRIVATE_MAX_KB = 6, 1.5, 4096
MODULE_MAX = {"dsos": 1, "private_kb": 16, "dlopen_ir": 200000}
ROUNDS, CALLS, PEER_ROUNDS = 25, 40, 3
IDLE_SEC = 60
HBAC_RULES = 10000


class Bench:
    def __init__(self, top, build):
        self.top, self.build = top, build
        self.dir = build + "/bench"
        self.missed = []

    def say(self, *words):
        print(*words, flush=True)

    def check(self, what, value, limit):
        good = value <= limit
        self.say("  %-4s %s: %s, at most %s" % ("ok" if good else "MISS", what, round(value, 2), limit))
        if not good:
            self.missed.append(what)

    def registry(self, n):
        """A prepared registry of this size; kept from run to run while schema and fleet are the same."""
        sources = [self.top + "/agent/registry/migrations.c", self.top + "/tests/benches/fleet.py"]
        mark = hashlib.sha256(b"".join(open(s, "rb").read() for s in sources)).hexdigest()[:16]
        path = "%s/cache/%d-%s.db" % (self.dir, n, mark)
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            self.say("preparing %d designations" % n)
            agent = Agent(self.build, self.dir + "/prepare").start()
            agent.stop()
            Fleet(n).write(agent.registry)
            os.rename(agent.registry, path)
            shutil.rmtree(agent.root)
        return path

    def agent(self, name, n, bus=None):
        agent = Agent(self.build, self.dir + "/" + name, bus)
        shutil.copyfile(self.registry(n), agent.registry)
        os.chmod(agent.registry, 0o600)
        return agent

    def tool(self, name, *arguments):
        return subprocess.run([self.build + "/tests/benches/bench-" + name, *map(str, arguments)],
                              check=True, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL).stdout

    # ---- decisions ----

    def decisions(self):
        """Microseconds of CPU of the floor, of keishi at each size, of the peers."""
        agents = {n: self.agent("size-%d" % n, n).start() for n in SIZES}
        etc = self.dir + "/etc"
        peers = {
            "pam_listfile": ("pam_listfile.so item=user sense=allow onerr=fail file=%s/listfile" % etc, CALLS),
            "pam_access": ("pam_access.so noaudit accessfile=%s/access" % etc, 1),
            "pam_time": ("pam_time.so", 10),
        }
        own = ["floor:%s:0:%d" % (make_stack(self.dir + "/floor", "pam_permit.so"), CALLS * 5)]
        own += ["%d:%s:%d" % (n, a.confdir, a.process.pid) for n, a in agents.items()]
        others = ["%s:%s:0:%d" % (name, make_stack(self.dir + "/" + name, line, "pam_permit.so"), calls) for name, (line, calls) in peers.items()]
        lines = self.tool("decide", ROUNDS, CALLS, USER, PASSWORD, "login", *own) + self.tool("decide", PEER_ROUNDS, CALLS, USER, PASSWORD, "login", *others)
        cost = {}
        for line in lines.splitlines():
            name, own, agent, wall = line.split()
            cost[name] = (int(own) + int(agent)) / 1000
            if name.isdigit():
                self.say("  keishi, %7s designations, %2d candidates: %6.1f µs (module and libpam %.1f, agent %.1f; longest decision %.1f ms)" % (
                    name, candidates(agents[int(name)].registry, Fleet(int(name))), cost[name], int(own) / 1000, int(agent) / 1000, int(wall) / 1e6))
            else:
                self.say("  %-38s %9.1f µs" % (name, cost[name]))
        for n, agent in agents.items():
            granted = agent.granted("account").count(USER)
            if granted != ROUNDS * CALLS + 1:
                self.missed.append("the trail of %d designations has %d decisions of %d" % (n, granted, ROUNDS * CALLS + 1))
        private = agents[10000].private_kb()
        for agent in agents.values():
            agent.stop()
        peers_us = {name: cost[name] for name in peers}
        peers_us["libipa_hbac"] = self.hbac()
        return cost["floor"], {str(n): cost[str(n)] for n in SIZES}, peers_us, private

    def hbac(self):
        program = self.dir + "/hbac"
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", program, self.top + "/tests/benches/hbac.c", "-lipa_hbac"], check=True)
        cost = int(subprocess.run([program, str(HBAC_RULES), "5"], check=True, stdout=subprocess.PIPE).stdout) / 1000
        self.say("  %-38s %9.1f µs" % ("libipa_hbac", cost))
        return cost

    # ---- 200 at once ----

    def burst(self):
        agent = self.agent("burst", 10000)
        Fleet(10000, seed=2).add_burst(agent.registry)
        agent.start()
        lines = [line.split() for line in self.tool("burst", agent.confdir, "login", PASSWORD, BURST_USERS).splitlines()]
        answered = {user: (auth, account) for user, auth, account, _ in lines}
        wrong = sum(1 for results in answered.values() if results != ("0", "0"))
        lost = BURST_USERS - len(answered)
        for stage in ("auth", "account"):
            lost += len(set(u for u, results in answered.items() if results == ("0", "0")) - set(agent.granted(stage)))
        times = sorted(int(ms) for *_, ms in lines)
        cpu = agent.cpu_with_helpers() / BURST_USERS
        agent.stop()
        p99 = times[math.ceil(len(times) * 0.99) - 1] if times else None
        self.say("  %d at once: %d lost, %d wrong, median %s ms, p99 %s ms" % (BURST_USERS, lost, wrong, times[len(times) // 2] if times else None, p99))
        self.say("  CPU of a whole login in the agent and its helpers: %.1f ms, most of it the password's hash" % (cpu * 1000))
        return {"n": BURST_USERS, "lost": lost, "wrong": wrong, "p99_ms": p99}

    # ---- the module ----

    def module(self, path):
        dsos, private = map(int, self.tool("load", path).split())
        out = self.dir + "/callgrind"
        subprocess.run(["valgrind", "--quiet", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=load_module", "--callgrind-out-file=" + out,
                        self.build + "/tests/benches/bench-load", path], check=True, stdout=subprocess.DEVNULL)
        with open(out) as f:
            ir = next(int(line.split()[1]) for line in f if line.startswith(("totals:", "summary:")))
        return {"dsos": dsos, "private_kb": private, "dlopen_ir": ir}

    def modules(self):
        # What the linker has just written is dirty in the page cache, and would be taken for memory of the process.
        os.sync()
        own = self.module(self.build + "/pam_keishi/pam_keishi.so")
        directory = next(d for d in ("/lib/x86_64-linux-gnu/security", "/lib/aarch64-linux-gnu/security", "/lib/security") if os.path.exists(d + "/pam_unix.so"))
        found = {"pam_keishi": own}
        for name in ("pam_unix", "pam_sss", "pam_u2f"):
            if os.path.exists("%s/%s.so" % (directory, name)):
                found[name] = self.module("%s/%s.so" % (directory, name))
        for name, m in found.items():
            self.say("  %-12s %d shared objects, %3d kB private dirty, %.2f M instructions at dlopen" % (name, m["dsos"], m["private_kb"], m["dlopen_ir"] / 1e6))
        return own

    def run(self):
        os.nice(-10)  # neighbours add less to what is measured
        os.makedirs(self.dir, exist_ok=True)
        make_etc(self.dir + "/etc", Fleet(1000000).groups_of_worst())
        bus = Bus(self.dir)
        self.say("== modules")
        module = self.modules()

        idle = self.agent("idle", 10000, bus).start()
        self.tool("decide", 1, 20, USER, PASSWORD, "login", "idle:%s:%d" % (idle.confdir, idle.process.pid))
        time.sleep(5)  # what a login leaves to do is done
        idle_since, before = time.monotonic(), idle.switches()

        self.say("== one decision of the account stage, CPU, lower quartile of %d rounds" % ROUNDS)
        floor, keishi, peers, private = self.decisions()
        self.say("== a burst")
        burst = self.burst()

        time.sleep(max(0, IDLE_SEC - (time.monotonic() - idle_since)))
        wakeups = round((idle.switches() - before) * 60 / (time.monotonic() - idle_since), 2)
        idle.stop()
        bus.stop()

        self.say("== limits")
        for n, cost in keishi.items():
            self.check("floors at %s designations" % n, cost / floor, FLOORS_MAX)
        self.check("growth from 100 to 1000000", keishi["1000000"] / keishi["100"], GROWTH_MAX)
        self.check("logins lost in the burst", burst["lost"], 0)
        self.check("logins refused wrongly in the burst", burst["wrong"], 0)
        self.check("wake-ups a minute when idle", wakeups, 0)
        self.check("kB of private memory with 10000 designations", private, PRIVATE_MAX_KB)
        for key, limit in MODULE_MAX.items():
            self.check("module, " + key, module[key], limit)
        for what in self.missed:
            self.say("missed: " + what)
        rounded = {k: round(v, 1) for k, v in keishi.items()}
        print(json.dumps({"floor_us": round(floor, 1), "keishi_us": rounded, "peers_us": {k: round(v, 1) for k, v in peers.items()}, "burst": burst,
                          "idle_wakeups_per_min": wakeups, "agent_private_kb": private, "module": module}))
        return 1 if self.missed else 0


if __name__ == "__main__":
    sys.exit(Bench(*sys.argv[1:3]).run())
