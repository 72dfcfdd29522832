/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include "registry/import-internal.h"
#include "util/json.h"

/* The second half of an import: the decision, and what was staged becoming rows. */

/* Pages that SQLite may keep while an import runs, and else (registry.c), in KiB. */
#define CACHE_IMPORT "PRAGMA cache_size = -8192"
#define CACHE_NORMAL "PRAGMA cache_size = -256"

/* What the rows of a noun are checked against. */
static const unsigned depends[_NOUN_MAX] = {
        [NOUN_USER] = NOUN_BIT(NOUN_USER) | NOUN_BIT(NOUN_MEMBER) | NOUN_BIT(NOUN_DESIGNATION),
        [NOUN_MEMBER] = NOUN_BIT(NOUN_USER) | NOUN_BIT(NOUN_MEMBER),
        [NOUN_TERMINAL] = NOUN_BIT(NOUN_TERMINAL) | NOUN_BIT(NOUN_SCOPE) | NOUN_BIT(NOUN_DESIGNATION),
        [NOUN_SCOPE] = NOUN_BIT(NOUN_SCOPE) | NOUN_BIT(NOUN_DESIGNATION),
        [NOUN_DESIGNATION] =
                NOUN_BIT(NOUN_USER) | NOUN_BIT(NOUN_TERMINAL) | NOUN_BIT(NOUN_SCOPE) | NOUN_BIT(NOUN_DESIGNATION),
};

uint64_t import_generation(const Registry *r, NounId noun) {
        uint64_t sum = 0;

        for (NounId n = 0; n < _NOUN_MAX; n++)
                if (depends[noun] & NOUN_BIT(n))
                        sum += r->generation[n];
        return sum;
}

void import_cache(Registry *r, bool many) {
        (void)sqlite3_exec(r->db, many ? CACHE_IMPORT : CACHE_NORMAL, NULL, NULL, NULL);
        (void)sqlite3_db_release_memory(r->db);
}

void import_sql_add(Sql *q, const char *format, ...) {
        size_t left = sizeof(q->text) - q->size;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(q->text + q->size, left, format, ap);
        va_end(ap);
        q->size += n < 0 || (size_t)n >= left ? left : (size_t)n;
}

int import_sql_prepare(Registry *r, const Sql *q, sqlite3_stmt **ret) {
        if (q->size >= sizeof(q->text))
                return -EOVERFLOW;
        return registry_result(sqlite3_prepare_v2(r->db, q->text, (int)q->size + 1, ret, NULL));
}

int import_check_room(const Import *i, RegistryError *e) {
        const char *path = sqlite3_db_filename(i->registry->db, "main");
        struct statvfs st;

        if (!path || statvfs(path, &st) < 0 || (uint64_t)st.f_bavail * st.f_frsize < i->room + ROOM_LEFT)
                return registry_error(e, REGISTRY_E_UNUSABLE, "",
                        "there is not enough room on the disk for the import; nothing was changed");
        return 0;
}

/* ---- decision and application ---- */

