/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/verdict.h"
#include "util/cleanup.h"

/* One SQLite database, /var/lib/keishi/registry.db (0600 root, WAL, synchronous=FULL, busy_timeout 0: keishid is its
 * only writer; whoever else holds a lock costs a refusal). Directory tables (users, members, terminals, scopes,
 * designations, restrictions, deputies, credentials) have uuid, origin, version, valid_until, deleted (tombstone),
 * updated; local tables (meta, attempts, sessions, credential_counters, outbox) are this terminal's own. */

typedef struct Registry Registry;

/* Positive conditions of registry functions. */
enum {
        _REGISTRY_E_SUCCESS,
        REGISTRY_E_NOT_FOUND,
        REGISTRY_E_EXISTS,   /* would be a second row with the same name */
        REGISTRY_E_INVALID,  /* a field is unknown, missing or malformed; RegistryError says which */
        REGISTRY_E_OUTSIDE,  /* a designation outside its scope */
        REGISTRY_E_IN_USE,   /* removal of what others refer to */
        REGISTRY_E_UNUSABLE, /* locked, read-only, full, truncated, corrupt: nothing was changed */
        REGISTRY_E_NEWER,    /* written by a newer keishid: refuse to open */
        REGISTRY_E_CONFLICT, /* `version` given and not the current one */
};

typedef struct RegistryError {
        char field[64];
        char text[256]; /* English, one line, what is wrong and what would be right */
} RegistryError;

/* Opens or creates the database at `path`, applying migrations (user_version) in one transaction each. A new one
 * appears under its name only when it is complete, so that an empty file is a truncated one. When the last stop was not
 * orderly (its log is still there) the whole database is checked. REGISTRY_E_NEWER, REGISTRY_E_UNUSABLE; *ret_error is
 * filled in whenever the result is not 0. */
int registry_open(Registry **ret, const char *path, RegistryError *ret_error);
Registry *registry_free(Registry *r);
DEFINE_CLEANUP(Registry *, registry_free)

/* For the rooms that own local tables: prepared statements on this handle; never BEGIN/COMMIT by hand. */
sqlite3 *registry_db(Registry *r);

/* BEGIN IMMEDIATE … COMMIT. REGISTRY_E_UNUSABLE from either: nothing happened. rollback is safe at any time. They do
 * not nest. */
int registry_begin(Registry *r);
int registry_commit(Registry *r);
void registry_rollback(Registry *r);
bool registry_in_transaction(Registry *r);

/* Between the two, reads see one state of the database, and its locks are taken once. Inside a transaction, or another
 * view, it is already so, and *ret_own is false. Nothing may be written in a view. */
int registry_view_begin(Registry *r, bool *ret_own);
void registry_view_end(Registry *r, bool own);

/* Holds more of the database in memory (8 MiB instead of 256 KiB) while all of it is gone through, page after page. The
 * caller takes it back soon: an agent that idles is small. */
void registry_hold_more(Registry *r, bool more);

/* Maps an SQLite result to 0, REGISTRY_E_UNUSABLE or a negative errno. */
int registry_result(int sqlite_rc);

/* A prepared statement for `sql`, kept by the registry under the address of the text, which therefore has to be a
 * literal. It comes reset and without bindings, is used by one caller at a time, and is given back by
 * registry_statement_done(): an unfinished one keeps its snapshot of the database. */
int registry_statement(Registry *r, const char *sql, sqlite3_stmt **ret);
void registry_statement_done(sqlite3_stmt **s);
#define _cleanup_statement_ _cleanup_(registry_statement_done)

/* meta: small local facts by name (schema in registry/migrations). */
int registry_meta_get(Registry *r, const char *name, char **ret);        /* REGISTRY_E_NOT_FOUND */
int registry_meta_set(Registry *r, const char *name, const char *value); /* NULL removes */

/* ---- what a verdict needs ---- */

