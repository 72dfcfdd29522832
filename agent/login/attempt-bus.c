/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "login/attempt.h"
#include "login/bus-internal.h"
#include "util/clock.h"

/* Failed attempts over the bus: seen and released by the duty officer, the system owner, and by the unit head for
 * accounts of the own unit, and by deputies for the unit that they stand in for. Never one's own. */

#define ATTEMPT_ROLES (ROLE_BIT(ROLE_UNIT_HEAD) | ROLE_BIT(ROLE_DUTY_OFFICER) | ROLE_BIT(ROLE_SYSTEM_OWNER))
#define ANY_UNIT      (ROLE_BIT(ROLE_DUTY_OFFICER) | ROLE_BIT(ROLE_SYSTEM_OWNER))

#define REASON_TEXT_MAX 512u

/* Whether the account belongs to a unit that the caller acts for, as a registered user. */
static bool of_own_unit(Bus *b, const Caller *caller, const char *account, Event *e) {
        _cleanup_(user_done) User u = {};
        const char *deputy = NULL;

        if (registry_user(b->c.registry, account, &u) != 0)
                return false;
        if (!caller_of_unit(caller, ROLE_UNIT_HEAD, u.unit, &deputy) &&
                !caller_of_unit(caller, ROLE_DUTY_OFFICER, u.unit, &deputy))
                return false;
        if (e)
                event_set(e, FIELD_DEPUTY, deputy);
        return true;
}

static int do_list(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *all = NULL, *shown = NULL;
        const char *account;
        int r;

        r = sd_bus_message_read(m, "s", &account);
        if (r < 0)
                return r;
        r = attempt_list(b->c.registry, b->c.config, *account ? account : NULL, clock_usec(CLOCK_REALTIME), &all);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        if (caller_has_own(caller, ANY_UNIT))
                return bus_reply_json(m, all);
        shown = json_object_new_array();
        if (!shown)
                return -ENOMEM;
        for (size_t i = 0; i < json_object_array_length(all); i++) {
                json_object *row = json_object_array_get_idx(all, i);
                const char *of = json_string(row, "account");

                if (of && of_own_unit(b, caller, of, NULL) && json_object_array_add(shown, json_object_get(row)) < 0)
                        return -ENOMEM;
        }
        return bus_reply_json(m, shown);
}

static int refuse_release(
        Bus *b, sd_bus_message *m, const Caller *caller, const char *account, const char *reason, const char *text) {
        bus_record_refusal(b, caller, "AttemptRelease", "attempt", account, reason, text);
        return bus_refuse(m, "Refused", "%s", text);
}

static int do_release(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_(event_free_p) Event *e = NULL;
        _cleanup_(user_done) User u = {};
        const char *account, *origin, *reason;
        unsigned n = 0;
        int r;

        r = sd_bus_message_read(m, "sss", &account, &origin, &reason);
        if (r < 0)
                return r;
        if (!*account)
                return bus_refuse(m, "Invalid", N_("An account is needed"));
        if (!*reason || strlen(reason) > REASON_TEXT_MAX)
                return bus_refuse(m, "Invalid", N_("A reason is needed, of at most 512 bytes"));
        r = registry_user(b->c.registry, account, &u);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return bus_refuse_registry(m, r, NULL);
        if (strcmp(account, caller->user.account) == 0 || caller_is(caller, u.person) ||
                (u.shared &&
                        registry_shared_member(b->c.registry, account, caller->user.person) != REGISTRY_E_NOT_FOUND))
                return refuse_release(b, m, caller, account, "own-row", N_("Nobody releases their own attempts"));
        e = bus_event(EVENT_ATTEMPTS_RELEASED, caller);
        if (!e)
                return -ENOMEM;
        if (!caller_has_own(caller, ANY_UNIT) && !of_own_unit(b, caller, account, e))
                return refuse_release(
                        b, m, caller, account, "unit", N_("The user does not belong to the caller's unit"));
        event_set(e, FIELD_TARGET, account);
        event_set(e, FIELD_ORIGIN, origin);
        event_set(e, FIELD_RESULT, "done");
        event_set(e, FIELD_DETAIL, reason);

        r = registry_begin(b->c.registry);
        if (r == 0)
                r = attempt_release(b->c.registry, account, *origin ? origin : NULL, &n);
        if (r == 0) {
                event_set_uint(e, FIELD_COUNT, n);
                r = trail_append(b->c.trail, e);
        }
        if (r == 0)
                r = registry_commit(b->c.registry);
        if (r != 0) {
                registry_rollback(b->c.registry);
                if (r == REGISTRY_E_NOT_FOUND)
                        return bus_refuse(m, "NotFound", N_("There are no failed attempts of that account"));
                return bus_refuse_registry(m, r, NULL);
        }
        trail_kick(b->c.trail);
        return sd_bus_reply_method_return(m, "u", n);
}

int attempt_bus_list(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){ .method = "AttemptList",
                        .action = ACTION_READ,
                        .roles = ATTEMPT_ROLES,
                        .noun = "attempt",
                        .fn = do_list });
}

int attempt_bus_release(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *account;
        int r;

        r = sd_bus_message_read(m, "s", &account);
        if (r < 0)
                return r;
        return authorize(userdata, m,
                &(Ask){
                        .method = "AttemptRelease",
                        .action = ACTION_RELEASE,
                        .roles = ATTEMPT_ROLES,
                        .noun = "attempt",
                        .object = account,
                        .fn = do_release,
                });
}
