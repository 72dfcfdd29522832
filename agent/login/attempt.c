/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/attempt.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "util/cleanup.h"

/* More than this many charges of a window are not told apart; a larger Max counts as this. */
#define CHARGES_MAX 64u

#define DELAY_DOUBLINGS_MAX 4u

/* A row of attempts; times are the charges that are still in the window, oldest first. */
typedef struct Row {
        uint64_t times[CHARGES_MAX];
        unsigned n;
        uint64_t locked; /* when, or 0 */
} Row;

static unsigned limit_of(const Config *config) {
        if (config->attempts_max == 0)
                return 1;
        return config->attempts_max < CHARGES_MAX ? config->attempts_max : CHARGES_MAX;
}

static uint64_t delay_of(const Config *config, unsigned count) {
        unsigned doublings = count > 0 ? count - 1 : 0;

        return config->attempts_delay_usec << (doublings < DELAY_DOUBLINGS_MAX ? doublings : DELAY_DOUBLINGS_MAX);
}

/* Whether `when` is more than `period` ago; what lies in the future is not. */
static bool is_past(uint64_t when, uint64_t period, uint64_t now) {
        return now > when && now - when >= period;
}

static int parse_times(const char *text, Row *row) {
        if (!text)
                return -ENOMEM; /* the column has no NULL */
        while (*text != '\0' && row->n < CHARGES_MAX) {
                char *end;

                errno = 0;
                row->times[row->n] = strtoull(text, &end, 10);
                if (errno != 0 || end == text || (*end != ' ' && *end != '\0'))
                        return REGISTRY_E_UNUSABLE;
                row->n++;
                text = *end == ' ' ? end + 1 : end;
        }
        return 0;
}

static void format_times(const Row *row, char *out, size_t size) {
        size_t used = 0;

        out[0] = '\0';
        for (unsigned i = 0; i < row->n && used < size; i++)
                used += (size_t)snprintf(out + used, size - used, "%s%" PRIu64, i > 0 ? " " : "", row->times[i]);
}

/* Drops what no longer counts: a lock whose time is over, and charges before the window. */
static void row_expire(Row *row, const Config *config, uint64_t now) {
        unsigned kept = 0;

        if (row->locked > 0) {
                if (config->attempts_release_usec > 0 && is_past(row->locked, config->attempts_release_usec, now))
                        *row = (Row){};
                return;
        }
        for (unsigned i = 0; i < row->n; i++)
                if (!is_past(row->times[i], config->attempts_window_usec, now))
                        row->times[kept++] = row->times[i];
        row->n = kept;
}

static int bind_key(sqlite3_stmt *s, const char *target, const char *origin) {
        int q;

        q = registry_result(sqlite3_bind_text(s, 1, target, -1, SQLITE_STATIC));
        return q != 0 ? q : registry_result(sqlite3_bind_text(s, 2, origin, -1, SQLITE_STATIC));
}

static int run(sqlite3_stmt *s) {
        int rc;

        do
                rc = sqlite3_step(s);
        while (rc == SQLITE_ROW);
        return registry_result(rc);
}

static int row_read(Registry *r, const Config *config, const char *target, const char *origin, uint64_t now, Row *ret) {
        static const char sql[] = "SELECT times, locked FROM attempts WHERE account = ?1 AND origin = ?2";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        Row row = {};
        int rc, q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_key(s, target, origin);
        if (q != 0)
                return q;
        rc = sqlite3_step(s);
        if (rc == SQLITE_ROW) {
                q = parse_times((const char *)sqlite3_column_text(s, 0), &row);
                row.locked = (uint64_t)sqlite3_column_int64(s, 1);
        } else
                q = registry_result(rc);
        if (q != 0)
                return q;
        row_expire(&row, config, now);
        *ret = row;
        return 0;
}

static int row_write(Registry *r, const char *target, const char *origin, const Row *row) {
        static const char sql[] = "INSERT INTO attempts (account, origin, count, first, last, locked, times)"
                                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (account, origin) DO UPDATE SET"
                                  " count = excluded.count, first = excluded.first, last = excluded.last,"
                                  " locked = excluded.locked, times = excluded.times";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        char times[CHARGES_MAX * 21 + 1];
        int q;

        format_times(row, times, sizeof(times));
        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_key(s, target, origin);
        if (q != 0)
                return q;
        sqlite3_bind_int64(s, 3, row->n);
        sqlite3_bind_int64(s, 4, (sqlite3_int64)row->times[0]);
        sqlite3_bind_int64(s, 5, (sqlite3_int64)row->times[row->n - 1]);
        sqlite3_bind_int64(s, 6, (sqlite3_int64)row->locked);
        q = registry_result(sqlite3_bind_text(s, 7, times, -1, SQLITE_STATIC));
        return q != 0 ? q : run(s);
}

/* Removes rows that no longer count, and the oldest of unregistered accounts when there are too many. */
static int prune(Registry *r, const Config *config, uint64_t now) {
        static const char over_sql[] = "DELETE FROM attempts WHERE locked = 0 AND last < ?1";
        static const char full_sql[] =
                "DELETE FROM attempts WHERE (account, origin) IN (SELECT account, origin FROM attempts a"
                " WHERE NOT EXISTS (SELECT 1 FROM users u WHERE u.account = a.account AND u.deleted = 0)"
                " ORDER BY last LIMIT max(0, (SELECT count(*) FROM attempts) - ?1))";
        _cleanup_statement_ sqlite3_stmt *over = NULL, *full = NULL;
        int q;

        q = registry_statement(r, over_sql, &over);
        if (q == 0) {
                uint64_t since = now > config->attempts_window_usec ? now - config->attempts_window_usec : 0;

                sqlite3_bind_int64(over, 1, (sqlite3_int64)since);
                q = run(over);
        }
        if (q == 0)
                q = registry_statement(r, full_sql, &full);
        if (q == 0) {
                sqlite3_bind_int(full, 1, ATTEMPT_ROWS_MAX);
                q = run(full);
        }
        return q;
}

