/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trail/outbox.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "util/text.h"

#define META_NAME  "trail"
#define META_LEFT  "trail-left"
#define NOTE_EVERY 16u

static const char sql_insert[] = "INSERT INTO outbox (seq, time, kind, entry) VALUES (?1, ?2, ?3, ?4)";
static const char sql_bounds[] =
        "SELECT (SELECT min(seq) FROM outbox), n.seq, n.time FROM outbox AS n ORDER BY n.seq DESC LIMIT 1";
static const char sql_after[] = "SELECT seq, time, kind, entry FROM outbox WHERE seq > ?1 ORDER BY seq";

/* Prepares on first use: at start the database may be locked by someone else. */
static int prepare(Outbox *o, sqlite3_stmt **statement, const char *sql) {
        if (*statement)
                return 0;
        return registry_result(
                sqlite3_prepare_v3(registry_db(o->registry), sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL));
}

void outbox_init(Outbox *o, Registry *registry) {
        *o = (Outbox){ .registry = registry };
}

void outbox_done(Outbox *o) {
        sqlite3_finalize(o->insert);
        sqlite3_finalize(o->bounds);
        sqlite3_finalize(o->after);
        outbox_forget(o);
        *o = (Outbox){};
}

/* Oldest and newest row; all 0 when there is none. */
static int read_bounds(Outbox *o, uint64_t *ret_first, uint64_t *ret_last, uint64_t *ret_last_time) {
        uint64_t first = 0, last = 0, last_time = 0;
        int r, rc;

        r = prepare(o, &o->bounds, sql_bounds);
        if (r != 0)
                return r;
        rc = sqlite3_step(o->bounds);
        if (rc == SQLITE_ROW) {
                first = (uint64_t)sqlite3_column_int64(o->bounds, 0);
                last = (uint64_t)sqlite3_column_int64(o->bounds, 1);
                last_time = (uint64_t)sqlite3_column_int64(o->bounds, 2);
                rc = SQLITE_DONE;
        }
        sqlite3_reset(o->bounds);
        if (rc != SQLITE_DONE)
                return registry_result(rc);

        if (ret_first)
                *ret_first = first;
        if (ret_last)
                *ret_last = last;
        if (ret_last_time)
                *ret_last_time = last_time;
        return 0;
}

/* Decimal numbers with spaces between them. Without such a row they stay as they are. */
static int read_meta(Outbox *o, const char *name, uint64_t *ret, size_t n) {
        _cleanup_free_ char *text = NULL;
        char *at;
        int r;

        r = registry_meta_get(o->registry, name, &text);
        if (r == REGISTRY_E_NOT_FOUND)
                return 0;
        if (r != 0)
                return r;
        at = text;
        for (size_t i = 0; i < n; i++) {
                char *word = strsep(&at, " ");

                if (!word || parse_uint64(word, 0, INT64_MAX, &ret[i]) < 0)
                        return -EBADMSG;
        }
        return at ? -EBADMSG : 0;
}

int outbox_load(Outbox *o) {
        uint64_t last = 0, last_time = 0;
        int r;

        if (!o->loaded) {
                uint64_t numbers[3] = {}, left[2] = {};

                r = read_meta(o, META_NAME, numbers, ELEMENTSOF(numbers));
                if (r == 0)
                        r = read_meta(o, META_LEFT, left, ELEMENTSOF(left));
                if (r != 0)
                        return r;
                o->last_seq = left[0] > numbers[0] ? left[0] : numbers[0];
                o->last_time = left[0] > numbers[0] ? left[1] : numbers[1];
                o->handed = o->written = numbers[2];
                o->noted = numbers[0];
        }

        r = read_bounds(o, NULL, &last, &last_time);
        if (r != 0)
                return r;
        if (last >= o->last_seq && last > 0) {
                o->last_seq = last;
                o->last_time = last_time;
        }
        o->persisted = o->written;
        o->loaded = true;
        return 0;
}

int outbox_next(Outbox *o, uint64_t *ret_seq) {
        uint64_t last = 0;
        int r;

        if (!o->loaded) {
                r = outbox_load(o);
                if (r != 0)
                        return r;
        }
        r = read_bounds(o, NULL, &last, NULL);
        if (r != 0)
                return r;
        *ret_seq = (last > o->last_seq ? last : o->last_seq) + 1;
        return 0;
}

static int write_meta(Outbox *o, uint64_t seq, uint64_t time_usec) {
        char text[3 * 21];

        snprintf(text, sizeof(text), "%llu %llu %llu", (unsigned long long)seq, (unsigned long long)time_usec,
                (unsigned long long)o->handed);
        o->written = o->handed;
        o->noted = seq;
        return registry_meta_set(o->registry, META_NAME, text);
}

