/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/change.h"

#include <fcntl.h>
#include <string.h>

#include "keishi/paths.h"
#include "util/io.h"
#include "util/text.h"

/* Who may write which noun; a unit head further only for the own unit. */
static const unsigned write_roles[_NOUN_MAX] = {
        [NOUN_USER] = ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER),
        [NOUN_MEMBER] = ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER),
        [NOUN_TERMINAL] = ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER),
        [NOUN_SCOPE] = ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER),
        [NOUN_DESIGNATION] = ROLE_BIT(ROLE_UNIT_HEAD) | ROLE_BIT(ROLE_SYSTEM_OWNER),
        [NOUN_RESTRICTION] = ROLE_BIT(ROLE_SYSTEM_OWNER),
        [NOUN_DEPUTY] = ROLE_BIT(ROLE_UNIT_HEAD) | ROLE_BIT(ROLE_SYSTEM_OWNER),
};

/* keishi-break-glass(5) */
#define BREAK_GLASS_SIZE 4096u

unsigned change_roles(NounId noun) {
        return write_roles[noun];
}

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
        int r;

        switch (noun) {
        case NOUN_DEPUTY:
                return caller_is(caller, json_string(row, "person"));
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
                case SUBJECT_UNIT: /* of any of the person's accounts */
                        r = registry_person_in_unit(b->c.registry, caller->user.person, who);
                        return r == 0 ? 1 : r == REGISTRY_E_NOT_FOUND ? 0 : r < 0 ? r : -EIO;
                default:
                        return -EINVAL;
                }
        default:
                return 0;
        }
}

/* Whether a unit head may write this designation: the scope is of a unit that the caller acts for, and the subject is
 * that unit or somebody of it. Who is in a group or netgroup is not the unit head's to know, so such a designation is
 * the system owner's. What is taken away may be of somebody who has left. NULL: yes; else the text of the refusal. */
static const char *designation_of_own_unit(
        Bus *b, const Caller *caller, json_object *row, bool removed, const char **ret_deputy) {
        _cleanup_json_ json_object *scope = NULL;
        _cleanup_(user_done) User u = {};
        const char *id = json_string(row, "scope"), *subject = json_string(row, "subject"), *unit, *who;
        SubjectKind kind;

        if (!id || !subject || !subject_parse(subject, &kind, &who) ||
                registry_row_get(b->c.registry, NOUN_SCOPE, id, &scope) != 0)
                return N_("The scope cannot be found");
        unit = json_string(scope, "unit");
        if (!caller_of_unit(caller, ROLE_UNIT_HEAD, unit, ret_deputy))
                return N_("The scope was not given to the caller's unit");
        switch (kind) {
        case SUBJECT_USER:
                if (!removed && (registry_user(b->c.registry, who, &u) != 0 || !u.unit || strcmp(u.unit, unit) != 0))
                        return N_("The user does not belong to the caller's unit");
                return NULL;
        case SUBJECT_UNIT:
                return strcmp(who, unit) == 0 ? NULL : N_("A unit head designates the own unit only");
        default:
                return N_("A unit head designates users of the own unit, or the unit itself; groups are the system "
                          "owner's");
        }
}

/* A unit head names deputies of the own unit, out of it; a deputy names none. */
static const char *deputy_of_own_unit(Bus *b, const Caller *caller, json_object *row, bool removed) {
        const char *unit = json_string(row, "unit"), *person = json_string(row, "person"), *deputy;

        if (!caller_of_unit(caller, ROLE_UNIT_HEAD, unit, &deputy))
                return N_("A unit head names deputies for the own unit only");
        if (deputy)
                return N_("A deputy does not name further deputies");
        if (!removed && (!person || registry_person_in_unit(b->c.registry, person, unit) != 0))
                return N_("A unit head names deputies out of the own unit; others are the system owner's to name");
        return NULL;
}

/* Looks at the row as it was or will be. NULL: fine; else the text of the refusal, its reason in *ret_reason. */
static const char *row_refused(Bus *b, const Caller *caller, NounId noun, json_object *row, bool removed,
        const char **ret_reason, const char **ret_deputy) {
        int r;

        r = row_is_callers(b, caller, noun, row);
        if (r < 0) {
                *ret_reason = "registry";
                return N_("It could not be told whether the row is about the caller");
        }
        if (r > 0) {
                *ret_reason = "own-row";
                if (noun == NOUN_RESTRICTION)
                        return N_("Nobody restricts themselves, or changes that: so the last administrator cannot be "
                                  "shut out; somebody else who holds the role has to");
                return N_("Nobody changes a row about themselves; somebody else who holds the role has to");
        }
        *ret_reason = "unit";
        if (caller_has_own(caller, ROLE_BIT(ROLE_SYSTEM_OWNER)))
                return NULL;
        if (noun == NOUN_DESIGNATION)
                return designation_of_own_unit(b, caller, row, removed, ret_deputy);
        if (noun == NOUN_DEPUTY)
                return deputy_of_own_unit(b, caller, row, removed);
        return NULL;
}

const char *change_refused(Bus *b, const Caller *caller, NounId noun, json_object *before, json_object *after,
        const char **ret_reason, const char **ret_deputy) {
        const char *text = NULL;

        *ret_deputy = NULL;
        if (!caller_has(caller, write_roles[noun])) {
                *ret_reason = "role";
                return N_("The caller holds none of the roles that may do this");
        }
        if (before)
                text = row_refused(b, caller, noun, before, !after, ret_reason, ret_deputy);
        if (!text && after)
                text = row_refused(b, caller, noun, after, false, ret_reason, ret_deputy);
        return text;
}

