/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <string.h>

#include "trail/kind.h"
#include "trail/trail-internal.h"
#include "util/text.h"

/* Rows looked at in one call, so that a filter that matches little does not stop the agent. */
#define LIST_ROWS_MAX 4096u
#define LIST_ENOUGH   INT_MAX
/* Entries that are looked through for the last change of a row. */
#define CHANGE_ROWS_MAX 5000

static const char *const terminal_keys[_TERMINAL_FIELD_MAX] = {
        [TERMINAL_FIELD_NAME] = "terminal",
        [TERMINAL_FIELD_UUID] = "terminal_uuid",
        [TERMINAL_FIELD_UNIT] = "unit",
        [TERMINAL_FIELD_EPOCH] = "epoch",
};

typedef struct Filter {
        uint64_t since, until;
        EventKind kind; /* _EVENT_INVALID: any */
        char *terminal[_TERMINAL_FIELD_MAX];
        char *fields[_FIELD_MAX];
} Filter;

static void filter_done(Filter *f) {
        for (size_t i = 0; i < _TERMINAL_FIELD_MAX; i++)
                free(f->terminal[i]);
        for (EventField i = 0; i < _FIELD_MAX; i++)
                free(f->fields[i]);
}

static bool is_lower_case(const char *s) {
        for (; *s; s++)
                if (isupper((unsigned char)*s))
                        return false;
        return true;
}

/* Entries hold values in their escaped form: what is looked for is brought into it. */
static int filter_text(char **at, const char *value, size_t cap) {
        free(*at);
        *at = text_escape(value, strlen(value), cap);
        return *at ? 0 : -ENOMEM;
}

static int filter_add(Filter *f, const char *key, json_object *object) {
        json_type type = json_object_get_type(object);
        const char *value;
        EventField field;

        if (type != json_type_string && type != json_type_int)
                return -EINVAL;
        value = json_object_get_string(object);
        if (!value)
                return -ENOMEM;

        if (strcmp(key, "since") == 0)
                return parse_uint64(value, 0, INT64_MAX, &f->since);
        if (strcmp(key, "until") == 0)
                return parse_uint64(value, 0, INT64_MAX, &f->until);
        if (strcmp(key, "event") == 0) {
                f->kind = kind_from_string(value, strlen(value));
                return f->kind < 0 ? -EINVAL : 0;
        }
        for (size_t i = 0; i < _TERMINAL_FIELD_MAX; i++)
                if (strcmp(key, terminal_keys[i]) == 0)
                        return filter_text(&f->terminal[i], value, ENTRY_TERMINAL_MAX);
        field = is_lower_case(key) ? field_from_string(key, strlen(key)) : _FIELD_INVALID;
        if (field < 0)
                return -EINVAL;
        return filter_text(&f->fields[field], value, field_info(field)->cap);
}

static int filter_init(Filter *f, json_object *object) {
        struct json_object_iterator i, end;

        *f = (Filter){ .until = INT64_MAX, .kind = _EVENT_INVALID };
        if (!object)
                return 0;
        if (!json_object_is_type(object, json_type_object))
                return -EINVAL;
        i = json_object_iter_begin(object);
        end = json_object_iter_end(object);
        for (; !json_object_iter_equal(&i, &end); json_object_iter_next(&i)) {
                int r = filter_add(f, json_object_iter_peek_name(&i), json_object_iter_peek_value(&i));

                if (r < 0)
                        return r == -ENOMEM ? r : -EINVAL;
        }
        return 0;
}

static bool text_matches(const char *wanted, const EntryText *text) {
        return !wanted || (text->text && strlen(wanted) == text->size && memcmp(wanted, text->text, text->size) == 0);
}

static bool filter_matches(const Filter *f, const Entry *entry) {
        for (size_t i = 0; i < _TERMINAL_FIELD_MAX; i++)
                if (!text_matches(f->terminal[i], &entry->terminal[i]))
                        return false;
        for (EventField i = 0; i < _FIELD_MAX; i++)
                if (!text_matches(f->fields[i], &entry->fields[i]))
                        return false;
        return true;
}

