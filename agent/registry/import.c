/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/import.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>

#include "registry/json.h"
#include "util/clock.h"
#include "util/json.h"

/* Pages that SQLite may keep while an import runs, and else (registry.c), in KiB. */
#define CACHE_IMPORT "PRAGMA cache_size = -8192"
#define CACHE_NORMAL "PRAGMA cache_size = -256"

/* What a staged row can come to need on the disk besides its texts, with indices and the head of its entry. */
#define ROOM_PER_ROW 2048u
/* What an import leaves free: a full disk would refuse every login. */
#define ROOM_LEFT  (8u * 1024u * 1024u)
#define ROOM_CHECK 64u /* rows between two looks at it */
#define ROOM_STEP  (1024u * 1024u)
#define ROOM_MAX   (1024u * ROOM_STEP)

/* seq of the first removal: behind everything else. */
#define REMOVALS_FROM (INT64_C(1) << 40)

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

/* Fields by which a row of a file is known, in an order that an index has. */
static const size_t keys[_NOUN_MAX][4] = {
        [NOUN_USER] = { 1, USER_ACCOUNT },
        [NOUN_MEMBER] = { 2, MEMBER_ACCOUNT, MEMBER_PERSON },
        [NOUN_TERMINAL] = { 1, TERMINAL_F_NAME },
        [NOUN_SCOPE] = { 1, SCOPE_NAME },
        [NOUN_DESIGNATION] = { 3, DESIGNATION_SUBJECT, DESIGNATION_SCOPE, DESIGNATION_TERMINALS },
};

/* What the rows of a noun are checked against. */
static const unsigned depends[_NOUN_MAX] = {
        [NOUN_USER] = NOUN_BIT(NOUN_USER) | NOUN_BIT(NOUN_MEMBER) | NOUN_BIT(NOUN_DESIGNATION),
        [NOUN_MEMBER] = NOUN_BIT(NOUN_USER) | NOUN_BIT(NOUN_MEMBER),
        [NOUN_TERMINAL] = NOUN_BIT(NOUN_TERMINAL) | NOUN_BIT(NOUN_SCOPE) | NOUN_BIT(NOUN_DESIGNATION),
        [NOUN_SCOPE] = NOUN_BIT(NOUN_SCOPE) | NOUN_BIT(NOUN_DESIGNATION),
        [NOUN_DESIGNATION] =
                NOUN_BIT(NOUN_USER) | NOUN_BIT(NOUN_TERMINAL) | NOUN_BIT(NOUN_SCOPE) | NOUN_BIT(NOUN_DESIGNATION),
};

static uint64_t generation(const Registry *r, NounId noun) {
        uint64_t sum = 0;

        for (NounId n = 0; n < _NOUN_MAX; n++)
                if (depends[noun] & NOUN_BIT(n))
                        sum += r->generation[n];
        return sum;
}

static void cache(Registry *r, const char *pragma) {
        (void)sqlite3_exec(r->db, pragma, NULL, NULL, NULL);
        (void)sqlite3_db_release_memory(r->db);
}

/* ---- what the file had ---- */

static void seen_done(Seen *s) {
        free(s->hashes);
        free(s->lines);
        *s = (Seen){};
}