typedef struct User {
        char *uuid;
        char *account;
        char *person; /* staff number 職員番号 */
        char *name;   /* 氏名 */
        char *unit;   /* 所属 */
        bool shared;  /* a shared (unit) ID: the person using it is named at login (R1) */
        bool retired;
} User;
void user_done(User *u);

int registry_user(Registry *r, const char *account, User *ret); /* REGISTRY_E_NOT_FOUND */
/* The registered person behind a staff number (any active, not shared account of theirs). REGISTRY_E_NOT_FOUND. */
int registry_person(Registry *r, const char *person, User *ret);
/* Date of birth, YYYY-MM-DD, of the person that the account is registered for: of this account, else of another one of
 * theirs. REGISTRY_E_NOT_FOUND: none is registered. */
int registry_birth(Registry *r, const char *account, char **ret);
/* Whether `person` is a member of the shared account. 0 yes, REGISTRY_E_NOT_FOUND no. */
int registry_shared_member(Registry *r, const char *account, const char *person);
/* uuid of a restriction in force at now for the account or the person (or NULL). REGISTRY_E_NOT_FOUND. now_usec 0, for
 * a clock that is not trusted: one that has an end is in force as well. */
int registry_restriction(
        Registry *r, const char *account, const char *person, uint64_t now_usec, char **ret_uuid, char **ret_reason);

typedef struct Terminal {
        char *uuid;
        char *name;
        char *unit;
        unsigned confidentiality, integrity, availability; /* 機密性 1..3, 完全性 1..2, 可用性 1..2 */
        bool external_line;
        bool retired;
        char *purpose; /* or NULL */
} Terminal;
void terminal_done(Terminal *t);
/* The terminal that meta "terminal" (a uuid) names, or the one of this name. REGISTRY_E_NOT_FOUND. */
int registry_terminal_self(Registry *r, Terminal *ret);
int registry_terminal(Registry *r, const char *name, Terminal *ret);

typedef struct Subject {
        const char *account;
        const char *unit;       /* or NULL */
        char *const *groups;    /* NSS group names, NULL-terminated, or NULL */
        char *const *netgroups; /* netgroups that the user is in, NULL-terminated, or NULL */
} Subject;

/* Offers every live candidate for the subject on the terminal, in a stable order (user, groups, netgroups, unit; older
 * before newer), until fn returns true. Strings live during the call of fn, which must not use the registry. A
 * designation of the user by name counts while the user is of the scope's unit: a transfer ends it (R2). What a
 * designation leaves open (terminals, and with them nothing else) is its scope's. On this terminal the cost does not
 * grow with the number of designations of other subjects or terminals (table here); on others, asked about by
 * `keishictl check --terminal`, it grows with the subject's own. */
typedef bool (*candidate_fn)(const Candidate *c, void *userdata);
int registry_candidates(Registry *r, const Subject *s, const char *terminal, const char *terminal_unit, candidate_fn fn,
        void *userdata);
/* Names of the netgroups that live designations use, NULL-terminated, owned by the caller; NULL when none. */
int registry_netgroups(Registry *r, char ***ret);

/* ---- delegation ---- */

/* Roles that a unit has, and that a deputy can hold for it. */
bool unit_role_valid(const char *role);
/* Calls fn for each role that the person holds as a deputy now; uuid is the row's. Not 0 from fn ends it and is
 * returned. */
typedef int (*deputy_fn)(const char *uuid, const char *role, const char *unit, void *userdata);
int registry_deputies(Registry *r, const char *person, uint64_t now_usec, deputy_fn fn, void *userdata);
/* Whether one of the person's accounts is of the unit. 0 yes, REGISTRY_E_NOT_FOUND no. */
int registry_person_in_unit(Registry *r, const char *person, const char *unit);
/* Notes, within the transaction that records it, that a login was granted by the designation. */
int registry_designation_used(Registry *r, const char *uuid, uint64_t now_usec);
/* A shared ID's password is due since somebody left it; `person` is who left last. Within a transaction. */
int registry_shared_password_due(Registry *r, const char *account, const char *person, uint64_t now_usec);

