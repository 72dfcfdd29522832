/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <string.h>

#include "registry/change.h"
#include "registry/review.h"
#include "util/clock.h"

/* The life cycle of staff (R2): hire, transfer and retire, each of them one transaction with an entry for every row
 * and one for the whole. What gives access is asked about row by row as if it were written alone; what ends comes with
 * the right to write the user. */

#define ROWS_MAX 64u

typedef struct Step {
        Bus *b;
        sd_bus_message *m;
        const Caller *caller;
        const char *method;
        const char *reason; /* of what ends */
        uint64_t now;
        unsigned n;          /* rows written */
        json_object *result; /* the answer */
        RegistryError e;
        /* a refusal, when there is one */
        NounId noun;
        const char *text, *why;
} Step;

/* Returned by the functions below when step->text says why not. */
#define STEP_REFUSED 1000

static int step_record(Step *s, NounId noun, json_object *before, json_object *after, bool asked) {
        const char *deputy = NULL;
        int r;

        s->noun = noun;
        if (asked) {
                s->text = change_refused(s->b, s->caller, noun, before, after, &s->why, &deputy);
                if (s->text)
                        return STEP_REFUSED;
        }
        r = change_append(
                s->b, s->caller, EVENT_DIRECTORY_CHANGED, noun, before, after, after ? NULL : s->reason, deputy);
        if (r == 0)
                s->n++;
        return r;
}

static int step_add(Step *s, NounId noun, json_object *fields, json_object **ret) {
        json_object *row = NULL;
        int r;

        s->noun = noun;
        r = registry_row_add(s->b->c.registry, noun, fields, s->now, &row, &s->e);
        if (r == 0)
                r = step_record(s, noun, NULL, row, true);
        if (r == 0 && ret)
                *ret = row;
        else
                json_object_put(row);
        return r;
}

static int step_remove(Step *s, NounId noun, json_object *row) {
        _cleanup_json_ json_object *before = NULL;
        int r;

        s->noun = noun;
        r = registry_row_remove(s->b->c.registry, noun, json_string(row, "uuid"), s->now, &before, &s->e);
        return r == 0 ? step_record(s, noun, before, NULL, false) : r;
}

static int step_list(Step *s, NounId noun, const char *field, const char *value, json_object **ret) {
        _cleanup_json_ json_object *filter = json_object_new_object();

        if (!filter || json_set_string(filter, field, value) < 0)
                return -ENOMEM;
        return registry_row_list(s->b->c.registry, noun, filter, 0, ret, NULL);
}

static int result_count(Step *s, const char *name, unsigned more) {
        json_object *value;
        uint64_t n = json_object_object_get_ex(s->result, name, &value) ? json_object_get_uint64(value) : 0;

        return json_set_uint(s->result, name, n + more);
}

static bool same(const char *a, const char *b) {
        return a && b && strcmp(a, b) == 0;
}

/* Unit of the scope or of the account that the row's field names, or NULL. The row read is kept in *ret. */
static const char *unit_of(Step *s, NounId noun, const char *id, json_object **ret) {
        if (!id || registry_row_get(s->b->c.registry, noun, id, ret) != 0)
                return NULL;
        return json_string(*ret, "unit");
}

/* Ends the account's own designations, but those that its new unit's scopes give (NULL: none), whose review is due. */
static int end_designations(Step *s, const char *account, const char *new_unit) {
        _cleanup_json_ json_object *rows = NULL;
        char subject[300];
        int r;

        (void)snprintf(subject, sizeof(subject), "user:%s", account);
        r = step_list(s, NOUN_DESIGNATION, "subject", subject, &rows);
        for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);
                _cleanup_json_ json_object *scope = NULL, *before = NULL, *after = NULL;

                if (!new_unit || !same(unit_of(s, NOUN_SCOPE, json_string(row, "scope"), &scope), new_unit)) {
                        r = step_remove(s, NOUN_DESIGNATION, row);
                        if (r == 0)
                                r = result_count(s, "designations_ended", 1);
                        continue;
                }
                r = registry_review_reset(s->b->c.registry, json_string(row, "uuid"), s->now, &before, &after, &s->e);
                if (r == 0)
                        r = step_record(s, NOUN_DESIGNATION, before, after, false);
                if (r == 0)
                        r = result_count(s, "reviews_due", 1);
        }
        return r;
}

