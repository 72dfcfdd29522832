# SPDX-License-Identifier: LGPL-2.1-or-later
"""rights-import.py SOURCE_ROOT BUILD, or measure(top, build): importing 100,000 designations, CPU and wall, beside SQLite's own import of the same rows. The last
line is one line of JSON.

keishi's side is `keishictl import designation FILE`, from its start to its end, with the agent and the bus, which are the real ones (tests/pam); polkit is a double
that says yes. Each row is read from CSV, sent over the bus, checked, compared with what is there, staged, written, and recorded in the trail with its values.
SQLite's side is the shell's `.import` of the same rows, all columns given ready, into a copy of the same registry: the same table, indices, triggers and durability,
in one transaction, without checks and without a trail. Both are on the same disk. A login is made over and over meanwhile, in a run of its own that is not compared:
how long the slowest one takes."""
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

DESIGNATIONS, LIMIT = 100_000, 3.0
FIRST_SCOPE = 1000
DB = "var/lib/keishi/registry.db"


def fill(path):
    """Everything that designations are about, and none of them. Returns the rows of the file, as texts."""
    import sqlite3
    from fleet import BUSINESSES, Fleet
    fleet = Fleet(DESIGNATIONS)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("BEGIN")
    db.executemany("INSERT INTO terminals (uuid, name, unit) VALUES (?, ?, ?)", ((fleet.uuid(), "T%05d" % t, "課%04d" % (t % fleet.units)) for t in range(fleet.terminals)))
    db.executemany("INSERT INTO users (uuid, account, person, name, unit) VALUES (?, ?, ?, ?, ?)",
                   ((fleet.uuid(), "u%05d" % u, "9%05d" % u, "職員%05d" % u, "課%04d" % (u % fleet.units)) for u in range(fleet.users)))
    names = ["課%04d %s" % (unit, business) for unit in range(fleet.units) for business in BUSINESSES]
    db.executemany("INSERT INTO scopes (id, uuid, name, business, unit, terminals) VALUES (?, ?, ?, ?, ?, ?)",
                   ((FIRST_SCOPE + i, fleet.uuid(), name, name.split()[1], name.split()[0], "unit:" + name.split()[0]) for i, name in enumerate(names)))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    rows, seen = [], set()
    while len(rows) < DESIGNATIONS:
        for _, scope, subject, terminals, services, hours in fleet.rows(DESIGNATIONS):
            # A file has each key once; a pattern is the scope's to have, not a designation's.
            terminals = None if terminals and terminals.startswith("pattern:") else terminals
            key = (scope, subject, terminals)
            if key not in seen and len(rows) < DESIGNATIONS:
                seen.add(key)
                rows.append((FIRST_SCOPE + scope - 1, names[scope - 1], subject, terminals or "", services, "mon-fri 08:30-17:15"))
    columns = [c[1] for c in db.execute("PRAGMA table_info(designations)")]
    db.close()
    return columns, rows