static uint64_t seen_hash(const Seen *s, const char *kind, const char *text, size_t size) {
        uint64_t h = s->seed ^ UINT64_C(14695981039346656037);

        for (const char *k = kind; *k; k++)
                h = (h ^ (unsigned char)*k) * UINT64_C(1099511628211);
        for (size_t i = 0; i < size; i++)
                h = (h ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
        h = (h ^ (h >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
        return h ? h : 1;
}

static size_t seen_place(const Seen *s, uint64_t hash) {
        size_t at = hash & (s->size - 1);

        while (s->hashes[at] != 0 && s->hashes[at] != hash)
                at = (at + 1) & (s->size - 1);
        return at;
}

static int seen_grow(Seen *s) {
        Seen grown = { .size = s->size ? s->size * 2 : 1024, .used = s->used, .seed = s->seed };

        grown.hashes = calloc(grown.size, sizeof(*grown.hashes));
        grown.lines = calloc(grown.size, sizeof(*grown.lines));
        if (!grown.hashes || !grown.lines) {
                free(grown.hashes);
                free(grown.lines);
                return -ENOMEM;
        }
        for (size_t i = 0; i < s->size; i++)
                if (s->hashes[i] != 0) {
                        size_t at = seen_place(&grown, s->hashes[i]);

                        grown.hashes[at] = s->hashes[i];
                        grown.lines[at] = s->lines[i];
                }
        free(s->hashes);
        free(s->lines);
        *s = grown;
        return 0;
}

static bool seen_has(const Seen *s, uint64_t hash) {
        return s->size > 0 && s->hashes[seen_place(s, hash)] == hash;
}

/* REGISTRY_E_EXISTS: it was there, at *ret_line. */
static int seen_add(Seen *s, uint64_t hash, uint32_t line, uint32_t *ret_line) {
        size_t at;
        int r;

        if (s->used * 2 >= s->size) {
                r = seen_grow(s);
                if (r < 0)
                        return r;
        }
        at = seen_place(s, hash);
        if (s->hashes[at] == hash) {
                *ret_line = s->lines[at];
                return REGISTRY_E_EXISTS;
        }
        s->hashes[at] = hash;
        s->lines[at] = line;
        s->used++;
        return 0;
}

static uint64_t target_hash(const Import *i, int64_t id) {
        return seen_hash(&i->seen, "row", (const char *)&id, sizeof(id));
}

/* ---- beginning and end ---- */

typedef struct Sql {
        char text[4096];
        size_t size;
} Sql;

static void sql_add(Sql *q, const char *format, ...) _printf_(2, 3);
static void sql_add(Sql *q, const char *format, ...) {
        size_t left = sizeof(q->text) - q->size;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(q->text + q->size, left, format, ap);
        va_end(ap);
        q->size += n < 0 || (size_t)n >= left ? left : (size_t)n;
}

static int sql_prepare(Registry *r, const Sql *q, sqlite3_stmt **ret) {
        if (q->size >= sizeof(q->text))
                return -EOVERFLOW;
        return registry_result(sqlite3_prepare_v2(r->db, q->text, (int)q->size + 1, ret, NULL));
}

static void sql_select(Sql *q, const Noun *noun, const char *how) {
        sql_add(q, "SELECT " ROW_COLUMNS);
        for (size_t i = 0; i < noun->n_fields; i++)
                sql_add(q, ", n.%s", noun->fields[i].column);
        sql_add(q, " FROM %s n%s WHERE n.deleted = 0", noun->table, how);
}

/* The statements that find a row by its key, and rows one after the other. A designation is looked for among those of
 * its subject: a scope may have all of them. */
static int prepare(Import *i) {
        const Noun *noun = &registry_nouns[i->noun];
        Sql find = {}, scan = {};
        int q;

        sql_select(&find, noun, i->noun == NOUN_DESIGNATION ? " INDEXED BY designations_subject" : "");
        for (size_t k = 1; k <= keys[i->noun][0]; k++) {
                const Field *f = &noun->fields[keys[i->noun][k]];

                sql_add(&find, " AND n.%s %s ?%zu", f->column, f->required ? "=" : "IS", k);
        }
        sql_add(&find, " LIMIT 2");
        sql_select(&scan, noun, "");
        sql_add(&scan, " AND n.id > ?1 ORDER BY n.id LIMIT ?2");
        q = sql_prepare(i->registry, &find, &i->find);
        return q != 0 ? q : sql_prepare(i->registry, &scan, &i->scan);
}

static int read_columns(Import *i, json_object *columns, RegistryError *e) {
        const Noun *noun = &registry_nouns[i->noun];
        unsigned have = 0;
        bool uuid = false;

        if (!json_object_is_type(columns, json_type_array))
                return registry_error(e, REGISTRY_E_INVALID, "columns", "columns must be an array of names");
        for (size_t c = 0; c < json_object_array_length(columns); c++) {
                json_object *value = json_object_array_get_idx(columns, c);
                const char *name = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
                size_t f = 0;
                bool twice;

                while (f < noun->n_fields && strcmp(noun->fields[f].name, name) != 0)
                        f++;
                if (f < noun->n_fields && noun->fields[f].kept)
                        return registry_error(e, REGISTRY_E_INVALID, name, "%s is kept by keishi itself", name);
                if (f == noun->n_fields && strcmp(name, "uuid") != 0)
                        return registry_error(e, REGISTRY_E_INVALID, shown(name).text, "a %s has no \"%s\"", noun->name,
                                shown(name).text);
                twice = f == noun->n_fields ? uuid : (have & (1u << f)) != 0;
                if (twice)
                        return registry_error(e, REGISTRY_E_INVALID, name, "%s stands twice", name);
                if (f == noun->n_fields)
                        uuid = true;
                else
                        have |= 1u << f;
                i->columns[i->n_columns++] =
                        (Column){ .field = f < noun->n_fields ? &noun->fields[f] : NULL, .index = f };
        }
        for (size_t k = 1; k <= keys[i->noun][0] && !uuid; k++) {
                const Field *f = &noun->fields[keys[i->noun][k]];

                if (f->required && !(have & (1u << keys[i->noun][k])))
                        return registry_error(e, REGISTRY_E_INVALID, f->name, "the column %s is missing", f->name);
        }
        return 0;
}

int import_new(
        Import **ret, Registry *r, NounId noun, json_object *columns, uint64_t now_usec, RegistryError *ret_error) {
        _cleanup_(import_free_p) Import *i = NULL;
        int q;

        if (noun < 0 || noun >= _NOUN_MAX)
                return -EINVAL;
        if (keys[noun][0] == 0)
                return registry_error(
                        ret_error, REGISTRY_E_INVALID, "", "rows of a %s are not imported", noun_to_string(noun));
        i = calloc(1, sizeof(*i));
        if (!i)
                return -ENOMEM;
        i->registry = r;
        i->noun = noun;
        i->now_usec = now_usec;
        i->next_add = 1;
        i->next_remove = REMOVALS_FROM;
        i->generation = generation(r, noun);
        if (getrandom(&i->seen.seed, sizeof(i->seen.seed), 0) != sizeof(i->seen.seed))
                return -EIO;
        q = read_columns(i, columns, ret_error);
        if (q == 0)
                q = prepare(i);
        if (q == 0)
                q = row_new_uuid(&i->uuid);
        if (q == 0)
                q = row_new_origin(r, &i->origin);
        if (q != 0)
                return q;
        cache(r, CACHE_IMPORT);
        *ret = TAKE_PTR(i);
        return 0;
}

Import *import_free(Import *i) {
        if (!i)
                return NULL;
        sqlite3_finalize(i->find);
        sqlite3_finalize(i->scan);
        seen_done(&i->seen);
        i->registry->locked = 0;
        cache(i->registry, CACHE_NORMAL);
        free(i->uuid);
        free(i->origin);
        free(i);
        return NULL;
}

uint64_t import_count(const Import *i, ImportOutcome outcome) {
        return i->counts[outcome];
}

uint64_t import_total(const Import *i) {
        return i->total;
}

uint64_t import_applied(const Import *i) {
        return i->applied;
}

NounId import_noun(const Import *i) {
        return i->noun;
}

const char *import_uuid(const Import *i) {
        return i->uuid;
}

void import_row_done(ImportRow *row) {
        json_object_put(row->before);
        json_object_put(row->after);
        *row = (ImportRow){};
}

/* ---- staging ---- */

int import_staging_begin(Registry *r) {
        int q = registry_result(sqlite3_exec(r->db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL));

        return q != 0 ? q : registry_begin(r);
}

int import_staging_end(Registry *r, int q) {
        int set;

        if (q == 0)
                q = registry_commit(r);
        if (q != 0)
                registry_rollback(r);
        set = registry_result(sqlite3_exec(r->db, "PRAGMA synchronous = FULL", NULL, NULL, NULL));
        return q != 0 ? q : set;
}

static bool is_time(const Field *f) {
        return f->type == TYPE_FROM || f->type == TYPE_UNTIL;
}

static bool same_value(const Field *f, const Value *a, const Value *b) {
        if (f->type == TYPE_TEXT)
                return !a->text == !b->text && (!a->text || strcmp(a->text, b->text) == 0);
        if (is_time(f)) /* a file has seconds */
                return a->number / (int64_t)USEC_PER_SEC == b->number / (int64_t)USEC_PER_SEC;
        return a->number == b->number;
}

/* The cells of a row, as far as they are given, and the uuid. */
typedef struct Given {
        Row row;
        unsigned set, empty; /* bit per field */
        const char *uuid;
        uint32_t line;
} Given;

static void given_done(Given *g) {
        row_done(&g->row);
}

static int read_cells(Import *i, json_object *cells, Given *g, RegistryError *e) {
        json_object *line = json_object_is_type(cells, json_type_array) ? json_object_array_get_idx(cells, 0) : NULL;
        int64_t number = json_object_is_type(line, json_type_int) ? json_object_get_int64(line) : 0;

        if (number < 1 || number > UINT32_MAX || json_object_array_length(cells) != i->n_columns + 1)
                return registry_error(e, REGISTRY_E_INVALID, "", "a row is its line and %zu cells", i->n_columns);
        g->line = (uint32_t)number;
        for (size_t c = 0; c < i->n_columns; c++) {
                json_object *value = json_object_array_get_idx(cells, c + 1);
                const Column *column = &i->columns[c];
                const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
                int q;

                if (value && !text)
                        return registry_error(e, REGISTRY_E_INVALID, column->field ? column->field->name : "uuid",
                                "a cell is a text or null");
                if (!text || *text == '\0') {
                        if (column->field)
                                g->empty |= 1u << column->index;
                        continue;
                }
                if (!column->field) {
                        g->uuid = text;
                        continue;
                }
                q = field_from_json(i->registry, column->field, value, &g->row.values[column->index], e);
                if (q != 0)
                        return q;
                g->set |= 1u << column->index;
        }
        return 0;
}

/* The live row that a row of the file is about. REGISTRY_E_NOT_FOUND: it is a new one. */
static int find_row(Import *i, const Given *g, Row *ret, RegistryError *e) {
        const Noun *noun = &registry_nouns[i->noun];
        _cleanup_(row_done) Row row = {};
        int q;

        if (g->uuid) {
                q = row_read(i->registry, i->noun, g->uuid, ret);
                if (q == REGISTRY_E_NOT_FOUND || (q == 0 && strcmp(ret->uuid, g->uuid) != 0))
                        return registry_error(e, REGISTRY_E_INVALID, "uuid", "there is no %s \"%s\"", noun->name,
                                shown(g->uuid).text);
                return q;
        }
        sqlite3_reset(i->find);
        for (size_t k = 1; k <= keys[i->noun][0]; k++) {
                size_t f = keys[i->noun][k];
                int rc;

                if (noun->fields[f].type == TYPE_TEXT)
                        rc = sqlite3_bind_text(i->find, (int)k, g->row.values[f].text, -1, SQLITE_STATIC);
                else
                        rc = sqlite3_bind_int64(i->find, (int)k, g->row.values[f].number);
                if (rc != SQLITE_OK)
                        return registry_result(rc);
        }
        q = statement_row(i->find);
        if (q == 0)
                q = row_at(noun, i->find, &row);
        if (q == 0 && (q = statement_row(i->find)) == 0)
                q = registry_error(e, REGISTRY_E_CONFLICT, "uuid",
                        "there are several %ss of this key; say with the column uuid which one is meant", noun->name);
        else if (q == REGISTRY_E_NOT_FOUND && row.uuid) {
                *ret = row;
                row = (Row){};
                q = 0;
        }
        sqlite3_reset(i->find);
        sqlite3_clear_bindings(i->find);
        return q;
}

/* Each key, and each row, only once in a file; and no row, known by its uuid, takes the name of another. */
static int check_seen(Import *i, const Given *g, const Row *before, RegistryError *e) {
        const Noun *noun = &registry_nouns[i->noun];
        const Field *first = &noun->fields[keys[i->noun][1]];
        bool renamed = false;
        char key[1024];
        uint32_t line = 0;
        size_t size = 0;
        int q;

        for (size_t k = 1; k <= keys[i->noun][0] && size < sizeof(key); k++) {
                size_t f = keys[i->noun][k];
                const Value *v = g->uuid && !(g->set & (1u << f)) ? &before->values[f] : &g->row.values[f];
                int n = snprintf(
                        key + size, sizeof(key) - size, "%s\t%lld\t", v->text ? v->text : "", (long long)v->number);

                size += n > 0 ? (size_t)n : 0;
                renamed = renamed || (g->uuid && !same_value(&noun->fields[f], v, &before->values[f]));
        }
        if (size >= sizeof(key))
                return -EOVERFLOW;
        if (renamed && i->noun == NOUN_SCOPE) {
                _cleanup_(row_done) Row other = {};

                q = row_read(i->registry, i->noun, g->row.values[SCOPE_NAME].text, &other);
                if (q == 0)
                        return registry_error(e, REGISTRY_E_EXISTS, first->name, "there is already a %s \"%s\"",
                                noun->name, shown(g->row.values[SCOPE_NAME].text).text);
                if (q != REGISTRY_E_NOT_FOUND)
                        return q;
        }
        q = 0;
        if (!g->uuid || i->noun != NOUN_DESIGNATION) /* several designations may have one key, each with its uuid */
                q = seen_add(&i->seen, seen_hash(&i->seen, "key", key, size), g->line, &line);
        if (q == REGISTRY_E_EXISTS)
                return registry_error(e, q, first->name, "line %u is about the same %s", line, noun->name);
        if (q != 0 || !before)
                return q;
        q = seen_add(&i->seen, target_hash(i, before->id), g->line, &line);
        if (q == REGISTRY_E_EXISTS)
                return registry_error(
                        e, q, g->uuid ? "uuid" : first->name, "line %u is about the same %s", line, noun->name);
        return q;
}

/* Puts the values of the file into the row. True: something differs. */
static int merge(Import *i, const Given *g, bool fresh, Row *row, bool *ret_differs) {
        const Noun *noun = &registry_nouns[i->noun];
        bool differs = false;

        for (size_t f = 0; f < noun->n_fields; f++) {
                const Field *field = &noun->fields[f];
                Value none = { .number = field->initial };
                const Value *v = g->set & (1u << f) ? &g->row.values[f] : &none;
                char *copy = NULL;

                if (!((g->set | g->empty) & (1u << f)))
                        continue;
                if (!(g->set & (1u << f)) && (fresh || field->initial_usec > 0))
                        continue;
                if (same_value(field, v, &row->values[f]))
                        continue;
                if (v->text && !(copy = strdup(v->text)))
                        return -ENOMEM;
                free(row->values[f].text);
                row->values[f] = (Value){ .text = copy, .number = v->number };
                differs = true;
        }
        *ret_differs = differs;
        return 0;
}

static int write_staged(Import *i, const Noun *noun, int64_t seq, ImportOutcome outcome, const Row *row,
        const char *deputy, json_object *before, json_object *after) {
        static const char sql[] =
                "INSERT INTO import_rows (seq, outcome, target, uuid, version, deputy, before, after, v0, v1, v2, v3, "
                "v4, v5,"
                " v6, v7, v8, v9, v10, v11, v12, v13, v14, v15)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,"
                " ?21, ?22, ?23, ?24)";
        const char *before_text = before ? json_text(before) : NULL, *after_text = after ? json_text(after) : NULL;
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        if ((before && !before_text) || (after && !after_text))
                return -ENOMEM;
        q = registry_statement(i->registry, sql, &s);
        if (q != 0)
                return q;
        sqlite3_bind_int64(s, 1, seq);
        sqlite3_bind_int(s, 2, outcome);
        sqlite3_bind_int64(s, 3, row->id);
        sqlite3_bind_text(s, 4, row->uuid, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 5, row->version);
        sqlite3_bind_text(s, 6, deputy && *deputy ? deputy : NULL, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 7, before_text, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 8, after_text, -1, SQLITE_STATIC);
        for (size_t f = 0; f < noun->n_fields; f++) {
                if (noun->fields[f].type == TYPE_TEXT)
                        sqlite3_bind_text(s, 9 + (int)f, row->values[f].text, -1, SQLITE_STATIC);
                else
                        sqlite3_bind_int64(s, 9 + (int)f, row->values[f].number);
        }
        q = statement_run(s);
        if (q != 0)
                return q;
        i->room += 2 * ((before_text ? strlen(before_text) : 0) + (after_text ? strlen(after_text) : 0)) + ROOM_PER_ROW;
        i->counts[outcome]++;
        i->total++;
        return 0;
}

/* Who asks whether a row may be written. */
typedef struct Permit {
        import_permit_fn fn;
        void *userdata;
        char deputy[37];
} Permit;

static int permit(Permit *p, json_object *before, json_object *after) {
        p->deputy[0] = '\0';
        return p->fn(before, after, p->userdata, p->deputy);
}

/* Whether the disk has room for what is staged so far to be applied, and some is left then. */
static int check_room(const Import *i, RegistryError *e) {
        const char *path = sqlite3_db_filename(i->registry->db, "main");
        struct statvfs st;

        if (!path || statvfs(path, &st) < 0 || (uint64_t)st.f_bavail * st.f_frsize < i->room + ROOM_LEFT)
                return registry_error(e, REGISTRY_E_UNUSABLE, "",
                        "there is not enough room on the disk for the import; nothing was changed");
        return 0;
}

static int stage_new(Import *i, const Given *g, Permit *p, ImportRow *ret, RegistryError *e) {
        const Noun *noun = &registry_nouns[i->noun];
        _cleanup_(row_done) Row row = { .version = 1, .updated = (int64_t)i->now_usec };
        bool differs;
        int q;

        for (size_t f = 0; f < noun->n_fields; f++) {
                const Field *field = &noun->fields[f];

                row.values[f].number =
                        field->initial_usec > 0 ? (int64_t)i->now_usec + field->initial_usec : field->initial;
        }
        q = merge(i, g, true, &row, &differs);
        if (q == 0)
                q = row_check(i->registry, noun, NULL, &row, i->now_usec, e);
        if (q == 0)
                q = row_new_uuid(&row.uuid);
        if (q == 0 && !(row.origin = strdup(i->origin)))
                q = -ENOMEM;
        if (q == 0)
                q = row_to_json(i->registry, noun, &row, &ret->after);
        if (q == 0)
                q = permit(p, NULL, ret->after);
        if (q == 0)
                q = write_staged(i, noun, i->next_add++, IMPORT_ADDED, &row, p->deputy, NULL, ret->after);
        ret->outcome = IMPORT_ADDED;
        return q;
}

static int stage_known(Import *i, const Given *g, const Row *before, Permit *p, ImportRow *ret, RegistryError *e) {
        const Noun *noun = &registry_nouns[i->noun];
        _cleanup_(row_done) Row row = {};
        bool differs;
        int q;

        q = row_copy(noun, before, &row);
        if (q == 0)
                q = merge(i, g, false, &row, &differs);
        if (q != 0)
                return q;
        if (!differs) {
                i->counts[IMPORT_UNCHANGED]++;
                ret->outcome = IMPORT_UNCHANGED;
                return 0;
        }
        q = row_check_fixed(noun, before, &row, e);
        if (q == 0)
                q = row_check(i->registry, noun, before, &row, i->now_usec, e);
        if (q != 0)
                return q;
        row.version++;
        row.updated = (int64_t)i->now_usec;
        free(TAKE_PTR(row.origin));
        row.origin = strdup(i->origin);
        if (!row.origin)
                return -ENOMEM;
        q = row_to_json(i->registry, noun, before, &ret->before);
        if (q == 0)
                q = row_to_json(i->registry, noun, &row, &ret->after);
        if (q == 0)
                q = permit(p, ret->before, ret->after);
        if (q == 0)
                q = write_staged(i, noun, i->next_add++, IMPORT_CHANGED, &row, p->deputy, ret->before, ret->after);
        ret->outcome = IMPORT_CHANGED;
        return q;
}

int import_stage(
        Import *i, json_object *cells, import_permit_fn fn, void *userdata, ImportRow *ret, RegistryError *ret_error) {
        Permit p = { .fn = fn, .userdata = userdata };
        _cleanup_(import_row_done) ImportRow staged = {};
        _cleanup_(given_done) Given g = {};
        _cleanup_(row_done) Row before = {};
        int q;

        if (i->decided || !registry_in_transaction(i->registry))
                return -EPERM;
        if (i->rows >= IMPORT_ROWS_MAX)
                return registry_error(
                        ret_error, REGISTRY_E_INVALID, "", "more than %u rows: import them in parts", IMPORT_ROWS_MAX);
        q = i->rows % ROOM_CHECK == 0 ? check_room(i, ret_error) : 0;
        if (q == 0)
                q = read_cells(i, cells, &g, ret_error);
        if (q != 0)
                return q;
        for (size_t k = 1; !g.uuid && k <= keys[i->noun][0]; k++) {
                const Field *f = &registry_nouns[i->noun].fields[keys[i->noun][k]];

                if (f->required && !(g.set & (1u << keys[i->noun][k])))
                        return registry_error(ret_error, REGISTRY_E_INVALID, f->name, "%s is needed", f->name);
        }
        q = find_row(i, &g, &before, ret_error);
        if (q != 0 && q != REGISTRY_E_NOT_FOUND)
                return q;
        q = check_seen(i, &g, before.uuid ? &before : NULL, ret_error);
        if (q != 0)
                return q;
        i->rows++;
        q = before.uuid ? stage_known(i, &g, &before, &p, &staged, ret_error)
                        : stage_new(i, &g, &p, &staged, ret_error);
        if (q != 0)
                return q;
        *ret = staged;
        staged = (ImportRow){};
        return 0;
}

static int scan_row(Import *i, import_permit_fn fn, void *userdata, RegistryError *e) {
        const Noun *noun = &registry_nouns[i->noun];
        _cleanup_(json_putp) json_object *json = NULL;
        Permit p = { .fn = fn, .userdata = userdata };
        _cleanup_(row_done) Row row = {};
        int q;

        q = row_at(noun, i->scan, &row);
        if (q != 0)
                return q;
        i->scanned = row.id;
        if (seen_has(&i->seen, target_hash(i, row.id)))
                return 0;
        q = row_to_json(i->registry, noun, &row, &json);
        if (q != 0)
                return q;
        q = permit(&p, json, NULL);
        if (q != 0)
                return q < 0 ? q : 0;
        q = noun->use ? noun->use(i->registry, &row, e) : 0;
        return q != 0 ? q : write_staged(i, noun, i->next_remove++, IMPORT_REMOVED, &row, p.deputy, json, NULL);
}

int import_scan(
        Import *i, unsigned limit, import_permit_fn fn, void *userdata, bool *ret_done, RegistryError *ret_error) {
        unsigned n = 0;
        int q;

        sqlite3_reset(i->scan);
        sqlite3_bind_int64(i->scan, 1, i->scanned);
        sqlite3_bind_int64(i->scan, 2, limit);
        while ((q = statement_row(i->scan)) == 0) {
                n++;
                q = scan_row(i, fn, userdata, ret_error);
                if (q != 0)
                        break;
        }
        sqlite3_reset(i->scan);
        if (q != REGISTRY_E_NOT_FOUND)
                return q;
        *ret_done = n < limit;
        return 0;
}

/* ---- decision and application ---- */

/* Takes the room on the disk that applying can need: SQLite makes the file that long at once. */
static int take_room(Import *i) {
        uint64_t wanted = i->room + ROOM_STEP, pages = 0, size = 0;
        sqlite3_stmt *s;
        sqlite3_int64 hint;
        int chunk, q;

        q = registry_result(sqlite3_prepare_v2(i->registry->db,
                "SELECT page_count, page_size FROM pragma_page_count, pragma_page_size", -1, &s, NULL));
        if (q == 0) {
                q = statement_row(s);
                pages = (uint64_t)sqlite3_column_int64(s, 0);
                size = (uint64_t)sqlite3_column_int64(s, 1);
                sqlite3_finalize(s);
        }
        if (q != 0)
                return q;
        wanted = (wanted + pages * size + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
        if (wanted > ROOM_MAX)
                wanted = ROOM_MAX;
        chunk = (int)wanted;
        hint = (sqlite3_int64)wanted;
        (void)sqlite3_file_control(i->registry->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
        return registry_result(sqlite3_file_control(i->registry->db, "main", SQLITE_FCNTL_SIZE_HINT, &hint));
}

static void give_room(Import *i) {
        int chunk = 0;

        (void)sqlite3_file_control(i->registry->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
}

int import_decide(Import *i, json_object *who, RegistryError *ret_error) {
        static const char sql[] = "INSERT INTO imports (id, uuid, noun, who, began, total, removed, changed, added,"
                                  " unchanged) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        const char *text = json_text(who);
        int q;

        if (!text)
                return -ENOMEM;
        if (generation(i->registry, i->noun) != i->generation)
                return registry_error(ret_error, REGISTRY_E_CONFLICT, "",
                        "the directory was changed by somebody else meanwhile; nothing was changed, try again");
        q = check_room(i, ret_error);
        if (q == 0 && i->total > IMPORT_SLICE)
                q = take_room(i);
        if (q != 0) {
                give_room(i);
                return registry_error(
                        ret_error, q, "", "there is not enough room on the disk for the import; nothing was changed");
        }
        q = registry_statement(i->registry, sql, &s);
        if (q != 0)
                return q;
        sqlite3_bind_text(s, 1, i->uuid, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, noun_to_string(i->noun), -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 3, text, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 4, (sqlite3_int64)i->now_usec);
        sqlite3_bind_int64(s, 5, (sqlite3_int64)i->total);
        for (ImportOutcome o = 0; o < _IMPORT_OUTCOME_MAX; o++)
                sqlite3_bind_int64(s, 6 + (int)o, (sqlite3_int64)i->counts[o]);
        q = statement_run(s);
        if (q != 0)
                return q;
        i->decided = true;
        i->registry->locked = depends[i->noun];
        seen_done(&i->seen);
        return 0;
}

int import_give_up(Import *i) {
        static const char sql[] = "DELETE FROM imports";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(i->registry, sql, &s);
        return q != 0 ? q : statement_run(s);
}

/* The three ways a staged row of seq ?1..?2 is written: SQL over all of them at once. */
static void sql_write(Sql *sql, const Noun *noun, ImportOutcome outcome) {
        static const char from[] = " FROM import_rows i WHERE i.seq BETWEEN ?1 AND ?2 AND i.outcome = ?3";

        switch (outcome) {
        case IMPORT_REMOVED:
                sql_add(sql,
                        "UPDATE %s AS n SET deleted = ?4, updated = ?4, origin = ?5, version = n.version + 1%s"
                        " AND n.id = i.target",
                        noun->table, from);
                break;
        case IMPORT_CHANGED:
                sql_add(sql, "UPDATE %s AS n SET updated = ?4, origin = ?5, version = i.version", noun->table);
                for (size_t f = 0; f < noun->n_fields; f++)
                        sql_add(sql, ", %s = i.v%zu", noun->fields[f].column, f);
                sql_add(sql, "%s AND n.id = i.target", from);
                break;
        default:
                sql_add(sql, "INSERT INTO %s (updated, origin, version, uuid", noun->table);
                for (size_t f = 0; f < noun->n_fields; f++)
                        sql_add(sql, ", %s", noun->fields[f].column);
                sql_add(sql, ") SELECT ?4, ?5, i.version, i.uuid");
                for (size_t f = 0; f < noun->n_fields; f++)
                        sql_add(sql, ", i.v%zu", f);
                sql_add(sql, "%s ORDER BY i.seq", from);
        }
}

static int write_rows(Import *i, int64_t first, int64_t last, ImportOutcome outcome) {
        sqlite3_stmt *s = NULL;
        Sql sql = {};
        int q;

        sql_write(&sql, &registry_nouns[i->noun], outcome);
        q = sql_prepare(i->registry, &sql, &s);
        if (q == 0) {
                sqlite3_bind_int64(s, 1, first);
                sqlite3_bind_int64(s, 2, last);
                sqlite3_bind_int(s, 3, outcome);
                sqlite3_bind_int64(s, 4, (sqlite3_int64)i->now_usec);
                sqlite3_bind_text(s, 5, i->origin, -1, SQLITE_STATIC);
                q = statement_run(s);
        }
        sqlite3_finalize(s);
        return q;
}

/* Calls fn with each of the next rows. */
static int tell_rows(Import *i, unsigned limit, import_apply_fn fn, void *userdata, int64_t *ret_first,
        int64_t *ret_last, unsigned has[static _IMPORT_OUTCOME_MAX]) {
        static const char sql[] =
                "SELECT seq, outcome, uuid, v0, before, after, deputy FROM import_rows ORDER BY seq LIMIT ?1";
        bool first_is_text = registry_nouns[i->noun].fields[0].type == TYPE_TEXT;
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = registry_statement(i->registry, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_int64(s, 1, limit));
        while (q == 0 && (q = statement_row(s)) == 0) {
                ImportChange c = { .noun = i->noun, .outcome = (ImportOutcome)sqlite3_column_int(s, 1) };

                *ret_last = sqlite3_column_int64(s, 0);
                if (i->applying == 0)
                        *ret_first = *ret_last;
                if (c.outcome < 0 || c.outcome >= IMPORT_UNCHANGED)
                        return REGISTRY_E_UNUSABLE;
                q = column_text(s, 2, &c.uuid);
                if (q == 0 && first_is_text)
                        q = column_text(s, 3, &c.first);
                if (q == 0)
                        q = column_text(s, 4, &c.before);
                if (q == 0)
                        q = column_text(s, 5, &c.after);
                if (q == 0)
                        q = column_text(s, 6, &c.deputy);
                if (q == 0)
                        q = fn(&c, userdata);
                if (q != 0)
                        return q;
                has[c.outcome]++;
                i->applying++;
        }
        return q == REGISTRY_E_NOT_FOUND ? 0 : q;
}

int import_apply(Import *i, unsigned limit, import_apply_fn fn, void *userdata, bool *ret_done) {
        static const char delete_sql[] = "DELETE FROM import_rows WHERE seq BETWEEN ?1 AND ?2";
        unsigned has[_IMPORT_OUTCOME_MAX] = {};
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int64_t first = 0, last = 0;
        int q;

        i->applying = 0;
        q = tell_rows(i, limit, fn, userdata, &first, &last, has);
        for (ImportOutcome o = 0; q == 0 && o < IMPORT_UNCHANGED; o++)
                if (has[o] > 0)
                        q = write_rows(i, first, last, o);
        if (q == 0 && i->applying > 0) {
                q = registry_statement(i->registry, delete_sql, &s);
                if (q == 0) {
                        sqlite3_bind_int64(s, 1, first);
                        sqlite3_bind_int64(s, 2, last);
                        q = statement_run(s);
                }
        }
        if (q != 0)
                return q;
        i->over = i->applying < limit;
        if (i->over)
                q = import_give_up(i);
        if (q == 0)
                *ret_done = i->over;
        return q;
}

void import_settle(Import *i, bool committed) {
        if (committed) {
                i->durable = true;
                i->applied += i->applying;
                i->registry->generation[i->noun]++;
        }
        i->applying = 0;
        if (committed && i->over) {
                i->registry->locked = 0;
                give_room(i);
        }
        if (!committed && !i->durable) { /* the decision was of this transaction, too */
                i->registry->locked = 0;
                give_room(i);
                i->decided = false;
        }
        i->over = i->over && committed;
}

int import_resume(Import **ret, Registry *r, json_object **ret_who) {
        static const char sql[] = "SELECT uuid, noun, who, began, total, removed, changed, added, unchanged,"
                                  " (SELECT count(*) FROM import_rows) FROM imports";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        _cleanup_(import_free_p) Import *i = NULL;
        _cleanup_json_ json_object *who = NULL;
        const char *noun, *text;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = statement_row(s);
        if (q != 0)
                return q;
        i = calloc(1, sizeof(*i));
        if (!i)
                return -ENOMEM;
        i->registry = r;
        q = column_dup(s, 0, &i->uuid);
        if (q == 0)
                q = column_text(s, 1, &noun);
        if (q == 0)
                q = column_text(s, 2, &text);
        if (q == 0)
                q = row_new_origin(r, &i->origin);
        if (q != 0)
                return q;
        i->noun = noun_from_string(noun);
        if (i->noun == _NOUN_INVALID || keys[i->noun][0] == 0 || json_parse_object(text, &who) < 0)
                return REGISTRY_E_UNUSABLE;
        i->now_usec = (uint64_t)sqlite3_column_int64(s, 3);
        i->total = (uint64_t)sqlite3_column_int64(s, 4);
        for (ImportOutcome o = 0; o < _IMPORT_OUTCOME_MAX; o++)
                i->counts[o] = (uint64_t)sqlite3_column_int64(s, 5 + (int)o);
        i->applied = i->total - (uint64_t)sqlite3_column_int64(s, 9);
        registry_statement_done(&s);
        i->decided = i->durable = true;
        r->locked = depends[i->noun];
        cache(r, CACHE_IMPORT);
        *ret_who = TAKE_PTR(who);
        *ret = TAKE_PTR(i);
        return 0;
}

int import_purge(Registry *r, unsigned limit, bool *ret_done) {
        static const char sql[] = "DELETE FROM import_rows WHERE NOT EXISTS (SELECT 1 FROM imports)"
                                  " AND seq IN (SELECT seq FROM import_rows ORDER BY seq LIMIT ?1)";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        unsigned n;
        int q;

        q = import_staging_begin(r);
        if (q == 0)
                q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_int64(s, 1, limit));
        if (q == 0)
                q = statement_run(s);
        registry_statement_done(&s);
        n = (unsigned)sqlite3_changes(r->db);
        q = import_staging_end(r, q);
        if (q == 0)
                *ret_done = n < limit;
        return q;
}

bool import_busy(Registry *r, NounId noun) {
        return noun >= 0 && noun < _NOUN_MAX && (r->locked & NOUN_BIT(noun));
}
