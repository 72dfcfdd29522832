/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/internal.h"

/* What every directory row has. `valid_until` is also the end of designations, scopes and restrictions; 0: without end.
 * Times are microseconds of CLOCK_REALTIME. `deleted` is when the tombstone was set. */
#define DIRECTORY_COLUMNS                                                                                              \
        "id INTEGER PRIMARY KEY, uuid TEXT NOT NULL UNIQUE, origin TEXT NOT NULL DEFAULT 'local',"                     \
        "version INTEGER NOT NULL DEFAULT 1, valid_until INTEGER NOT NULL DEFAULT 0,"                                  \
        "deleted INTEGER NOT NULL DEFAULT 0, updated INTEGER NOT NULL DEFAULT 0,"

static const char directory_tables[] =
        "CREATE TABLE users (" DIRECTORY_COLUMNS
        " account TEXT NOT NULL, person TEXT NOT NULL, name TEXT NOT NULL, unit TEXT NOT NULL,"
        " shared INTEGER NOT NULL DEFAULT 0, retired INTEGER NOT NULL DEFAULT 0) STRICT;"
        "CREATE UNIQUE INDEX users_account ON users (account) WHERE deleted = 0;"
        "CREATE INDEX users_person ON users (person) WHERE deleted = 0;"

        "CREATE TABLE members (" DIRECTORY_COLUMNS " account TEXT NOT NULL, person TEXT NOT NULL) STRICT;"
        "CREATE UNIQUE INDEX members_account ON members (account, person) WHERE deleted = 0;"
        "CREATE INDEX members_person ON members (person) WHERE deleted = 0;"

        "CREATE TABLE terminals (" DIRECTORY_COLUMNS
        " name TEXT NOT NULL, unit TEXT NOT NULL, confidentiality INTEGER NOT NULL DEFAULT 2,"
        " integrity INTEGER NOT NULL DEFAULT 1, availability INTEGER NOT NULL DEFAULT 1,"
        " external INTEGER NOT NULL DEFAULT 0, purpose TEXT) STRICT;"
        "CREATE UNIQUE INDEX terminals_name ON terminals (name) WHERE deleted = 0;"

        "CREATE TABLE scopes (" DIRECTORY_COLUMNS
        " name TEXT NOT NULL, business TEXT NOT NULL, unit TEXT NOT NULL, terminals TEXT NOT NULL, services TEXT,"
        " hours TEXT, valid_from INTEGER NOT NULL DEFAULT 0, remote INTEGER NOT NULL DEFAULT 0,"
        " confidentiality INTEGER NOT NULL DEFAULT 0, external INTEGER NOT NULL DEFAULT 0,"
        " review INTEGER NOT NULL DEFAULT 0) STRICT;"
        "CREATE UNIQUE INDEX scopes_name ON scopes (name) WHERE deleted = 0;"

        "CREATE TABLE designations (" DIRECTORY_COLUMNS
        " scope INTEGER NOT NULL REFERENCES scopes (id), subject TEXT NOT NULL, terminals TEXT, services TEXT,"
        " hours TEXT, valid_from INTEGER NOT NULL DEFAULT 0, remote INTEGER NOT NULL DEFAULT 0,"
        " review INTEGER NOT NULL DEFAULT 0) STRICT;"
        "CREATE INDEX designations_subject ON designations (subject) WHERE deleted = 0;"
        "CREATE INDEX designations_scope ON designations (scope) WHERE deleted = 0;"

        "CREATE TABLE restrictions (" DIRECTORY_COLUMNS
        " account TEXT, person TEXT, reason TEXT NOT NULL, CHECK ((account IS NULL) <> (person IS NULL))) STRICT;"
        "CREATE INDEX restrictions_account ON restrictions (account) WHERE deleted = 0;"
        "CREATE INDEX restrictions_person ON restrictions (person) WHERE deleted = 0;";

/* This terminal's own tables; attempts and sessions belong to login, outbox to trail. */
static const char local_tables[] =
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"

        /* times: the charges of the window, oldest first, as decimal microseconds separated by spaces; locked: when, or
           0 */
        "CREATE TABLE attempts (account TEXT NOT NULL, origin TEXT NOT NULL, count INTEGER NOT NULL,"
        " first INTEGER NOT NULL, last INTEGER NOT NULL, locked INTEGER NOT NULL DEFAULT 0, times TEXT NOT NULL,"
        " PRIMARY KEY (account, origin)) STRICT, WITHOUT ROWID;"

        "CREATE TABLE sessions (id TEXT PRIMARY KEY, account TEXT NOT NULL, person TEXT, target TEXT,"
        " service TEXT NOT NULL, tty TEXT, origin TEXT, business TEXT, rule TEXT, pid INTEGER NOT NULL DEFAULT 0,"
        " starttime INTEGER NOT NULL DEFAULT 0, boot_id TEXT, opened INTEGER NOT NULL,"
        " peer_uid INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;"
        "CREATE INDEX sessions_account ON sessions (account);"

        "CREATE TABLE outbox (seq INTEGER PRIMARY KEY, time INTEGER NOT NULL, kind INTEGER NOT NULL,"
        " entry BLOB NOT NULL) STRICT;";

