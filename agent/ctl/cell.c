/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ctl/cell.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "policy/date.h"
#include "util/csv.h"
#include "util/i18n.h"
#include "util/json.h"

/* The headings do not go through gettext: a file made in one language is read in the other. */
static const struct {
        NounId noun; /* _NOUN_INVALID: any; a noun's own first */
        const char *field, *japanese;
} headings[] = {
        { NOUN_USER, "name", "氏名" },
        { NOUN_TERMINAL, "name", "端末名" },
        { NOUN_SCOPE, "name", "範囲名" },
        { _NOUN_INVALID, "account", "利用者" },
        { _NOUN_INVALID, "person", "職員番号" },
        { _NOUN_INVALID, "unit", "所属" },
        { _NOUN_INVALID, "shared", "共用" },
        { _NOUN_INVALID, "retired", "退職" },
        { _NOUN_INVALID, "birth", "生年月日" },
        { _NOUN_INVALID, "confidentiality", "機密性" },
        { _NOUN_INVALID, "integrity", "完全性" },
        { _NOUN_INVALID, "availability", "可用性" },
        { _NOUN_INVALID, "external", "外部回線" },
        { _NOUN_INVALID, "purpose", "用途" },
        { _NOUN_INVALID, "business", "業務" },
        { _NOUN_INVALID, "terminals", "端末" },
        { _NOUN_INVALID, "services", "サービス" },
        { _NOUN_INVALID, "hours", "時間帯" },
        { _NOUN_INVALID, "from", "開始" },
        { _NOUN_INVALID, "until", "終了" },
        { _NOUN_INVALID, "remote", "遠隔" },
        { _NOUN_INVALID, "review", "見直し" },
        { _NOUN_INVALID, "scope", "範囲" },
        { _NOUN_INVALID, "subject", "対象" },
        { _NOUN_INVALID, "uuid", "ID" },
};

static bool means(size_t i, NounId noun) {
        return headings[i].noun == noun || headings[i].noun == _NOUN_INVALID;
}

const Field *cell_field_of(NounId noun, const char *name) {
        const Noun *n = &registry_nouns[noun];

        for (size_t i = 0; i < n->n_fields; i++)
                if (!n->fields[i].kept && strcmp(n->fields[i].name, name) == 0)
                        return &n->fields[i];
        return NULL;
}

bool cell_noun(NounId noun) {
        return noun == NOUN_USER || noun == NOUN_MEMBER || noun == NOUN_TERMINAL || noun == NOUN_SCOPE ||
               noun == NOUN_DESIGNATION;
}

const char *cell_heading(NounId noun, const char *field, bool japanese) {
        for (size_t i = 0; japanese && i < ELEMENTSOF(headings); i++)
                if (means(i, noun) && strcmp(headings[i].field, field) == 0)
                        return headings[i].japanese;
        return field;
}

const char *cell_field(NounId noun, const char *heading) {
        const Field *f = cell_field_of(noun, heading);

        if (f)
                return f->name;
        if (strcmp(heading, "uuid") == 0)
                return "uuid";
        for (size_t i = 0; i < ELEMENTSOF(headings); i++)
                if (means(i, noun) && strcmp(headings[i].japanese, heading) == 0) {
                        f = cell_field_of(noun, headings[i].field);
                        if (f || strcmp(headings[i].field, "uuid") == 0)
                                return f ? f->name : "uuid";
                }
        return NULL;
}

static bool number(const char **s, unsigned min_digits, unsigned max_digits, unsigned *ret) {
        unsigned v = 0, n = 0;

        for (; n < max_digits && **s >= '0' && **s <= '9'; n++, (*s)++)
                v = v * 10 + (unsigned)(**s - '0');
        *ret = v;
        return n >= min_digits;
}

