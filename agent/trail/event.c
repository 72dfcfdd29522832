/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trail/entry.h"
#include "trail/kind.h"
#include "util/text.h"

int event_new(Event **ret, EventKind kind) {
        Event *e;

        if (!kind_info(kind))
                return -EINVAL;
        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->kind = kind;
        *ret = e;
        return 0;
}

Event *event_free(Event *e) {
        if (!e)
                return NULL;
        for (EventField f = 0; f < _FIELD_MAX; f++)
                free(e->fields[f]);
        free(e);
        return NULL;
}

static void event_put(Event *e, EventField field, char *value) {
        if (!value) {
                e->oom = true;
                return;
        }
        free(e->fields[field]);
        e->fields[field] = value;
}

void event_set(Event *e, EventField field, const char *value) {
        const FieldInfo *info = field_info(field);

        if (!info || !value || !*value)
                return;
        /* What is longer than four times the cap is cut anyway: do not walk 64 KiB of hostile text. */
        event_put(e, field, text_escape(value, strnlen(value, info->cap * 4 + 1), info->cap));
}

void event_setf(Event *e, EventField field, const char *format, ...) {
        _cleanup_free_ char *value = NULL;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vasprintf(&value, format, ap);
        va_end(ap);
        if (n < 0) {
                value = NULL;
                e->oom = true;
                return;
        }
        event_set(e, field, value);
}

void event_set_uint(Event *e, EventField field, uint64_t value) {
        char text[sizeof("18446744073709551615")];

        snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
        event_set(e, field, text);
}

const char *event_get(const Event *e, EventField field) {
        return field_info(field) ? e->fields[field] : NULL;
}

EventKind event_kind(const Event *e) {
        return e->kind;
}

int event_set_canonical(Event *e, EventField field, const char *value, size_t size) {
        const FieldInfo *info = field_info(field);
        char *copy;

        if (!info || !entry_value_valid(value, size, info->cap))
                return -EBADMSG;
        copy = strndup(value, size);
        if (!copy)
                return -ENOMEM;
        event_put(e, field, copy);
        return 0;
}
