/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "login/authorize.h"
#include "registry/credential.h"

/* The state machine of credentials: who may do what with one in which state. */

#define CARD ROLE_BIT(CREDENTIAL_CARD)
#define KEY  ROLE_BIT(CREDENTIAL_KEY)

#define MANAGERS  (ROLE_BIT(ROLE_SYSTEM_MANAGER) | ROLE_BIT(ROLE_SYSTEM_OWNER))
#define DUTY      ROLE_BIT(ROLE_DUTY_OFFICER)
#define HEAD      ROLE_BIT(ROLE_UNIT_HEAD)
#define REGISTRAR ROLE_BIT(ROLE_REGISTRAR)

typedef struct Transition {
        CredentialAct act;
        unsigned kinds;
        CredentialState from, to;
        unsigned roles; /* for anybody's */
        unsigned unit;  /* for those of the own unit */
        bool holder;    /* the holder may too */
        bool other;     /* not whoever suspended it */
} Transition;

/* Biometrics are the registrar's alone (R10). A loss is stopped by whoever is on duty, and by the holder; what goes on
 * again is another person's decision (law 8). */
static const Transition transitions[] = {
        { CREDENTIAL_REGISTER, CARD, CREDENTIAL_NONE, CREDENTIAL_ACTIVE, MANAGERS, REGISTRAR, false, false },
        { CREDENTIAL_REGISTER, KEY, CREDENTIAL_NONE, CREDENTIAL_ACTIVE, 0, REGISTRAR, false, false },
        { CREDENTIAL_SUBSTITUTE, CARD, CREDENTIAL_NONE, CREDENTIAL_ACTIVE, MANAGERS | DUTY, HEAD | REGISTRAR, false,
                false },
        { CREDENTIAL_SUSPEND, CARD | KEY, CREDENTIAL_ACTIVE, CREDENTIAL_SUSPENDED, MANAGERS | DUTY | HEAD | REGISTRAR,
                0, true, false },
        { CREDENTIAL_RESUME, CARD, CREDENTIAL_SUSPENDED, CREDENTIAL_ACTIVE, MANAGERS, HEAD | REGISTRAR | DUTY, false,
                true },
        { CREDENTIAL_RESUME, KEY, CREDENTIAL_SUSPENDED, CREDENTIAL_ACTIVE, 0, REGISTRAR, false, true },
        { CREDENTIAL_RETURN, CARD, CREDENTIAL_ACTIVE, CREDENTIAL_RETURNED, MANAGERS | DUTY, HEAD | REGISTRAR, false,
                false },
        { CREDENTIAL_RETURN, CARD, CREDENTIAL_SUSPENDED, CREDENTIAL_RETURNED, MANAGERS | DUTY, HEAD | REGISTRAR, false,
                false },
        { CREDENTIAL_REMOVE, CARD, CREDENTIAL_ACTIVE, CREDENTIAL_REMOVED, MANAGERS, REGISTRAR, false, false },
        { CREDENTIAL_REMOVE, CARD, CREDENTIAL_SUSPENDED, CREDENTIAL_REMOVED, MANAGERS, REGISTRAR, false, false },
        { CREDENTIAL_REMOVE, KEY, CREDENTIAL_ACTIVE, CREDENTIAL_REMOVED, 0, REGISTRAR, false, false },
        { CREDENTIAL_REMOVE, KEY, CREDENTIAL_SUSPENDED, CREDENTIAL_REMOVED, 0, REGISTRAR, false, false },
};

static const char *const kinds[_CREDENTIAL_KIND_MAX] = { [CREDENTIAL_CARD] = "card", [CREDENTIAL_KEY] = "key" };

static const char *const states[_CREDENTIAL_STATE_MAX] = {
        [CREDENTIAL_ACTIVE] = "active",
        [CREDENTIAL_SUSPENDED] = "suspended",
        [CREDENTIAL_RETURNED] = "returned",
        [CREDENTIAL_REMOVED] = "removed",
};

static const char *const acts[_CREDENTIAL_ACT_MAX] = {
        [CREDENTIAL_REGISTER] = "register",
        [CREDENTIAL_SUBSTITUTE] = "substitute",
        [CREDENTIAL_SUSPEND] = "suspend",
        [CREDENTIAL_RESUME] = "resume",
        [CREDENTIAL_RETURN] = "return",
        [CREDENTIAL_REMOVE] = "remove",
};

static const char *const answers[_CREDENTIAL_ANSWER_MAX] = {
        [CREDENTIAL_ALLOWED] = "allowed",
        [CREDENTIAL_NO_SUCH_ACT] = "state",
        [CREDENTIAL_OWN] = "own-credential",
        [CREDENTIAL_SAME] = "same-person",
        [CREDENTIAL_NOT_ROLE] = "role",
};

static int index_of(const char *const *names, int n, const char *s) {
        for (int i = 0; s && i < n; i++)
                if (strcmp(names[i], s) == 0)
                        return i;
        return -1;
}

const char *credential_kind_to_string(CredentialKind k) {
        return k >= 0 && k < _CREDENTIAL_KIND_MAX ? kinds[k] : NULL;
}

CredentialKind credential_kind_from_string(const char *s) {
        return (CredentialKind)index_of(kinds, _CREDENTIAL_KIND_MAX, s);
}

const char *credential_state_to_string(CredentialState s) {
        return s >= 0 && s < _CREDENTIAL_STATE_MAX ? states[s] : NULL;
}

CredentialState credential_state_from_string(const char *s) {
        return (CredentialState)index_of(states, _CREDENTIAL_STATE_MAX, s);
}

const char *credential_act_to_string(CredentialAct a) {
        return a < _CREDENTIAL_ACT_MAX ? acts[a] : NULL;
}

const char *credential_answer_to_string(CredentialAnswer a) {
        return a < _CREDENTIAL_ANSWER_MAX ? answers[a] : NULL;
}

CredentialAnswer credential_act(CredentialAct act, CredentialKind kind, CredentialState from,
        const CredentialActor *actor, CredentialState *ret_to) {
        for (size_t i = 0; i < ELEMENTSOF(transitions); i++) {
                const Transition *t = &transitions[i];

                if (t->act != act || t->from != from || !(t->kinds & ROLE_BIT(kind)))
                        continue;
                if (actor->holder && !t->holder)
                        return CREDENTIAL_OWN;
                if (actor->suspender && t->other)
                        return CREDENTIAL_SAME;
                if (!(actor->roles & t->roles) && !(actor->unit & (t->roles | t->unit)) &&
                        !(actor->holder && t->holder))
                        return CREDENTIAL_NOT_ROLE;
                *ret_to = t->to;
                return CREDENTIAL_ALLOWED;
        }
        return CREDENTIAL_NO_SUCH_ACT;
}

unsigned credential_roles(CredentialAct act, CredentialKind kind, bool *ret_holder) {
        unsigned roles = 0;

        *ret_holder = false;
        for (size_t i = 0; i < ELEMENTSOF(transitions); i++)
                if (transitions[i].act == act && (transitions[i].kinds & ROLE_BIT(kind))) {
                        roles |= transitions[i].roles | transitions[i].unit;
                        *ret_holder |= transitions[i].holder;
                }
        return roles;
}