/* Takes the value, NULL included, which is then -ENOMEM. */
static int put(json_object *object, const char *key, json_object *value) {
        if (!value)
                return -ENOMEM;
        if (json_object_object_add(object, key, value) < 0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

static int put_text(json_object *object, const char *key, const EntryText *text) {
        return text->text ? put(object, key, json_object_new_string_len(text->text, (int)text->size)) : 0;
}

static int put_number(json_object *object, const char *key, uint64_t number) {
        return put(object, key, json_object_new_int64((int64_t)number));
}

static int put_entry(json_object *object, const Entry *entry) {
        const KindInfo *kind = kind_info(entry->kind);
        int r;

        r = put_number(object, "seq", entry->seq);
        if (r == 0)
                r = put_number(object, "time", entry->realtime_usec);
        if (r == 0)
                r = put(object, "event", json_object_new_string(kind->name));
        if (r == 0)
                r = put_number(object, "priority", kind->priority);
        if (r == 0)
                r = put_text(object, "message", &entry->message);
        if (r == 0)
                r = put_text(object, "boot_id", &entry->boot_id);
        if (r == 0)
                r = put_number(object, "boottime", entry->boottime_usec);
        for (size_t i = 0; r == 0 && i < _TERMINAL_FIELD_MAX; i++)
                r = put_text(object, terminal_keys[i], &entry->terminal[i]);
        for (EventField f = 0; r == 0 && f < _FIELD_MAX; f++) {
                const char *name = field_info(f)->name;
                char key[32];
                size_t n = 0;

                for (; name[n]; n++)
                        key[n] = (char)tolower((unsigned char)name[n]);
                key[n] = '\0';
                r = put_text(object, key, &entry->fields[f]);
        }
        return r;
}

typedef struct List {
        Filter filter;
        json_object *array;
        unsigned limit, matched, looked_at;
        uint64_t last_seq;
} List;

static int add_row(List *l, const OutboxRow *row) {
        json_object *object;
        const char *data;
        size_t size;
        Entry entry;
        int r;

        data = outbox_row_entry(row, &size);
        if (!data)
                return -EBADMSG;
        r = entry_parse(data, size, &entry);
        if (r < 0)
                return r;
        if (!filter_matches(&l->filter, &entry))
                return 0;

        object = json_object_new_object();
        if (!object)
                return -ENOMEM;
        r = put_entry(object, &entry);
        if (r == 0 && json_object_array_add(l->array, object) < 0)
                r = -ENOMEM;
        if (r < 0) {
                json_object_put(object);
                return r;
        }
        l->matched++;
        return 0;
}

static int list_row(const OutboxRow *row, void *userdata) {
        List *l = userdata;
        const Filter *f = &l->filter;
        int r;

        if (l->matched == l->limit || l->looked_at == LIST_ROWS_MAX)
                return LIST_ENOUGH;
        if (row->time_usec >= f->since && row->time_usec <= f->until && (f->kind < 0 || row->kind == (int)f->kind)) {
                r = add_row(l, row);
                if (r < 0)
                        return r;
        }
        l->looked_at++;
        l->last_seq = row->seq;
        return 0;
}

int trail_list(
        Trail *t, uint64_t after_seq, unsigned limit, json_object *filter, json_object **ret, uint64_t *ret_last_seq) {
        List l = { .limit = limit, .last_seq = after_seq };
        int r;

        r = filter_init(&l.filter, filter);
        if (r == 0) {
                l.array = json_object_new_array();
                r = l.array ? outbox_scan(&t->outbox, after_seq, list_row, &l) : -ENOMEM;
        }
        filter_done(&l.filter);
        if (r != 0 && r != LIST_ENOUGH) {
                json_object_put(l.array);
                return r;
        }

        *ret = l.array;
        *ret_last_seq = l.last_seq;
        return 0;
}

int trail_last_change(Trail *t, const char *uuid, char **ret_account, uint64_t *ret_usec) {
        static const char sql[] =
                "SELECT entry FROM outbox WHERE seq > (SELECT max(seq) FROM outbox) - ?2 AND kind = ?3"
                " AND instr(CAST(entry AS TEXT), 'KEISHI_OBJECT=' || ?1) > 0 ORDER BY seq DESC LIMIT 1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        const char *data;
        Entry entry;
        int r;

        r = registry_statement(t->registry, sql, &s);
        if (r != 0)
                return r;
        sqlite3_bind_text(s, 1, uuid, -1, SQLITE_STATIC);
        sqlite3_bind_int(s, 2, CHANGE_ROWS_MAX);
        sqlite3_bind_int(s, 3, EVENT_DIRECTORY_CHANGED);
        if (sqlite3_step(s) != SQLITE_ROW)
                return REGISTRY_E_NOT_FOUND;
        data = sqlite3_column_blob(s, 0);
        if (!data || entry_parse(data, (size_t)sqlite3_column_bytes(s, 0), &entry) < 0 ||
                !entry.fields[FIELD_ACCOUNT].text)
                return REGISTRY_E_NOT_FOUND;
        *ret_account = strndup(entry.fields[FIELD_ACCOUNT].text, entry.fields[FIELD_ACCOUNT].size);
        if (!*ret_account)
                return -ENOMEM;
        *ret_usec = entry.realtime_usec;
        return 0;
}
