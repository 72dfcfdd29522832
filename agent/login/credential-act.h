/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/change.h"
#include "registry/credential.h"
#include "registry/when.h"

/* What registering a card or key and changing its state have in common: whose it is, who may, and the entry. */

/* Whose credential it is about. */
typedef struct CredentialTarget {
        char *account; /* as named by the caller, or the person's */
        char *person;
        char *unit; /* NULL: the person has no active account */
} CredentialTarget;
void credential_target_done(CredentialTarget *t);

/* By account or staff number. A shared ID is nobody. REGISTRY_E_NOT_FOUND. */
int credential_target_find(Bus *b, const char *user, CredentialTarget *ret);

/* Asks the state machine. NULL: allowed, *ret_to (may be NULL) is the new state and *ret_deputy the uuid of the row by
 * which the caller acts for the unit, or NULL; else the text of the refusal and its reason. `suspender`: staff number
 * of who suspended it, or NULL. */
const char *credential_refused(const Caller *caller, CredentialAct act, CredentialKind kind, CredentialState from,
        const CredentialTarget *target, const char *suspender, CredentialState *ret_to, const char **ret_reason,
        const char **ret_deputy);

/* Appends the entry within the open transaction. */
int credential_append(Bus *b, const Caller *caller, EventKind kind, const char *account, json_object *before,
        json_object *after, const char *detail, const char *deputy);

/* The first text of a query with two texts and a time. REGISTRY_E_NOT_FOUND. */
int credential_query_one(Registry *r, const char *sql, const char *a, const char *b, uint64_t usec, char **ret);