static int charge(
        Registry *r, const Config *config, const char *target, const char *origin, uint64_t now, Attempt *ret) {
        unsigned limit = limit_of(config);
        Row row;
        int q;

        q = row_read(r, config, target, origin, now, &row);
        if (q != 0)
                return q;
        if (row.locked > 0) {
                *ret = (Attempt){ .count = row.n, .locked = true, .delay_usec = delay_of(config, row.n) };
                return 0;
        }

        if (row.n == CHARGES_MAX)
                memmove(row.times, row.times + 1, --row.n * sizeof(row.times[0]));
        row.times[row.n++] = now;
        if (row.n >= limit)
                row.locked = now > 0 ? now : 1;

        q = prune(r, config, now);
        if (q == 0)
                q = row_write(r, target, origin, &row);
        if (q != 0)
                return q;
        *ret = (Attempt){
                .count = row.n,
                .now_locked = row.locked > 0,
                .delay_usec = delay_of(config, row.n),
        };
        return 0;
}

int attempt_charge(
        Registry *r, const Config *config, const char *target, const char *origin, uint64_t now_usec, Attempt *ret) {
        Attempt attempt = {};
        int q;

        q = registry_begin(r);
        if (q != 0)
                return q;
        q = charge(r, config, target, origin, now_usec, &attempt);
        if (q == 0)
                q = registry_commit(r);
        if (q != 0) {
                registry_rollback(r);
                return q;
        }
        *ret = attempt;
        return 0;
}

int attempt_peek(
        Registry *r, const Config *config, const char *target, const char *origin, uint64_t now_usec, Attempt *ret) {
        Row row;
        int q;

        q = row_read(r, config, target, origin, now_usec, &row);
        if (q != 0)
                return q;
        *ret = (Attempt){ .count = row.n, .locked = row.locked > 0, .delay_usec = delay_of(config, row.n) };
        return 0;
}

int attempt_uncharge(Registry *r, const Config *config, const char *target, const char *origin, uint64_t now_usec) {
        Row row;
        int q;

        q = row_read(r, config, target, origin, now_usec, &row);
        if (q != 0 || row.n == 0)
                return q;
        if (row.n == 1)
                return attempt_refund(r, target, origin);
        row.n--;
        row.locked = 0;
        return row_write(r, target, origin, &row);
}

int attempt_refund(Registry *r, const char *target, const char *origin) {
        int q = attempt_release(r, target, origin, NULL);

        return q == REGISTRY_E_NOT_FOUND ? 0 : q;
}

int attempt_release(Registry *r, const char *target, const char *origin, unsigned *ret_n) {
        static const char sql[] = "DELETE FROM attempts WHERE account = ?1 AND (?2 IS NULL OR origin = ?2)";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int n, q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = bind_key(s, target, origin);
        if (q == 0)
                q = run(s);
        if (q != 0)
                return q;
        n = sqlite3_changes(registry_db(r));
        if (n == 0)
                return REGISTRY_E_NOT_FOUND;
        if (ret_n)
                *ret_n = (unsigned)n;
        return 0;
}

static int json_put(json_object *o, const char *key, json_object *value) {
        if (!value)
                return -ENOMEM;
        if (json_object_object_add(o, key, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

static int row_to_json(const char *account, const char *origin, const Row *row, json_object **ret) {
        json_object *o = json_object_new_object();
        int q;

        if (!o || !account || !origin) {
                json_object_put(o);
                return -ENOMEM;
        }
        q = json_put(o, "account", json_object_new_string(account));
        if (q == 0)
                q = json_put(o, "origin", json_object_new_string(origin));
        if (q == 0)
                q = json_put(o, "count", json_object_new_int64(row->n));
        if (q == 0)
                q = json_put(o, "first_usec", json_object_new_int64((int64_t)row->times[0]));
        if (q == 0)
                q = json_put(o, "last_usec", json_object_new_int64((int64_t)row->times[row->n - 1]));
        if (q == 0)
                q = json_put(o, "locked", json_object_new_boolean(row->locked > 0));
        if (q != 0) {
                json_object_put(o);
                return q;
        }
        *ret = o;
        return 0;
}

int attempt_list(Registry *r, const Config *config, const char *account, uint64_t now_usec, json_object **ret) {
        static const char sql[] = "SELECT times, locked, account, origin FROM attempts"
                                  " WHERE ?1 IS NULL OR account = ?1 ORDER BY account, origin";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        json_object *list;
        int rc = SQLITE_DONE, q;

        list = json_object_new_array();
        if (!list)
                return -ENOMEM;
        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 1, account, -1, SQLITE_STATIC));
        while (q == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
                json_object *o = NULL;
                Row row = {};

                q = parse_times((const char *)sqlite3_column_text(s, 0), &row);
                row.locked = (uint64_t)sqlite3_column_int64(s, 1);
                row_expire(&row, config, now_usec);
                if (q != 0 || row.n == 0)
                        continue;
                q = row_to_json(
                        (const char *)sqlite3_column_text(s, 2), (const char *)sqlite3_column_text(s, 3), &row, &o);
                if (q == 0 && json_object_array_add(list, o) < 0) {
                        json_object_put(o);
                        q = -ENOMEM;
                }
        }
        if (q == 0)
                q = registry_result(rc);
        if (q != 0) {
                json_object_put(list);
                return q;
        }
        *ret = list;
        return 0;
}
