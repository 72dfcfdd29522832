/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <malloc.h>
#include <string.h>

#include "login/bus-internal.h"
#include "registry/change.h"
#include "registry/import.h"
#include "registry/internal.h"
#include "registry/when.h"
#include "util/clock.h"
#include "util/text.h"

/* Directory rows over the bus; who may is in change.c. */

/* Rows of one answer: a directory of a fleet is asked about by field. */
#define LIST_MAX   10000u
#define LIST_LARGE 500u

/* Asks whether the caller may, records the change and commits: one transaction (law 6). Answers the call unless it is
 * done. */
static int finish_change(Bus *b, sd_bus_message *m, const Caller *caller, const char *method, NounId noun,
        json_object *before, json_object *after, const char *detail, bool *ret_done) {
        const char *text, *reason = NULL, *deputy;
        json_object *row = after ? after : before;
        int r;

        *ret_done = false;
        text = change_refused(b, caller, noun, before, after, &reason, &deputy);
        if (!text && noun == NOUN_USER && before && change_takes_rights(before, after))
                text = change_shuts_out(
                        b, caller, json_string(before, "account"), json_string(before, "person"), &reason);
        if (text)
                return change_refuse(b, m, caller, method, noun, json_string(row, "uuid"), reason, text);
        r = change_append(b, caller, EVENT_DIRECTORY_CHANGED, noun, before, after, detail, deputy);
        if (r == 0)
                r = change_commit(b, noun);
        if (r != 0) {
                registry_rollback(b->c.registry);
                return bus_refuse_registry(m, r, NULL);
        }
        *ret_done = true;
        return 0;
}

static int parse_noun(const char *text, NounId *ret) {
        *ret = noun_from_string(text);
        return *ret == _NOUN_INVALID ? -EINVAL : 0;
}

static int do_add(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *fields = NULL, *after = NULL;
        RegistryError e = {};
        const char *noun_text, *text;
        NounId noun;
        bool done;
        int r;

        r = sd_bus_message_read(m, "ss", &noun_text, &text);
        if (r < 0 || parse_noun(noun_text, &noun) < 0)
                return r < 0 ? r : -EINVAL;
        if (json_parse_object(text, &fields) < 0)
                return bus_refuse(m, "Invalid", N_("The fields are not a JSON object"));
        if (noun == NOUN_RESTRICTION) { /* before it is found not to be registered: say why */
                const char *why, *wrong = change_shuts_out(b, caller, json_string(fields, "account"),
                                         json_string(fields, "person"), &why);

                if (wrong)
                        return change_refuse(b, m, caller, "Add", noun, json_string(fields, "account"), why, wrong);
        }
        r = registry_begin(b->c.registry);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        r = registry_row_add(b->c.registry, noun, fields, clock_usec(CLOCK_REALTIME), &after, &e);
        if (r != 0)
                return change_failed(b, m, caller, "Add", noun, NULL, r, &e);
        r = finish_change(b, m, caller, "Add", noun, NULL, after, NULL, &done);
        return done ? bus_reply_json(m, after) : r;
}

static const char *json_version(json_object *row) {
        json_object *version;

        return json_object_object_get_ex(row, "version", &version) ? json_object_get_string(version) : "?";
}

/* Who was faster, when the trail can tell cheaply. */
static void tell_who(Bus *b, NounId noun, const char *id, RegistryError *e) {
        _cleanup_json_ json_object *row = NULL;
        _cleanup_free_ char *account = NULL;
        char when[WHEN_SIZE];
        uint64_t usec;

        if (registry_row_get(b->c.registry, noun, id, &row) != 0 ||
                trail_last_change(b->c.trail, json_string(row, "uuid"), &account, &usec) != 0)
                return;
        when_format(usec, when);
        (void)registry_error(e, REGISTRY_E_CONFLICT, "version",
                "%.64s changed the %s at %s, and it has version %s by now; look at it again", account,
                noun_to_string(noun), when, json_version(row));
}

static int do_change(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *fields = NULL, *before = NULL, *after = NULL;
        RegistryError e = {};
        const char *noun_text, *id, *text;
        NounId noun;
        bool done;
        int r;

        r = sd_bus_message_read(m, "sss", &noun_text, &id, &text);
        if (r < 0 || parse_noun(noun_text, &noun) < 0)
                return r < 0 ? r : -EINVAL;
        if (json_parse_object(text, &fields) < 0)
                return bus_refuse(m, "Invalid", N_("The fields are not a JSON object"));
        r = registry_begin(b->c.registry);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        r = registry_row_change(b->c.registry, noun, id, fields, clock_usec(CLOCK_REALTIME), &before, &after, &e);
        if (r == REGISTRY_E_CONFLICT)
                tell_who(b, noun, id, &e);
        if (r != 0)
                return change_failed(b, m, caller, "Change", noun, id, r, &e);
        r = finish_change(b, m, caller, "Change", noun, before, after, NULL, &done);
        return done ? bus_reply_json(m, after) : r;
}