/* ---- directory rows by noun, for keishictl, setup and import ---- */

/* Nouns and their fields are one table (registry/noun.c): name, column, type, required, validator, default. Values
 * travel as a JSON object of strings, integers and booleans by field name. Nouns: user, member, terminal, scope,
 * designation, restriction, deputy, credential. */
typedef enum NounId {
        NOUN_USER,
        NOUN_MEMBER,
        NOUN_TERMINAL,
        NOUN_SCOPE,
        NOUN_DESIGNATION,
        NOUN_RESTRICTION,
        NOUN_DEPUTY,
        NOUN_CREDENTIAL,
        _NOUN_MAX,
        _NOUN_INVALID = -1
} NounId;
const char *noun_to_string(NounId n);
NounId noun_from_string(const char *s);

/* Takes the subject of a designation ("user:hanako") apart; *ret_value points into text. False when the kind is unknown
 * or the value empty. */
bool subject_parse(const char *text, SubjectKind *ret_kind, const char **ret_value);

/* How the service table is asked for the family of a service (_FAMILY_INVALID: unknown), so that "login" is seen to lie
 * inside "@console". Without it a designation may name only the services that its scope names. */
void registry_set_service_family(Registry *r, Family (*fn)(const char *service));

/* Fields: text; true/false; whole numbers; times, in and out as in registry/when.h. A field set to null or "" loses its
 * value. What a field means and what it may hold is in the table; between rows (registry/check.c): a member's account
 * is registered as shared and its person has an account; a restriction is of a registered account or person; a
 * designation's user is registered, not retired and of the scope's unit, and nothing in it goes beyond its scope
 * (registry/outside.c), and it is reviewed within two years; a deputy is registered. Rows come out with uuid, origin,
 * version and updated; a change may give `version`. A removed row leaves a tombstone. Users with designations, shared
 * accounts with members, scopes with designations, terminals that are named, and this terminal itself are in use. */

/* These work inside a transaction that the caller opened, so that the trail entry of the change is in it (law 6). `id`
 * is a uuid or the row's name (account, terminal name, scope name, ACCOUNT/PERSON of a member). -EPERM outside a
 * transaction. After a positive condition the transaction may go on; nothing of the row was written. */
int registry_row_add(Registry *r, NounId noun, json_object *fields, uint64_t now_usec, json_object **ret_after,
        RegistryError *ret_error);
int registry_row_change(Registry *r, NounId noun, const char *id, json_object *fields, uint64_t now_usec,
        json_object **ret_before, json_object **ret_after, RegistryError *ret_error);
/* Leaves a tombstone. */
int registry_row_remove(Registry *r, NounId noun, const char *id, uint64_t now_usec, json_object **ret_before,
        RegistryError *ret_error);
int registry_row_get(Registry *r, NounId noun, const char *id, json_object **ret);
/* Puts the private values (birth dates) into a row as the functions here give it, which tell only that there are any;
 * for who may read them. */
int registry_row_reveal(Registry *r, NounId noun, json_object *row);
/* All live rows whose fields equal those of `filter` (or NULL), as a JSON array, ordered by name; `limit` 0: all.
 * Private fields cannot be asked for. */
int registry_row_list(
        Registry *r, NounId noun, json_object *filter, unsigned limit, json_object **ret, RegistryError *ret_error);
/* Up to `limit` rows after the one of integer key `after` (0: from the beginning), in the order of that key, which is
 * *ret_last for the last one; *ret_last == after: there are no more. */
int registry_row_page(Registry *r, NounId noun, uint64_t after, unsigned limit, json_object **ret, uint64_t *ret_last);
/* A number that grows with every change of a row of the noun. */
uint64_t registry_generation(const Registry *r, NounId noun);