bool change_break_glass(Bus *b, bool (*fn)(Bus *b, const char *account, const void *userdata), const void *userdata) {
        _cleanup_free_ char *path = io_prefix(b->c.root, KEISHI_BREAK_GLASS_FILE), *text = NULL;
        char *at, *line;

        if (!path || io_read_file(AT_FDCWD, path, BREAK_GLASS_SIZE, &text, NULL) < 0)
                return false;
        for (at = text; (line = strsep(&at, "\n"));) {
                line[strcspn(line, "#")] = '\0';
                line += strspn(line, " \t\r");
                line[strcspn(line, " \t\r")] = '\0';
                if (*line && fn(b, line, userdata))
                        return true;
        }
        return false;
}

static bool names_account(Bus *b, const char *account, const void *wanted) {
        return strcmp(account, wanted) == 0;
}

static bool is_break_glass(Bus *b, const char *account) {
        return account && change_break_glass(b, names_account, account);
}

static bool any_break_glass(Bus *b, const char *account, const char *person) {
        _cleanup_json_ json_object *filter = json_object_new_object(), *rows = NULL;

        if (is_break_glass(b, account))
                return true;
        if (!person || !filter || json_set_string(filter, "person", person) < 0 ||
                registry_row_list(b->c.registry, NOUN_USER, filter, 0, &rows, NULL) != 0)
                return false;
        for (size_t i = 0; i < json_object_array_length(rows); i++)
                if (is_break_glass(b, json_string(json_object_array_get_idx(rows, i), "account")))
                        return true;
        return false;
}

const char *change_shuts_out(
        Bus *b, const Caller *caller, const char *account, const char *person, const char **ret_reason) {
        const char *owners = b->c.config->role_groups[ROLE_SYSTEM_OWNER];

        if (any_break_glass(b, account, person)) {
                *ret_reason = "break-glass";
                return N_("This is a break-glass account, without which the terminal could not be repaired; take it "
                          "out of /etc/keishi/break-glass first");
        }
        if (caller_has_own(caller, ROLE_BIT(ROLE_SYSTEM_OWNER)))
                return NULL;
        for (Account **i = caller->targets; owners && i && *i; i++)
                if (account_in_group(*i, owners)) {
                        *ret_reason = "system-owner";
                        return N_("Only another system owner takes rights from a system owner: so the last one "
                                  "cannot be shut out");
                }
        return NULL;
}

static bool same(const char *a, const char *b) {
        return a && b && strcmp(a, b) == 0;
}

bool change_takes_rights(json_object *before, json_object *after) {
        return !after || json_boolean(after, "retired") || json_boolean(after, "shared") ||
               !same(json_string(before, "unit"), json_string(after, "unit")) ||
               !same(json_string(before, "person"), json_string(after, "person"));
}

int change_target(Bus *b, const char *account, char **ret_person) {
        _cleanup_json_ json_object *row = NULL;
        const char *person;
        int r;

        r = registry_row_get(b->c.registry, NOUN_USER, account, &row);
        if (r != 0)
                return r;
        person = json_string(row, "person");
        if (!person)
                return REGISTRY_E_NOT_FOUND;
        *ret_person = strdup(person);
        return *ret_person ? 0 : -ENOMEM;
}

int change_append(Bus *b, const Caller *caller, EventKind kind, NounId noun, json_object *before, json_object *after,
        const char *detail, const char *deputy) {
        _cleanup_(event_free_p) Event *e = bus_event(kind, caller);
        json_object *row = after ? after : before;

        if (!e)
                return -ENOMEM;
        event_set(e, FIELD_NOUN, noun_to_string(noun));
        event_set(e, FIELD_OBJECT, json_string(row, "uuid"));
        event_set(e, FIELD_TARGET, json_string(row, "account"));
        event_set(e, FIELD_RESULT, "done");
        event_set(e, FIELD_DETAIL, detail);
        event_set(e, FIELD_DEPUTY, deputy);
        if (before)
                event_set(e, FIELD_BEFORE, json_text(before));
        if (after)
                event_set(e, FIELD_AFTER, json_text(after));
        return trail_append(b->c.trail, e);
}

int change_commit(Bus *b, NounId noun) {
        int r;

        r = registry_commit(b->c.registry);
        if (r != 0) {
                registry_rollback(b->c.registry);
                return r;
        }
        trail_kick(b->c.trail);
        b->counted = false;
        if (b->c.directory_changed)
                b->c.directory_changed(noun, b->c.userdata);
        return 0;
}

int change_refuse(Bus *b, sd_bus_message *m, const Caller *caller, const char *method, NounId noun, const char *object,
        const char *reason, const char *text) {
        registry_rollback(b->c.registry);
        bus_record_refusal(b, caller, method, noun_to_string(noun), object, reason, text);
        return bus_refuse(m, "Refused", "%s", text);
}

int change_failed(Bus *b, sd_bus_message *m, const Caller *caller, const char *method, NounId noun, const char *object,
        int r, const RegistryError *e) {
        registry_rollback(b->c.registry);
        if (r == REGISTRY_E_OUTSIDE)
                bus_record_refusal(b, caller, method, noun_to_string(noun), object, "outside", e->text);
        return bus_refuse_registry(m, r, e);
}
