/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/credential-act.h"

#include <errno.h>
#include <string.h>

#include "registry/internal.h"
#include "util/clock.h"

/* Suspending, resuming, returning and removing cards and keys. */

void credential_target_done(CredentialTarget *t) {
        free(t->account);
        free(t->person);
        free(t->unit);
        *t = (CredentialTarget){};
}

int credential_target_find(Bus *b, const char *user, CredentialTarget *ret) {
        _cleanup_(user_done) User u = {};
        int r;

        r = registry_user(b->c.registry, user, &u);
        if (r == REGISTRY_E_NOT_FOUND)
                r = registry_person(b->c.registry, user, &u);
        if (r != 0)
                return r;
        if (u.shared || !u.person)
                return REGISTRY_E_NOT_FOUND;
        ret->account = TAKE_PTR(u.account);
        ret->person = TAKE_PTR(u.person);
        ret->unit = TAKE_PTR(u.unit);
        return 0;
}

static const char *answer_text(CredentialAnswer a) {
        switch (a) {
        case CREDENTIAL_NO_SUCH_ACT:
                return N_("In the state that it is in, this cannot be done with it");
        case CREDENTIAL_OWN:
                return N_("Nobody does this with their own card or key; somebody else has to");
        case CREDENTIAL_SAME:
                return N_("Whoever stopped it does not let it go on; another person has to");
        default:
                return N_("The caller holds none of the roles that may do this, or not for that unit");
        }
}

const char *credential_refused(const Caller *caller, CredentialAct act, CredentialKind kind, CredentialState from,
        const CredentialTarget *target, const char *suspender, CredentialState *ret_to, const char **ret_reason,
        const char **ret_deputy) {
        CredentialActor actor = {
                .roles = caller->own,
                .holder = caller_is(caller, target->person),
                .suspender = suspender && caller_is(caller, suspender),
        };
        CredentialState to;
        CredentialAnswer a;

        *ret_deputy = NULL;
        for (Role role = 0; role < _ROLE_MAX; role++) {
                const char *deputy;

                if (!caller_of_unit(caller, role, target->unit, &deputy))
                        continue;
                actor.unit |= ROLE_BIT(role);
                if (deputy)
                        *ret_deputy = deputy;
        }
        a = credential_act(act, kind, from, &actor, &to);
        if (a != CREDENTIAL_ALLOWED) {
                *ret_reason = credential_answer_to_string(a);
                return answer_text(a);
        }
        if (ret_to)
                *ret_to = to;
        return NULL;
}

int credential_append(Bus *b, const Caller *caller, EventKind kind, const char *account, json_object *before,
        json_object *after, const char *detail, const char *deputy) {
        _cleanup_(event_free_p) Event *e = bus_event(kind, caller);
        json_object *row = after ? after : before;

        if (!e)
                return -ENOMEM;
        event_set(e, FIELD_NOUN, noun_to_string(NOUN_CREDENTIAL));
        event_set(e, FIELD_OBJECT, json_string(row, "uuid"));
        event_set(e, FIELD_CREDENTIAL, json_string(row, "uuid"));
        event_set(e, FIELD_TARGET, account ? account : json_string(row, "person"));
        event_set(e, FIELD_RESULT, "done");
        event_set(e, FIELD_DETAIL, detail);
        event_set(e, FIELD_DEPUTY, deputy);
        if (before)
                event_set(e, FIELD_BEFORE, json_text(before));
        if (after)
                event_set(e, FIELD_AFTER, json_text(after));
        return trail_append(b->c.trail, e);
}

int credential_query_one(Registry *r, const char *sql, const char *a, const char *b, uint64_t usec, char **ret) {
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 1, a, -1, SQLITE_STATIC));
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 2, b, -1, SQLITE_STATIC));
        if (q == 0 && usec > 0)
                q = registry_result(sqlite3_bind_int64(s, 3, (sqlite3_int64)usec));
        if (q == 0)
                q = statement_row(s);
        return q != 0 ? q : column_dup(s, 0, ret);
}

static const EventKind kinds[_CREDENTIAL_ACT_MAX] = {
        [CREDENTIAL_SUSPEND] = EVENT_CREDENTIAL_SUSPENDED,
        [CREDENTIAL_RESUME] = EVENT_CREDENTIAL_RESUMED,
        [CREDENTIAL_RETURN] = EVENT_CREDENTIAL_RETURNED,
        [CREDENTIAL_REMOVE] = EVENT_CREDENTIAL_REMOVED,
};

static CredentialAct act_from_string(const char *text) {
        for (CredentialAct a = CREDENTIAL_SUSPEND; a <= CREDENTIAL_REMOVE; a++)
                if (strcmp(credential_act_to_string(a), text) == 0)
                        return a;
        return _CREDENTIAL_ACT_MAX;
}

/* The row that is meant: by its uuid, or the one that a person has of the kind: a stand-in before the card itself, of
 * what is lost or given back. */
