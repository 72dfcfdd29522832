# SPDX-License-Identifier: LGPL-2.1-or-later
"""A fleet's registry, made up: as many designations as asked for, and the people, terminals and scopes that they are about.

The rows are written by SQL into the schema that keishid made (agent/registry/migrations.c), with no keishid running: a million
through the bus would take hours. Triggers of the schema keep what follows from them.

70 % of the designations name a user, 20 % a group, 10 % a unit; 5 % have a terminal pattern, 5 % leave the terminals to their
scope, the rest name one terminal. The fleet grows with them: at a million, 1,500 units, 20,000 terminals, 46,666 users, 1,000 groups.

The user that is measured, u00000, is the worst: in 30 groups, all that designate for the unit of this terminal among them; and of all
the designations that mean this terminal and are looked at for this user, each passes every check up to the hours, fails there, and only
the very last, one of the unit's, grants.
"""
import random
import sqlite3
import uuid

TERMINAL, UNIT, USER = "T00000", "課0000", "u00000"
USER_GROUPS = 30
BURST_USERS = 200
CLOSED = "mon-fri 03:00-03:01,sat 03:00-03:01,sun 04:00-04:01"
BUSINESSES = ("会計業務", "窓口業務", "照会業務", "統計業務", "文書業務")


def clamp(value, low, high):
    return max(low, min(high, value))


class Fleet:
    def __init__(self, n, seed=1):
        self.n = n
        self.random = random.Random(seed)
        self.units = clamp(n // 100, 5, 1500)
        self.terminals = self.units * 40 // 3
        self.users = clamp(n * 7 // 150, 250, 46666)
        self.groups = clamp(n // 50, 40, 1000)
        self.group_units = [self.random.sample(range(self.units), min(self.units, 10)) for _ in range(self.groups)]

    def terminal_of(self, unit):
        """Some terminal of the unit: those with its number modulo the units."""
        return unit + self.units * self.random.randrange((self.terminals - unit - 1) // self.units + 1)

    def groups_of_worst(self):
        here = [g for g in range(self.groups) if 0 in self.group_units[g]]
        others = [g for g in range(self.groups) if 0 not in self.group_units[g]]
        return ["g%04d" % g for g in (here + others)[:USER_GROUPS]]

    def uuid(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def selector(self, unit):
        """terminals of a designation in a scope of the unit."""
        kind = self.random.random()
        if kind < 0.05:
            return None
        name = "T%05d" % self.terminal_of(unit)
        return "pattern:%s*" % name[:-1] if kind < 0.10 else "name:" + name

    def designation(self):
        kind = self.random.random()
        if kind < 0.7:
            user = self.random.randrange(self.users)
            subject, unit = "user:u%05d" % user, user % self.units
        elif kind < 0.9:
            group = self.random.randrange(self.groups)
            subject, unit = "group:g%04d" % group, self.random.choice(self.group_units[group])
        else:
            unit = self.random.randrange(self.units)
            subject = "unit:課%04d" % unit
        return unit, subject

    def rows(self, count):
        scopes_of = len(BUSINESSES)
        for _ in range(count):
            unit, subject = self.designation()
            scope = 1 + unit * scopes_of + self.random.randrange(scopes_of)
            yield self.uuid(), scope, subject, self.selector(unit), "@console @locker @self", CLOSED

    def write(self, path):
        db = sqlite3.connect(path, isolation_level=None)
        db.execute("PRAGMA journal_mode = DELETE")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -600000")
        db.execute("BEGIN")
        db.executemany("INSERT INTO terminals (uuid, name, unit) VALUES (?, ?, ?)",
                       ((self.uuid(), "T%05d" % t, "課%04d" % (t % self.units)) for t in range(self.terminals)))
        db.executemany("INSERT INTO users (uuid, account, person, name, unit) VALUES (?, ?, ?, ?, ?)",
                       ((self.uuid(), "u%05d" % u, "%06d" % (100000 + u), "職員%05d" % u, "課%04d" % (u % self.units))
                        for u in range(self.users)))
        db.executemany("INSERT INTO scopes (uuid, name, business, unit, terminals) VALUES (?, ?, ?, ?, ?)",
                       ((self.uuid(), "課%04d %s" % (unit, business), business, "課%04d" % unit, "unit:課%04d" % unit)
                        for unit in range(self.units) for business in BUSINESSES))
        insert = "INSERT INTO designations (uuid, scope, subject, terminals, services, hours) VALUES (?, ?, ?, ?, ?, ?)"
        db.executemany(insert, self.rows(self.n - 1))
        db.execute(insert, (self.uuid(), 1, "unit:" + UNIT, "name:" + TERMINAL, "@console @locker @self", None))
        # From here on the table of what means this terminal is filled.
        db.execute("INSERT INTO meta (name, value) SELECT 'terminal', uuid FROM terminals WHERE name = ?", (TERMINAL,))
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
        db.close()

    def add_burst(self, path):
        """The users of the burst, each designated here by name."""
        db = sqlite3.connect(path)
        for u in range(1, BURST_USERS + 1):
            db.execute("UPDATE users SET unit = ? WHERE account = ?", (UNIT, "u%05d" % u))
            db.execute("INSERT INTO designations (uuid, scope, subject, terminals, services) VALUES (?, 1, ?, ?, '@console')",
                       (self.uuid(), "user:u%05d" % u, "name:" + TERMINAL))
        db.commit()
        db.close()


def candidates(path, fleet):
    """How many designations mean this terminal and one of the worst user's subjects."""
    subjects = ["user:" + USER, "unit:" + UNIT] + ["group:" + g for g in fleet.groups_of_worst()]
    db = sqlite3.connect("file:%s?mode=ro" % path, uri=True)
    try:
        return db.execute("SELECT count(*) FROM here WHERE subject IN (%s)" % ",".join("?" * len(subjects)), subjects).fetchone()[0]
    finally:
        db.close()
