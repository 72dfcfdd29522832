/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/import.h"

/* What import.c (staging) and import-apply.c (decision and application) share. */

/* What a staged row can come to need on the disk besides its texts, with indices and the head of its entry. */
#define ROOM_PER_ROW 2048u
/* What an import leaves free: a full disk would refuse every login. */
#define ROOM_LEFT  (8u * 1024u * 1024u)
#define ROOM_CHECK 64u /* rows between two looks at it */
#define ROOM_STEP  (1024u * 1024u)
#define ROOM_MAX   (1024u * ROOM_STEP)

typedef struct Column {
        const Field *field; /* NULL: uuid */
        size_t index;
} Column;

/* Keys and rows that the file had: a set of 64-bit hashes with the line of each; 0: free. */
typedef struct Seen {
        uint64_t *hashes;
        uint32_t *lines;
        size_t size, used;
        uint64_t seed;
} Seen;

struct Import {
        Registry *registry;
        NounId noun;
        char *uuid, *origin;
        uint64_t now_usec;
        Column columns[NOUN_FIELDS_MAX + 1];
        size_t n_columns;
        uint64_t generation; /* of what rows are checked against, when it began */
        Seen seen;
        sqlite3_stmt *find, *scan;
        uint64_t counts[_IMPORT_OUTCOME_MAX], rows;
        int64_t next_add, next_remove; /* seq of the next row staged */
        int64_t scanned;               /* id of the last row looked at */
        uint64_t room;
        uint64_t total, applied, applying; /* applying: of the open transaction */
        bool decided, over;
        bool durable; /* the decision is committed */
};

/* Fields by which a row of a file is known: their number, then which, in an order that an index has. None: the noun's
 * rows are not imported. */
extern const size_t import_keys[_NOUN_MAX][4];

/* The sum of the generations of what the noun's rows are checked against. */
uint64_t import_generation(const Registry *r, NounId noun);
/* Pages that SQLite may keep: many while an import runs. */
void import_cache(Registry *r, bool many);
/* Forgets what the file had. */
void seen_done(Seen *s);
/* Whether the disk has room for what is staged so far to be applied, and some is left then. REGISTRY_E_UNUSABLE. */
int import_check_room(const Import *i, RegistryError *e);

/* SQL text in the making. */
typedef struct Sql {
        char text[4096];
        size_t size;
} Sql;

void import_sql_add(Sql *q, const char *format, ...) _printf_(2, 3);
int import_sql_prepare(Registry *r, const Sql *q, sqlite3_stmt **ret);
