/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "login/bus-internal.h"

/* Accepting the configuration as it is: a person with a role, who names the state that they have looked at; and once,
 * at the end of the setup, root. */

#define REASON_TEXT_MAX 512u

static int accept_now(Bus *b, Event *e) {
        int r;

        event_set_uint(e, FIELD_COUNT, drift_count(b->c.drift));
        r = registry_begin(b->c.registry);
        if (r == 0)
                r = trail_append(b->c.trail, e);
        if (r == 0)
                r = drift_accept(b->c.drift);
        if (r == 0)
                r = registry_commit(b->c.registry);
        if (r != 0) {
                registry_rollback(b->c.registry);
                return r;
        }
        trail_kick(b->c.trail);
        drift_accepted(b->c.drift);
        return 0;
}

/* Looks once more, so that what is accepted is what is there now. */
static int look(Bus *b, const Caller *caller, Event **ret) {
        _cleanup_(event_free_p) Event *e = bus_event(EVENT_DRIFT_ACCEPTED, caller);
        char digest[65];
        int r;

        if (!e)
                return -ENOMEM;
        r = drift_look(b->c.drift);
        if (r == 0)
                r = drift_digest(b->c.drift, digest);
        if (r < 0)
                return r;
        event_set(e, FIELD_HASH, digest);
        event_set(e, FIELD_RESULT, "done");
        *ret = TAKE_PTR(e);
        return 0;
}

static int do_accept(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_(event_free_p) Event *e = NULL;
        const char *state, *reason;
        uint32_t n;
        int r;

        r = sd_bus_message_read(m, "ss", &state, &reason);
        if (r < 0)
                return r;
        if (!*reason || strlen(reason) > REASON_TEXT_MAX)
                return bus_refuse(m, "Invalid", N_("A reason is needed, of at most 512 bytes"));
        r = look(b, caller, &e);
        if (r < 0)
                return r;
        if (strcmp(event_get(e, FIELD_HASH), state) != 0)
                return bus_refuse(
                        m, "Conflict", N_("The configuration has changed since it was looked at; look again"));
        event_set(e, FIELD_DETAIL, reason);
        n = (uint32_t)drift_count(b->c.drift);
        r = accept_now(b, e);
        return r != 0 ? bus_refuse_registry(m, r, NULL) : sd_bus_reply_method_return(m, "u", n);
}

int drift_bus_accept(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){
                        .method = "AcceptDrift",
                        .action = ACTION_ACCEPT_DRIFT,
                        .roles = ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER),
                        .noun = "configuration",
                        .fn = do_accept,
                });
}

static int do_setup_finished(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_(event_free_p) Event *e = NULL;
        _cleanup_free_ char *setup = NULL;
        int r;

        r = registry_meta_get(b->c.registry, "setup", &setup);
        if (r == REGISTRY_E_NOT_FOUND)
                return bus_refuse(m, "Refused", N_("This terminal is not set up"));
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        if (drift_has_baseline(b->c.drift)) {
                bus_record_refusal(b, caller, "SetupFinished", "configuration", NULL, "done-already",
                        "root asked for the configuration to be accepted again");
                return bus_refuse(m, "Refused",
                        N_("The configuration was recorded before; from now on people with a role accept it"));
        }
        r = look(b, caller, &e);
        if (r < 0)
                return r;
        event_set(e, FIELD_DETAIL, "recorded at the end of the setup");
        r = accept_now(b, e);
        return r != 0 ? bus_refuse_registry(m, r, NULL) : sd_bus_reply_method_return(m, NULL);
}

int drift_bus_setup_finished(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){ .method = "SetupFinished", .noun = "configuration", .root = true, .fn = do_setup_finished });
}