def cpu(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def sqlite_import(directory, database, columns, rows):
    """CPU and wall of the shell."""
    now = int(time.time() * 1000000)
    path = directory + "/sqlite.csv"
    with open(path, "w") as f:
        for i, (scope, _, subject, terminals, services, hours) in enumerate(rows):
            values = dict(id=1000 + i, uuid="%08x-0000-4000-8000-%012x" % (i * 2654435761 % (1 << 32), i), origin="bench", version=1, valid_until=0, deleted=0, updated=now, scope=scope, subject=subject,
                          terminals=terminals, services=services, hours=hours, valid_from=0, remote=0, review=now + 365 * 86400 * 1000000, reviewed=0, reviewed_by="")
            f.write(",".join(str(values[c]) for c in columns) + "\n")
    began, used = time.monotonic(), children()
    r = subprocess.run(["sqlite3", database, ".import --csv %s designations" % path, "SELECT count(*) FROM designations"], capture_output=True, text=True)
    wall, used = time.monotonic() - began, children() - used
    assert not r.stderr and int(r.stdout) >= len(rows), r
    return used, wall


def measure(top, build):
    """{"cpu": ratio, "wall": ratio, …}, the median of three runs on each side."""
    os.environ["BUILD_ROOT"] = build
    sys.path[:0] = [top + "/tests/pam", top + "/tests/benches"]
    from rig import HANAKO, PASSWORD, private_tmp
    from test_ctl import DONE, SEKININ, Office
    from rig import wait_for

    private_tmp()
    tempfile.tempdir = "/var/tmp"  # a disk, and where the callers' own uids get to
    sides = {"keishi": [], "sqlite": []}
    slowest = 0
    for run in range(4):
        o = Office()
        try:
            o.stop_agent()
            columns, rows = fill(o.path(DB))
            path = o.dir + "/designations.csv"
            with open(path, "w", encoding="cp932", newline="") as f:
                f.write("範囲,対象,端末,サービス,時間帯\r\n")
                f.writelines(",".join(row[1:]) + "\r\n" for row in rows)
            os.chmod(path, 0o644)
            shutil.copy(o.path(DB), o.dir + "/sqlite.db")
            if run < 3:
                sides["sqlite"].append(sqlite_import(o.dir, o.dir + "/sqlite.db", columns, rows))
            o.start_agent()
            wait_for("the agent on the bus", lambda: o.ctl(HANAKO, "status").returncode == DONE)
            if run == 3:
                environment = dict(o.names(), DBUS_SYSTEM_BUS_ADDRESS=o.bus_address)
                from test_ctl import UIDS
                process = subprocess.Popen([build + "/agent/ctl/keishictl", "import", "designation", path], env=environment, stdout=subprocess.DEVNULL, user=UIDS[SEKININ], group=UIDS[SEKININ], extra_groups=[])
                while process.poll() is None:
                    began = time.monotonic()
                    assert "account=0" in o.drive("login", HANAKO, "auth", "account", answers=[PASSWORD[HANAKO]])
                    slowest = max(slowest, time.monotonic() - began)
                continue
            agent, bus, own, began = cpu(o.agent.pid), cpu(o.bus.pid), children(), time.monotonic()
            r = o.ctl(SEKININ, "import", "designation", path, "--json")
            wall = time.monotonic() - began
            assert r.returncode == DONE and json.loads(r.stdout)["added"] == DESIGNATIONS, (r.stdout[:300], r.stderr[:2000])
            parts = cpu(o.agent.pid) - agent, children() - own, cpu(o.bus.pid) - bus
            sides["keishi"].append((sum(parts), wall))
            print("import: %.2f s; CPU of the agent %.2f s, of keishictl %.2f s, of the bus %.2f s. SQLite: %.2f s, CPU %.2f s" % (
                wall, *parts, sides["sqlite"][-1][1], sides["sqlite"][-1][0]), flush=True)
        finally:
            o.close()
    (keishi_cpu, keishi_wall), (sqlite_cpu, sqlite_wall) = ([sorted(x)[1] for x in zip(*sides[s])] for s in ("keishi", "sqlite"))
    return {"designations": DESIGNATIONS, "cpu_s": round(keishi_cpu, 2), "wall_s": round(keishi_wall, 2), "sqlite_cpu_s": round(sqlite_cpu, 2), "sqlite_wall_s": round(sqlite_wall, 2),
            "cpu_ratio": round(keishi_cpu / sqlite_cpu, 2), "wall_ratio": round(keishi_wall / sqlite_wall, 2),
            "import_ratio": round(max(keishi_cpu / sqlite_cpu, keishi_wall / sqlite_wall), 2), "slowest_login_ms": round(slowest * 1000)}


if __name__ == "__main__":
    result = measure(*sys.argv[1:3])
    print(json.dumps(result))
    sys.exit(result["import_ratio"] > LIMIT)
