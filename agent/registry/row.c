/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "registry/json.h"
#include "registry/noun.h"

/* Directory rows by noun: SQL made from the table of fields. */

enum { COLUMN_ID, COLUMN_UUID, COLUMN_ORIGIN, COLUMN_VERSION, COLUMN_UPDATED, COLUMN_FIELDS };

/* SQL text in the making; there is room for every noun. */
typedef struct Sql {
        char text[2048];
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

static void finalize(sqlite3_stmt **s) {
        sqlite3_finalize(*s);
}

static bool is_text(const Field *f) {
        return f->type == TYPE_TEXT;
}

void row_done(Row *row) {
        free(row->uuid);
        free(row->origin);
        for (size_t i = 0; i < NOUN_FIELDS_MAX; i++)
                free(row->values[i].text);
        *row = (Row){};
}

int row_copy(const Noun *noun, const Row *from, Row *ret) {
        _cleanup_(row_done) Row row = { .id = from->id, .version = from->version, .updated = from->updated };

        row.uuid = strdup(from->uuid);
        row.origin = strdup(from->origin);
        if (!row.uuid || !row.origin)
                return -ENOMEM;
        for (size_t i = 0; i < noun->n_fields; i++) {
                row.values[i].number = from->values[i].number;
                if (from->values[i].text && !(row.values[i].text = strdup(from->values[i].text)))
                        return -ENOMEM;
        }
        *ret = row;
        row = (Row){};
        return 0;
}

static void sql_select(Sql *q, const Noun *noun) {
        sql_add(q, "SELECT " ROW_COLUMNS);
        for (size_t i = 0; i < noun->n_fields; i++)
                sql_add(q, ", n.%s", noun->fields[i].column);
        sql_add(q, " FROM %s n WHERE n.deleted = 0", noun->table);
}

int row_at(const Noun *noun, sqlite3_stmt *s, Row *ret) {
        _cleanup_(row_done) Row row = {};
        int q;

        q = column_dup(s, COLUMN_UUID, &row.uuid);
        if (q == 0)
                q = column_dup(s, COLUMN_ORIGIN, &row.origin);
        row.id = sqlite3_column_int64(s, COLUMN_ID);
        row.version = sqlite3_column_int64(s, COLUMN_VERSION);
        row.updated = sqlite3_column_int64(s, COLUMN_UPDATED);
        for (size_t i = 0; q == 0 && i < noun->n_fields; i++) {
                int column = COLUMN_FIELDS + (int)i;

                if (is_text(&noun->fields[i]))
                        q = column_dup(s, column, &row.values[i].text);
                else
                        row.values[i].number = sqlite3_column_int64(s, column);
        }
        if (q != 0)
                return q;
        *ret = row;
        row = (Row){};
        return 0;
}

typedef enum By {
        BY_ID,
        BY_UUID,
        BY_KEY,
        _BY_MAX,
} By;

/* Reads the one row whose id, uuid or key is this number or text. An import asks for so many that the statements are
 * kept: their texts are made once, and registry_statement() knows them by their address. */
static int row_where(Registry *r, NounId noun_id, By by, const char *text, int64_t number, Row *ret) {
        static Sql texts[_NOUN_MAX][_BY_MAX];
        const Noun *noun = &registry_nouns[noun_id];
        const char *const columns[_BY_MAX] = { [BY_ID] = "n.id", [BY_UUID] = "n.uuid", [BY_KEY] = noun->key };
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        Sql *sql = &texts[noun_id][by];
        int q;

        if (sql->size == 0) {
                sql_select(sql, noun);
                sql_add(sql, " AND %s = ?1", columns[by]);
        }
        if (sql->size >= sizeof(sql->text))
                return -EOVERFLOW;
        q = registry_statement(r, sql->text, &s);
        if (q == 0)
                q = registry_result(
                        text ? sqlite3_bind_text(s, 1, text, -1, SQLITE_STATIC) : sqlite3_bind_int64(s, 1, number));
        if (q == 0)
                q = statement_row(s);
        return q != 0 ? q : row_at(noun, s, ret);
}

int row_read_id(Registry *r, NounId noun, int64_t id, Row *ret) {
        return row_where(r, noun, BY_ID, NULL, id, ret);
}

int row_read(Registry *r, NounId noun, const char *id, Row *ret) {
        int q;

        q = row_where(r, noun, BY_UUID, id, 0, ret);
        if (q == REGISTRY_E_NOT_FOUND && registry_nouns[noun].key)
                q = row_where(r, noun, BY_KEY, id, 0, ret);
        return q;
}

int row_new_uuid(char **ret) {
        sd_id128_t id;
        char *text;
        int q;

        q = sd_id128_randomize(&id);
        if (q < 0)
                return q;
        text = malloc(SD_ID128_UUID_STRING_MAX);
        if (!text)
                return -ENOMEM;
        *ret = sd_id128_to_uuid_string(id, text);
        return 0;
}

int row_new_origin(Registry *r, char **ret) {
        int q = registry_meta_get(r, "terminal", ret);

        if (q != REGISTRY_E_NOT_FOUND)
                return q;
        *ret = strdup("local");
        return *ret ? 0 : -ENOMEM;
}

static int bind_fields(const Noun *noun, sqlite3_stmt *s, int first, const Row *row) {
        for (size_t i = 0; i < noun->n_fields; i++) {
                int parameter = first + (int)i, rc;

                if (is_text(&noun->fields[i]))
                        rc = sqlite3_bind_text(s, parameter, row->values[i].text, -1, SQLITE_STATIC);
                else
                        rc = sqlite3_bind_int64(s, parameter, row->values[i].number);
                if (rc != SQLITE_OK)
                        return registry_result(rc);
        }
        return 0;
}

/* Runs a statement that writes a row; a second row with the same name is a condition. */
static int write_row(const Noun *noun, sqlite3_stmt *s, const Row *row, RegistryError *e) {
        int rc = sqlite3_step(s);

        if (rc == SQLITE_CONSTRAINT_UNIQUE)
                return registry_error(e, REGISTRY_E_EXISTS, noun->fields[0].name, "there is already a %s \"%s\"",
                        noun->name, shown(row->values[0].text ? row->values[0].text : "").text);
        return registry_result(rc);
}

static int row_insert(Registry *r, const Noun *noun, Row *row, RegistryError *e) {
        _cleanup_(finalize) sqlite3_stmt *s = NULL;
        Sql sql = {};
        int q;

        sql_add(&sql, "INSERT INTO %s (uuid, origin, version, updated", noun->table);
        for (size_t i = 0; i < noun->n_fields; i++)
                sql_add(&sql, ", %s", noun->fields[i].column);
        sql_add(&sql, ") VALUES (?1, ?2, ?3, ?4");
        for (size_t i = 0; i < noun->n_fields; i++)
                sql_add(&sql, ", ?%zu", i + 5);
        sql_add(&sql, ")");

        q = sql_prepare(r, &sql, &s);
        if (q != 0)
                return q;
        sqlite3_bind_text(s, 1, row->uuid, -1, SQLITE_STATIC);
        sqlite3_bind_text(s, 2, row->origin, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 3, row->version);
        sqlite3_bind_int64(s, 4, row->updated);
        q = bind_fields(noun, s, 5, row);
        if (q == 0)
                q = write_row(noun, s, row, e);
        if (q != 0)
                return q;
        row->id = sqlite3_last_insert_rowid(r->db);
        r->generation[noun - registry_nouns]++;
        return q;
}

static int row_update(Registry *r, const Noun *noun, const Row *row, int64_t deleted, RegistryError *e) {
        _cleanup_(finalize) sqlite3_stmt *s = NULL;
        Sql sql = {};
        int q;

        sql_add(&sql, "UPDATE %s SET version = ?2, updated = ?3, deleted = ?4, origin = ?5", noun->table);
        for (size_t i = 0; i < noun->n_fields; i++)
                sql_add(&sql, ", %s = ?%zu", noun->fields[i].column, i + 6);
        sql_add(&sql, " WHERE id = ?1");

        q = sql_prepare(r, &sql, &s);
        if (q != 0)
                return q;
        sqlite3_bind_int64(s, 1, row->id);
        sqlite3_bind_int64(s, 2, row->version);
        sqlite3_bind_int64(s, 3, row->updated);
        sqlite3_bind_int64(s, 4, deleted);
        sqlite3_bind_text(s, 5, row->origin, -1, SQLITE_STATIC);
        q = bind_fields(noun, s, 6, row);
        if (q == 0)
                q = write_row(noun, s, row, e);
        if (q == 0)
                r->generation[noun - registry_nouns]++;
        return q;
}

int row_check(Registry *r, const Noun *noun, const Row *before, const Row *after, uint64_t now, RegistryError *e) {
        for (size_t i = 0; i < noun->n_fields; i++) {
                const Field *f = &noun->fields[i];

                if (f->required && (is_text(f) ? !after->values[i].text : after->values[i].number == 0))
                        return registry_error(e, REGISTRY_E_INVALID, f->name, "%s is needed", f->name);
        }
        return noun->check ? noun->check(r, before, after, now, e) : 0;
}

static int usable(Registry *r, NounId noun, RegistryError *e) {
        if (noun < 0 || noun >= _NOUN_MAX)
                return -EINVAL;
        if (r->locked & NOUN_BIT(noun))
                return registry_error(e, REGISTRY_E_UNUSABLE, "",
                        "an import is being applied; nothing was changed, try again in a few seconds");
        return registry_in_transaction(r) ? 0 : -EPERM;
}

int registry_row_add(Registry *r, NounId noun_id, json_object *fields, uint64_t now_usec, json_object **ret_after,
        RegistryError *ret_error) {
        const Noun *noun;
        _cleanup_(row_done) Row row = { .version = 1, .updated = (int64_t)now_usec };
        int q;

        q = usable(r, noun_id, ret_error);
        if (q != 0)
                return q;
        noun = &registry_nouns[noun_id];

        for (size_t i = 0; i < noun->n_fields; i++) {
                const Field *f = &noun->fields[i];

                row.values[i].number = f->initial_usec > 0 ? (int64_t)now_usec + f->initial_usec : f->initial;
        }
        q = row_from_json(r, noun, fields, false, &row, ret_error);
        if (q == 0)
                q = row_check(r, noun, NULL, &row, now_usec, ret_error);
        if (q == 0)
                q = row_new_uuid(&row.uuid);
        if (q == 0)
                q = row_new_origin(r, &row.origin);
        if (q == 0)
                q = row_insert(r, noun, &row, ret_error);
        if (q == 0 && ret_after)
                q = row_to_json(r, noun, &row, ret_after);
        return q;
}

static bool values_differ(const Field *f, const Value *a, const Value *b) {
        if (!is_text(f))
                return a->number != b->number;
        return !a->text != !b->text || (a->text && strcmp(a->text, b->text) != 0);
}

int row_check_fixed(const Noun *noun, const Row *before, const Row *after, RegistryError *e) {
        for (size_t i = 0; i < noun->n_fields; i++) {
                const Field *f = &noun->fields[i];

                if (f->fixed && values_differ(f, &before->values[i], &after->values[i]))
                        return registry_error(e, REGISTRY_E_INVALID, f->name,
                                "%s cannot be changed; add another %s and remove this one", f->name, noun->name);
        }
        return 0;
}

static int write_change(Registry *r, const Noun *noun, const Row *before, Row *after, uint64_t now_usec,
        json_object **ret_after, RegistryError *e) {
        _cleanup_(json_putp) json_object *json = NULL;
        int q;

        after->version = before->version + 1;
        after->updated = (int64_t)now_usec;
        free(TAKE_PTR(after->origin));
        q = row_new_origin(r, &after->origin);
        if (q == 0)
                q = row_update(r, noun, after, 0, e);
        if (q == 0)
                q = row_to_json(r, noun, after, &json);
        if (q == 0)
                q = row_mark_changed(noun, before, after, json);
        if (q == 0)
                *ret_after = TAKE_PTR(json);
        return q;
}

/* The row as it is, as JSON and as a copy to change. */
static int edit_begin(Registry *r, NounId noun_id, const char *id, Row *before, json_object **ret_json, Row *after,
        RegistryError *e) {
        const Noun *noun;
        int q;

        q = usable(r, noun_id, e);
        if (q != 0)
                return q;
        noun = &registry_nouns[noun_id];
        q = row_read(r, noun_id, id, before);
        if (q == REGISTRY_E_NOT_FOUND)
                return registry_error(e, q, "", "there is no %s \"%s\"", noun->name, shown(id).text);
        if (q == 0)
                q = row_to_json(r, noun, before, ret_json);
        return q == 0 ? row_copy(noun, before, after) : q;
}

int registry_row_change(Registry *r, NounId noun_id, const char *id, json_object *fields, uint64_t now_usec,
        json_object **ret_before, json_object **ret_after, RegistryError *ret_error) {
        _cleanup_(json_putp) json_object *before_json = NULL, *after_json = NULL;
        _cleanup_(row_done) Row before = {}, after = {};
        const Noun *noun;
        int q;

        q = edit_begin(r, noun_id, id, &before, &before_json, &after, ret_error);
        if (q != 0)
                return q;
        noun = &registry_nouns[noun_id];
        q = row_from_json(r, noun, fields, true, &after, ret_error);
        if (q == 0 && after.version != before.version)
                return registry_error(ret_error, REGISTRY_E_CONFLICT, "version",
                        "the %s has version %lld by now; look at it again", noun->name, (long long)before.version);
        if (q == 0)
                q = row_check_fixed(noun, &before, &after, ret_error);
        if (q == 0)
                q = row_check(r, noun, &before, &after, now_usec, ret_error);
        if (q == 0)
                q = write_change(r, noun, &before, &after, now_usec, &after_json, ret_error);
        if (q != 0)
                return q;
        if (ret_before)
                *ret_before = TAKE_PTR(before_json);
        if (ret_after)
                *ret_after = TAKE_PTR(after_json);
        return 0;
}

int row_edit(Registry *r, NounId noun_id, const char *id, row_edit_fn edit, void *userdata, uint64_t now_usec,
        json_object **ret_before, json_object **ret_after, RegistryError *ret_error) {
        _cleanup_(json_putp) json_object *before_json = NULL, *after_json = NULL;
        _cleanup_(row_done) Row before = {}, after = {};
        int q;

        q = edit_begin(r, noun_id, id, &before, &before_json, &after, ret_error);
        if (q != 0)
                return q;
        edit(&after, userdata);
        q = write_change(r, &registry_nouns[noun_id], &before, &after, now_usec, &after_json, ret_error);
        if (q != 0)
                return q;
        if (ret_before)
                *ret_before = TAKE_PTR(before_json);
        if (ret_after)
                *ret_after = TAKE_PTR(after_json);
        return 0;
}

int registry_row_remove(Registry *r, NounId noun_id, const char *id, uint64_t now_usec, json_object **ret_before,
        RegistryError *ret_error) {
        _cleanup_(json_putp) json_object *before = NULL;
        _cleanup_(row_done) Row row = {};
        const Noun *noun;
        int q;

        q = usable(r, noun_id, ret_error);
        if (q != 0)
                return q;
        noun = &registry_nouns[noun_id];

        q = row_read(r, noun_id, id, &row);
        if (q == REGISTRY_E_NOT_FOUND)
                return registry_error(ret_error, q, "", "there is no %s \"%s\"", noun->name, shown(id).text);
        if (q == 0)
                q = row_to_json(r, noun, &row, &before);
        if (q == 0 && noun->use)
                q = noun->use(r, &row, ret_error);
        if (q != 0)
                return q;

        row.version++;
        row.updated = (int64_t)now_usec;
        free(TAKE_PTR(row.origin));
        q = row_new_origin(r, &row.origin);
        if (q == 0)
                q = row_update(r, noun, &row, now_usec > 0 ? (int64_t)now_usec : 1, ret_error);
        if (q == 0 && ret_before)
                *ret_before = TAKE_PTR(before);
        return q;
}

int registry_row_get(Registry *r, NounId noun_id, const char *id, json_object **ret) {
        _cleanup_(row_done) Row row = {};
        int q;

        if (noun_id < 0 || noun_id >= _NOUN_MAX)
                return -EINVAL;
        q = row_read(r, noun_id, id, &row);
        return q != 0 ? q : row_to_json(r, &registry_nouns[noun_id], &row, ret);
}

/* Appends the row that a prepared selection stands on to `list`. */
static int list_row(Registry *r, const Noun *noun, sqlite3_stmt *s, json_object *list) {
        _cleanup_(json_putp) json_object *o = NULL;
        _cleanup_(row_done) Row row = {};
        int q;

        q = row_at(noun, s, &row);
        if (q == 0)
                q = row_to_json(r, noun, &row, &o);
        if (q == 0 && json_object_array_add(list, o) < 0)
                q = -ENOMEM;
        if (q == 0)
                TAKE_PTR(o);
        return q;
}

/* Appends the rows of a prepared selection to `list`. */
static int list_rows(Registry *r, const Noun *noun, sqlite3_stmt *s, json_object *list) {
        int q;

        while ((q = statement_row(s)) == 0) {
                q = list_row(r, noun, s, list);
                if (q != 0)
                        return q;
        }
        return q == REGISTRY_E_NOT_FOUND ? 0 : q;
}

int registry_row_list(
        Registry *r, NounId noun_id, json_object *filter, unsigned limit, json_object **ret, RegistryError *ret_error) {
        _cleanup_(json_putp) json_object *list = NULL;
        _cleanup_(finalize) sqlite3_stmt *s = NULL;
        _cleanup_(row_done) Row wanted = {};
        Sql sql = {};
        const Noun *noun;
        int q;

        if (noun_id < 0 || noun_id >= _NOUN_MAX)
                return -EINVAL;
        noun = &registry_nouns[noun_id];

        for (size_t i = 0; filter && i < noun->n_fields; i++)
                if (noun->fields[i].private && json_object_object_get_ex(filter, noun->fields[i].name, NULL))
                        return registry_error(ret_error, REGISTRY_E_INVALID, noun->fields[i].name,
                                "%ss are not looked up by %s", noun->name, noun->fields[i].name);
        q = filter ? row_from_json(r, noun, filter, false, &wanted, ret_error) : 0;
        if (q != 0)
                return q;
        sql_select(&sql, noun);
        for (size_t i = 0; i < noun->n_fields; i++)
                if (filter && json_object_object_get_ex(filter, noun->fields[i].name, NULL))
                        sql_add(&sql, " AND n.%s IS ?%zu", noun->fields[i].column, i + 2);
        sql_add(&sql, " ORDER BY %s LIMIT ?1", noun->order);

        list = json_object_new_array();
        if (!list)
                return -ENOMEM;
        q = sql_prepare(r, &sql, &s);
        if (q != 0)
                return q;
        sqlite3_bind_int64(s, 1, limit > 0 ? (int64_t)limit : -1);
        for (size_t i = 0; q == 0 && i < noun->n_fields; i++) {
                int parameter = (int)i + 2;

                if (!filter || !json_object_object_get_ex(filter, noun->fields[i].name, NULL))
                        continue;
                q = registry_result(is_text(&noun->fields[i])
                                            ? sqlite3_bind_text(s, parameter, wanted.values[i].text, -1, SQLITE_STATIC)
                                            : sqlite3_bind_int64(s, parameter, wanted.values[i].number));
        }
        if (q == 0)
                q = list_rows(r, noun, s, list);
        if (q == 0)
                *ret = TAKE_PTR(list);
        return q;
}

int registry_row_page(
        Registry *r, NounId noun_id, uint64_t after, unsigned limit, json_object **ret, uint64_t *ret_last) {
        _cleanup_(json_putp) json_object *list = json_object_new_array();
        _cleanup_(finalize) sqlite3_stmt *s = NULL;
        uint64_t last = after;
        const Noun *noun;
        Sql sql = {};
        int q;

        if (noun_id < 0 || noun_id >= _NOUN_MAX || after > INT64_MAX)
                return -EINVAL;
        if (!list)
                return -ENOMEM;
        noun = &registry_nouns[noun_id];
        sql_select(&sql, noun);
        sql_add(&sql, " AND n.id > ?1 ORDER BY n.id LIMIT ?2");
        q = sql_prepare(r, &sql, &s);
        if (q != 0)
                return q;
        sqlite3_bind_int64(s, 1, (sqlite3_int64)after);
        sqlite3_bind_int64(s, 2, limit);
        while ((q = statement_row(s)) == 0) {
                last = (uint64_t)sqlite3_column_int64(s, COLUMN_ID);
                q = list_row(r, noun, s, list);
                if (q != 0)
                        return q;
        }
        if (q != REGISTRY_E_NOT_FOUND)
                return q;
        *ret_last = last;
        *ret = TAKE_PTR(list);
        return 0;
}

uint64_t registry_generation(const Registry *r, NounId noun) {
        return noun >= 0 && noun < _NOUN_MAX ? r->generation[noun] : 0;
}
