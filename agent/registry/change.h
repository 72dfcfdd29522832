/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "login/bus-internal.h"

/* What every change of the directory over the bus goes through: whether the caller may (law 8), its entry in the trail
 * within the same transaction (law 6), and what follows from it. */

#define REASON_TEXT_MAX 512u

/* Roles of which one is needed to write rows of the noun. */
unsigned change_roles(NounId noun);

/* Whether the caller may write the row as it was and as it will be (either may be NULL): the role, nothing about
 * oneself, the own unit. NULL: yes, and *ret_deputy is the uuid of the deputy's row by which, or NULL; else the text of
 * the refusal, its reason in *ret_reason. */
const char *change_refused(Bus *b, const Caller *caller, NounId noun, json_object *before, json_object *after,
        const char **ret_reason, const char **ret_deputy);

/* Whether taking rights from the person (`account`, `person`: either may be NULL) would shut out whom the terminal
 * needs: a break-glass account, or a system owner when the caller is none; so there is always one left, since nobody
 * does it to themselves. caller->targets are the person's accounts (Ask.target). NULL: no; else text and reason. */
const char *change_shuts_out(
        Bus *b, const Caller *caller, const char *account, const char *person, const char **ret_reason);
/* Calls fn with each account that /etc/keishi/break-glass names until it returns true; whether it did. What cannot be
 * read names nobody, as for the module. */
bool change_break_glass(Bus *b, bool (*fn)(Bus *b, const char *account, const void *userdata), const void *userdata);
/* Whether a change of a user's row can shut the person out: then change_shuts_out() is to be asked. */
bool change_takes_rights(json_object *before, json_object *after);
/* Staff number of a registered account, by name or uuid, for Ask.target. REGISTRY_E_NOT_FOUND. */
int change_target(Bus *b, const char *account, char **ret_person);

/* Appends the entry of one row's change within the open transaction. As trail_append(). */
int change_append(Bus *b, const Caller *caller, EventKind kind, NounId noun, json_object *before, json_object *after,
        const char *detail, const char *deputy);
/* Commits, or rolls back; tells the other rooms which noun changed (_NOUN_INVALID: several). As registry_commit(). */
int change_commit(Bus *b, NounId noun);

/* Roll back, record the refusal, answer the call. */
int change_refuse(Bus *b, sd_bus_message *m, const Caller *caller, const char *method, NounId noun, const char *object,
        const char *reason, const char *text);
/* The same for what a function of the registry returned; `e` must be given. */
int change_failed(Bus *b, sd_bus_message *m, const Caller *caller, const char *method, NounId noun, const char *object,
        int r, const RegistryError *e);
