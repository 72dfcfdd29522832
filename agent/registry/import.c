/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/import-internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/statvfs.h>

#include "registry/json.h"
#include "util/clock.h"
#include "util/json.h"

/* seq of the first removal: behind everything else. */
#define REMOVALS_FROM (INT64_C(1) << 40)

const size_t import_keys[_NOUN_MAX][4] = {
        [NOUN_USER] = { 1, USER_ACCOUNT },
        [NOUN_MEMBER] = { 2, MEMBER_ACCOUNT, MEMBER_PERSON },
        [NOUN_TERMINAL] = { 1, TERMINAL_F_NAME },
        [NOUN_SCOPE] = { 1, SCOPE_NAME },
        [NOUN_DESIGNATION] = { 3, DESIGNATION_SUBJECT, DESIGNATION_SCOPE, DESIGNATION_TERMINALS },
};

/* ---- what the file had ---- */

void seen_done(Seen *s) {
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

static void sql_select(Sql *q, const Noun *noun, const char *how) {
        import_sql_add(q, "SELECT " ROW_COLUMNS);
        for (size_t i = 0; i < noun->n_fields; i++)
                import_sql_add(q, ", n.%s", noun->fields[i].column);
        import_sql_add(q, " FROM %s n%s WHERE n.deleted = 0", noun->table, how);
}

/* The statements that find a row by its key, and rows one after the other. A designation is looked for among those of
 * its subject: a scope may have all of them. */
static int prepare(Import *i) {
        const Noun *noun = &registry_nouns[i->noun];
        Sql find = {}, scan = {};
        int q;

        sql_select(&find, noun, i->noun == NOUN_DESIGNATION ? " INDEXED BY designations_subject" : "");
        for (size_t k = 1; k <= import_keys[i->noun][0]; k++) {
                const Field *f = &noun->fields[import_keys[i->noun][k]];

                import_sql_add(&find, " AND n.%s %s ?%zu", f->column, f->required ? "=" : "IS", k);
        }
        import_sql_add(&find, " LIMIT 2");
        sql_select(&scan, noun, "");
        import_sql_add(&scan, " AND n.id > ?1 ORDER BY n.id LIMIT ?2");
        q = import_sql_prepare(i->registry, &find, &i->find);
        return q != 0 ? q : import_sql_prepare(i->registry, &scan, &i->scan);
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
        for (size_t k = 1; k <= import_keys[i->noun][0] && !uuid; k++) {
                const Field *f = &noun->fields[import_keys[i->noun][k]];

                if (f->required && !(have & (1u << import_keys[i->noun][k])))
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
        if (import_keys[noun][0] == 0)
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
        i->generation = import_generation(r, noun);
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
        import_cache(r, true);
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
        import_cache(i->registry, false);
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
                return a->text && b->text ? strcmp(a->text, b->text) == 0 : a->text == b->text;
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
        for (size_t k = 1; k <= import_keys[i->noun][0]; k++) {
                size_t f = import_keys[i->noun][k];
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
        const Field *first = &noun->fields[import_keys[i->noun][1]];
        bool by_uuid = g->uuid && before, renamed = false;
        char key[1024];
        uint32_t line = 0;
        size_t size = 0;
        int q;

        for (size_t k = 1; k <= import_keys[i->noun][0] && size < sizeof(key); k++) {
                size_t f = import_keys[i->noun][k];
                const Value *v = by_uuid && !(g->set & (1u << f)) ? &before->values[f] : &g->row.values[f];
                int n = snprintf(
                        key + size, sizeof(key) - size, "%s\t%lld\t", v->text ? v->text : "", (long long)v->number);

                size += n > 0 ? (size_t)n : 0;
                renamed = renamed || (by_uuid && !same_value(&noun->fields[f], v, &before->values[f]));
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
                q = row_mark_changed(noun, before, &row, ret->after);
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
        q = i->rows % ROOM_CHECK == 0 ? import_check_room(i, ret_error) : 0;
        if (q == 0)
                q = read_cells(i, cells, &g, ret_error);
        if (q != 0)
                return q;
        for (size_t k = 1; !g.uuid && k <= import_keys[i->noun][0]; k++) {
                const Field *f = &registry_nouns[i->noun].fields[import_keys[i->noun][k]];

                if (f->required && !(g.set & (1u << import_keys[i->noun][k])))
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