/* Takes the room on the disk that applying can need: SQLite makes the file that long at once. */
static int take_room(Import *i) {
        uint64_t wanted = i->room + ROOM_STEP, pages = 0, size = 0;
        sqlite3_stmt *s;
        sqlite3_int64 hint;
        int chunk, q;

        q = registry_result(sqlite3_prepare_v2(i->registry->db,
                "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size", -1, &s, NULL));
        if (q == 0) {
                q = statement_row(s);
                pages = (uint64_t)sqlite3_column_int64(s, 0);
                size = (uint64_t)sqlite3_column_int64(s, 1);
                sqlite3_finalize(s);
        }
        if (q != 0)
                return q;
        wanted = (wanted + pages * size + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
        if (wanted > ROOM_MAX)
                wanted = ROOM_MAX;
        chunk = (int)wanted;
        hint = (sqlite3_int64)wanted;
        (void)sqlite3_file_control(i->registry->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
        return registry_result(sqlite3_file_control(i->registry->db, "main", SQLITE_FCNTL_SIZE_HINT, &hint));
}

static void give_room(Import *i) {
        int chunk = 0;

        (void)sqlite3_file_control(i->registry->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
}

int import_decide(Import *i, json_object *who, RegistryError *ret_error) {
        static const char sql[] = "INSERT INTO imports (id, uuid, noun, who, began, total, removed, changed, added,"
                                  " unchanged) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        const char *text = json_text(who);
        int q;

        if (!text)
                return -ENOMEM;
        if (import_generation(i->registry, i->noun) != i->generation)
                return registry_error(ret_error, REGISTRY_E_CONFLICT, "",
                        "the directory was changed by somebody else meanwhile; nothing was changed, try again");
        q = import_check_room(i, ret_error);
        if (q == 0 && i->total > IMPORT_SLICE)
                q = take_room(i);
        if (q != 0) {
                give_room(i);
                return registry_error(
                        ret_error, q, "", "there is not enough room on the disk for the import; nothing was changed");
        }
        q = registry_statement(i->registry, sql, &s);
        if (q != 0)
                return q;
        sqlite3_bind_text(s, 1, i->uuid, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, noun_to_string(i->noun), -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 3, text, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 4, (sqlite3_int64)i->now_usec);
        sqlite3_bind_int64(s, 5, (sqlite3_int64)i->total);
        for (ImportOutcome o = 0; o < _IMPORT_OUTCOME_MAX; o++)
                sqlite3_bind_int64(s, 6 + (int)o, (sqlite3_int64)i->counts[o]);
        q = statement_run(s);
        if (q != 0)
                return q;
        i->decided = true;
        i->registry->locked = depends[i->noun];
        seen_done(&i->seen);
        return 0;
}

int import_give_up(Import *i) {
        static const char sql[] = "DELETE FROM imports";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(i->registry, sql, &s);
        return q != 0 ? q : statement_run(s);
}

/* The three ways a staged row of seq ?1..?2 is written: SQL over all of them at once. */
static void sql_write(Sql *sql, const Noun *noun, ImportOutcome outcome) {
        static const char from[] = " FROM import_rows i WHERE i.seq BETWEEN ?1 AND ?2 AND i.outcome = ?3";

        switch (outcome) {
        case IMPORT_REMOVED:
                import_sql_add(sql,
                        "UPDATE %s AS n SET deleted = ?4, updated = ?4, origin = ?5, version = n.version + 1%s"
                        " AND n.id = i.target",
                        noun->table, from);
                break;
        case IMPORT_CHANGED:
                import_sql_add(sql, "UPDATE %s AS n SET updated = ?4, origin = ?5, version = i.version", noun->table);
                for (size_t f = 0; f < noun->n_fields; f++)
                        import_sql_add(sql, ", %s = i.v%zu", noun->fields[f].column, f);
                import_sql_add(sql, "%s AND n.id = i.target", from);
                break;
        default:
                import_sql_add(sql, "INSERT INTO %s (updated, origin, version, uuid", noun->table);
                for (size_t f = 0; f < noun->n_fields; f++)
                        import_sql_add(sql, ", %s", noun->fields[f].column);
                import_sql_add(sql, ") SELECT ?4, ?5, i.version, i.uuid");
                for (size_t f = 0; f < noun->n_fields; f++)
                        import_sql_add(sql, ", i.v%zu", f);
                import_sql_add(sql, "%s ORDER BY i.seq", from);
        }
}

static int write_rows(Import *i, int64_t first, int64_t last, ImportOutcome outcome) {
        sqlite3_stmt *s = NULL;
        Sql sql = {};
        int q;

        sql_write(&sql, &registry_nouns[i->noun], outcome);
        q = import_sql_prepare(i->registry, &sql, &s);
        if (q == 0) {
                sqlite3_bind_int64(s, 1, first);
                sqlite3_bind_int64(s, 2, last);
                sqlite3_bind_int(s, 3, outcome);
                sqlite3_bind_int64(s, 4, (sqlite3_int64)i->now_usec);
                sqlite3_bind_text(s, 5, i->origin, -1, SQLITE_STATIC);
                q = statement_run(s);
        }
        sqlite3_finalize(s);
        return q;
}

/* Calls fn with each of the next rows. */
static int tell_rows(Import *i, unsigned limit, import_apply_fn fn, void *userdata, int64_t *ret_first,
        int64_t *ret_last, unsigned has[static _IMPORT_OUTCOME_MAX]) {
        static const char sql[] =
                "SELECT seq, outcome, uuid, v0, before, after, deputy FROM import_rows ORDER BY seq LIMIT ?1";
        bool first_is_text = registry_nouns[i->noun].fields[0].type == TYPE_TEXT;
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(i->registry, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_int64(s, 1, limit));
        while (q == 0 && (q = statement_row(s)) == 0) {
                ImportChange c = { .noun = i->noun, .outcome = (ImportOutcome)sqlite3_column_int(s, 1) };

                *ret_last = sqlite3_column_int64(s, 0);
                if (i->applying == 0)
                        *ret_first = *ret_last;
                if (c.outcome < 0 || c.outcome >= IMPORT_UNCHANGED)
                        return REGISTRY_E_UNUSABLE;
                q = column_text(s, 2, &c.uuid);
                if (q == 0 && first_is_text)
                        q = column_text(s, 3, &c.first);
                if (q == 0)
                        q = column_text(s, 4, &c.before);
                if (q == 0)
                        q = column_text(s, 5, &c.after);
                if (q == 0)
                        q = column_text(s, 6, &c.deputy);
                if (q == 0)
                        q = fn(&c, userdata);
                if (q != 0)
                        return q;
                has[c.outcome]++;
                i->applying++;
        }
        return q == REGISTRY_E_NOT_FOUND ? 0 : q;
}

int import_apply(Import *i, unsigned limit, import_apply_fn fn, void *userdata, bool *ret_done) {
        static const char delete_sql[] = "DELETE FROM import_rows WHERE seq BETWEEN ?1 AND ?2";
        unsigned has[_IMPORT_OUTCOME_MAX] = {};
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int64_t first = 0, last = 0;
        int q;

        i->applying = 0;
        q = tell_rows(i, limit, fn, userdata, &first, &last, has);
        for (ImportOutcome o = 0; q == 0 && o < IMPORT_UNCHANGED; o++)
                if (has[o] > 0)
                        q = write_rows(i, first, last, o);
        if (q == 0 && i->applying > 0) {
                q = registry_statement(i->registry, delete_sql, &s);
                if (q == 0) {
                        sqlite3_bind_int64(s, 1, first);
                        sqlite3_bind_int64(s, 2, last);
                        q = statement_run(s);
                }
        }
        if (q != 0)
                return q;
        i->over = i->applying < limit;
        if (i->over)
                q = import_give_up(i);
        if (q == 0)
                *ret_done = i->over;
        return q;
}

void import_settle(Import *i, bool committed) {
        if (committed) {
                i->durable = true;
                i->applied += i->applying;
                i->registry->generation[i->noun]++;
        }
        i->applying = 0;
        if (committed && i->over) {
                i->registry->locked = 0;
                give_room(i);
        }
        if (!committed && !i->durable) { /* the decision was of this transaction, too */
                i->registry->locked = 0;
                give_room(i);
                i->decided = false;
        }
        i->over = i->over && committed;
}

int import_resume(Import **ret, Registry *r, json_object **ret_who) {
        static const char sql[] = "SELECT uuid, noun, who, began, total, removed, changed, added, unchanged,"
                                  " (SELECT count(*) FROM import_rows) FROM imports";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        _cleanup_(import_free_p) Import *i = NULL;
        _cleanup_json_ json_object *who = NULL;
        const char *noun, *text;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = statement_row(s);
        if (q != 0)
                return q;
        i = calloc(1, sizeof(*i));
        if (!i)
                return -ENOMEM;
        i->registry = r;
        q = column_dup(s, 0, &i->uuid);
        if (q == 0)
                q = column_text(s, 1, &noun);
        if (q == 0)
                q = column_text(s, 2, &text);
        if (q == 0)
                q = row_new_origin(r, &i->origin);
        if (q != 0)
                return q;
        i->noun = noun_from_string(noun);
        if (i->noun == _NOUN_INVALID || import_keys[i->noun][0] == 0 || json_parse_object(text, &who) < 0)
                return REGISTRY_E_UNUSABLE;
        i->now_usec = (uint64_t)sqlite3_column_int64(s, 3);
        i->total = (uint64_t)sqlite3_column_int64(s, 4);
        for (ImportOutcome o = 0; o < _IMPORT_OUTCOME_MAX; o++)
                i->counts[o] = (uint64_t)sqlite3_column_int64(s, 5 + (int)o);
        i->applied = i->total - (uint64_t)sqlite3_column_int64(s, 9);
        registry_statement_done(&s);
        i->decided = i->durable = true;
        r->locked = depends[i->noun];
        import_cache(r, true);
        *ret_who = TAKE_PTR(who);
        *ret = TAKE_PTR(i);
        return 0;
}

int import_purge(Registry *r, unsigned limit, bool *ret_done) {
        static const char sql[] = "DELETE FROM import_rows WHERE NOT EXISTS (SELECT 1 FROM imports)"
                                  " AND seq IN (SELECT seq FROM import_rows ORDER BY seq LIMIT ?1)";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        unsigned n;
        int q;

        q = import_staging_begin(r);
        if (q == 0)
                q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_int64(s, 1, limit));
        if (q == 0)
                q = statement_run(s);
        registry_statement_done(&s);
        n = (unsigned)sqlite3_changes(r->db);
        q = import_staging_end(r, q);
        if (q == 0)
                *ret_done = n < limit;
        return q;
}

bool import_busy(Registry *r, NounId noun) {
        return noun >= 0 && noun < _NOUN_MAX && (r->locked & NOUN_BIT(noun));
}
