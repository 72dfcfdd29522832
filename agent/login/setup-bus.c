/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "login/bus-internal.h"
#include "util/clock.h"

/* The first rows of a terminal, written by root, once: afterwards root is refused like anyone. The document is a JSON
 * object of `terminal` (its fields), `users`, `members`, `scopes` and `designations` (arrays of fields), and `dry_run`.
 * Either all of it is written, with its trail, in one transaction, or nothing is. */

static const char *const document_fields[] = { "terminal", "users", "members", "scopes", "designations", "dry_run",
        NULL };

/* In this order: later ones refer to earlier ones. */
static const struct {
        const char *member;
        NounId noun;
} parts[] = {
        { "users", NOUN_USER },
        { "members", NOUN_MEMBER },
        { "scopes", NOUN_SCOPE },
        { "designations", NOUN_DESIGNATION },
};

/* Adds one row and its entry. On a refusal `e` says which row and what. */
static int add_row(Bus *b, const Caller *caller, NounId noun, size_t index, json_object *fields, uint64_t now,
        json_object **ret_row, RegistryError *e) {
        _cleanup_(event_free_p) Event *event = NULL;
        _cleanup_json_ json_object *row = NULL;
        RegistryError why = {};
        int r;

        if (!json_object_is_type(fields, json_type_object)) {
                (void)snprintf(e->text, sizeof(e->text), "%s %zu is not an object", noun_to_string(noun), index);
                return REGISTRY_E_INVALID;
        }
        r = registry_row_add(b->c.registry, noun, fields, now, &row, &why);
        if (r != 0) {
                (void)snprintf(e->text, sizeof(e->text), "%s %zu: %.200s", noun_to_string(noun), index,
                        *why.text ? why.text : "refused");
                return r;
        }
        event = bus_event(EVENT_DIRECTORY_CHANGED, caller);
        if (!event)
                return -ENOMEM;
        event_set(event, FIELD_NOUN, noun_to_string(noun));
        event_set(event, FIELD_OBJECT, json_string(row, "uuid"));
        event_set(event, FIELD_TARGET, json_string(row, "account"));
        event_set(event, FIELD_RESULT, "done");
        event_set(event, FIELD_AFTER, json_text(row));
        event_set(event, FIELD_DETAIL, "setup");
        r = trail_append(b->c.trail, event);
        if (r != 0)
                return r;
        if (ret_row)
                *ret_row = TAKE_PTR(row);
        return 0;
}

/* Everything that a document asks for, within the open transaction; counts go into `result`. */
static int write_document(Bus *b, const Caller *caller, json_object *document, json_object *result, RegistryError *e) {
        _cleanup_(event_free_p) Event *event = NULL;
        _cleanup_json_ json_object *terminal = NULL;
        uint64_t now = clock_usec(CLOCK_REALTIME);
        json_object *value;
        char when[32];
        int r;

        if (!json_object_object_get_ex(document, "terminal", &value)) {
                (void)snprintf(e->text, sizeof(e->text), "the document has no terminal");
                return REGISTRY_E_INVALID;
        }
        event = bus_event(EVENT_SETUP, caller);
        if (!event)
                return -ENOMEM;
        event_set(event, FIELD_RESULT, "done");
        r = trail_append(b->c.trail, event);
        if (r == 0)
                r = add_row(b, caller, NOUN_TERMINAL, 1, value, now, &terminal, e);
        if (r != 0)
                return r;
        r = registry_meta_set(b->c.registry, "terminal", json_string(terminal, "uuid"));
        if (r != 0)
                return r;
        for (size_t i = 0; i < ELEMENTSOF(parts); i++) {
                size_t n = 0;

                if (json_object_object_get_ex(document, parts[i].member, &value)) {
                        if (!json_object_is_type(value, json_type_array)) {
                                (void)snprintf(e->text, sizeof(e->text), "%s is not an array", parts[i].member);
                                return REGISTRY_E_INVALID;
                        }
                        n = json_object_array_length(value);
                        for (size_t j = 0; j < n; j++) {
                                r = add_row(b, caller, parts[i].noun, j + 1, json_object_array_get_idx(value, j), now,
                                        NULL, e);
                                if (r != 0)
                                        return r;
                        }
                }
                r = json_set_uint(result, parts[i].member, n);
                if (r < 0)
                        return r;
        }
        (void)snprintf(when, sizeof(when), "%" PRIu64, now);
        r = registry_meta_set(b->c.registry, "setup", when);
        return r != 0 ? r : json_set(result, "terminal", TAKE_PTR(terminal));
}

static int do_setup(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *document = NULL, *result = NULL;
        _cleanup_free_ char *already = NULL;
        const char *text, *name;
        RegistryError e = {};
        bool dry_run;
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        r = registry_meta_get(b->c.registry, "setup", &already);
        if (r == 0) {
                bus_record_refusal(b, caller, "Setup", NULL, NULL, "done-already", "root asked for the setup again");
                return bus_refuse(
                        m, "Refused", "This terminal is set up; from now on people with a role change the directory");
        }
        if (r != REGISTRY_E_NOT_FOUND)
                return bus_refuse_registry(m, r, NULL);
        if (json_parse_object(text, &document) < 0)
                return bus_refuse(m, "Invalid", "The document is not a JSON object");
        if (!json_only_has(document, document_fields, &name))
                return bus_refuse(m, "Invalid", "The document has an unknown member \"%.60s\"", name);
        dry_run = json_boolean(document, "dry_run");
        result = json_object_new_object();
        if (!result || json_set_boolean(result, "dry_run", dry_run) < 0)
                return -ENOMEM;

        r = registry_begin(b->c.registry);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        r = write_document(b, caller, document, result, &e);
        if (r == 0 && !dry_run)
                r = registry_commit(b->c.registry);
        if (r != 0 || dry_run)
                registry_rollback(b->c.registry);
        if (r != 0)
                return bus_refuse_registry(m, r, &e);
        if (!dry_run) {
                trail_kick(b->c.trail);
                if (b->c.directory_changed)
                        b->c.directory_changed(_NOUN_INVALID, b->c.userdata);
        }
        return bus_reply_json(m, result);
}

int setup_bus_setup(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m, &(Ask){ .method = "Setup", .noun = "setup", .root = true, .fn = do_setup });
}
