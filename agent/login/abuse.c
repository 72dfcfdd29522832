/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/abuse.h"

#include "util/clock.h"

void abuse_log_init(AbuseLog *log) {
        *log = (AbuseLog){
                .budget = {
                        .each = { .burst = 20, .interval_usec = 30 * USEC_PER_SEC },
                        .all = { .burst = 100, .interval_usec = 10 * USEC_PER_SEC },
                },
        };
}

void abuse_record(AbuseLog *log, Trail *trail, const Abuse *abuse) {
        _cleanup_(event_free_p) Event *e = NULL;

        if (!budget_spend(&log->budget, abuse->uid, clock_usec(CLOCK_BOOTTIME)) ||
                event_new(&e, EVENT_PROTOCOL_ABUSE) < 0) {
                log->left_out++;
                return;
        }

        event_set_uint(e, FIELD_UID, abuse->uid);
        event_set_uint(e, FIELD_PID, (uint64_t)abuse->pid);
        event_set(e, FIELD_PEER, abuse->exe);
        event_set(e, FIELD_SERVICE, abuse->service);
        event_set(e, FIELD_TARGET, abuse->target);
        event_set(e, FIELD_RULE, "default");
        event_set(e, FIELD_REASON, abuse->what);
        event_set(e, FIELD_RESULT, "refused");
        if (log->left_out > 0)
                event_set_uint(e, FIELD_COUNT, log->left_out);
        log->left_out = 0;
        trail_record_closing(trail, e);
}
