/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "login/bus-internal.h"
#include "login/password-secret.h"
#include "registry/change.h"
#include "registry/noun.h"
#include "util/clock.h"

/* The life of a terminal: enrolling a machine as one (anew), and retiring it. A person with a role does so; root may
 * enrol what is closed, as it may set up what is not set up: who stands before a copied disk with nobody of a role
 * designated there has the break-glass account only. */

#define ROLES (ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER))

static int answer_enrolled(Bus *b, sd_bus_message *m) {
        _cleanup_json_ json_object *identity = NULL;
        int r = identity_json(b->c.identity, &identity);

        return r < 0 ? r : bus_reply_json(m, identity);
}

/* uuid of the terminal that is to be this one: by name, or the one that it is. REGISTRY_E_NOT_FOUND. */
static int find_terminal(Bus *b, const char *name, char **ret_uuid) {
        _cleanup_(terminal_done) Terminal t = {};
        int r;

        r = *name ? registry_terminal(b->c.registry, name, &t) : registry_terminal_self(b->c.registry, &t);
        if (r == 0)
                *ret_uuid = TAKE_PTR(t.uuid);
        return r;
}

static int write_enrolment(Bus *b, const char *uuid, Event *e, RegistryError *error) {
        bool elsewhere = identity_state(b->c.identity) != IDENTITY_RIGHT;
        int r;

        r = registry_begin(b->c.registry);
        if (r == 0)
                r = identity_write(b->c.identity, b->c.trail, uuid, e, error);
        /* What passwords are compared by stays with the terminal that it was made on. */
        if (r == 0 && elsewhere)
                r = password_secret_forget(b->c.registry);
        if (r == 0)
                r = change_commit(b, NOUN_TERMINAL);
        else
                registry_rollback(b->c.registry);
        identity_written(b->c.identity, b->c.trail, r == 0);
        return r;
}

static int do_enrol(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_(event_free_p) Event *e = NULL;
        _cleanup_free_ char *uuid = NULL, *setup = NULL;
        const char *name, *reason;
        RegistryError error = {};
        IdentityState before = identity_state(b->c.identity);
        int r;

        r = sd_bus_message_read(m, "ss", &name, &reason);
        if (r < 0)
                return r;
        if (!*reason || strlen(reason) > REASON_TEXT_MAX)
                return bus_refuse(m, "Invalid", N_("A reason is needed, of at most 512 bytes"));
        r = registry_meta_get(b->c.registry, "setup", &setup);
        if (r == REGISTRY_E_NOT_FOUND)
                return bus_refuse(m, "Refused", N_("This terminal is not set up"));
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        if (caller->uid == 0 && before == IDENTITY_RIGHT) {
                bus_record_refusal(b, caller, "Enrol", "terminal", NULL, "role", "root asked for another enrolment");
                return bus_refuse(m, "Refused",
                        N_("This is the machine that was enrolled; people with a role enrol it as something else"));
        }
        r = find_terminal(b, name, &uuid);
        if (r == REGISTRY_E_NOT_FOUND)
                return bus_refuse(
                        m, "NotFound", N_("There is no such terminal; register it first (keishictl terminal add)"));
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        e = bus_event(EVENT_IDENTITY_BOUND, caller);
        if (!e)
                return -ENOMEM;
        event_setf(e, FIELD_DETAIL, "%s (before: %s)", reason, identity_state_to_string(before));

        r = identity_prepare(b->c.identity);
        if (r == IDENTITY_E_NO_MACHINE)
                return bus_refuse(m, "Unavailable",
                        N_("/etc/machine-id is missing or holds none; systemd-machine-id-setup makes one"));
        if (r == -ENOSPC || r == -EROFS || r == -EDQUOT)
                return bus_refuse(m, "Unusable", N_("The key of the terminal cannot be written (disk full?)"));
        if (r < 0)
                return r;
        r = write_enrolment(b, uuid, e, &error);
        if (r != 0)
                return bus_refuse_registry(m, r, &error);
        return answer_enrolled(b, m);
}

int identity_bus_enrol(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){
                        .method = "Enrol",
                        .action = ACTION_CHANGE,
                        .roles = ROLES,
                        .noun = "terminal",
                        .or_root = true,
                        .fn = do_enrol,
                });
}

static void set_retired(Row *row, void *userdata) {
        row->values[TERMINAL_F_RETIRED].number = 1;
}

/* The row and both entries within the open transaction. */
static int write_retirement(
        Bus *b, const Caller *caller, const char *name, const char *reason, bool *ret_self, RegistryError *error) {
        _cleanup_json_ json_object *before = NULL, *after = NULL;
        _cleanup_(event_free_p) Event *e = bus_event(EVENT_TERMINAL_RETIRED, caller);
        _cleanup_(terminal_done) Terminal self = {};
        int r;

        if (!e)
                return -ENOMEM;
        r = row_edit(b->c.registry, NOUN_TERMINAL, name, set_retired, NULL, clock_usec(CLOCK_REALTIME), &before, &after,
                error);
        if (r != 0)
                return r;
        r = registry_terminal_self(b->c.registry, &self);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        *ret_self = self.uuid && strcmp(self.uuid, json_string(after, "uuid")) == 0;
        event_set(e, FIELD_NOUN, noun_to_string(NOUN_TERMINAL));
        event_set(e, FIELD_OBJECT, json_string(after, "uuid"));
        event_set(e, FIELD_TARGET, json_string(after, "name"));
        event_set(e, FIELD_BEFORE, json_text(before));
        event_set(e, FIELD_AFTER, json_text(after));
        event_set(e, FIELD_RESULT, "done");
        event_set(e, FIELD_DETAIL, reason);
        return trail_append(b->c.trail, e);
}

static int do_retire(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *result = json_object_new_object();
        const char *name, *reason;
        RegistryError error = {};
        bool self = false;
        int r, erased = 0;

        r = sd_bus_message_read(m, "ss", &name, &reason);
        if (r < 0)
                return r;
        if (!*reason || strlen(reason) > REASON_TEXT_MAX)
                return bus_refuse(m, "Invalid", N_("A reason is needed, of at most 512 bytes"));
        if (!result)
                return -ENOMEM;
        r = registry_begin(b->c.registry);
        if (r == 0)
                r = write_retirement(b, caller, name, reason, &self, &error);
        if (r == 0)
                r = change_commit(b, NOUN_TERMINAL);
        else
                registry_rollback(b->c.registry);
        if (r != 0)
                return bus_refuse_registry(m, r, &error);
        if (self)
                erased = identity_retire(b->c.identity);
        if (json_set_string(result, "terminal", name) < 0 || json_set_boolean(result, "this", self) < 0 ||
                json_set_boolean(result, "key_erased", self && erased == 0) < 0)
                return -ENOMEM;
        return bus_reply_json(m, result);
}

int identity_bus_retire(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){
                        .method = "RetireTerminal",
                        .action = ACTION_CHANGE,
                        .roles = ROLES,
                        .noun = "terminal",
                        .fn = do_retire,
                });
}
