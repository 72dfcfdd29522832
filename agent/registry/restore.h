/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/noun.h"

/* The directory as a whole, out and in again: backup and restore.
 *
 * A row travels as a JSON object of `uuid`, `version` and `values`, an object by field name of texts and whole numbers
 * as they are in the database; a scope is named by its uuid. Private and kept fields are among them; tombstones are
 * not.
 *
 * A restore is staged in the table restore_rows, which nothing else looks at, row by row and each checked by itself;
 * then one transaction makes the directory that of the backup, or does nothing. What was taken from somebody since the
 * backup is not given back by it: restrictions stay, and are only added; retired users and terminals stay retired, and
 * credentials that are not active as they are. */

#define RESTORE_ROWS_MAX  2000000u
#define RESTORE_BATCH_MAX 1000u
#define BACKUP_PAGE_ROWS  500u

#define RESTORE_NOUNS_ALL ((1u << _NOUN_MAX) - 1u)
/* Nouns that every backup has; those that came later may be missing in an old one, and then stay as they are. */
#define RESTORE_NOUNS_NEEDED                                                                                           \
        (NOUN_BIT(NOUN_USER) | NOUN_BIT(NOUN_MEMBER) | NOUN_BIT(NOUN_TERMINAL) | NOUN_BIT(NOUN_SCOPE) |                \
                NOUN_BIT(NOUN_DESIGNATION) | NOUN_BIT(NOUN_RESTRICTION) | NOUN_BIT(NOUN_DEPUTY))

/* Up to `limit` live rows of the noun after the one of integer key `after`; *ret_last == after: there are no more. */
int backup_page(Registry *r, NounId noun, int64_t after, unsigned limit, json_object **ret, int64_t *ret_last);
/* Live rows of all nouns. */
int backup_count(Registry *r, uint64_t *ret);

/* A sum that is another one whenever a row of the directory was changed. */
uint64_t restore_generation(const Registry *r);

/* Throws away what is staged, in a transaction of its own. */
int restore_clear(Registry *r);
/* Checks and stages one row, within an open transaction. REGISTRY_E_INVALID, REGISTRY_E_EXISTS (its uuid is staged
 * already). */
int restore_stage(Registry *r, NounId noun, json_object *row, RegistryError *ret_error);
/* Gives the staged row with this uuid the values that the live one has in fields that keishi itself keeps: a terminal's
 * own life is not the backup's to tell. */
int restore_keep_life(Registry *r, const char *uuid);

typedef struct RestoreCounts {
        uint64_t added, changed, removed, unchanged;
        uint64_t kept; /* stays as it is although the backup says otherwise */
} RestoreCounts;
int restore_count(Registry *r, NounId noun, RestoreCounts *ret);

/* What restore_apply() will do to rows of the noun, at most `limit` of them: objects with `noun`, `change` ("added",
 * "changed" or "removed") and `before` and `after`, as far as there is one, as rows travel; appended to the array. */
int restore_difference(Registry *r, NounId noun, unsigned limit, json_object *array);

/* Makes the rows of these nouns (a mask of NOUN_BIT()) those of the backup, within an open transaction. After a
 * positive condition roll back. REGISTRY_E_INVALID: the backup contradicts itself, or what is kept;
 * REGISTRY_E_UNUSABLE. */
int restore_apply(Registry *r, unsigned nouns, uint64_t now_usec, RegistryError *ret_error);
/* To be called after the commit. */
void restore_settle(Registry *r);
