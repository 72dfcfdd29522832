/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <malloc.h>
#include <string.h>

#include "login/bus-internal.h"
#include "registry/internal.h"
#include "util/clock.h"
#include "util/text.h"

/* Directory rows over the bus. Who may write which noun; a unit head further only for the own unit (row_permitted()).
 * Reading is for whoever holds any role. */
static const unsigned write_roles[_NOUN_MAX] = {
        [NOUN_USER] = ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER),
        [NOUN_MEMBER] = ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER),
        [NOUN_TERMINAL] = ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER),
        [NOUN_SCOPE] = ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER),
        [NOUN_DESIGNATION] = ROLE_BIT(ROLE_UNIT_HEAD) | ROLE_BIT(ROLE_SYSTEM_OWNER),
        [NOUN_RESTRICTION] = ROLE_BIT(ROLE_SYSTEM_OWNER),
};

#define REASON_TEXT_MAX 512u

/* Rows of one answer: a directory of a fleet is asked about by field. */
#define LIST_MAX   10000u
#define LIST_LARGE 500u

int bus_account_is_callers(Bus *b, const Caller *caller, const char *account) {
        _cleanup_(user_done) User u = {};
        int r;

        if (!account)
                return 0;
        if (strcmp(account, caller->user.account) == 0)
                return 1;
        r = registry_user(b->c.registry, account, &u);
        if (r == REGISTRY_E_NOT_FOUND)
                return 0;
        if (r != 0)
                return r < 0 ? r : -EIO;
        if (caller_is(caller, u.person))
                return 1;
        if (!u.shared)
                return 0;
        r = registry_shared_member(b->c.registry, account, caller->user.person);
        return r == 0 ? 1 : r == REGISTRY_E_NOT_FOUND ? 0 : r < 0 ? r : -EIO;
}

static bool in_list(char *const *list, const char *name) {
        for (; list && *list; list++)
                if (strcmp(*list, name) == 0)
                        return true;
        return false;
}

/* Whether one of the person's accounts is in the group or netgroup. */
static bool any_account_in(const Caller *caller, SubjectKind kind, const char *name) {
        const Account *account = caller->account;

        for (Account **next = caller->others;; next++) {
                if (kind == SUBJECT_GROUP ? account_in_group(account, name) : in_list(account->netgroups, name))
                        return true;
                if (!next || !*next)
                        return false;
                account = *next;
        }
}

/* Whether a row is about the caller (law 8): persons are compared. A designation of a group, netgroup or unit that the
 * caller is in counts. 1, 0 or a negative errno. */
static int row_is_callers(Bus *b, const Caller *caller, NounId noun, json_object *row) {
        const char *subject = json_string(row, "subject"), *who;
        SubjectKind kind;

        switch (noun) {
        case NOUN_USER:
        case NOUN_MEMBER:
        case NOUN_RESTRICTION:
                if (caller_is(caller, json_string(row, "person")))
                        return 1;
                return noun == NOUN_MEMBER ? 0 : bus_account_is_callers(b, caller, json_string(row, "account"));
        case NOUN_DESIGNATION:
                if (!subject || !subject_parse(subject, &kind, &who))
                        return -EINVAL;
                switch (kind) {
                case SUBJECT_USER:
                        return bus_account_is_callers(b, caller, who);
                case SUBJECT_GROUP:
                case SUBJECT_NETGROUP:
                        return any_account_in(caller, kind, who);
                case SUBJECT_UNIT:
                        return caller->user.unit && strcmp(who, caller->user.unit) == 0;
                default:
                        return -EINVAL;
                }
        default:
                return 0;
        }
}

/* Whether a unit head may write this designation: the scope is of the own unit, and the subject is the own
 * unit or somebody of it. Who is in a group or netgroup is not the unit head's to know, so such a designation is the
 * system owner's. NULL: yes; else the text of the refusal. */
static const char *designation_of_own_unit(Bus *b, const Caller *caller, json_object *row) {
        _cleanup_json_ json_object *scope = NULL;
        _cleanup_(user_done) User u = {};
        const char *id = json_string(row, "scope"), *subject = json_string(row, "subject"), *unit, *who;
        SubjectKind kind;

        if (!caller->user.unit || !id || !subject || !subject_parse(subject, &kind, &who) ||
                registry_row_get(b->c.registry, NOUN_SCOPE, id, &scope) != 0)
                return N_("The scope cannot be found");
        unit = json_string(scope, "unit");
        if (!unit || strcmp(unit, caller->user.unit) != 0)
                return N_("The scope was not given to the caller's unit");
        switch (kind) {
        case SUBJECT_USER:
                if (registry_user(b->c.registry, who, &u) != 0 || !u.unit || strcmp(u.unit, caller->user.unit) != 0)
                        return N_("The user does not belong to the caller's unit");
                return NULL;
        case SUBJECT_UNIT:
                return strcmp(who, caller->user.unit) == 0 ? NULL : N_("A unit head designates the own unit only");
        default:
                return N_("A unit head designates users of the own unit, or the unit itself; groups are the system "
                          "owner's");
        }
}

