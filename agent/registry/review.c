/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "registry/review.h"

#include <errno.h>
#include <string.h>

#include "registry/json.h"
#include "registry/noun.h"
#include "registry/when.h"
#include "util/clock.h"

/* How long before its date a review is due. */
#define DUE_USEC ((int64_t)(30 * 86400 * USEC_PER_SEC))

enum {
        C_ID,
        C_UUID,
        C_VERSION,
        C_SUBJECT,
        C_TERMINALS,
        C_SERVICES,
        C_HOURS,
        C_FROM,
        C_UNTIL,
        C_REMOTE,
        C_REVIEW,
        C_REVIEWED,
        C_REVIEWED_BY,
        C_SCOPE_NAME,
        C_SCOPE_BUSINESS,
        C_SCOPE_UNIT,
        C_SCOPE_TERMINALS,
        C_SCOPE_SERVICES,
        C_SCOPE_HOURS,
        C_SCOPE_FROM,
        C_SCOPE_UNTIL,
        C_SCOPE_REMOTE,
        C_USED,
        C_NAME,
        C_USER_UNIT,
        C_USER_RETIRED,
        C_TERMINAL_UNIT,
};

static const char review_sql[] =
        "SELECT d.id, d.uuid, d.version, d.subject, d.terminals, d.services, d.hours, d.valid_from, d.valid_until,"
        " d.remote, d.review, d.reviewed, d.reviewed_by, s.name, s.business, s.unit, s.terminals, s.services, s.hours,"
        " s.valid_from, s.valid_until, s.remote, l.used, u.name, u.unit, u.retired,"
        " t.unit"
        " FROM designations d CROSS JOIN scopes s ON s.id = d.scope"
        " LEFT JOIN last_used l ON l.designation = d.uuid"
        " LEFT JOIN users u ON u.account = CASE WHEN d.subject GLOB 'user:*' THEN substr(d.subject, 6) END"
        " AND u.deleted = 0"
        " LEFT JOIN terminals t ON t.name = CASE WHEN d.terminals GLOB 'name:*' THEN substr(d.terminals, 6) END"
        " AND t.deleted = 0"
        " WHERE d.id > ?1 AND d.deleted = 0 ORDER BY d.id";

ReviewOnly review_only_from_string(const char *s) {
        static const char *const names[_REVIEW_MAX] = {
                [REVIEW_ALL] = "all",
                [REVIEW_DUE] = "due",
                [REVIEW_OVERDUE] = "overdue",
                [REVIEW_UNUSED] = "unused",
                [REVIEW_OUTSIDE] = "outside",
        };

        for (ReviewOnly i = 0; i < _REVIEW_MAX; i++)
                if (strcmp(names[i], s) == 0)
                        return i;
        return _REVIEW_INVALID;
}

/* A designation as it is listed; the texts belong to the statement. */
typedef struct Reviewed {
        Row designation, scope;
        const char *uuid, *name;
        DesignationNamed named;
        int64_t used;
        bool due, overdue, ended, outside;
        RegistryError why;
} Reviewed;

static int read_row(sqlite3_stmt *s, Reviewed *ret) {
        static const struct {
                int column, value;
                bool scope;
        } texts[] = {
                { C_SUBJECT, DESIGNATION_SUBJECT, false },
                { C_TERMINALS, DESIGNATION_TERMINALS, false },
                { C_SERVICES, DESIGNATION_SERVICES, false },
                { C_HOURS, DESIGNATION_HOURS, false },
                { C_REVIEWED_BY, DESIGNATION_REVIEWED_BY, false },
                { C_SCOPE_NAME, SCOPE_NAME, true },
                { C_SCOPE_BUSINESS, SCOPE_BUSINESS, true },
                { C_SCOPE_UNIT, SCOPE_UNIT, true },
                { C_SCOPE_TERMINALS, SCOPE_TERMINALS, true },
                { C_SCOPE_SERVICES, SCOPE_SERVICES, true },
                { C_SCOPE_HOURS, SCOPE_HOURS, true },
        };
        static const struct {
                int column, value;
                bool scope;
        } numbers[] = {
                { C_FROM, DESIGNATION_FROM, false },
                { C_UNTIL, DESIGNATION_UNTIL, false },
                { C_REMOTE, DESIGNATION_REMOTE, false },
                { C_REVIEW, DESIGNATION_REVIEW, false },
                { C_REVIEWED, DESIGNATION_REVIEWED, false },
                { C_SCOPE_FROM, SCOPE_FROM, true },
                { C_SCOPE_UNTIL, SCOPE_UNTIL, true },
                { C_SCOPE_REMOTE, SCOPE_REMOTE, true },
        };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                Row *row = texts[i].scope ? &ret->scope : &ret->designation;
                const char *text;

                r = column_text(s, texts[i].column, &text);
                if (r != 0)
                        return r;
                row->values[texts[i].value].text = (char *)text;
        }
        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                Row *row = numbers[i].scope ? &ret->scope : &ret->designation;

                row->values[numbers[i].value].number = sqlite3_column_int64(s, numbers[i].column);
        }
        r = column_text(s, C_UUID, &ret->uuid);
        if (r == 0)
                r = column_text(s, C_NAME, &ret->name);
        if (r == 0)
                r = column_text(s, C_USER_UNIT, &ret->named.user_unit);
        if (r == 0)
                r = column_text(s, C_TERMINAL_UNIT, &ret->named.terminal_unit);
        ret->named.user_retired = sqlite3_column_int(s, C_USER_RETIRED) != 0;
        ret->designation.version = sqlite3_column_int64(s, C_VERSION);
        ret->used = sqlite3_column_int64(s, C_USED);
        return r;
}

