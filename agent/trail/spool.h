/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keishi/spool.h"

/* A file of preallocated slots (keishi/spool.h). */

/* Apart from the numbers of REGISTRY_E_…, since the importer forwards both. */
enum {
        _SPOOL_E_SUCCESS,
        SPOOL_E_FREE = 64,  /* the slot holds nothing */
        SPOOL_E_UNREADABLE, /* the slot is taken, but damaged or not of the form */
        SPOOL_E_FULL,       /* no free slot */
        SPOOL_E_BUSY,       /* someone else holds the lock */
};

typedef struct Spool {
        char *path;
        int fd;
        unsigned used; /* slots taken, as far as known */
        unsigned next; /* where to look for a free one */
} Spool;

/* Opens the file, or creates it (0600) and fills it with zeros. -EPERM: it is not a regular file of ours that nobody
 * else may write. */
int spool_open(Spool *s, const char *path);
void spool_done(Spool *s);
static inline bool spool_is_open(const Spool *s) {
        return s->fd >= 0;
}

/* Writes one slot, as keishi/spool.h says, without waiting for a lock. SPOOL_E_FULL, SPOOL_E_BUSY, -EMSGSIZE or another
 * negative errno. */
int spool_write(Spool *s, const char *text, size_t size, uint64_t realtime_usec, uint64_t boottime_usec);

typedef struct SpoolSlot {
        uint64_t realtime_usec;
        uint64_t boottime_usec;
        const char *text;
        size_t size;
} SpoolSlot;

/* Reads KEISHI_SPOOL_SLOT_SIZE bytes that nobody vouches for. On 0 the text consists of whole lines NAME=value (A-Z and
 * '_', 1 to 16 bytes; plain UTF-8, maybe empty), and the times fit into an int64. SPOOL_E_FREE, SPOOL_E_UNREADABLE. */
int spool_slot_parse(const void *data, SpoolSlot *ret);

typedef struct SpoolLine {
        const char *name, *value;
        size_t name_size, value_size;
} SpoolLine;
/* Takes one line from a slot that was parsed; false at the end. */
bool spool_slot_next(SpoolSlot *slot, SpoolLine *ret);

/* Calls fn with the bytes of each slot that is taken, in order, until it returns other than 0, which is returned. The
 * caller holds the lock. */
typedef int (*spool_fn)(unsigned index, const void *data, void *userdata);
int spool_scan(Spool *s, spool_fn fn, void *userdata);

/* SPOOL_E_BUSY instead of waiting. */
int spool_lock(Spool *s);
void spool_unlock(Spool *s);
/* Frees slots: those whose bit is set. The caller holds the lock. */
int spool_release(Spool *s, const uint8_t taken[static KEISHI_SPOOL_SLOTS / 8]);
