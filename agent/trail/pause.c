/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trail/pause.h"

#include "util/clock.h"

#define PAUSE_MAX_USEC (30 * USEC_PER_SEC)

/* The default, 250 ms, would also hold back what is to be done in the next turn. */
#define ACCURACY_USEC USEC_PER_MSEC

void pause_init(Pause *p, sd_event *event, uint64_t min_usec, sd_event_time_handler_t fn, void *userdata) {
        *p = (Pause){
                .event = event ? sd_event_ref(event) : NULL, .fn = fn, .userdata = userdata, .min_usec = min_usec
        };
}

void pause_done(Pause *p) {
        sd_event_source_disable_unref(p->source);
        sd_event_unref(p->event);
        *p = (Pause){};
}

/* The timer cannot be set only when memory is out; then the next thing recorded tries again. */
static void arm(Pause *p, uint64_t usec) {
        if (!p->event)
                return;
        if (!p->source) {
                if (sd_event_add_time_relative(
                            p->event, &p->source, CLOCK_MONOTONIC, usec, ACCURACY_USEC, p->fn, p->userdata) < 0)
                        return;
                (void)sd_event_source_set_priority(p->source, SD_EVENT_PRIORITY_IDLE);
        } else if (sd_event_source_set_time_relative(p->source, usec) < 0 ||
                   sd_event_source_set_enabled(p->source, SD_EVENT_ONESHOT) < 0)
                return;
        p->armed = true;
}

void pause_arm(Pause *p) {
        if (p->armed)
                return;
        p->usec = p->usec == 0 ? p->min_usec : p->usec * 2 < PAUSE_MAX_USEC ? p->usec * 2 : PAUSE_MAX_USEC;
        arm(p, p->usec);
}

void pause_arm_now(Pause *p) {
        arm(p, 0);
}

void pause_fired(Pause *p) {
        p->armed = false;
}

void pause_reset(Pause *p) {
        p->usec = 0;
        p->armed = false;
        if (p->source)
                (void)sd_event_source_set_enabled(p->source, SD_EVENT_OFF);
}
