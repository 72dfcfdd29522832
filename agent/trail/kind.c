/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trail/kind.h"

#include <string.h>
#include <strings.h>

static const KindInfo kinds[_EVENT_MAX] = {
#define X(kind, name, id, priority, message) [EVENT_##kind] = { name, id, message, priority },
        KEISHI_EVENT_KINDS(X)
#undef X
};

static const FieldInfo fields[_FIELD_MAX] = {
#define X(field, journal, cap) [FIELD_##field] = { #field, journal, cap },
        KEISHI_EVENT_FIELDS(X)
#undef X
};

const KindInfo *kind_info(EventKind kind) {
        return kind >= 0 && kind < _EVENT_MAX ? &kinds[kind] : NULL;
}

const FieldInfo *field_info(EventField field) {
        return field >= 0 && field < _FIELD_MAX ? &fields[field] : NULL;
}

EventKind kind_from_string(const char *name, size_t size) {
        for (EventKind k = 0; k < _EVENT_MAX; k++)
                if (strlen(kinds[k].name) == size && memcmp(kinds[k].name, name, size) == 0)
                        return k;
        return _EVENT_INVALID;
}

EventField field_from_string(const char *name, size_t size) {
        for (EventField f = 0; f < _FIELD_MAX; f++)
                if (strlen(fields[f].name) == size && strncasecmp(fields[f].name, name, size) == 0)
                        return f;
        return _FIELD_INVALID;
}
