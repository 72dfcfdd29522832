/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

/* A timer for trying again, with a pause that doubles from `min_usec` to 30 s. Disarmed it causes no wake-up. Without
 * an event loop it never fires. */

typedef struct Pause {
        sd_event *event;
        sd_event_source *source;
        sd_event_time_handler_t fn;
        void *userdata;
        uint64_t min_usec, usec;
        bool armed;
} Pause;

void pause_init(Pause *p, sd_event *event, uint64_t min_usec, sd_event_time_handler_t fn, void *userdata);
void pause_done(Pause *p);

/* Calls fn after the pause, and makes the next one longer. Nothing when armed already. */
void pause_arm(Pause *p);
/* Calls fn in the next turn of the loop. */
void pause_arm_now(Pause *p);
/* To be called first in fn. */
void pause_fired(Pause *p);
/* What was tried worked: disarms, and the next pause is a short one. */
void pause_reset(Pause *p);