static int judge_row(Registry *r, const ReviewQuery *query, Reviewed *d) {
        int64_t now = (int64_t)query->now_usec, review = d->designation.values[DESIGNATION_REVIEW].number,
                until = d->designation.values[DESIGNATION_UNTIL].number,
                scope_until = d->scope.values[SCOPE_UNTIL].number;
        int q;

        d->ended = (until > 0 && until <= now) || (scope_until > 0 && scope_until <= now);
        d->overdue = !d->ended && review <= now;
        d->due = !d->ended && review <= now + DUE_USEC;
        q = designation_inside(r, &d->designation, &d->scope, &d->named, &d->why);
        if (q < 0 || q == REGISTRY_E_UNUSABLE)
                return q;
        d->outside = q != 0;
        return 0;
}

static bool is_wanted(const ReviewQuery *query, const Reviewed *d) {
        if (query->unit && strcmp(d->scope.values[SCOPE_UNIT].text, query->unit) != 0)
                return false;
        switch (query->only) {
        case REVIEW_DUE:
                return d->due;
        case REVIEW_OVERDUE:
                return d->overdue;
        case REVIEW_UNUSED:
                return !d->ended && d->used < (int64_t)query->unused_since;
        case REVIEW_OUTSIDE:
                return d->outside;
        default:
                return true;
        }
}

static int put(json_object *o, const char *name, json_object *value) {
        if (!value)
                return -ENOMEM;
        if (json_object_object_add_ex(o, name, value, JSON_C_OBJECT_ADD_KEY_IS_NEW | JSON_C_OBJECT_ADD_CONSTANT_KEY) <
                0) {
                json_object_put(value);
                return -ENOMEM;
        }
        return 0;
}

static int put_text(json_object *o, const char *name, const char *text) {
        return text ? put(o, name, json_object_new_string(text)) : 0;
}

static int put_when(json_object *o, const char *name, int64_t usec) {
        char when[WHEN_SIZE];

        if (usec <= 0)
                return 0;
        when_format((uint64_t)usec, when);
        return put(o, name, json_object_new_string(when));
}

static int put_state(json_object *o, const Reviewed *d) {
        const struct {
                bool is;
                const char *name;
        } states[] = {
                { d->overdue, "overdue" },
                { d->due && !d->overdue, "due" },
                { d->used == 0 && !d->ended, "never-used" },
                { d->outside, "outside" },
                { d->ended, "ended" },
        };
        json_object *array = json_object_new_array_ext(2);
        int r;

        r = put(o, "state", array);
        for (size_t i = 0; r == 0 && i < ELEMENTSOF(states); i++) {
                json_object *text;

                if (!states[i].is)
                        continue;
                text = json_object_new_string(states[i].name);
                if (!text || json_object_array_add(array, text) < 0) {
                        json_object_put(text);
                        r = -ENOMEM;
                }
        }
        return r;
}

static int describe(const Reviewed *d, json_object *o) {
        const Value *v = d->designation.values, *s = d->scope.values;
        int r;

        r = put_text(o, "uuid", d->uuid);
        if (r == 0)
                r = put(o, "version", json_object_new_int64(d->designation.version));
        if (r == 0)
                r = put_text(o, "scope", s[SCOPE_NAME].text);
        if (r == 0)
                r = put_text(o, "business", s[SCOPE_BUSINESS].text);
        if (r == 0)
                r = put_text(o, "unit", s[SCOPE_UNIT].text);
        if (r == 0)
                r = put_text(o, "subject", v[DESIGNATION_SUBJECT].text);
        if (r == 0)
                r = put_text(o, "name", d->name);
        if (r == 0)
                r = put_when(o, "until", v[DESIGNATION_UNTIL].number);
        if (r == 0)
                r = put_when(o, "review", v[DESIGNATION_REVIEW].number);
        if (r == 0)
                r = put_when(o, "reviewed", v[DESIGNATION_REVIEWED].number);
        if (r == 0)
                r = put_text(o, "reviewed_by", v[DESIGNATION_REVIEWED_BY].text);
        if (r == 0)
                r = put_when(o, "last_used", d->used);
        if (r == 0 && d->outside)
                r = put_text(o, "outside", d->why.text);
        return r == 0 ? put_state(o, d) : r;
}

