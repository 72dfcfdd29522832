/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/registry.h"

/* The table outbox: entries in canonical form by sequence number, until a receipt of the archive takes them away.
 * Sequence numbers are given out inside the transaction, so that one that is rolled back leaves neither a row nor a
 * hole, and never twice: when the newest row leaves, its number and time stay in meta ("trail-left": two decimal
 * numbers, by a trigger). The place up to which journald has entries is in meta as well ("trail": newest number, its
 * time, and the place), written with each NOTE_EVERY-th entry and at an orderly stop: a page less in every other
 * commit. Rows leave from the oldest on. */

typedef struct Outbox {
        Registry *registry;
        sqlite3_stmt *insert, *bounds, *after;
        bool loaded;
        uint64_t last_seq;  /* newest one committed */
        uint64_t last_time; /* its time */
        uint64_t handed;    /* journald has entries up to this one */
        uint64_t written;   /* …as it was last written to meta, perhaps not committed */
        uint64_t persisted; /* …as it was last committed */
        uint64_t noted;     /* number of the entry that it was last written with */
        uint64_t kept_seq;  /* the entry last inserted, so that it need not be read again; 0: none */
        uint64_t kept_time;
        char *kept;
        size_t kept_size;
} Outbox;

void outbox_init(Outbox *o, Registry *registry);
void outbox_done(Outbox *o);

/* Reads what is remembered, once; also after each commit, to take note of what is new. REGISTRY_E_UNUSABLE, -EBADMSG
 * (meta is damaged). */
int outbox_load(Outbox *o);

/* The number that the next entry gets, inside the open transaction. */
int outbox_next(Outbox *o, uint64_t *ret_seq);
/* Stores an entry and, now and then with it, the place up to which journald has entries. */
int outbox_insert(Outbox *o, uint64_t seq, uint64_t time_usec, int kind, const char *entry, size_t size);
/* Keeps the entry that was inserted last; takes it. */
void outbox_keep(Outbox *o, uint64_t seq, uint64_t time_usec, char *entry, size_t size);
/* The transaction with the entry that is kept has been committed: takes note as outbox_load() does, without reading. */
void outbox_committed(Outbox *o);
/* The newest committed entry, when it is kept; NULL: it has to be read. An entry whose transaction was rolled back is
 * never given: its number went to the next one that was inserted, and kept. */
const char *outbox_kept(const Outbox *o, size_t *ret_size);
void outbox_forget(Outbox *o);
/* Stores that place alone, in a transaction of its own: shows whether the registry can be written. */
int outbox_touch(Outbox *o);
/* The same, but only when the place has moved. */
int outbox_persist(Outbox *o);

/* Takes back that entries of the last `usec` before the newest one were handed over. 0 or as registry_result(). */
int outbox_rewind(Outbox *o, uint64_t usec);
/* Number of the oldest entry that is still here; 0: none. */
int outbox_first(Outbox *o, uint64_t *ret_seq);

typedef struct OutboxRow {
        uint64_t seq, time_usec;
        int kind;
        sqlite3_stmt *statement; /* for outbox_row_entry() */
} OutboxRow;

/* Calls fn with rows after a number, oldest first, until it returns anything but 0, which is returned. */
typedef int (*outbox_fn)(const OutboxRow *row, void *userdata);
int outbox_scan(Outbox *o, uint64_t after_seq, outbox_fn fn, void *userdata);
/* The entry of a row; lives during the call of fn. NULL when it is not a blob, or out of memory. */
const char *outbox_row_entry(const OutboxRow *row, size_t *ret_size);
