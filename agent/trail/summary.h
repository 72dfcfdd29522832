/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "keishi/event.h"
#include "trail/trail.h"

/* What an audit asks of the trail: how much of what kind, from when, whether numbers are missing, and since when the
 * configuration and the PAM stacks have been as they are. */

typedef struct TrailHash {
        char hash[129];      /* as recorded last; empty: not among the entries looked at */
        uint64_t since_usec; /* the oldest entry of that hash without another one after it */
        bool ended;          /* another one stands before it; false: it may be older */
} TrailHash;

typedef struct TrailSummary {
        uint64_t first_seq, first_usec, last_seq, last_usec; /* of what is kept here; 0: nothing is */
        uint64_t looked_at;                                  /* the newest so many entries */
        uint64_t missing;                                    /* numbers that none of them has */
        bool whole;                                          /* these are all that is kept here */
        struct {
                uint64_t count, last_usec;
        } kinds[_EVENT_MAX];
        TrailHash policy, pam;
} TrailSummary;

/* A bounded number of entries is looked at. 0, REGISTRY_E_UNUSABLE, -EBADMSG (an entry is damaged) or another negative
 * errno. */
int trail_summary(Trail *t, TrailSummary *ret);
