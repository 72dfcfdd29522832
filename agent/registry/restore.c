/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/restore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry/import-internal.h"
#include "registry/import.h"
#include "registry/json.h"
#include "util/json.h"

#define UUID_SIZE 36u

/* Live rows (n) that stay as they are whatever the backup says; NULL: none. */
static const char *const stays[_NOUN_MAX] = {
        [NOUN_USER] = "n.retired <> 0",
        [NOUN_TERMINAL] = "n.retired <> 0",
        [NOUN_RESTRICTION] = "1",
        [NOUN_CREDENTIAL] = "n.state <> 'active'",
};

static void finalize(sqlite3_stmt **s) {
        sqlite3_finalize(*s);
}

static const char *stays_sql(NounId noun) {
        return stays[noun] ? stays[noun] : "0";
}

/* SQL of a column of n as it travels. */
static void add_column(Sql *q, const Field *f) {
        if (f->type == TYPE_SCOPE)
                import_sql_add(q, "(SELECT x.uuid FROM scopes x WHERE x.id = n.%s)", f->column);
        else
                import_sql_add(q, "n.%s", f->column);
}

/* Whether the live row n and the staged row s are the same. */
static void add_same(Sql *q, const Noun *noun) {
        for (size_t i = 0; i < noun->n_fields; i++) {
                import_sql_add(q, "%ss.v%zu IS ", i > 0 ? " AND " : "(", i);
                add_column(q, &noun->fields[i]);
        }
        import_sql_add(q, ")");
}

/* Prepares `q` with ?1 bound to the noun. */
static int prepare(Registry *r, const Sql *q, NounId noun, sqlite3_stmt **ret) {
        int p = import_sql_prepare(r, q, ret);

        return p != 0 ? p : registry_result(sqlite3_bind_int(*ret, 1, (int)noun));
}

/* ---- rows as they travel ---- */

static int put(json_object *o, const char *name, json_object *value) {
        return json_set(o, name, value);
}

/* A row of a selection whose columns are uuid, version and then one for each field, from `first` on. */
static int travelling(const Noun *noun, sqlite3_stmt *s, int first, json_object **ret) {
        _cleanup_json_ json_object *o = json_object_new_object(), *values = json_object_new_object();
        const char *text;
        int q;

        if (!o || !values)
                return -ENOMEM;
        q = column_text(s, first, &text);
        if (q == 0)
                q = put(o, "uuid", text ? json_object_new_string(text) : NULL);
        if (q == 0)
                q = put(o, "version", json_object_new_int64(sqlite3_column_int64(s, first + 1)));
        for (size_t i = 0; q == 0 && i < noun->n_fields; i++) {
                int column = first + 2 + (int)i;

                if (sqlite3_column_type(s, column) == SQLITE_NULL)
                        continue;
                if (sqlite3_column_type(s, column) == SQLITE_INTEGER) {
                        q = put(values, noun->fields[i].name, json_object_new_int64(sqlite3_column_int64(s, column)));
                        continue;
                }
                q = column_text(s, column, &text);
                if (q == 0)
                        q = put(values, noun->fields[i].name, json_object_new_string(text));
        }
        if (q == 0)
                q = put(o, "values", TAKE_PTR(values));
        if (q == 0)
                *ret = TAKE_PTR(o);
        return q;
}

int backup_page(Registry *r, NounId noun_id, int64_t after, unsigned limit, json_object **ret, int64_t *ret_last) {
        const Noun *noun = &registry_nouns[noun_id];
        _cleanup_json_ json_object *rows = json_object_new_array();
        _cleanup_(finalize) sqlite3_stmt *s = NULL;
        int64_t last = after;
        Sql sql = {};
        int q;

        if (!rows)
                return -ENOMEM;
        import_sql_add(&sql, "SELECT n.id, n.uuid, n.version");
        for (size_t i = 0; i < noun->n_fields; i++) {
                import_sql_add(&sql, ", ");
                add_column(&sql, &noun->fields[i]);
        }
        import_sql_add(&sql, " FROM %s n WHERE n.deleted = 0 AND n.id > ?1 ORDER BY n.id LIMIT ?2", noun->table);
        q = import_sql_prepare(r, &sql, &s);
        if (q != 0)
                return q;
        sqlite3_bind_int64(s, 1, after);
        sqlite3_bind_int64(s, 2, limit);
        while ((q = statement_row(s)) == 0) {
                json_object *row = NULL;

                q = travelling(noun, s, 1, &row);
                if (q == 0 && json_object_array_add(rows, row) < 0) {
                        json_object_put(row);
                        q = -ENOMEM;
                }
                if (q != 0)
                        return q;
                last = sqlite3_column_int64(s, 0);
        }
        if (q != REGISTRY_E_NOT_FOUND)
                return q;
        *ret = TAKE_PTR(rows);
        *ret_last = last;
        return 0;
}