/* Ends memberships of shared IDs that the filter finds; with a unit, of those of that unit. Their passwords are due. */
static int end_memberships(Step *s, const char *field, const char *value, const char *unit) {
        _cleanup_json_ json_object *rows = NULL;
        json_object *due;
        int r;

        if (!json_object_object_get_ex(s->result, "shared_passwords_due", &due)) {
                due = json_object_new_array();
                if (json_set(s->result, "shared_passwords_due", due) < 0)
                        return -ENOMEM;
        }
        r = step_list(s, NOUN_MEMBER, field, value, &rows);
        for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i), *name;
                const char *account = json_string(row, "account");
                _cleanup_json_ json_object *shared = NULL;

                if (unit && !same(unit_of(s, NOUN_USER, account, &shared), unit))
                        continue;
                r = step_remove(s, NOUN_MEMBER, row);
                if (r == 0)
                        r = registry_shared_password_due(s->b->c.registry, account, json_string(row, "person"), s->now);
                if (r == 0)
                        r = result_count(s, "members_ended", 1);
                if (r != 0)
                        break;
                name = json_object_new_string(account);
                if (!name || json_object_array_add(due, name) < 0) {
                        json_object_put(name);
                        r = -ENOMEM;
                }
        }
        return r;
}

static int end_deputies(Step *s, const char *person, const char *unit) {
        _cleanup_json_ json_object *rows = NULL;
        int r;

        r = step_list(s, NOUN_DEPUTY, "person", person, &rows);
        for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);

                if (unit && !same(json_string(row, "unit"), unit))
                        continue;
                r = step_remove(s, NOUN_DEPUTY, row);
                if (r == 0)
                        r = result_count(s, "deputies_ended", 1);
        }
        return r;
}

/* Changes one field of a user, and with it what else is in `extra` (or NULL). */
static int change_user(Step *s, const char *account, json_object *fields, json_object **ret) {
        _cleanup_json_ json_object *before = NULL, *after = NULL;
        int r;

        s->noun = NOUN_USER;
        r = registry_row_change(s->b->c.registry, NOUN_USER, account, fields, s->now, &before, &after, &s->e);
        if (r == 0)
                r = step_record(s, NOUN_USER, before, after, true);
        if (r == 0 && ret)
                *ret = TAKE_PTR(after);
        return r;
}

/* Adds the rows of an array of the document; what they leave out of `field` is `value`. */
static int add_rows(
        Step *s, json_object *document, const char *name, NounId noun, const char *field, const char *value) {
        json_object *rows;
        int r = 0;

        if (!json_object_object_get_ex(document, name, &rows) || !rows)
                return 0;
        if (!json_object_is_type(rows, json_type_array) || json_object_array_length(rows) > ROWS_MAX) {
                (void)snprintf(
                        s->e.text, sizeof(s->e.text), "%s must be an array of at most %u objects", name, ROWS_MAX);
                return REGISTRY_E_INVALID;
        }
        for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);

                if (!json_object_is_type(row, json_type_object)) {
                        (void)snprintf(s->e.text, sizeof(s->e.text), "%s must be an array of objects", name);
                        return REGISTRY_E_INVALID;
                }
                if (!json_object_object_get_ex(row, field, NULL) && json_set_string(row, field, value) < 0)
                        return -ENOMEM;
                r = step_add(s, noun, row, NULL);
        }
        return r;
}

static int add_grants(Step *s, json_object *document, json_object *user) {
        char subject[300];
        int r;

        (void)snprintf(subject, sizeof(subject), "user:%s", json_string(user, "account"));
        r = add_rows(s, document, "designations", NOUN_DESIGNATION, "subject", subject);
        return r != 0 ? r : add_rows(s, document, "members", NOUN_MEMBER, "person", json_string(user, "person"));
}

/* The summary, the commit and the answer; or what went wrong. */
static int finish(Step *s, int r, EventKind kind, json_object *user, const char *detail) {
        if (r == 0) {
                _cleanup_(event_free_p) Event *e = bus_event(kind, s->caller);

                if (!e || json_set(s->result, "user", json_object_get(user)) < 0)
                        r = -ENOMEM;
                else {
                        event_set(e, FIELD_NOUN, noun_to_string(NOUN_USER));
                        event_set(e, FIELD_OBJECT, json_string(user, "uuid"));
                        event_set(e, FIELD_TARGET, json_string(user, "account"));
                        event_set(e, FIELD_RESULT, "done");
                        event_set(e, FIELD_DETAIL, detail);
                        event_set_uint(e, FIELD_COUNT, s->n);
                        r = trail_append(s->b->c.trail, e);
                }
        }
        if (r == STEP_REFUSED)
                return change_refuse(s->b, s->m, s->caller, s->method, s->noun, NULL, s->why, s->text);
        if (r != 0)
                return change_failed(s->b, s->m, s->caller, s->method, s->noun, NULL, r, &s->e);
        r = change_commit(s->b, _NOUN_INVALID);
        return r != 0 ? bus_refuse_registry(s->m, r, NULL) : bus_reply_json(s->m, s->result);
}

