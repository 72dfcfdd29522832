/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/json.h"

#include <errno.h>
#include <string.h>

#include "registry/when.h"
#include "util/json.h"
#include "util/text.h"

/* The string of a value; NULL when it is not one, or has a zero byte in it. */
static const char *string_of(json_object *value) {
        const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : NULL;

        if (text && strlen(text) != (size_t)json_object_get_string_len(value))
                return NULL;
        return text;
}

static int text_from_json(Registry *r, const Field *f, json_object *value, Value *ret, RegistryError *e) {
        const char *text = string_of(value), *error;
        char *copy;

        if (!text)
                return registry_error(e, REGISTRY_E_INVALID, f->name, "%s must be a text", f->name);
        if (strlen(text) > f->size)
                return registry_error(e, REGISTRY_E_INVALID, f->name, "%s must have at most %zu bytes (%zu kanji)",
                        f->name, f->size, f->size / 3);
        error = f->check(r, text);
        if (error)
                return registry_error(
                        e, REGISTRY_E_INVALID, f->name, "%s %s, not \"%s\"", f->name, error, shown(text).text);
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        free(ret->text);
        ret->text = copy;
        return 0;
}

static int bool_from_json(const Field *f, json_object *value, Value *ret, RegistryError *e) {
        const char *text = string_of(value);

        if (json_object_is_type(value, json_type_boolean))
                ret->number = json_object_get_boolean(value) ? 1 : 0;
        else if (text && (strcmp(text, "true") == 0 || strcmp(text, "yes") == 0))
                ret->number = 1;
        else if (text && (strcmp(text, "false") == 0 || strcmp(text, "no") == 0))
                ret->number = 0;
        else
                return registry_error(e, REGISTRY_E_INVALID, f->name, "%s must be true or false", f->name);
        return 0;
}

static int int_from_json(const Field *f, json_object *value, Value *ret, RegistryError *e) {
        const char *text = string_of(value);
        int64_t n = INT64_MIN;
        uint64_t parsed;

        if (json_object_is_type(value, json_type_int))
                n = json_object_get_int64(value);
        else if (text && parse_uint64(text, 0, INT64_MAX, &parsed) == 0)
                n = (int64_t)parsed;
        if (n < f->min || n > f->max)
                return registry_error(e, REGISTRY_E_INVALID, f->name, "%s must be a number from %lld to %lld", f->name,
                        (long long)f->min, (long long)f->max);
        ret->number = n;
        return 0;
}

static int time_from_json(const Field *f, json_object *value, Value *ret, RegistryError *e) {
        const char *text = string_of(value);
        uint64_t usec;

        if (!text || !when_parse(text, f->type == TYPE_UNTIL, &usec))
                return registry_error(e, REGISTRY_E_INVALID, f->name,
                        "%s must be a date such as 2027-03-31 or a time such as 2027-03-31T17:15:00+09:00", f->name);
        ret->number = (int64_t)usec;
        return 0;
}

static int scope_from_json(Registry *r, const Field *f, json_object *value, Value *ret, RegistryError *e) {
        _cleanup_(row_done) Row scope = {};
        const char *text = string_of(value);
        int q;

        if (!text)
                return registry_error(
                        e, REGISTRY_E_INVALID, f->name, "%s must be the name or uuid of a scope", f->name);
        q = row_read(r, NOUN_SCOPE, text, &scope);
        if (q == REGISTRY_E_NOT_FOUND)
                return registry_error(e, REGISTRY_E_INVALID, f->name, "there is no scope \"%s\"", shown(text).text);
        if (q == 0)
                ret->number = scope.id;
        return q;
}

int field_from_json(Registry *r, const Field *f, json_object *value, Value *ret, RegistryError *e) {
        const char *text = string_of(value);

        if (!value || (text && *text == '\0')) {
                free(TAKE_PTR(ret->text));
                ret->number = f->initial;
                return 0;
        }
        switch (f->type) {
        case TYPE_TEXT:
                return text_from_json(r, f, value, ret, e);
        case TYPE_BOOL:
                return bool_from_json(f, value, ret, e);
        case TYPE_INT:
                return int_from_json(f, value, ret, e);
        case TYPE_SCOPE:
                return scope_from_json(r, f, value, ret, e);
        default:
                return time_from_json(f, value, ret, e);
        }
}

static int unknown_field(const Noun *noun, const char *name, RegistryError *e) {
        char known[160] = "";
        size_t used = 0;

        for (size_t i = 0; i < noun->n_fields; i++) {
                size_t n = strlen(noun->fields[i].name);

                if (noun->fields[i].kept)
                        continue;
                if (used + n + 2 > sizeof(known))
                        break;
                if (i > 0)
                        known[used++] = ' ';
                memcpy(known + used, noun->fields[i].name, n + 1);
                used += n;
        }
        return registry_error(e, REGISTRY_E_INVALID, shown(name).text, "a %s has no \"%s\", but %s", noun->name,
                shown(name).text, known);
}