static int find_row(Bus *b, CredentialKind kind, const char *whom, char **ret_uuid, CredentialTarget *ret) {
        static const char sql[] = "SELECT uuid FROM credentials WHERE deleted = 0 AND person = ?1 AND kind = ?2"
                                  " ORDER BY state IN ('active', 'suspended') DESC, replaces IS NULL, id DESC LIMIT 1";
        _cleanup_json_ json_object *row = NULL;
        const char *person, *row_kind;
        int r;

        r = credential_target_find(b, whom, ret);
        if (r == 0)
                return credential_query_one(
                        b->c.registry, sql, ret->person, credential_kind_to_string(kind), 0, ret_uuid);
        if (r != REGISTRY_E_NOT_FOUND)
                return r;
        r = registry_row_get(b->c.registry, NOUN_CREDENTIAL, whom, &row);
        if (r != 0)
                return r;
        person = json_string(row, "person");
        row_kind = json_string(row, "kind");
        if (!person || !row_kind || strcmp(row_kind, credential_kind_to_string(kind)) != 0)
                return REGISTRY_E_NOT_FOUND;
        r = credential_target_find(b, person, ret);
        if (r == REGISTRY_E_NOT_FOUND) { /* retired meanwhile: it can still be given back */
                ret->person = strdup(person);
                r = ret->person ? 0 : -ENOMEM;
        }
        *ret_uuid = strdup(whom);
        return r == 0 && !*ret_uuid ? -ENOMEM : r;
}

static int write_state(Bus *b, sd_bus_message *m, const Caller *caller, CredentialAct act, const char *uuid,
        CredentialState to, const CredentialTarget *target, const char *reason, const char *deputy) {
        _cleanup_json_ json_object *before = NULL, *after = NULL;
        RegistryError e = {};
        int r;

        r = registry_begin(b->c.registry);
        if (r == 0)
                r = registry_credential_set_state(b->c.registry, uuid, to, caller->user.person, reason,
                        clock_usec(CLOCK_REALTIME), &before, &after, &e);
        if (r == 0)
                r = credential_append(b, caller, kinds[act], target->account, before, after, reason, deputy);
        if (r == 0)
                r = change_commit(b, NOUN_CREDENTIAL);
        if (r != 0)
                return change_failed(b, m, caller, "CredentialAct", NOUN_CREDENTIAL, uuid, r, &e);
        return bus_reply_json(m, after);
}

static int do_act(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_(credential_target_done) CredentialTarget target = {};
        const char *act_text, *kind_text, *whom, *reason, *wrong, *why, *deputy;
        _cleanup_json_ json_object *row = NULL;
        _cleanup_free_ char *uuid = NULL;
        CredentialState from, to;
        CredentialKind kind;
        CredentialAct act;
        int r;

        r = sd_bus_message_read(m, "ssss", &act_text, &kind_text, &whom, &reason);
        if (r < 0)
                return r;
        act = act_from_string(act_text);
        kind = credential_kind_from_string(kind_text);
        if (act == _CREDENTIAL_ACT_MAX || kind == _CREDENTIAL_KIND_INVALID)
                return bus_refuse(m, "Invalid", N_("The act is suspend, resume, return or remove, of a card or a key"));
        if (!*reason || strlen(reason) > 255)
                return bus_refuse(m, "Invalid", N_("A reason is needed, of at most 255 bytes"));
        r = find_row(b, kind, whom, &uuid, &target);
        if (r == 0)
                r = registry_row_get(b->c.registry, NOUN_CREDENTIAL, uuid, &row);
        if (r != 0)
                return r == REGISTRY_E_NOT_FOUND ? bus_refuse(m, "NotFound", N_("There is no such card or key"))
                                                 : bus_refuse_registry(m, r, NULL);
        from = credential_state_from_string(json_string(row, "state"));
        wrong = credential_refused(caller, act, kind, from, &target,
                from == CREDENTIAL_SUSPENDED ? json_string(row, "state_by") : NULL, &to, &why, &deputy);
        if (wrong)
                return change_refuse(b, m, caller, "CredentialAct", NOUN_CREDENTIAL, uuid, why, wrong);
        return write_state(b, m, caller, act, uuid, to, &target, reason, deputy);
}

int credential_bus_act(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *act;
        bool suspend;
        int r;

        r = sd_bus_message_read(m, "s", &act);
        if (r < 0)
                return r;
        /* The holder stops their own without holding a role. */
        suspend = strcmp(act, credential_act_to_string(CREDENTIAL_SUSPEND)) == 0;
        return authorize(userdata, m,
                &(Ask){
                        .method = "CredentialAct",
                        .action = ACTION_CREDENTIAL,
                        .roles = suspend ? 0 : ROLES_ALL,
                        .noun = "credential",
                        .fn = do_act,
                });
}
