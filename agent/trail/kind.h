/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "keishi/event.h"

/* The tables of keishi/event.h, for those who look things up in them. */

typedef struct KindInfo {
        const char *name;       /* "login-refused" */
        const char *message_id; /* 32 hexadecimal digits */
        const char *message;    /* what happened, English, without a full stop */
        unsigned priority;      /* syslog level */
} KindInfo;

typedef struct FieldInfo {
        const char *name;    /* "ACCOUNT", as in spools; lower case in lists and filters */
        const char *journal; /* "KEISHI_ACCOUNT" */
        size_t cap;          /* bytes of the value, escaped */
} FieldInfo;

/* NULL for an invalid kind or field. Static. */
const KindInfo *kind_info(EventKind kind);
const FieldInfo *field_info(EventField field);

/* _EVENT_INVALID, _FIELD_INVALID when there is none. Field names are compared without regard to case. */
EventKind kind_from_string(const char *name, size_t size);
EventField field_from_string(const char *name, size_t size);