static int add_row(Registry *r, sqlite3_stmt *s, const ReviewQuery *query, json_object *list) {
        Reviewed d = {};
        json_object *o;
        int q;

        q = read_row(s, &d);
        if (q == 0 && query->scope && strcmp(d.scope.values[SCOPE_NAME].text, query->scope) != 0)
                return 0;
        if (q == 0)
                q = judge_row(r, query, &d);
        if (q != 0 || !is_wanted(query, &d))
                return q;
        o = json_object_new_object();
        if (!o)
                return -ENOMEM;
        q = describe(&d, o);
        if (q == 0 && json_object_array_add(list, o) < 0)
                q = -ENOMEM;
        if (q != 0)
                json_object_put(o);
        return q;
}

int registry_review(Registry *r, const ReviewQuery *query, json_object **ret, int64_t *ret_last) {
        _cleanup_(json_putp) json_object *list = json_object_new_array();
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int64_t last = query->after;
        bool own;
        int q;

        if (!list)
                return -ENOMEM;
        q = registry_view_begin(r, &own);
        if (q != 0)
                return q;
        q = registry_statement(r, review_sql, &s);
        if (q == 0)
                q = registry_result(sqlite3_bind_int64(s, 1, query->after));
        for (unsigned n = 0; q == 0 && n < query->limit && (q = statement_row(s)) == 0; n++) {
                last = sqlite3_column_int64(s, C_ID);
                q = add_row(r, s, query, list);
        }
        registry_statement_done(&s);
        registry_view_end(r, own);
        if (q != 0 && q != REGISTRY_E_NOT_FOUND)
                return q;
        *ret = TAKE_PTR(list);
        *ret_last = last;
        return 0;
}

typedef struct Mark {
        char *person; /* moved into the row */
        int64_t reviewed, next;
} Mark;

static void mark(Row *row, void *userdata) {
        Mark *m = userdata;

        row->values[DESIGNATION_REVIEWED].number = m->reviewed;
        row->values[DESIGNATION_REVIEW].number = m->next;
        free(row->values[DESIGNATION_REVIEWED_BY].text);
        row->values[DESIGNATION_REVIEWED_BY].text = TAKE_PTR(m->person);
}

int registry_reviewed(Registry *r, const char *id, const char *person, uint64_t now_usec, uint64_t next_usec,
        json_object **ret_before, json_object **ret_after, RegistryError *ret_error) {
        Mark m = { .person = strdup(person), .reviewed = (int64_t)now_usec, .next = (int64_t)next_usec };
        int q;

        if (!m.person)
                return -ENOMEM;
        q = row_edit(r, NOUN_DESIGNATION, id, mark, &m, now_usec, ret_before, ret_after, ret_error);
        free(m.person);
        return q;
}

int registry_review_reset(Registry *r, const char *id, uint64_t now_usec, json_object **ret_before,
        json_object **ret_after, RegistryError *ret_error) {
        Mark m = { .next = (int64_t)now_usec };

        return row_edit(r, NOUN_DESIGNATION, id, mark, &m, now_usec, ret_before, ret_after, ret_error);
}

int registry_shared_passwords_due(Registry *r, json_object **ret) {
        static const char sql[] = "SELECT account, since, person FROM shared_password_due ORDER BY account";
        _cleanup_(json_putp) json_object *list = json_object_new_array();
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int q;

        if (!list)
                return -ENOMEM;
        q = registry_statement(r, sql, &s);
        while (q == 0 && (q = statement_row(s)) == 0) {
                json_object *o = json_object_new_object();
                const char *account, *person;

                if (!o || json_object_array_add(list, o) < 0) {
                        json_object_put(o);
                        return -ENOMEM;
                }
                q = column_text(s, 0, &account);
                if (q == 0)
                        q = column_text(s, 2, &person);
                if (q == 0)
                        q = put_text(o, "account", account);
                if (q == 0)
                        q = put_when(o, "since", sqlite3_column_int64(s, 1));
                if (q == 0)
                        q = put_text(o, "person", person);
        }
        if (q != REGISTRY_E_NOT_FOUND)
                return q;
        *ret = TAKE_PTR(list);
        return 0;
}