static int begin(Step *s, Bus *b, sd_bus_message *m, const Caller *caller, const char *method) {
        *s = (Step){
                .b = b,
                .m = m,
                .caller = caller,
                .method = method,
                .now = clock_usec(CLOCK_REALTIME),
                .noun = NOUN_USER,
                .result = json_object_new_object(),
        };
        return s->result ? registry_begin(b->c.registry) : -ENOMEM;
}

/* The fields of the document that are the user's own. */
static int user_fields(json_object *document, json_object **ret) {
        static const char *const others[] = { "designations", "members", "reason" };
        json_object *fields = NULL;

        if (json_object_deep_copy(document, &fields, NULL) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                json_object_object_del(fields, others[i]);
        *ret = fields;
        return 0;
}

static int do_hire(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *document = NULL, *fields = NULL, *user = NULL, *result = NULL;
        const char *text;
        Step s;
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        if (json_parse_object(text, &document) < 0)
                return bus_refuse(m, "Invalid", N_("The fields are not a JSON object"));
        r = user_fields(document, &fields);
        if (r < 0)
                return r;
        r = begin(&s, b, m, caller, "Hire");
        result = s.result;
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        r = step_add(&s, NOUN_USER, fields, &user);
        if (r == 0)
                r = add_grants(&s, document, user);
        return finish(&s, r, EVENT_USER_HIRED, user, json_string(document, "reason"));
}

/* What both transfer and retirement ask first. Answers the call unless *ret_go. */
static int begin_ending(Step *s, Bus *b, sd_bus_message *m, const Caller *caller, const char *method,
        const char *account, const char *reason, User *ret_user, bool *ret_go) {
        const char *why, *wrong;
        int r;

        *ret_go = false;
        *s = (Step){};
        if (!reason || !*reason || strlen(reason) > REASON_TEXT_MAX)
                return bus_refuse(m, "Invalid", N_("A reason is needed, of at most 512 bytes"));
        r = registry_user(b->c.registry, account, ret_user);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        wrong = change_shuts_out(b, caller, ret_user->account, ret_user->person, &why);
        if (wrong)
                return change_refuse(b, m, caller, method, NOUN_USER, account, why, wrong);
        r = begin(s, b, m, caller, method);
        s->reason = reason;
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        *ret_go = true;
        return 0;
}

/* Moves the accounts that the person has in the old unit. */
static int transfer(Step *s, const User *user, json_object *fields, json_object **ret) {
        _cleanup_json_ json_object *rows = NULL, *others = NULL;
        const char *unit = json_string(fields, "unit");
        int r;

        if (!unit || same(unit, user->unit) || user->shared) {
                (void)snprintf(s->e.text, sizeof(s->e.text), "%s",
                        user->shared ? "a shared ID is not transferred; change its unit"
                                     : "unit is needed, and must be another than the present one");
                return REGISTRY_E_INVALID;
        }
        r = step_list(s, NOUN_USER, "person", user->person, &rows);
        if (r == 0 && (!(others = json_object_new_object()) || json_set_string(others, "unit", unit) < 0))
                r = -ENOMEM;
        for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);
                const char *account = json_string(row, "account");
                bool named = same(account, user->account);

                if (!named && (!same(json_string(row, "unit"), user->unit) || json_boolean(row, "shared")))
                        continue;
                r = change_user(s, account, named ? fields : others, named ? ret : NULL);
                if (r == 0)
                        r = end_designations(s, account, unit);
        }
        if (r == 0)
                r = end_memberships(s, "person", user->person, user->unit);
        return r == 0 ? end_deputies(s, user->person, user->unit) : r;
}

static int add_left(Step *s, json_object *left, const char *kind, char *const *names) {
        int r = 0;

        for (; r == 0 && names && *names; names++) {
                _cleanup_json_ json_object *filter = json_object_new_object(), *rows = NULL;
                json_object *text;
                char subject[300];

                (void)snprintf(subject, sizeof(subject), "%s:%s", kind, *names);
                if (!filter || json_set_string(filter, "subject", subject) < 0)
                        return -ENOMEM;
                r = registry_row_list(s->b->c.registry, NOUN_DESIGNATION, filter, 1, &rows, NULL);
                if (r == REGISTRY_E_INVALID) /* no name that a designation can have */
                        r = 0;
                if (r != 0 || !rows || json_object_array_length(rows) == 0)
                        continue;
                text = json_object_new_string(subject);
                if (!text || json_object_array_add(left, text) < 0) {
                        json_object_put(text);
                        return -ENOMEM;
                }
        }
        return r;
}