int backup_count(Registry *r, uint64_t *ret) {
        uint64_t n = 0;

        for (NounId i = 0; i < _NOUN_MAX; i++) {
                _cleanup_(finalize) sqlite3_stmt *s = NULL;
                Sql sql = {};
                int q;

                import_sql_add(&sql, "SELECT count(*) FROM %s WHERE deleted = 0", registry_nouns[i].table);
                q = import_sql_prepare(r, &sql, &s);
                if (q == 0)
                        q = statement_row(s);
                if (q != 0)
                        return q;
                n += (uint64_t)sqlite3_column_int64(s, 0);
        }
        *ret = n;
        return 0;
}

uint64_t restore_generation(const Registry *r) {
        uint64_t sum = 0;

        for (NounId n = 0; n < _NOUN_MAX; n++)
                sum += r->generation[n];
        return sum;
}

/* ---- staging ---- */

int restore_clear(Registry *r) {
        static const char sql[] = "DELETE FROM restore_rows";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        q = import_staging_begin(r);
        if (q == 0)
                q = registry_statement(r, sql, &s);
        if (q == 0)
                q = statement_run(s);
        registry_statement_done(&s);
        return import_staging_end(r, q);
}

static bool uuid_valid(const char *text) {
        if (!text || strlen(text) != UUID_SIZE)
                return false;
        for (size_t i = 0; i < UUID_SIZE; i++)
                if (i == 8 || i == 13 || i == 18 || i == 23 ? text[i] != '-' : !strchr("0123456789abcdef", text[i]))
                        return false;
        return true;
}

static int value_wrong(const Field *f, RegistryError *e, const char *why) {
        return registry_error(e, REGISTRY_E_INVALID, f->name, "%s %s", f->name, why);
}

/* Checks one value and binds it. */
static int bind_value(Registry *r, const Field *f, json_object *value, sqlite3_stmt *s, int at, RegistryError *e) {
        bool is_text = f->type == TYPE_TEXT || f->type == TYPE_SCOPE;
        const char *text, *error;
        int64_t n;

        if (!value) {
                if (f->required)
                        return value_wrong(f, e, "is needed");
                return registry_result(is_text ? sqlite3_bind_null(s, at) : sqlite3_bind_int64(s, at, f->initial));
        }
        if (is_text) {
                text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;
                if (!text || *text == '\0')
                        return value_wrong(f, e, "must be a text");
                if (f->type == TYPE_SCOPE && !uuid_valid(text))
                        return value_wrong(f, e, "must be the uuid of a scope");
                if (f->type == TYPE_TEXT && strlen(text) > f->size)
                        return value_wrong(f, e, "is too long");
                error = f->type == TYPE_TEXT ? f->check(r, text) : NULL;
                return error ? value_wrong(f, e, error)
                             : registry_result(sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT));
        }
        n = json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : INT64_MIN;
        if (f->type == TYPE_BOOL || f->type == TYPE_INT ? n < f->min || n > f->max : n < 0 || n == INT64_MAX)
                return value_wrong(f, e, "is not a number that it can have");
        if (f->required && n == 0)
                return value_wrong(f, e, "is needed");
        return registry_result(sqlite3_bind_int64(s, at, n));
}