/* here: the live designations that mean this terminal, by subject; what a login looks up, so that it does not pay for
 * all the others. It follows from the other tables and is kept by triggers, so that it cannot be out of step with them,
 * and it repeats what the evaluator wants to know, so that one page has a subject's candidates side by side. It only
 * selects: the evaluator checks each again. GLOB's brackets cannot occur in a pattern (noun.c). */
#define MEANS_SELF(x)                                                                                                  \
        "(" x " = 'name:' || self.name OR " x " = 'unit:' || self.unit"                                                \
        " OR (" x " GLOB 'pattern:*' AND self.name GLOB substr(" x ", 9)))"
#define HERE_COLUMNS "subject, designation, scope, uuid, terminals, services, hours, valid_from, valid_until, remote"
#define HERE_INSERT  "INSERT INTO here (" HERE_COLUMNS ") SELECT " HERE_COLUMNS " FROM meaning_here"

static const char here_table[] =
        "CREATE TABLE here (subject TEXT NOT NULL, designation INTEGER NOT NULL, scope INTEGER NOT NULL,"
        " uuid TEXT NOT NULL, terminals TEXT, services TEXT, hours TEXT, valid_from INTEGER NOT NULL,"
        " valid_until INTEGER NOT NULL, remote INTEGER NOT NULL,"
        " PRIMARY KEY (subject, designation)) STRICT, WITHOUT ROWID;"

        "CREATE VIEW self AS SELECT t.id, t.uuid, t.name, t.unit FROM meta m"
        " CROSS JOIN terminals t ON t.uuid = m.value WHERE m.name = 'terminal' AND t.deleted = 0;"

        "CREATE VIEW meaning_here AS SELECT d.subject, d.id AS designation, d.scope, d.uuid, d.terminals, d.services,"
        " d.hours, d.valid_from, d.valid_until, d.remote FROM self"
        " CROSS JOIN designations d JOIN scopes s ON s.id = d.scope WHERE d.deleted = 0 AND s.deleted = 0"
        " AND " MEANS_SELF("s.terminals") " AND (d.terminals IS NULL OR " MEANS_SELF(
                "d.terminals") ");"

                               "CREATE TRIGGER designations_added AFTER INSERT ON designations BEGIN " HERE_INSERT
                               " WHERE designation = NEW.id; END;"
                               "CREATE TRIGGER designations_changed AFTER UPDATE ON designations BEGIN"
                               " DELETE FROM here WHERE subject = OLD.subject AND designation = OLD.id; " HERE_INSERT
                               " WHERE designation = NEW.id; END;"
                               "CREATE TRIGGER designations_gone AFTER DELETE ON designations BEGIN"
                               " DELETE FROM here WHERE subject = OLD.subject AND designation = OLD.id; END;"

                               "CREATE TRIGGER scopes_changed AFTER UPDATE OF terminals, deleted ON scopes BEGIN"
                               " DELETE FROM here WHERE (subject, designation) IN"
                               " (SELECT subject, id FROM designations WHERE scope = NEW.id AND deleted = "
                               "0); " HERE_INSERT " WHERE scope = NEW.id; END;"

                               "CREATE TRIGGER terminals_added AFTER INSERT ON terminals"
                               " WHEN NEW.uuid = (SELECT value FROM meta WHERE name = 'terminal') BEGIN"
                               " DELETE FROM here; " HERE_INSERT "; END;"
                               "CREATE TRIGGER terminals_changed AFTER UPDATE OF uuid, name, unit, deleted ON terminals"
                               " WHEN (SELECT value FROM meta WHERE name = 'terminal') IN (OLD.uuid, NEW.uuid) BEGIN"
                               " DELETE FROM here; " HERE_INSERT "; END;"
                               "CREATE TRIGGER terminals_gone AFTER DELETE ON terminals"
                               " WHEN OLD.uuid = (SELECT value FROM meta WHERE name = 'terminal') BEGIN"
                               " DELETE FROM here; END;"

                               "CREATE TRIGGER terminal_set AFTER INSERT ON meta WHEN NEW.name = 'terminal' BEGIN"
                               " DELETE FROM here; " HERE_INSERT "; END;"
                               "CREATE TRIGGER terminal_changed AFTER UPDATE ON meta WHEN 'terminal' IN (OLD.name, "
                               "NEW.name) BEGIN"
                               " DELETE FROM here; " HERE_INSERT "; END;"
                               "CREATE TRIGGER terminal_unset AFTER DELETE ON meta WHEN OLD.name = 'terminal' BEGIN"
                               " DELETE FROM here; END;"

        HERE_INSERT ";";