/* Looks at the row as it was or will be. NULL: fine; else the text of the refusal, its reason in *ret_reason. */
static const char *row_permitted(Bus *b, const Caller *caller, NounId noun, json_object *row, const char **ret_reason) {
        const char *text;
        int r;

        r = row_is_callers(b, caller, noun, row);
        if (r < 0) {
                *ret_reason = "registry";
                return N_("It could not be told whether the row is about the caller");
        }
        if (r > 0) {
                *ret_reason = "own-row";
                return N_("Nobody changes a row about themselves; somebody else who holds the role has to");
        }
        if (noun == NOUN_DESIGNATION && !caller_has(caller, ROLE_BIT(ROLE_SYSTEM_OWNER))) {
                text = designation_of_own_unit(b, caller, row);
                *ret_reason = "unit";
                return text;
        }
        return NULL;
}

static const char *row_id(json_object *row) {
        return json_string(row, "uuid");
}

/* Records the change and commits: one transaction (law 6). Answers the call unless 0 is returned. */
static int commit_change(Bus *b, sd_bus_message *m, const Caller *caller, const char *method, NounId noun,
        json_object *before, json_object *after, const char *detail, bool *ret_done) {
        _cleanup_(event_free_p) Event *e = NULL;
        const char *text = NULL, *reason = NULL;
        json_object *row = after ? after : before;
        int r;

        *ret_done = false;
        if (before)
                text = row_permitted(b, caller, noun, before, &reason);
        if (!text && after)
                text = row_permitted(b, caller, noun, after, &reason);
        if (text) {
                registry_rollback(b->c.registry);
                bus_record_refusal(b, caller, method, noun_to_string(noun), row_id(row), reason, text);
                return bus_refuse(m, "Refused", "%s", text);
        }
        e = bus_event(EVENT_DIRECTORY_CHANGED, caller);
        if (!e) {
                registry_rollback(b->c.registry);
                return -ENOMEM;
        }
        event_set(e, FIELD_NOUN, noun_to_string(noun));
        event_set(e, FIELD_OBJECT, row_id(row));
        event_set(e, FIELD_TARGET, json_string(row, "account"));
        event_set(e, FIELD_RESULT, "done");
        event_set(e, FIELD_DETAIL, detail);
        if (before)
                event_set(e, FIELD_BEFORE, json_text(before));
        if (after)
                event_set(e, FIELD_AFTER, json_text(after));
        r = trail_append(b->c.trail, e);
        if (r == 0)
                r = registry_commit(b->c.registry);
        if (r != 0) {
                registry_rollback(b->c.registry);
                return bus_refuse_registry(m, r, NULL);
        }
        trail_kick(b->c.trail);
        b->counted = false;
        if (b->c.directory_changed)
                b->c.directory_changed(noun, b->c.userdata);
        *ret_done = true;
        return 0;
}

/* Answers what a registry function refused, after rolling back, and records that it was. */
static int refuse_row(Bus *b, sd_bus_message *m, const Caller *caller, const char *method, NounId noun, const char *id,
        int r, const RegistryError *e) {
        registry_rollback(b->c.registry);
        if (r == REGISTRY_E_OUTSIDE)
                bus_record_refusal(b, caller, method, noun_to_string(noun), id, "outside", e->text);
        return bus_refuse_registry(m, r, e);
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
        r = registry_begin(b->c.registry);
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        r = registry_row_add(b->c.registry, noun, fields, clock_usec(CLOCK_REALTIME), &after, &e);
        if (r != 0)
                return refuse_row(b, m, caller, "Add", noun, NULL, r, &e);
        r = commit_change(b, m, caller, "Add", noun, NULL, after, NULL, &done);
        return done ? bus_reply_json(m, after) : r;
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
        if (r != 0)
                return refuse_row(b, m, caller, "Change", noun, id, r, &e);
        r = commit_change(b, m, caller, "Change", noun, before, after, NULL, &done);
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
        if (r != 0)
                return refuse_row(b, m, caller, "Remove", noun, id, r, &e);
        r = commit_change(b, m, caller, "Remove", noun, before, NULL, reason, &done);
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
        return authorize(b, m,
                &(Ask){
                        .method = method,
                        .action = action,
                        .roles = write ? write_roles[noun] : ROLES_ALL,
                        .noun = noun_to_string(noun),
                        .object = id,
                        .others = write && noun == NOUN_DESIGNATION,
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