static int do_remove(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *before = NULL;
        RegistryError e = {};
        const char *noun_text, *id, *reason;
        NounId noun;
        bool done;
        int r;

        r = sd_bus_message_read(m, "sss", &noun_text, &id, &reason);
        if (r < 0 || parse_noun(noun_text, &noun) < 0)
                return r < 0 ? r : -EINVAL;
        if (!*reason || strlen(reason) > REASON_TEXT_MAX)
                return bus_refuse(m, "Invalid", N_("A reason is needed, of at most 512 bytes"));
        r = registry_begin(b->c.registry);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        r = registry_row_remove(b->c.registry, noun, id, clock_usec(CLOCK_REALTIME), &before, &e);
        if (r == 0 && noun == NOUN_MEMBER)
                r = registry_shared_password_due(b->c.registry, json_string(before, "account"),
                        json_string(before, "person"), clock_usec(CLOCK_REALTIME));
        if (r != 0)
                return change_failed(b, m, caller, "Remove", noun, id, r, &e);
        r = finish_change(b, m, caller, "Remove", noun, before, NULL, reason, &done);
        return done ? sd_bus_reply_method_return(m, NULL) : r;
}

static int do_get(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *row = NULL;
        const char *noun_text, *id;
        NounId noun;
        int r;

        r = sd_bus_message_read(m, "ss", &noun_text, &id);
        if (r < 0 || parse_noun(noun_text, &noun) < 0)
                return r < 0 ? r : -EINVAL;
        r = registry_row_get(b->c.registry, noun, id, &row);
        if (r == 0 && caller_has(caller, change_roles(noun)))
                r = registry_row_reveal(b->c.registry, noun, row);
        return r != 0 ? bus_refuse_registry(m, r, NULL) : bus_reply_json(m, row);
}

static int do_list(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *filter = NULL, *rows = NULL;
        RegistryError e = {};
        const char *noun_text, *text;
        NounId noun;
        int r;

        r = sd_bus_message_read(m, "ss", &noun_text, &text);
        if (r < 0 || parse_noun(noun_text, &noun) < 0)
                return r < 0 ? r : -EINVAL;
        if (json_parse_object(text, &filter) < 0)
                return bus_refuse(m, "Invalid", N_("The filter is not a JSON object"));
        if (import_busy(b->c.registry, noun))
                return bus_refuse(m, "Unavailable", N_("An import is being applied; try again in a few seconds"));
        r = registry_row_list(b->c.registry, noun, filter, LIST_MAX + 1, &rows, &e);
        if (r != 0)
                return bus_refuse_registry(m, r, &e);
        if (json_object_array_length(rows) > LIST_MAX)
                r = bus_refuse(m, "Invalid",
                        N_("More than 10000 rows: narrow the list, as in designation list --subject user:USER"));
        else
                r = bus_reply_json(m, rows);
        if (json_object_array_length(rows) > LIST_LARGE) { /* an agent that idles does not keep what one answer took */
                json_object_put(TAKE_PTR(rows));
                (void)sqlite3_db_release_memory(registry_db(b->c.registry));
                (void)malloc_trim(0);
        }
        return r;
}

static int ask_for(sd_bus_message *m, Bus *b, const char *method, const char *action, bool write, authorized_fn fn) {
        _cleanup_free_ char *target = NULL;
        const char *noun_text, *id = NULL;
        NounId noun;
        int r;

        r = sd_bus_message_read(m, "s", &noun_text);
        if (r < 0)
                return r;
        if (parse_noun(noun_text, &noun) < 0)
                return bus_refuse(m, "Invalid", N_("There is no such kind of row"));
        if (write && fn != do_add) {
                r = sd_bus_message_read(m, "s", &id);
                if (r < 0)
                        return r;
        }
        if (id && noun == NOUN_USER) {
                r = change_target(b, id, &target);
                if (r < 0)
                        return r; /* what is not registered is told to who may know */
        }
        return authorize(b, m,
                &(Ask){
                        .method = method,
                        .action = action,
                        .roles = write ? change_roles(noun) : ROLES_ALL,
                        .noun = noun_to_string(noun),
                        .object = id,
                        .others = write && noun == NOUN_DESIGNATION,
                        .target = target,
                        .fn = fn,
                });
}

int registry_bus_add(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ask_for(m, userdata, "Add", ACTION_CHANGE, true, do_add);
}

int registry_bus_change(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ask_for(m, userdata, "Change", ACTION_CHANGE, true, do_change);
}

int registry_bus_remove(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ask_for(m, userdata, "Remove", ACTION_CHANGE, true, do_remove);
}

int registry_bus_get(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ask_for(m, userdata, "Get", ACTION_READ, false, do_get);
}

int registry_bus_list(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ask_for(m, userdata, "List", ACTION_READ, false, do_list);
}