/* Delegation and review. `reviewed` of a designation is when a person (`reviewed_by`, staff number) last looked at it.
 * last_used is this terminal's own: when a login was last granted by a designation. Of what the trail told before there
 * was such a table, the entries that are still here are taken (kind 0 is login-granted). shared_password_due: shared
 * IDs that somebody left since their password was changed. */
static const char access_tables[] =
        "CREATE TABLE deputies (" DIRECTORY_COLUMNS
        " unit TEXT NOT NULL, role TEXT NOT NULL, person TEXT NOT NULL, valid_from INTEGER NOT NULL DEFAULT 0) STRICT;"
        "CREATE INDEX deputies_person ON deputies (person) WHERE deleted = 0;"

        "ALTER TABLE designations ADD COLUMN reviewed INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE designations ADD COLUMN reviewed_by TEXT;"

        "CREATE TABLE last_used (designation TEXT PRIMARY KEY, used INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
        "INSERT INTO last_used SELECT substr(entry, instr(entry, 'KEISHI_RULE=designation:') + 24, 36), max(time) FROM"
        " (SELECT CAST(entry AS TEXT) AS entry, time FROM outbox WHERE kind = 0)"
        " WHERE instr(entry, 'KEISHI_RULE=designation:') > 0 GROUP BY 1;"

        "CREATE TABLE shared_password_due (account TEXT PRIMARY KEY, since INTEGER NOT NULL, person TEXT NOT NULL)"
        " STRICT, WITHOUT ROWID;";

/* A number of the outbox is never given out twice: when its newest row leaves, that row's number and time stay here. */
static const char outbox_left[] =
        "CREATE TRIGGER outbox_left AFTER DELETE ON outbox WHEN NOT EXISTS (SELECT 1 FROM outbox WHERE seq > OLD.seq)"
        " BEGIN INSERT INTO meta (name, value) VALUES ('trail-left', OLD.seq || ' ' || OLD.time)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        " WHERE CAST(excluded.value AS INTEGER) > CAST(meta.value AS INTEGER); END;";

/* A number for what the table here holds; see registry/here.c. Rows of it are never changed, only replaced. */
static const char here_state[] =
        "CREATE TABLE here_state (id INTEGER PRIMARY KEY CHECK (id = 1), state INTEGER NOT NULL) STRICT;"
        "INSERT INTO here_state VALUES (1, 1);"
        "CREATE TRIGGER here_came AFTER INSERT ON here BEGIN UPDATE here_state SET state = state + 1; END;"
        "CREATE TRIGGER here_changed AFTER UPDATE ON here BEGIN UPDATE here_state SET state = state + 1; END;"
        "CREATE TRIGGER here_went AFTER DELETE ON here BEGIN UPDATE here_state SET state = state + 1; END;";

/* What an import is going to write (registry/import.h): rows, ready, of the noun's own columns in their order; and,
 * once it is decided, the import itself. Local: the directory has neither. */
static const char import_tables[] =
        "CREATE TABLE imports (id INTEGER PRIMARY KEY CHECK (id = 1), uuid TEXT NOT NULL, noun TEXT NOT NULL,"
        " who TEXT NOT NULL, began INTEGER NOT NULL, total INTEGER NOT NULL, removed INTEGER NOT NULL,"
        " changed INTEGER NOT NULL, added INTEGER NOT NULL, unchanged INTEGER NOT NULL) STRICT;"

        "CREATE TABLE import_rows (seq INTEGER PRIMARY KEY, outcome INTEGER NOT NULL, target INTEGER NOT NULL,"
        " uuid TEXT NOT NULL, version INTEGER NOT NULL, deputy TEXT, before TEXT, after TEXT, v0 ANY, v1 ANY, v2 ANY, "
        "v3 ANY,"
        " v4 ANY, v5 ANY, v6 ANY, v7 ANY, v8 ANY, v9 ANY, v10 ANY, v11 ANY, v12 ANY, v13 ANY, v14 ANY, v15 ANY) "
        "STRICT;";