static int check_names(const Noun *noun, json_object *values, RegistryError *e) {
        json_object_object_foreach(values, name, value) {
                size_t i = 0;

                (void)value;
                while (i < noun->n_fields && strcmp(noun->fields[i].name, name) != 0)
                        i++;
                if (i == noun->n_fields)
                        return registry_error(e, REGISTRY_E_INVALID, shown(name).text,
                                "a %s has no \"%s\"; the backup may be of a newer keishi", noun->name,
                                shown(name).text);
        }
        return 0;
}

int restore_stage(Registry *r, NounId noun_id, json_object *row, RegistryError *ret_error) {
        static const char sql[] = "INSERT INTO restore_rows (noun, uuid, version, v0, v1, v2, v3, v4, v5, v6, v7, v8,"
                                  " v9, v10, v11, v12, v13, v14, v15) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"
                                  " ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)";
        static const char *const names[] = { "uuid", "version", "values", NULL };
        const Noun *noun = &registry_nouns[noun_id];
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        json_object *values = NULL, *version = NULL, *value;
        const char *uuid, *unknown = NULL;
        int q, rc;

        if (!registry_in_transaction(r))
                return -EPERM;
        uuid = json_object_is_type(row, json_type_object) ? json_string(row, "uuid") : NULL;
        if (!uuid_valid(uuid) || !json_only_has(row, names, &unknown) ||
                !json_object_object_get_ex(row, "version", &version) || !json_object_is_type(version, json_type_int) ||
                json_object_get_int64(version) < 1 || json_object_get_int64(version) > INT32_MAX ||
                !json_object_object_get_ex(row, "values", &values) || !json_object_is_type(values, json_type_object))
                return registry_error(ret_error, REGISTRY_E_INVALID, "", "a row is a uuid, a version and values");
        q = check_names(noun, values, ret_error);
        if (q == 0)
                q = registry_statement(r, sql, &s);
        if (q != 0)
                return q;
        sqlite3_bind_int(s, 1, (int)noun_id);
        sqlite3_bind_text(s, 2, uuid, -1, SQLITE_STATIC);
        sqlite3_bind_int64(s, 3, json_object_get_int64(version));
        for (size_t i = 0; i < noun->n_fields; i++) {
                value = NULL;
                (void)json_object_object_get_ex(values, noun->fields[i].name, &value);
                q = bind_value(r, &noun->fields[i], value, s, 4 + (int)i, ret_error);
                if (q != 0)
                        return q;
        }
        rc = sqlite3_step(s);
        if (rc == SQLITE_CONSTRAINT_PRIMARYKEY || rc == SQLITE_CONSTRAINT_UNIQUE)
                return registry_error(ret_error, REGISTRY_E_EXISTS, "uuid", "the %s %s stands twice", noun->name, uuid);
        return registry_result(rc);
}

int restore_keep_life(Registry *r, const char *uuid) {
        const Noun *noun = &registry_nouns[NOUN_TERMINAL];
        _cleanup_(finalize) sqlite3_stmt *s = NULL;
        bool first = true;
        Sql sql = {};
        int q;

        import_sql_add(&sql, "UPDATE restore_rows AS s SET");
        for (size_t i = 0; i < noun->n_fields; i++)
                if (noun->fields[i].kept) {
                        import_sql_add(&sql, "%s v%zu = n.%s", first ? "" : ",", i, noun->fields[i].column);
                        first = false;
                }
        import_sql_add(
                &sql, " FROM %s n WHERE s.noun = ?1 AND s.uuid = ?2 AND n.uuid = ?2 AND n.deleted = 0", noun->table);
        q = prepare(r, &sql, NOUN_TERMINAL, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_text(s, 2, uuid, -1, SQLITE_STATIC));
        return q == 0 ? statement_run(s) : q;
}

/* ---- the difference ---- */

