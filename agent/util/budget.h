/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How often callers that cost others something may come: `burst` at once, then one per `interval_usec`. Per uid, and
 * for all of them together, since one person may own many uids (subuid(5)). Bounded: of more busy uids than fit, the
 * least busy one is forgotten. */

#define BUDGET_UIDS 64

typedef struct BudgetLimit {
        unsigned burst;
        uint64_t interval_usec;
} BudgetLimit;

typedef struct BudgetEntry {
        uid_t uid;
        uint64_t used_until_usec; /* when all that was spent has come back */
} BudgetEntry;

typedef struct Budget {
        BudgetLimit each, all;
        uint64_t all_used_until_usec;
        BudgetEntry uids[BUDGET_UIDS];
} Budget;

/* Spends one of the uid's; false: there is none left now, and nothing is spent. */
bool budget_spend(Budget *b, uid_t uid, uint64_t now_boottime_usec);