/* "2027/3/31", "2027/3/31 8:30", "2027/3/31 8:30:15" */
static bool excel_time(const char *text, char buffer[static CELL_SIZE]) {
        unsigned year, month, day, hour, minute, second = 0;
        const char *s = text;

        if (!number(&s, 4, 4, &year) || *s++ != '/' || !number(&s, 1, 2, &month) || *s++ != '/' ||
                !number(&s, 1, 2, &day))
                return false;
        if (*s == '\0') {
                (void)snprintf(buffer, CELL_SIZE, "%04u-%02u-%02u", year, month, day);
                return true;
        }
        if (*s++ != ' ' || !number(&s, 1, 2, &hour) || *s++ != ':' || !number(&s, 2, 2, &minute))
                return false;
        if (*s == ':' && (s++, !number(&s, 2, 2, &second)))
                return false;
        if (*s != '\0')
                return false;
        (void)snprintf(buffer, CELL_SIZE, "%04u-%02u-%02uT%02u:%02u:%02u", year, month, day, hour, minute, second);
        return true;
}

const char *cell_read(const Field *field, const char *text, char buffer[static CELL_SIZE], const char **ret_error) {
        static const struct {
                const char *text;
                bool value;
        } truths[] = { { "yes", true }, { "true", true }, { "1", true }, { "はい", true }, { "no", false },
                { "false", false }, { "0", false }, { "いいえ", false } };

        text = csv_plain(text);
        if (strlen(text) >= CELL_SIZE) {
                *ret_error = N_("is longer than anything that there is room for");
                return NULL;
        }
        if (!field || *text == '\0')
                return text;
        switch (field->type) {
        case TYPE_BOOL:
                for (size_t i = 0; i < ELEMENTSOF(truths); i++)
                        if (strcasecmp(truths[i].text, text) == 0)
                                return truths[i].value ? "yes" : "no";
                *ret_error = N_("must be yes or no");
                return NULL;
        case TYPE_FROM:
        case TYPE_UNTIL:
                return excel_time(text, buffer) ? buffer : text;
        default:
                return field->date ? date_canonical(text, buffer) : text;
        }
}

/* RFC 3339 as the agent writes it; the first moment of a day as its date, for an end as the date of the day before. */
static const char *time_text(const Field *field, const char *text, char buffer[static 64]) {
        const char *s = text;
        struct tm tm = {};
        unsigned year, month, day;

        if (!number(&s, 4, 4, &year) || *s++ != '-' || !number(&s, 2, 2, &month) || *s++ != '-' ||
                !number(&s, 2, 2, &day) || strncmp(s, "T00:00:00", strlen("T00:00:00")) != 0)
                return text;
        tm.tm_year = (int)year - 1900;
        tm.tm_mon = (int)month - 1;
        tm.tm_mday = (int)day - (field->type == TYPE_UNTIL ? 1 : 0);
        (void)timegm(&tm); /* the day before the first of a month */
        return strftime(buffer, 64, "%Y-%m-%d", &tm) > 0 ? buffer : text;
}

const char *cell_text(const Field *field, json_object *value, bool japanese, char buffer[static 64]) {
        if (!value)
                return "";
        if (json_object_is_type(value, json_type_boolean)) {
                if (japanese)
                        return json_object_get_boolean(value) ? "はい" : "いいえ";
                return json_object_get_boolean(value) ? "yes" : "no";
        }
        if (field && (field->type == TYPE_FROM || field->type == TYPE_UNTIL))
                return time_text(field, json_object_get_string(value), buffer);
        return json_object_get_string(value);
}

void cell_key(NounId noun, json_object *row, char *out, size_t size) {
        static const char *const names[_NOUN_MAX][4] = {
                [NOUN_USER] = { "account" },
                [NOUN_MEMBER] = { "account", "person" },
                [NOUN_TERMINAL] = { "name" },
                [NOUN_SCOPE] = { "name" },
                [NOUN_DESIGNATION] = { "scope", "subject", "terminals" },
        };
        size_t used = 0;

        *out = '\0';
        for (size_t i = 0; i < 4 && names[noun][i]; i++) {
                const char *text = json_string(row, names[noun][i]);
                int n;

                if (!text)
                        continue;
                n = snprintf(out + used, size - used, "%s%s", used > 0 ? " " : "", text);
                if (n < 0 || (size_t)n >= size - used)
                        return;
                used += (size_t)n;
        }
}
