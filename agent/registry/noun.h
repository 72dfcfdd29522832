/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/internal.h"

/* The nouns and their fields, as one table. */

#define NOUN_FIELDS_MAX 16

typedef enum FieldType {
        TYPE_TEXT,
        TYPE_BOOL,
        TYPE_INT,
        TYPE_FROM,  /* a time; a date is its beginning */
        TYPE_UNTIL, /* a time; a date is its end */
        TYPE_SCOPE, /* name or uuid of a scope, kept as its integer key */
} FieldType;

/* NULL when the text is good, else what would be (static, English, behind "NAME "). */
typedef const char *(*text_check_fn)(Registry *r, const char *text);

typedef struct Field {
        const char *name;
        const char *column;
        FieldType type;
        bool required;
        bool fixed;   /* cannot be changed, because others refer to the row by it */
        bool kept;    /* set by keishi itself, never from outside */
        bool private; /* TYPE_TEXT: read only by who needs it, see PRIVATE_SET */
        bool date;    /* TYPE_TEXT: a day of the calendar, as YYYY-MM-DD */
        size_t size;  /* TYPE_TEXT: most bytes */
        text_check_fn check;
        int64_t min, max, initial; /* TYPE_INT, TYPE_BOOL */
        int64_t initial_usec;      /* times: when not given, this long after now; 0: none */
} Field;

/* What rows show of a private value: that there is one, and, behind a change, that it is another than before. The value
 * itself is in no list and no trail; registry_row_reveal() gives it. */
#define PRIVATE_SET     "set"
#define PRIVATE_CHANGED "changed"

/* A value: text for TYPE_TEXT (NULL: none), a number for all else. */
typedef struct Value {
        char *text;
        int64_t number;
} Value;

typedef struct Row {
        char *uuid;
        char *origin;
        int64_t id;
        int64_t version;
        int64_t updated;
        Value values[NOUN_FIELDS_MAX];
} Row;

/* Whether a row may be as `after` says; `before` is NULL when it is added. */
typedef int (*row_check_fn)(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e);
/* Whether it may go: 0 or REGISTRY_E_IN_USE. */
typedef int (*row_use_fn)(Registry *r, const Row *row, RegistryError *e);

typedef struct Noun {
        const char *name;
        const char *table;
        const char *key;   /* SQL of the name that rows go by besides their uuid, or NULL */
        const char *order; /* SQL; the table is n */
        const Field *fields;
        size_t n_fields;
        row_check_fn check;
        row_use_fn use;
} Noun;

extern const Noun registry_nouns[_NOUN_MAX];

/* Fields of each noun, as indices into Row.values. */
enum { USER_ACCOUNT, USER_PERSON, USER_NAME, USER_UNIT, USER_SHARED, USER_RETIRED, USER_BIRTH };
enum { MEMBER_ACCOUNT, MEMBER_PERSON };
enum {
        TERMINAL_F_NAME,
        TERMINAL_F_UNIT,
        TERMINAL_F_CONFIDENTIALITY,
        TERMINAL_F_INTEGRITY,
        TERMINAL_F_AVAILABILITY,
        TERMINAL_F_EXTERNAL,
        TERMINAL_F_PURPOSE,
        TERMINAL_F_RETIRED,
        TERMINAL_F_EPOCH,
        TERMINAL_F_KEY,
};
enum {
        SCOPE_NAME,
        SCOPE_BUSINESS,
        SCOPE_UNIT,
        SCOPE_TERMINALS,
        SCOPE_SERVICES,
        SCOPE_HOURS,
        SCOPE_FROM,
        SCOPE_UNTIL,
        SCOPE_REMOTE,
};
enum {
        DESIGNATION_SCOPE,
        DESIGNATION_SUBJECT,
        DESIGNATION_TERMINALS,
        DESIGNATION_SERVICES,
        DESIGNATION_HOURS,
        DESIGNATION_FROM,
        DESIGNATION_UNTIL,
        DESIGNATION_REMOTE,
        DESIGNATION_REVIEW,
        DESIGNATION_REVIEWED,
        DESIGNATION_REVIEWED_BY,
};
enum { RESTRICTION_ACCOUNT, RESTRICTION_PERSON, RESTRICTION_REASON, RESTRICTION_UNTIL };
enum { DEPUTY_UNIT, DEPUTY_ROLE, DEPUTY_PERSON, DEPUTY_FROM, DEPUTY_UNTIL };
enum {
        CREDENTIAL_F_KIND,
        CREDENTIAL_F_PERSON,
        CREDENTIAL_F_LABEL,
        CREDENTIAL_F_APPLICATION,
        CREDENTIAL_F_KEY,
        CREDENTIAL_F_ID,
        CREDENTIAL_F_RP,
        CREDENTIAL_F_AAGUID,
        CREDENTIAL_F_ATTESTED,
        CREDENTIAL_F_REPLACES,
        CREDENTIAL_F_FROM,
        CREDENTIAL_F_UNTIL,
        CREDENTIAL_F_STATE,
        CREDENTIAL_F_STATE_BY,
        CREDENTIAL_F_REASON,
};

