# SPDX-License-Identifier: LGPL-2.1-or-later
"""rights-review.py SOURCE_ROOT BUILD, or measure(top, build): `keishictl access review` over 100,000 designations, with a million entries in the trail. The last line is one line of JSON.

The agent, the bus and keishictl are the real ones (tests/pam); polkit is a double that says yes. What is measured is keishictl's wall time, from its start to
the last byte of JSON, the agent's CPU in it."""
import json
import os
import resource
import sqlite3
import sys
import time

DESIGNATIONS, ENTRIES, LIMIT_S = 100_000, 1_000_000, 2.0
FIRST_SCOPE = 1000


def fill(path):
    from fleet import BUSINESSES, Fleet
    fleet = Fleet(DESIGNATIONS)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA synchronous = OFF")
    db.execute("PRAGMA cache_size = -200000")
    db.execute("BEGIN")
    db.executemany("INSERT INTO terminals (uuid, name, unit) VALUES (?, ?, ?)", ((fleet.uuid(), "T%05d" % t, "課%04d" % (t % fleet.units)) for t in range(fleet.terminals)))
    db.executemany("INSERT INTO users (uuid, account, person, name, unit) VALUES (?, ?, ?, ?, ?)",
                   ((fleet.uuid(), "u%05d" % u, "9%05d" % u, "職員%05d" % u, "課%04d" % (u % fleet.units)) for u in range(fleet.users)))
    db.executemany("INSERT INTO scopes (id, uuid, name, business, unit, terminals) VALUES (?, ?, ?, ?, ?, ?)",
                   ((FIRST_SCOPE + unit * len(BUSINESSES) + i, fleet.uuid(), "課%04d %s" % (unit, business), business, "課%04d" % unit, "unit:課%04d" % unit)
                    for unit in range(fleet.units) for i, business in enumerate(BUSINESSES)))
    now = int(time.time() * 1000000)
    day = 86400 * 1000000
    rows = ((u, FIRST_SCOPE - 1 + scope, subject, terminals, services, hours, now + (i % 400 - 35) * day) for i, (u, scope, subject, terminals, services, hours) in enumerate(fleet.rows(DESIGNATIONS)))
    db.executemany("INSERT INTO designations (uuid, scope, subject, terminals, services, hours, review) VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    db.execute("INSERT INTO last_used SELECT uuid, ? - id * 1000000 FROM designations WHERE id % 3 > 0", (now,))
    entry, kind, first = db.execute("SELECT entry, kind, seq FROM outbox ORDER BY seq DESC LIMIT 1").fetchone()
    number = b"KEISHI_SEQ=%d\n" % first
    assert number in entry
    db.executemany("INSERT INTO outbox VALUES (?, ?, ?, ?)", ((s, now, kind, entry.replace(number, b"KEISHI_SEQ=%d\n" % s)) for s in range(first + 1, first + 1 + ENTRIES)))
    db.execute("UPDATE meta SET value = ? WHERE name = 'trail'", ("%d %d %d" % (first + ENTRIES, now, first + ENTRIES),))
    db.execute("COMMIT")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def cpu(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(top, build):
    """Seconds, the median of three."""
    os.environ["BUILD_ROOT"] = build
    sys.path[:0] = [top + "/tests/pam", top + "/tests/benches"]
    from rig import private_tmp
    from test_ctl import KANRI, Office

    private_tmp()
    o = Office()
    try:
        o.stop_agent()
        fill(o.path("var/lib/keishi/registry.db"))
        o.start_agent()
        o.done(KANRI, "access", "review", "--unit", "課0001", "--json")  # waits for the agent on the bus
        walls = []
        for _ in range(3):
            begin, agent, own = time.monotonic(), cpu(o.agent.pid), resource.getrusage(resource.RUSAGE_CHILDREN)
            text = o.done(KANRI, "access", "review", "--json")
            walls.append(time.monotonic() - begin)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            print("access review: %.2f s; CPU of the agent %.2f s, of keishictl %.2f s" % (
                walls[-1], cpu(o.agent.pid) - agent, after.ru_utime + after.ru_stime - own.ru_utime - own.ru_stime))
        n = len(json.loads(text)["rows"])
        assert n == DESIGNATIONS + 3, n
        return sorted(walls)[1]
    finally:
        o.close()


if __name__ == "__main__":
    seconds = measure(*sys.argv[1:3])
    print(json.dumps({"designations": DESIGNATIONS, "entries": ENTRIES, "review_s": round(seconds, 2)}))
    sys.exit(seconds > LIMIT_S)
