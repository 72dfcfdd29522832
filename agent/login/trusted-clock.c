/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/trusted-clock.h"

#include <string.h>

#include "util/clock.h"

#define META_DISTRUSTED "clock-distrusted"

static void distrust(TrustedClock *c, const char *why, uint64_t now, uint64_t expected) {
        _cleanup_(event_free_p) Event *e = NULL;

        if (c->distrusted)
                return;
        c->distrusted = true;
        if (event_new(&e, EVENT_CLOCK_DISTRUSTED) < 0)
                return;
        event_set(e, FIELD_REASON, why);
        event_setf(e, FIELD_DETAIL, "clock %llu us, expected about %llu us", (unsigned long long)now,
                (unsigned long long)expected);

        if (registry_begin(c->registry) == 0) {
                if (registry_meta_set(c->registry, META_DISTRUSTED, why) == 0 && trail_append(c->trail, e) == 0 &&
                        registry_commit(c->registry) == 0) {
                        trail_kick(c->trail);
                        return;
                }
                registry_rollback(c->registry);
        }
        trail_record_closing(c->trail, e);
}

/* What is trusted carries the steady time along. */
static void follow(TrustedClock *c, uint64_t now, uint64_t boot) {
        if (c->distrusted)
                return;
        c->steady_realtime = now;
        c->steady_boottime = boot;
}

int trusted_clock_init(TrustedClock *c, Registry *registry, Trail *trail, const Config *config) {
        _cleanup_free_ char *why = NULL;
        uint64_t now = clock_usec(CLOCK_REALTIME), floor = trail_floor_at_start(trail);
        int r;

        *c = (TrustedClock){ .registry = registry, .trail = trail, .config = config };
        r = registry_meta_get(registry, META_DISTRUSTED, &why);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        c->distrusted = r == 0;
        c->last_realtime = now;
        c->last_boottime = clock_usec(CLOCK_BOOTTIME);
        c->steady_realtime = floor > 0 ? floor : now;
        c->steady_boottime = c->last_boottime;

        if (floor > 0 && now > floor && now - floor > config->clock_off_usec)
                distrust(c, "ahead-at-start", now, floor);
        if (now < floor && floor - now > config->clock_back_usec)
                distrust(c, "back", now, floor);
        follow(c, now, c->last_boottime);
        return 0;
}

bool trusted_clock_now(TrustedClock *c, uint64_t *ret_now) {
        uint64_t now = clock_usec(CLOCK_REALTIME), boot = clock_usec(CLOCK_BOOTTIME);
        uint64_t expected = c->last_realtime + (boot - c->last_boottime);
        uint64_t floor = trail_floor(c->trail);

        if (now > expected && now - expected > c->config->clock_jump_usec)
                distrust(c, "jump", now, expected);
        else if (now < expected && expected - now > c->config->clock_jump_usec)
                distrust(c, "back", now, expected);
        else if (now < floor && floor - now > c->config->clock_back_usec)
                distrust(c, "back", now, floor);

        c->last_realtime = now;
        c->last_boottime = boot;
        follow(c, now, boot);
        *ret_now = now;
        return !c->distrusted;
}

uint64_t trusted_clock_steady(TrustedClock *c) {
        uint64_t now;

        (void)trusted_clock_now(c, &now);
        return c->steady_realtime + (clock_usec(CLOCK_BOOTTIME) - c->steady_boottime);
}

int trusted_clock_confirm(TrustedClock *c) {
        return registry_meta_set(c->registry, META_DISTRUSTED, NULL);
}

void trusted_clock_confirmed(TrustedClock *c) {
        c->distrusted = false;
        c->last_realtime = clock_usec(CLOCK_REALTIME);
        c->last_boottime = clock_usec(CLOCK_BOOTTIME);
        follow(c, c->last_realtime, c->last_boottime);
}