/* Files whose change is noticed (login/drift.c): their state when last looked at, with the lines of small texts, and
 * the state that a person accepted. */
static const char watched_tables[] =
        "CREATE TABLE watched_files (path TEXT PRIMARY KEY, seen TEXT, seen_text TEXT, accepted TEXT) STRICT,"
        " WITHOUT ROWID;";

/* Installed packages, as they were when last looked at (login/software.c). */
static const char software_table[] =
        "CREATE TABLE software (package TEXT PRIMARY KEY, version TEXT NOT NULL) STRICT, WITHOUT ROWID;";

/* Date of birth (YYYY-MM-DD), for passwords that are made of it (R7). */
static const char birth_column[] = "ALTER TABLE users ADD COLUMN birth TEXT;";

/* Cards and keys of people. The counter of a key's signatures is this terminal's own, since it changes at each use. */
static const char credential_tables[] =
        "CREATE TABLE credentials (" DIRECTORY_COLUMNS
        " kind TEXT NOT NULL, person TEXT NOT NULL, label TEXT, application TEXT, key TEXT NOT NULL, credential TEXT,"
        " rp TEXT, aaguid TEXT, attested INTEGER NOT NULL DEFAULT 0, replaces TEXT,"
        " valid_from INTEGER NOT NULL DEFAULT 0, state TEXT NOT NULL, state_by TEXT NOT NULL, reason TEXT) STRICT;"
        "CREATE INDEX credentials_person ON credentials (person) WHERE deleted = 0;"
        "CREATE INDEX credentials_key ON credentials (key) WHERE deleted = 0;"
        "CREATE UNIQUE INDEX credentials_active ON credentials (key) WHERE deleted = 0 AND state = 'active';"

        "CREATE TABLE credential_counters (credential TEXT PRIMARY KEY, counter INTEGER NOT NULL,"
        " used INTEGER NOT NULL) STRICT, WITHOUT ROWID;";

/* What the life of a terminal leaves in its row (login/identity.h). restore_rows is what a restore is going to write
 * (registry/restore.h), of the noun's own columns in their order; local. */
static const char terminal_life[] =
        "ALTER TABLE terminals ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE terminals ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
        "ALTER TABLE terminals ADD COLUMN agent_key TEXT;"

        "CREATE TABLE restore_rows (noun INTEGER NOT NULL, uuid TEXT NOT NULL, version INTEGER NOT NULL,"
        " v0 ANY, v1 ANY, v2 ANY, v3 ANY, v4 ANY, v5 ANY, v6 ANY, v7 ANY, v8 ANY, v9 ANY, v10 ANY, v11 ANY, v12 ANY,"
        " v13 ANY, v14 ANY, v15 ANY, PRIMARY KEY (noun, uuid)) STRICT, WITHOUT ROWID;";

/* Passwords (registry/password.h): since when an account has its one, and fingerprints of it and of those before it;
 * state 0 former, 1 current, 2 pending. They go with the account. */
static const char password_tables[] =
        "CREATE TABLE passwords (user TEXT PRIMARY KEY, changed INTEGER NOT NULL, source INTEGER NOT NULL) STRICT,"
        " WITHOUT ROWID;"
        "CREATE TABLE password_fingerprints (user TEXT NOT NULL, fingerprint BLOB NOT NULL, taken INTEGER NOT NULL,"
        " state INTEGER NOT NULL, PRIMARY KEY (user, fingerprint)) STRICT, WITHOUT ROWID;"
        "CREATE TRIGGER users_removed AFTER UPDATE OF deleted ON users WHEN NEW.deleted <> 0 BEGIN"
        " DELETE FROM passwords WHERE user = OLD.uuid;"
        " DELETE FROM password_fingerprints WHERE user = OLD.uuid; END;"
        "CREATE TRIGGER users_gone AFTER DELETE ON users BEGIN"
        " DELETE FROM passwords WHERE user = OLD.uuid;"
        " DELETE FROM password_fingerprints WHERE user = OLD.uuid; END;";

/* The cards and keys that opened a session, so that it ends with them. */
static const char session_credentials[] = "ALTER TABLE sessions ADD COLUMN credentials TEXT;";

const char *const registry_migrations[] = { directory_tables, local_tables, here_table, access_tables, outbox_left,
        here_state, import_tables, watched_tables, software_table, birth_column, credential_tables, terminal_life,
        password_tables, session_credentials };
const int registry_n_migrations = (int)ELEMENTSOF(registry_migrations);
