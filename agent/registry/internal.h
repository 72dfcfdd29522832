/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/registry.h"

/* What the files of this room share. */

typedef struct CachedStatement {
        const char *sql;
        sqlite3_stmt *statement;
} CachedStatement;

typedef struct HereSubjects HereSubjects;

struct Registry {
        sqlite3 *db;
        CachedStatement *statements;
        size_t n_statements;
        HereSubjects *here;
        Family (*service_family)(const char *service);

        uint64_t generation[_NOUN_MAX]; /* grows with each row that is added, changed or removed (row.c) */
        unsigned locked;                /* NOUN_BIT()s of what cannot be changed while an import is applied */
};

#define NOUN_BIT(noun) (1u << (noun))

#define REGISTRY_APPLICATION_ID 0x4b534849 /* "KSHI" */
#define UUID_TEXT_SIZE          37

/* Migration i (from 0) brings user_version from i to i + 1. */
extern const char *const registry_migrations[];
extern const int registry_n_migrations;

/* Fills in *e (may be NULL) and returns `condition`. The text is cut at a character's end. */
int registry_error(RegistryError *e, int condition, const char *field, const char *format, ...) _printf_(4, 5);

/* The text of a column of the current row, NULL for an SQL NULL; it lives until the next step. -ENOMEM. What bounds
 * access has to be read with this: memory that ran out must not look like a bound that is not there. */
int column_text(sqlite3_stmt *s, int column, const char **ret);

/* The text of a column as a new string; NULL columns give NULL. -ENOMEM. */
int column_dup(sqlite3_stmt *s, int column, char **ret);

/* registry_statement() with its parameters bound, one for each letter of `types`: t is a const char * that outlives the
 * statement's use (NULL: an SQL NULL), i a uint64_t. */
int statement_with(Registry *r, const char *sql, sqlite3_stmt **ret, const char *types, ...);

/* Steps once. SQLITE_ROW: 0; SQLITE_DONE: REGISTRY_E_NOT_FOUND; else registry_result(). */
int statement_row(sqlite3_stmt *s);
/* Runs to the end, ignoring rows. */
int statement_run(sqlite3_stmt *s);

/* Takes "KIND:VALUE" apart; *ret_value points into text. False when the kind is unknown or the value empty. */
bool selector_parse(const char *text, TerminalKind *ret_kind, const char **ret_value);

/* The subjects of the table here as they are in the view that is open; NULL when they are not held, and each has to be
 * looked up. It lives until the next call. */
const HereSubjects *here_subjects(Registry *r);
bool here_subjects_have(const HereSubjects *h, const char *subject, size_t size);
void here_subjects_free(HereSubjects *h);