int restore_count(Registry *r, NounId noun_id, RestoreCounts *ret) {
        const Noun *noun = &registry_nouns[noun_id];
        _cleanup_(finalize) sqlite3_stmt *s = NULL;
        Sql sql = {};
        int q;

        import_sql_add(&sql,
                "SELECT (SELECT count(*) FROM restore_rows s WHERE s.noun = ?1 AND NOT EXISTS"
                " (SELECT 1 FROM %s n WHERE n.uuid = s.uuid AND n.deleted = 0)), sum(t.there AND t.same),"
                " sum(t.there AND NOT t.same AND NOT t.stays), sum(NOT t.there AND NOT t.stays),"
                " sum(t.stays AND NOT (t.there AND t.same)) FROM"
                " (SELECT s.uuid IS NOT NULL AS there, %s AS stays, coalesce(",
                noun->table, stays_sql(noun_id));
        add_same(&sql, noun);
        import_sql_add(&sql,
                ", 0) AS same FROM %s n LEFT JOIN restore_rows s ON s.noun = ?1 AND s.uuid = n.uuid"
                " WHERE n.deleted = 0) t",
                noun->table);
        q = prepare(r, &sql, noun_id, &s);
        if (q == 0)
                q = statement_row(s);
        if (q != 0)
                return q;
        *ret = (RestoreCounts){
                .added = (uint64_t)sqlite3_column_int64(s, 0),
                .unchanged = (uint64_t)sqlite3_column_int64(s, 1),
                .changed = (uint64_t)sqlite3_column_int64(s, 2),
                .removed = (uint64_t)sqlite3_column_int64(s, 3),
                .kept = (uint64_t)sqlite3_column_int64(s, 4),
        };
        return 0;
}

/* Which rows, by what is to happen to them. */
static void add_selection(Sql *q, NounId noun_id, const char *change) {
        const Noun *noun = &registry_nouns[noun_id];

        if (strcmp(change, "added") == 0)
                import_sql_add(q,
                        " FROM restore_rows s LEFT JOIN %s n ON 0 WHERE s.noun = ?1 AND NOT EXISTS"
                        " (SELECT 1 FROM %s o WHERE o.uuid = s.uuid AND o.deleted = 0)",
                        noun->table, noun->table);
        else if (strcmp(change, "changed") == 0) {
                import_sql_add(q,
                        " FROM %s n JOIN restore_rows s ON s.noun = ?1 AND s.uuid = n.uuid WHERE n.deleted = 0"
                        " AND NOT (%s) AND NOT ",
                        noun->table, stays_sql(noun_id));
                add_same(q, noun);
        } else
                import_sql_add(q,
                        " FROM %s n LEFT JOIN restore_rows s ON s.noun = ?1 AND s.uuid = n.uuid WHERE n.deleted = 0"
                        " AND s.uuid IS NULL AND NOT (%s)",
                        noun->table, stays_sql(noun_id));
        import_sql_add(q, " LIMIT ?2");
}

/* Private values are shown to be there, no more. */
static void hide_private(const Noun *noun, json_object *row) {
        json_object *values = NULL;

        if (!json_object_object_get_ex(row, "values", &values))
                return;
        for (size_t i = 0; i < noun->n_fields; i++)
                if (noun->fields[i].private && json_object_object_get_ex(values, noun->fields[i].name, NULL))
                        (void)json_set_string(values, noun->fields[i].name, PRIVATE_SET);
}

static int difference_row(NounId noun_id, const char *change, sqlite3_stmt *s, json_object *array) {
        const Noun *noun = &registry_nouns[noun_id];
        _cleanup_json_ json_object *o = json_object_new_object();
        int columns = 2 + (int)noun->n_fields, q;

        if (!o)
                return -ENOMEM;
        q = json_set_string(o, "noun", noun->name);
        if (q == 0)
                q = json_set_string(o, "change", change);
        for (int side = 0; q == 0 && side < 2; side++) {
                json_object *row = NULL;

                if (sqlite3_column_type(s, side * columns) == SQLITE_NULL)
                        continue;
                q = travelling(noun, s, side * columns, &row);
                if (q == 0) {
                        hide_private(noun, row);
                        q = put(o, side == 0 ? "before" : "after", row);
                }
        }
        if (q == 0 && json_object_array_add(array, o) < 0)
                q = -ENOMEM;
        if (q == 0)
                TAKE_PTR(o);
        return q;
}