int outbox_insert(Outbox *o, uint64_t seq, uint64_t time_usec, int kind, const char *entry, size_t size) {
        int r, rc;

        r = prepare(o, &o->insert, sql_insert);
        if (r != 0)
                return r;
        sqlite3_bind_int64(o->insert, 1, (sqlite3_int64)seq);
        sqlite3_bind_int64(o->insert, 2, (sqlite3_int64)time_usec);
        sqlite3_bind_int(o->insert, 3, kind);
        rc = sqlite3_bind_blob64(o->insert, 4, entry, size, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(o->insert);
        sqlite3_reset(o->insert);
        sqlite3_clear_bindings(o->insert);
        if (rc != SQLITE_DONE)
                return registry_result(rc);

        return seq >= o->noted + NOTE_EVERY ? write_meta(o, seq, time_usec) : 0;
}

void outbox_keep(Outbox *o, uint64_t seq, uint64_t time_usec, char *entry, size_t size) {
        outbox_forget(o);
        o->kept_seq = seq;
        o->kept_time = time_usec;
        o->kept = entry;
        o->kept_size = size;
}

const char *outbox_kept(const Outbox *o, size_t *ret_size) {
        if (!o->kept || o->kept_seq != o->last_seq)
                return NULL;
        *ret_size = o->kept_size;
        return o->kept;
}

void outbox_committed(Outbox *o) {
        if (!o->kept)
                return;
        o->last_seq = o->kept_seq;
        o->last_time = o->kept_time;
        o->persisted = o->written;
}

void outbox_forget(Outbox *o) {
        free(o->kept);
        o->kept = NULL;
        o->kept_seq = 0;
        o->kept_size = 0;
}

int outbox_touch(Outbox *o) {
        int r;

        r = outbox_load(o);
        if (r == 0)
                r = registry_begin(o->registry);
        if (r != 0)
                return r;
        r = write_meta(o, o->last_seq, o->last_time);
        if (r == 0)
                r = registry_commit(o->registry);
        if (r != 0) {
                registry_rollback(o->registry);
                return r;
        }
        o->persisted = o->handed;
        return 0;
}

int outbox_persist(Outbox *o) {
        return o->loaded && o->handed != o->persisted ? outbox_touch(o) : 0;
}

int outbox_rewind(Outbox *o, uint64_t usec) {
        static const char sql[] = "SELECT seq FROM outbox WHERE time < ?1 ORDER BY seq DESC LIMIT 1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        uint64_t since = o->last_time > usec ? o->last_time - usec : 0, seq = 0;
        int r, rc;

        r = registry_statement(o->registry, sql, &s);
        if (r != 0)
                return r;
        sqlite3_bind_int64(s, 1, (sqlite3_int64)since);
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW)
                seq = (uint64_t)sqlite3_column_int64(s, 0);
        else if (rc != SQLITE_DONE)
                return registry_result(rc);
        if (seq < o->handed)
                o->handed = seq;
        return 0;
}

int outbox_first(Outbox *o, uint64_t *ret_seq) {
        return read_bounds(o, ret_seq, NULL, NULL);
}

int outbox_scan(Outbox *o, uint64_t after_seq, outbox_fn fn, void *userdata) {
        int r, rc;

        r = prepare(o, &o->after, sql_after);
        if (r != 0)
                return r;
        sqlite3_bind_int64(o->after, 1, after_seq > INT64_MAX ? INT64_MAX : (sqlite3_int64)after_seq);
        while ((rc = sqlite3_step(o->after)) == SQLITE_ROW) {
                OutboxRow row = {
                        .seq = (uint64_t)sqlite3_column_int64(o->after, 0),
                        .time_usec = (uint64_t)sqlite3_column_int64(o->after, 1),
                        .kind = sqlite3_column_int(o->after, 2),
                        .statement = o->after,
                };

                r = fn(&row, userdata);
                if (r != 0)
                        break;
        }
        sqlite3_reset(o->after);
        if (r != 0)
                return r;
        return rc == SQLITE_DONE ? 0 : registry_result(rc);
}

const char *outbox_row_entry(const OutboxRow *row, size_t *ret_size) {
        const char *entry;

        if (sqlite3_column_type(row->statement, 3) != SQLITE_BLOB)
                return NULL;
        entry = sqlite3_column_blob(row->statement, 3);
        *ret_size = entry ? (size_t)sqlite3_column_bytes(row->statement, 3) : 0;
        return entry;
}
