/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/budget.h"

static bool has_some(BudgetLimit limit, uint64_t used_until, uint64_t now) {
        return used_until <= now || used_until - now <= (limit.burst - 1) * limit.interval_usec;
}

static void spend(BudgetLimit limit, uint64_t *used_until, uint64_t now) {
        *used_until = (*used_until > now ? *used_until : now) + limit.interval_usec;
}

static BudgetEntry *entry_of(Budget *b, uid_t uid) {
        BudgetEntry *least = &b->uids[0];

        for (size_t i = 0; i < BUDGET_UIDS; i++) {
                if (b->uids[i].used_until_usec > 0 && b->uids[i].uid == uid)
                        return &b->uids[i];
                if (b->uids[i].used_until_usec < least->used_until_usec)
                        least = &b->uids[i];
        }
        *least = (BudgetEntry){ .uid = uid };
        return least;
}

bool budget_spend(Budget *b, uid_t uid, uint64_t now) {
        BudgetEntry *e;

        if (!has_some(b->all, b->all_used_until_usec, now))
                return false;
        e = entry_of(b, uid);
        if (!has_some(b->each, e->used_until_usec, now))
                return false;
        spend(b->each, &e->used_until_usec, now);
        spend(b->all, &b->all_used_until_usec, now);
        return true;
}
