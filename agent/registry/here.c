/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/internal.h"

/* The subjects that the table here has rows of, in memory: most groups of most users have none, and need not be looked
 * up. It is no cache that could be late: it counts for one number of the table's state, which triggers raise with each
 * row that comes or goes, and which is read in the same view as the rows. */

/* More than these are not held; then each subject is looked up. */
#define SUBJECTS_MAX 16384u
#define TEXT_MAX     (512u * 1024)

struct HereSubjects {
        int64_t state;
        bool complete;
        char *text;   /* one after the other, with NUL */
        uint32_t *at; /* where each begins, in the order of memcmp() */
        size_t n, size;
};

static void subjects_clear(HereSubjects *h) {
        free(h->text);
        free(h->at);
        *h = (HereSubjects){};
}

void here_subjects_free(HereSubjects *h) {
        if (h)
                subjects_clear(h);
        free(h);
}

static int subjects_add(HereSubjects *h, const char *subject, size_t size) {
        if ((h->n & (h->n - 1)) == 0) {
                uint32_t *grown = reallocarray(h->at, h->n > 0 ? h->n * 2 : 1, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                h->at = grown;
        }
        memcpy(h->text + h->size, subject, size + 1);
        h->at[h->n++] = (uint32_t)h->size;
        h->size += size + 1;
        return 0;
}

/* How much there is: rows, and bytes of text with a NUL for each. */
static int measure(Registry *r, uint64_t *ret_n, uint64_t *ret_size) {
        static const char sql[] = "SELECT count(*), total(length(CAST(subject AS BLOB)) + 1)"
                                  " FROM (SELECT DISTINCT subject FROM here)";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = statement_row(s);
        if (q != 0)
                return q;
        *ret_n = (uint64_t)sqlite3_column_int64(s, 0);
        *ret_size = (uint64_t)sqlite3_column_int64(s, 1);
        return 0;
}

static int load(Registry *r, HereSubjects *h) {
        static const char sql[] = "SELECT DISTINCT subject FROM here ORDER BY subject";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        uint64_t n, size;
        int q;

        q = measure(r, &n, &size);
        if (q != 0 || n > SUBJECTS_MAX || size > TEXT_MAX)
                return q;
        h->text = malloc(size > 0 ? size : 1);
        if (!h->text)
                return -ENOMEM;
        q = registry_statement(r, sql, &s);
        while (q == 0 && (q = statement_row(s)) == 0) {
                const char *subject = (const char *)sqlite3_column_text(s, 0);
                size_t length = (size_t)sqlite3_column_bytes(s, 0);

                if (!subject || h->size + length + 1 > size)
                        return -ENOMEM;
                q = subjects_add(h, subject, length);
        }
        if (q != REGISTRY_E_NOT_FOUND)
                return q;
        h->complete = true;
        return 0;
}

static int read_state(Registry *r, int64_t *ret) {
        static const char sql[] = "SELECT state FROM here_state";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = statement_row(s);
        if (q == 0)
                *ret = sqlite3_column_int64(s, 0);
        return q;
}

const HereSubjects *here_subjects(Registry *r) {
        HereSubjects loaded = {};

        /* What is not committed may be taken back, and its number come again for another state. */
        if (sqlite3_txn_state(r->db, NULL) == SQLITE_TXN_WRITE || read_state(r, &loaded.state) != 0)
                return NULL;
        if (!r->here) {
                r->here = calloc(1, sizeof(*r->here));
                if (!r->here)
                        return NULL;
        }
        if (r->here->state != loaded.state) {
                if (load(r, &loaded) != 0) {
                        subjects_clear(&loaded);
                        return NULL;
                }
                subjects_clear(r->here);
                *r->here = loaded;
        }
        return r->here->complete ? r->here : NULL;
}

bool here_subjects_have(const HereSubjects *h, const char *subject, size_t size) {
        size_t low = 0, high = h->n;

        while (low < high) {
                size_t middle = low + (high - low) / 2;
                const char *other = h->text + h->at[middle];
                size_t other_size = (middle + 1 < h->n ? h->at[middle + 1] : h->size) - h->at[middle] - 1;
                int c = memcmp(subject, other, size < other_size ? size : other_size);

                if (c == 0)
                        c = (size > other_size) - (size < other_size);
                if (c == 0)
                        return true;
                if (c < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return false;
}
