/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "trail/trail.h"

/* Whether CLOCK_REALTIME may be believed. The newest trail entry is its floor; while running it is compared with
 * CLOCK_BOOTTIME. Once in doubt, it stays so (also over a restart) until an administrator confirms; time-bound rules
 * are closed meanwhile. */
typedef struct TrustedClock {
        Registry *registry;
        Trail *trail;
        const Config *config;
        bool distrusted;
        uint64_t last_realtime, last_boottime;
        uint64_t steady_realtime, steady_boottime; /* at the last moment that was trusted */
} TrustedClock;

/* Reads what was remembered and compares with the floor. */
int trusted_clock_init(TrustedClock *c, Registry *registry, Trail *trail, const Config *config);
/* Looks at the clock; records the moment it falls into doubt. Returns whether it is trusted, the time in *ret_now. */
bool trusted_clock_now(TrustedClock *c, uint64_t *ret_now);
/* The time for what counts down (attempts): goes on from the last moment that was trusted at the pace of
 * CLOCK_BOOTTIME, so that setting the clock neither ends nor forgets anything. */
uint64_t trusted_clock_steady(TrustedClock *c);
/* An administrator has looked at it. Within the caller's open transaction (the caller records CLOCK_CONFIRMED in it);
 * call _confirmed() once that is committed. */
int trusted_clock_confirm(TrustedClock *c);
void trusted_clock_confirmed(TrustedClock *c);