int row_from_json(Registry *r, const Noun *noun, json_object *fields, bool change, Row *row, RegistryError *e) {
        if (!json_object_is_type(fields, json_type_object))
                return registry_error(e, REGISTRY_E_INVALID, "", "the fields are not a JSON object");

        json_object_object_foreach(fields, name, value) {
                size_t i = 0;
                int q;

                if (change && strcmp(name, "version") == 0) {
                        if (!json_object_is_type(value, json_type_int))
                                return registry_error(e, REGISTRY_E_INVALID, name, "version must be a number");
                        row->version = json_object_get_int64(value);
                        continue;
                }
                while (i < noun->n_fields && strcmp(noun->fields[i].name, name) != 0)
                        i++;
                if (i == noun->n_fields)
                        return unknown_field(noun, name, e);
                if (noun->fields[i].kept)
                        return registry_error(e, REGISTRY_E_INVALID, name, "%s is kept by keishi itself", name);
                q = field_from_json(r, &noun->fields[i], value, &row->values[i], e);
                if (q != 0)
                        return q;
        }
        return 0;
}

/* Adds to an object, taking `value` over in any case. */
static int put(json_object *o, const char *name, json_object *value) {
        if (!value)
                return -ENOMEM;
        if (json_object_object_add(o, name, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

static int put_when(json_object *o, const char *name, int64_t usec) {
        char when[WHEN_SIZE];

        if (usec <= 0)
                return 0;
        when_format((uint64_t)usec, when);
        return put(o, name, json_object_new_string(when));
}

static int put_scope(Registry *r, json_object *o, const char *name, int64_t id) {
        static const char sql[] = "SELECT name FROM scopes WHERE id = ?1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        const char *text;
        int q;

        q = registry_statement(r, sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_int64(s, 1, id));
        if (q == 0)
                q = statement_row(s);
        if (q != 0)
                return q;
        text = (const char *)sqlite3_column_text(s, 0);
        return put(o, name, text ? json_object_new_string(text) : NULL);
}

int row_to_json(Registry *r, const Noun *noun, const Row *row, json_object **ret) {
        _cleanup_(json_putp) json_object *o = json_object_new_object();
        int q;

        if (!o)
                return -ENOMEM;
        q = put(o, "uuid", json_object_new_string(row->uuid));
        for (size_t i = 0; q == 0 && i < noun->n_fields; i++) {
                const Field *f = &noun->fields[i];
                const Value *v = &row->values[i];

                switch (f->type) {
                case TYPE_TEXT:
                        q = v->text ? put(o, f->name, json_object_new_string(f->private ? PRIVATE_SET : v->text)) : 0;
                        break;
                case TYPE_BOOL:
                        q = put(o, f->name, json_object_new_boolean(v->number != 0));
                        break;
                case TYPE_INT:
                        q = put(o, f->name, json_object_new_int64(v->number));
                        break;
                case TYPE_SCOPE:
                        q = put_scope(r, o, f->name, v->number);
                        break;
                default:
                        q = put_when(o, f->name, v->number);
                }
        }
        if (q == 0)
                q = put(o, "origin", json_object_new_string(row->origin));
        if (q == 0)
                q = put(o, "version", json_object_new_int64(row->version));
        if (q == 0)
                q = put_when(o, "updated", row->updated);
        if (q == 0)
                *ret = TAKE_PTR(o);
        return q;
}

int row_mark_changed(const Noun *noun, const Row *before, const Row *after, json_object *after_json) {
        for (size_t i = 0; i < noun->n_fields; i++) {
                const char *was = before->values[i].text, *is = after->values[i].text;

                if (noun->fields[i].private && was && is && strcmp(was, is) != 0 &&
                        put(after_json, noun->fields[i].name, json_object_new_string(PRIVATE_CHANGED)) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int registry_row_reveal(Registry *r, NounId noun_id, json_object *row) {
        _cleanup_(row_done) Row full = {};
        const Noun *noun = &registry_nouns[noun_id];
        const char *uuid = json_string(row, "uuid");
        bool read = false;
        int q;

        for (size_t i = 0; i < noun->n_fields; i++) {
                const Field *f = &noun->fields[i];

                if (!f->private || !json_object_object_get_ex(row, f->name, NULL))
                        continue;
                if (!read) {
                        q = uuid ? row_read(r, noun_id, uuid, &full) : -EINVAL;
                        if (q != 0)
                                return q;
                        read = true;
                }
                json_object_object_del(row, f->name);
                q = full.values[i].text ? put(row, f->name, json_object_new_string(full.values[i].text)) : 0;
                if (q != 0)
                        return q;
        }
        return 0;
}
