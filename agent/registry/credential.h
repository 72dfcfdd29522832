/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/config.h"
#include "registry/registry.h"

/* IC cards and biometric keys of people (R6, R8, R10). A credential is a directory row (noun credential) that serves
 * one person (staff number); how often a key has signed is this terminal's own (table credential_counters). */

typedef enum CredentialKind {
        CREDENTIAL_CARD, /* IC card: application, and the public key of its certificate */
        CREDENTIAL_KEY,  /* FIDO2 key with a finger: credential id, and its public key */
        _CREDENTIAL_KIND_MAX,
        _CREDENTIAL_KIND_INVALID = -1,
} CredentialKind;
const char *credential_kind_to_string(CredentialKind k); /* "card", "key" */
CredentialKind credential_kind_from_string(const char *s);

typedef enum CredentialState {
        CREDENTIAL_ACTIVE,
        CREDENTIAL_SUSPENDED, /* lost, or not sure: stopped until another person lets it go on */
        CREDENTIAL_RETURNED,  /* given back; for good */
        CREDENTIAL_REMOVED,   /* replaced, broken, taken off; for good */
        _CREDENTIAL_STATE_MAX,
        _CREDENTIAL_STATE_INVALID = -1,
        CREDENTIAL_NONE = -1, /* not there yet */
} CredentialState;
const char *credential_state_to_string(CredentialState s); /* "active" */
CredentialState credential_state_from_string(const char *s);

typedef enum CredentialAct {
        CREDENTIAL_REGISTER,
        CREDENTIAL_SUBSTITUTE, /* a stand-in for a forgotten card, for one day */
        CREDENTIAL_SUSPEND,
        CREDENTIAL_RESUME,
        CREDENTIAL_RETURN,
        CREDENTIAL_REMOVE, /* also of a key that is registered again: the new one is a row of its own */
        _CREDENTIAL_ACT_MAX,
} CredentialAct;
const char *credential_act_to_string(CredentialAct a);

/* Who acts, in relation to the credential's holder. Masks of ROLE_BIT(). */
typedef struct CredentialActor {
        unsigned roles; /* held at all, by a group */
        unsigned unit;  /* held for the holder's unit, as a deputy too */
        bool holder;    /* is the holder */
        bool suspender; /* is the one who suspended it */
} CredentialActor;

typedef enum CredentialAnswer {
        CREDENTIAL_ALLOWED,
        CREDENTIAL_NO_SUCH_ACT, /* not from this state, not with this kind */
        CREDENTIAL_OWN,         /* nobody does this to their own */
        CREDENTIAL_SAME,        /* whoever suspended does not resume */
        CREDENTIAL_NOT_ROLE,    /* none of the roles, or not for this unit */
        _CREDENTIAL_ANSWER_MAX,
} CredentialAnswer;
const char *credential_answer_to_string(CredentialAnswer a); /* "own-credential", for trails */

/* PURE. The state machine (law 9): what is not in its table is refused. *ret_to is written when it is allowed. */
CredentialAnswer credential_act(CredentialAct act, CredentialKind kind, CredentialState from,
        const CredentialActor *actor, CredentialState *ret_to);
/* Roles of which one may do this to somebody's credential at all; the holder may besides, when *ret_holder. */
unsigned credential_roles(CredentialAct act, CredentialKind kind, bool *ret_holder);

#define CREDENTIAL_KEY_MAX 1024u /* bytes of a public key (SubjectPublicKeyInfo, DER) */
#define CREDENTIAL_ID_MAX  1024u /* bytes of a FIDO credential id */

typedef struct Credential {
        char *uuid;
        CredentialKind kind;
        CredentialState state;
        char *person;
        char *application;  /* card: piv, jpki */
        unsigned char *key; /* SPKI, DER */
        size_t key_size;
        unsigned char *id; /* key: FIDO credential id */
        size_t id_size;
        char *rp;                       /* key: relying party */
        uint64_t from_usec, until_usec; /* 0: no bound */
        char *replaces;                 /* uuid of the card that this one stands in for, or NULL */
        uint32_t counter;               /* of signatures, as this terminal saw it last */
} Credential;
void credential_done(Credential *c);

/* All live rows of a person and kind, oldest first; fn takes nothing over. Not 0 from fn ends it and is returned. */
typedef int (*credential_fn)(const Credential *c, void *userdata);
int registry_credentials(Registry *r, const char *person, CredentialKind kind, credential_fn fn, void *userdata);
/* The row of this public key that says most: an active one before a suspended one before others. REGISTRY_E_NOT_FOUND.
 */
int registry_credential_by_key(Registry *r, const void *key, size_t size, Credential *ret);
int registry_credential(Registry *r, const char *uuid, Credential *ret);
/* Notes, within the transaction that grants, that the credential was used, and the counter that it gave. */
int registry_credential_used(Registry *r, const char *uuid, uint32_t counter, uint64_t now_usec);

/* Whether it is in force at now: active and within its dates. `trusted`: whether the clock is; one with an end is not
 * in force by a clock that is not. */
bool credential_in_force(const Credential *c, uint64_t now_usec, bool trusted);

/* The first of several uuids (separated by blanks) whose row is not active any more, else "". 0, or as the others. */
#define CREDENTIAL_UUID_SIZE 37u
int registry_credentials_stopped(Registry *r, const char *uuids, char ret[static CREDENTIAL_UUID_SIZE]);

/* Changes the state of a row and who did so, within the open transaction; the machine has been asked before. */
int registry_credential_set_state(Registry *r, const char *uuid, CredentialState to, const char *by_person,
        const char *reason, uint64_t now_usec, json_object **ret_before, json_object **ret_after, RegistryError *e);

/* Base64 (RFC 4648, with padding, without line breaks). Both return new memory; NULL: no memory, or not base64. */
char *base64_write(const void *bytes, size_t size);
unsigned char *base64_read(const char *text, size_t max, size_t *ret_size);