int restore_difference(Registry *r, NounId noun_id, unsigned limit, json_object *array) {
        static const char *const changes[] = { "removed", "changed", "added" };
        const Noun *noun = &registry_nouns[noun_id];

        for (size_t i = 0; i < ELEMENTSOF(changes); i++) {
                _cleanup_(finalize) sqlite3_stmt *s = NULL;
                Sql sql = {};
                int q;

                import_sql_add(&sql, "SELECT n.uuid, n.version");
                for (size_t f = 0; f < noun->n_fields; f++) {
                        import_sql_add(&sql, ", ");
                        add_column(&sql, &noun->fields[f]);
                }
                import_sql_add(&sql, ", s.uuid, s.version");
                for (size_t f = 0; f < noun->n_fields; f++)
                        import_sql_add(&sql, ", s.v%zu", f);
                add_selection(&sql, noun_id, changes[i]);
                q = prepare(r, &sql, noun_id, &s);
                if (q == 0)
                        q = registry_result(sqlite3_bind_int64(s, 2, limit));
                while (q == 0 && (q = statement_row(s)) == 0)
                        q = difference_row(noun_id, changes[i], s, array);
                if (q != REGISTRY_E_NOT_FOUND)
                        return q;
        }
        return 0;
}

/* ---- application ---- */

/* The value of a staged column as the table has it. */
static void add_staged(Sql *q, const Field *f, size_t i) {
        if (f->type == TYPE_SCOPE)
                import_sql_add(q, "(SELECT x.id FROM scopes x WHERE x.uuid = s.v%zu AND x.deleted = 0)", i);
        else
                import_sql_add(q, "s.v%zu", i);
}

/* What is neither the same nor stays leaves first, so that names are free; what is in the backup comes back under its
 * uuid, and the rest is new. */
static void add_step(Sql *q, NounId noun_id, unsigned step) {
        const Noun *noun = &registry_nouns[noun_id];

        switch (step) {
        case 0:
                import_sql_add(q,
                        "UPDATE %s AS n SET deleted = ?2, updated = ?2, origin = ?3, version = n.version + 1"
                        " WHERE n.deleted = 0 AND NOT (%s) AND NOT EXISTS (SELECT 1 FROM restore_rows s"
                        " WHERE s.noun = ?1 AND s.uuid = n.uuid AND ",
                        noun->table, stays_sql(noun_id));
                add_same(q, noun);
                import_sql_add(q, ")");
                break;
        case 1:
                import_sql_add(q,
                        "UPDATE %s AS n SET deleted = 0, updated = ?2, origin = ?3,"
                        " version = max(n.version + (n.updated <> ?2), s.version)",
                        noun->table);
                for (size_t i = 0; i < noun->n_fields; i++) {
                        import_sql_add(q, ", %s = ", noun->fields[i].column);
                        add_staged(q, &noun->fields[i], i);
                }
                import_sql_add(q, " FROM restore_rows s WHERE s.noun = ?1 AND s.uuid = n.uuid AND n.deleted <> 0");
                break;
        default:
                import_sql_add(q, "INSERT INTO %s (updated, origin, version, uuid", noun->table);
                for (size_t i = 0; i < noun->n_fields; i++)
                        import_sql_add(q, ", %s", noun->fields[i].column);
                import_sql_add(q, ") SELECT ?2, ?3, s.version, s.uuid");
                for (size_t i = 0; i < noun->n_fields; i++) {
                        import_sql_add(q, ", ");
                        add_staged(q, &noun->fields[i], i);
                }
                import_sql_add(q,
                        " FROM restore_rows s WHERE s.noun = ?1"
                        " AND NOT EXISTS (SELECT 1 FROM %s n WHERE n.uuid = s.uuid)",
                        noun->table);
        }
}