void row_done(Row *row);
/* Reads the live row with this integer key, uuid or name. REGISTRY_E_NOT_FOUND. */
int row_read_id(Registry *r, NounId noun, int64_t id, Row *ret);
int row_read(Registry *r, NounId noun, const char *id, Row *ret);

/* Changes a row by a function, for what keishi keeps in it itself; the row's own checks are not asked. As
 * registry_row_change() otherwise. */
typedef void (*row_edit_fn)(Row *row, void *userdata);
int row_edit(Registry *r, NounId noun, const char *id, row_edit_fn edit, void *userdata, uint64_t now_usec,
        json_object **ret_before, json_object **ret_after, RegistryError *ret_error);

/* Parts of adding and changing rows (row.c), for imports. */
#define ROW_COLUMNS "n.id, n.uuid, n.origin, n.version, n.updated"
/* The row that a statement of ROW_COLUMNS and all fields stands on. */
int row_at(const Noun *noun, sqlite3_stmt *s, Row *ret);
int row_copy(const Noun *noun, const Row *from, Row *ret);
int row_new_uuid(char **ret);
/* uuid of this terminal, or "local" before it has one. */
int row_new_origin(Registry *r, char **ret);
/* Whether the row has what it needs and fits the others; `before` is NULL when it is added. */
int row_check(Registry *r, const Noun *noun, const Row *before, const Row *after, uint64_t now, RegistryError *e);
int row_check_fixed(const Noun *noun, const Row *before, const Row *after, RegistryError *e);

/* Text that is shown in an error: safe, and short. */
typedef struct Shown {
        char text[72];
} Shown;
Shown shown(const char *text);

/* row_check_fn and row_use_fn of the nouns (check.c). */
int user_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e);
int member_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e);
int scope_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e);
int designation_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e);
int restriction_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e);
int deputy_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e);
int credential_check(Registry *r, const Row *before, const Row *after, uint64_t now_usec, RegistryError *e);
int user_use(Registry *r, const Row *row, RegistryError *e);
int terminal_use(Registry *r, const Row *row, RegistryError *e);
int scope_use(Registry *r, const Row *row, RegistryError *e);

/* What a caller that goes through many designations has read with them already; the texts are its own. */
typedef struct DesignationNamed {
        const char *user_unit; /* of the user that the subject names; NULL: not registered */
        bool user_retired;
        const char *terminal_unit; /* of the terminal that is named; NULL: not registered */
} DesignationNamed;

/* Whether a designation lies inside its scope (outside.c): 0, REGISTRY_E_OUTSIDE, or REGISTRY_E_INVALID when it could
 * never match. `named` is NULL when it is to be looked up. */
int designation_inside(
        Registry *r, const Row *designation, const Row *scope, const DesignationNamed *named, RegistryError *e);
