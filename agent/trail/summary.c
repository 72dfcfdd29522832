/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "trail/summary.h"
#include "trail/trail-internal.h"

/* Entries looked at in one call, so that a long trail does not stop the agent: the newest ones. */
#define SUMMARY_ROWS_MAX 50000

static int read_ends(Registry *registry, TrailSummary *s) {
        _cleanup_statement_ sqlite3_stmt *q = NULL;
        int r;

        r = registry_statement(registry,
                "SELECT seq, time FROM outbox WHERE seq IN ((SELECT min(seq) FROM outbox), (SELECT max(seq) FROM "
                "outbox))"
                " ORDER BY seq",
                &q);
        if (r != 0)
                return r;
        while ((r = sqlite3_step(q)) == SQLITE_ROW) {
                s->last_seq = (uint64_t)sqlite3_column_int64(q, 0);
                s->last_usec = (uint64_t)sqlite3_column_int64(q, 1);
                if (s->first_seq == 0) {
                        s->first_seq = s->last_seq;
                        s->first_usec = s->last_usec;
                }
        }
        return r == SQLITE_DONE ? 0 : registry_result(r);
}

/* The hash that was recorded last, and since when it has been recorded without another in between: rows come newest
 * first. */
static int take_hash(sqlite3_stmt *q, uint64_t time_usec, TrailHash *h) {
        const char *data = sqlite3_column_blob(q, 3);
        EntryText *hash;
        Entry entry;
        int r;

        if (h->ended)
                return 0;
        if (!data)
                return -EBADMSG;
        r = entry_parse(data, (size_t)sqlite3_column_bytes(q, 3), &entry);
        if (r < 0)
                return r;
        hash = &entry.fields[FIELD_HASH];
        if (!hash->text || hash->size >= sizeof(h->hash)) {
                h->ended = true;
                return 0;
        }
        if (!*h->hash)
                memcpy(h->hash, hash->text, hash->size);
        else if (strlen(h->hash) != hash->size || memcmp(h->hash, hash->text, hash->size) != 0) {
                h->ended = true;
                return 0;
        }
        h->since_usec = time_usec;
        return 0;
}

int trail_summary(Trail *t, TrailSummary *ret) {
        _cleanup_statement_ sqlite3_stmt *q = NULL;
        TrailSummary s = {};
        uint64_t before = 0;
        int r;

        r = read_ends(t->registry, &s);
        if (r == 0)
                r = registry_statement(t->registry,
                        "SELECT seq, time, kind, CASE WHEN kind IN (?1, ?2) THEN entry END FROM outbox"
                        " ORDER BY seq DESC LIMIT ?3",
                        &q);
        if (r != 0)
                return r;
        if (sqlite3_bind_int(q, 1, EVENT_POLICY_LOADED) != SQLITE_OK ||
                sqlite3_bind_int(q, 2, EVENT_PAM_STACK) != SQLITE_OK ||
                sqlite3_bind_int(q, 3, SUMMARY_ROWS_MAX) != SQLITE_OK)
                return -EIO;

        while ((r = sqlite3_step(q)) == SQLITE_ROW) {
                uint64_t seq = (uint64_t)sqlite3_column_int64(q, 0), when = (uint64_t)sqlite3_column_int64(q, 1);
                int kind = sqlite3_column_int(q, 2);

                if (s.looked_at > 0)
                        s.missing += before - seq - 1;
                before = seq;
                s.looked_at++;
                if (kind < 0 || kind >= _EVENT_MAX)
                        continue;
                if (s.kinds[kind].count++ == 0)
                        s.kinds[kind].last_usec = when;
                r = kind == EVENT_POLICY_LOADED ? take_hash(q, when, &s.policy)
                    : kind == EVENT_PAM_STACK   ? take_hash(q, when, &s.pam)
                                                : 0;
                if (r < 0)
                        return r;
        }
        if (r != SQLITE_DONE)
                return registry_result(r);
        s.whole = s.looked_at == 0 || before == s.first_seq;
        *ret = s;
        return 0;
}