/* Groups and netgroups that still designate the person: they are kept elsewhere, so a transfer cannot end that, but it
 * can say so. */
static int tell_left(Step *s) {
        json_object *left = json_object_new_array();
        int r = 0;

        if (json_set(s->result, "still_designated_by", left) < 0)
                return -ENOMEM;
        for (Account **i = s->caller->targets; r == 0 && i && *i; i++) {
                r = add_left(s, left, "group", (*i)->groups);
                if (r == 0)
                        r = add_left(s, left, "netgroup", (*i)->netgroups);
        }
        return r;
}

static int do_transfer(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *document = NULL, *fields = NULL, *row = NULL, *result = NULL;
        _cleanup_(user_done) User user = {};
        const char *account, *text;
        char detail[1024];
        bool go;
        Step s;
        int r;

        r = sd_bus_message_read(m, "ss", &account, &text);
        if (r < 0)
                return r;
        if (json_parse_object(text, &document) < 0)
                return bus_refuse(m, "Invalid", N_("The fields are not a JSON object"));
        r = user_fields(document, &fields);
        if (r < 0)
                return r;
        r = begin_ending(&s, b, m, caller, "Transfer", account, json_string(document, "reason"), &user, &go);
        result = s.result;
        if (!go)
                return r;
        r = transfer(&s, &user, fields, &row);
        if (r == 0)
                r = add_grants(&s, document, row);
        if (r == 0)
                r = tell_left(&s);
        (void)snprintf(
                detail, sizeof(detail), "%s -> %s: %s", user.unit, r == 0 ? json_string(row, "unit") : "", s.reason);
        return finish(&s, r, EVENT_USER_TRANSFERRED, row, detail);
}

/* Retires every account of the person; a shared ID alone, with its members. */
static int retire(Step *s, const User *user, json_object **ret) {
        _cleanup_json_ json_object *rows = NULL, *fields = json_object_new_object();
        int r;

        if (!fields || json_set_boolean(fields, "retired", true) < 0)
                return -ENOMEM;
        r = step_list(s, NOUN_USER, "person", user->person, &rows);
        for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++) {
                json_object *row = json_object_array_get_idx(rows, i);
                const char *account = json_string(row, "account");
                bool named = same(account, user->account);

                if (!named && (user->shared || json_boolean(row, "shared")))
                        continue;
                if (!json_boolean(row, "retired"))
                        r = change_user(s, account, fields, named ? ret : NULL);
                else if (named)
                        *ret = json_object_get(row);
                if (r == 0)
                        r = end_designations(s, account, NULL);
        }
        if (r == 0)
                r = user->shared ? end_memberships(s, "account", user->account, NULL)
                                 : end_memberships(s, "person", user->person, NULL);
        return r == 0 && !user->shared ? end_deputies(s, user->person, NULL) : r;
}

static int do_retire(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *row = NULL, *result = NULL;
        _cleanup_(user_done) User user = {};
        const char *account, *reason;
        bool go;
        Step s;
        int r;

        r = sd_bus_message_read(m, "ss", &account, &reason);
        if (r < 0)
                return r;
        r = begin_ending(&s, b, m, caller, "Retire", account, reason, &user, &go);
        result = s.result;
        if (!go)
                return r;
        r = retire(&s, &user, &row);
        return finish(&s, r, EVENT_USER_RETIRED, row, reason);
}

static int ask(Bus *b, sd_bus_message *m, const char *method, bool has_account, authorized_fn fn) {
        _cleanup_free_ char *target = NULL;
        const char *account = NULL;
        int r;

        if (has_account) {
                r = sd_bus_message_read(m, "s", &account);
                if (r >= 0)
                        r = change_target(b, account, &target);
                if (r < 0)
                        return r;
        }
        return authorize(b, m,
                &(Ask){
                        .method = method,
                        .action = ACTION_CHANGE,
                        .roles = change_roles(NOUN_USER),
                        .noun = noun_to_string(NOUN_USER),
                        .object = account,
                        .others = true,
                        .target = target,
                        .fn = fn,
                });
}

int staff_bus_hire(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ask(userdata, m, "Hire", false, do_hire);
}

int staff_bus_transfer(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ask(userdata, m, "Transfer", true, do_transfer);
}

int staff_bus_retire(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return ask(userdata, m, "Retire", true, do_retire);
}