static int run_step(
        Registry *r, NounId noun_id, unsigned step, uint64_t now_usec, const char *origin, RegistryError *e) {
        _cleanup_(finalize) sqlite3_stmt *s = NULL;
        Sql sql = {};
        int q, rc;

        add_step(&sql, noun_id, step);
        q = prepare(r, &sql, noun_id, &s);
        if (q != 0)
                return q;
        sqlite3_bind_int64(s, 2, (sqlite3_int64)now_usec);
        sqlite3_bind_text(s, 3, origin, -1, SQLITE_STATIC);
        rc = sqlite3_step(s);
        switch (rc) {
        case SQLITE_CONSTRAINT_UNIQUE:
                return registry_error(e, REGISTRY_E_INVALID, "",
                        "two %ss have one name: in the backup, or one in it and one that stays because it is retired",
                        registry_nouns[noun_id].name);
        case SQLITE_CONSTRAINT_NOTNULL:
                return registry_error(e, REGISTRY_E_INVALID, "",
                        "a %s of the backup is of a scope that the backup does not have", registry_nouns[noun_id].name);
        case SQLITE_CONSTRAINT_CHECK:
                return registry_error(e, REGISTRY_E_INVALID, "", "a %s of the backup contradicts itself",
                        registry_nouns[noun_id].name);
        default:
                return registry_result(rc);
        }
}

/* Live designations of a scope that is not. */
static int check_scopes(Registry *r, RegistryError *e) {
        static const char sql[] = "SELECT d.subject FROM designations d JOIN scopes s ON s.id = d.scope"
                                  " WHERE d.deleted = 0 AND s.deleted <> 0 LIMIT 1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        const char *subject;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = statement_row(s);
        if (q != 0)
                return q == REGISTRY_E_NOT_FOUND ? 0 : q;
        q = column_text(s, 0, &subject);
        return q != 0 ? q
                      : registry_error(e, REGISTRY_E_INVALID, "scope",
                                "the backup designates %s within a scope that it does not have", shown(subject).text);
}

/* What single rows cannot show. */
static int check_together(Registry *r, RegistryError *e) {
        static const char sql[] = "SELECT m.account FROM members m WHERE m.deleted = 0 AND NOT EXISTS"
                                  " (SELECT 1 FROM users u WHERE u.account = m.account AND u.deleted = 0"
                                  " AND u.shared <> 0) LIMIT 1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        const char *account;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = statement_row(s);
        if (q == REGISTRY_E_NOT_FOUND)
                return check_scopes(r, e);
        if (q != 0)
                return q;
        q = column_text(s, 0, &account);
        return q != 0 ? q
                      : registry_error(e, REGISTRY_E_INVALID, "account",
                                "the backup has a member of \"%s\", which is no shared ID in it", shown(account).text);
}

int restore_apply(Registry *r, unsigned nouns, uint64_t now_usec, RegistryError *ret_error) {
        /* Later ones refer to earlier ones; what leaves goes in the reverse order. */
        static const NounId order[] = { NOUN_USER, NOUN_MEMBER, NOUN_TERMINAL, NOUN_SCOPE, NOUN_DESIGNATION,
                NOUN_RESTRICTION, NOUN_DEPUTY, NOUN_CREDENTIAL };
        _cleanup_free_ char *origin = NULL;
        int q;

        _Static_assert(ELEMENTSOF(order) == _NOUN_MAX, "every noun is restored");
        if (!registry_in_transaction(r))
                return -EPERM;
        if (r->locked)
                return registry_error(ret_error, REGISTRY_E_UNUSABLE, "",
                        "an import is being applied; nothing was changed, try again in a few seconds");
        q = row_new_origin(r, &origin);
        for (size_t i = 1; q == 0 && i <= ELEMENTSOF(order); i++)
                if (nouns & NOUN_BIT(order[ELEMENTSOF(order) - i]))
                        q = run_step(r, order[ELEMENTSOF(order) - i], 0, now_usec, origin, ret_error);
        for (size_t i = 0; q == 0 && i < ELEMENTSOF(order); i++)
                for (unsigned step = 1; q == 0 && step <= 2 && (nouns & NOUN_BIT(order[i])); step++)
                        q = run_step(r, order[i], step, now_usec, origin, ret_error);
        return q == 0 ? check_together(r, ret_error) : q;
}

void restore_settle(Registry *r) {
        for (NounId n = 0; n < _NOUN_MAX; n++)
                r->generation[n]++;
}
