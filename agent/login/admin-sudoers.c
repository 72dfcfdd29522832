/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "login/admin-log-internal.h"
#include "util/clock.h"
#include "util/text.h"

/* What sudo writes, it writes as sudoers tells it to, and whoever may change sudoers can tell it to be silent. What it
 * is told now is looked at (keishi-sudoers) at the start, when a file of sudoers changed, and when sudo is used. */

#define META_STATE "sudo-settings"

#define SETTLE_USEC (1 * USEC_PER_SEC)
#define AGAIN_USEC  (10 * USEC_PER_SEC) /* between two looks */
#define RETRY_USEC  (60 * USEC_PER_SEC)
#define STATE_MAX   900u

static int keep(AdminLog *l, const char *state) {
        char *copy = strdup(state);
        int r;

        if (!copy)
                return -ENOMEM;
        free(l->sudoers.state);
        l->sudoers.state = copy;
        r = registry_begin(l->c.registry);
        if (r == 0)
                r = registry_meta_set(l->c.registry, META_STATE, state);
        if (r == 0)
                r = registry_commit(l->c.registry);
        if (r != 0)
                registry_rollback(l->c.registry);
        return r;
}

/* Told when it is another state than the one told last, by this agent or the one before it. A terminal whose sudo
 * writes, or that has none, when it is first looked at, is as it should be. */
static void compare(AdminLog *l, const char *state) {
        bool good = strcmp(state, "ok") == 0 || strcmp(state, "absent") == 0;
        const char *was = l->sudoers.state;
        bool was_good = !was || strcmp(was, "ok") == 0 || strcmp(was, "absent") == 0;

        if (was && strcmp(was, state) == 0)
                return;
        if (!good)
                admin_log_tell(l, "off", "sudoers", state);
        else if (!was_good)
                admin_log_tell(l, "on", "sudoers", "sudo writes what is done with it again");
        /* One that could not be kept is told once more after the next start. */
        (void)keep(l, state);
}

static void arm(AdminLog *l, uint64_t usec) {
        int enabled = SD_EVENT_OFF;

        if (sd_event_source_get_enabled(l->sudoers.timer, &enabled) >= 0 && enabled != SD_EVENT_OFF)
                return;
        if (sd_event_source_set_time_relative(l->sudoers.timer, usec) >= 0)
                (void)sd_event_source_set_enabled(l->sudoers.timer, SD_EVENT_ONESHOT);
}

static void on_reply(int r, const char *reply, size_t size, void *userdata) {
        _cleanup_free_ char *text = NULL;
        AdminLog *l = userdata;

        l->sudoers.helper = NULL;
        if (r == 0 && size > 0 && utf8_valid(reply, size))
                text = text_escape(reply, size, STATE_MAX);
        if (!text) {
                arm(l, RETRY_USEC);
                return;
        }
        l->sudoers.looked_usec = clock_usec(CLOCK_BOOTTIME);
        compare(l, text);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        AdminLog *l = userdata;

        /* What is being read may be older than what called. */
        if (l->sudoers.helper)
                l->sudoers.helper = helper_cancel(l->sudoers.helper);
        if (helper_ask(l->c.sudoers, *l->root ? l->root : "/", *l->root ? strlen(l->root) : 1, on_reply, l,
                    &l->sudoers.helper) < 0)
                arm(l, RETRY_USEC);
        return 0;
}

void admin_log_look(AdminLog *l) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME), passed;

        if (!l)
                return;
        passed = now - l->sudoers.looked_usec;
        arm(l, l->sudoers.looked_usec == 0 || passed >= AGAIN_USEC ? SETTLE_USEC : AGAIN_USEC - passed);
}

int sudoers_init(AdminLog *l) {
        int r = registry_meta_get(l->c.registry, META_STATE, &l->sudoers.state);

        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                l->sudoers.state = NULL;
        return sd_event_add_time_relative(
                l->c.event, &l->sudoers.timer, CLOCK_BOOTTIME, SETTLE_USEC, USEC_PER_SEC / 10, on_timer, l);
}

void sudoers_done(AdminLog *l) {
        sd_event_source_disable_unref(l->sudoers.timer);
        if (l->sudoers.helper)
                helper_cancel(l->sudoers.helper);
        free(l->sudoers.state);
}
