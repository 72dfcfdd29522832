/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "trail/entry.h"
#include "trail/kind.h"

#define MESSAGE_DETAIL_MAX 240u

typedef struct Message {
        char *text;
        size_t size;
        bool full;
} Message;

/* The longest part of s, at most `size` bytes, that ends where a character, or an escaped byte (\xNN), ends. s is
 * longer than that. */
static size_t cut(const char *s, size_t size) {
        while (size > 0 && ((unsigned char)s[size] & 0xc0) == 0x80)
                size--;
        for (size_t back = 1; back <= 3 && back <= size; back++)
                if (s[size - back] == '\\')
                        return size - back;
        return size;
}

static void add_n(Message *m, const char *s, size_t size) {
        size_t room = ENTRY_MESSAGE_MAX - m->size;

        if (m->full)
                return;
        if (size > room) {
                size = cut(s, room);
                m->full = true;
        }
        memcpy(m->text + m->size, s, size);
        m->size += size;
}

static void add(Message *m, const char *s) {
        add_n(m, s, strlen(s));
}

static void add_part(Message *m, const char *before, const char *value, const char *after) {
        if (!value)
                return;
        add(m, before);
        add(m, value);
        add(m, after);
}

size_t entry_message(const EntryHead *head, const Event *e, char ret[static ENTRY_MESSAGE_MAX]) {
        const KindInfo *kind = kind_info(e->kind);
        const char *account = e->fields[FIELD_ACCOUNT], *reason = e->fields[FIELD_REASON];
        const char *origin = e->fields[FIELD_ORIGIN], *detail = e->fields[FIELD_DETAIL];
        Message m = { .text = ret };

        add(&m, kind->name);
        add(&m, ": ");
        add(&m, account ? account : kind->message);
        add_part(&m, " as ", e->fields[FIELD_TARGET], "");
        add_part(&m, " on ", head->terminal[TERMINAL_FIELD_NAME], "");
        add_part(&m, " by ", e->fields[FIELD_SERVICE], "");
        if (origin && strncmp(origin, "host:", 5) == 0)
                add_part(&m, " from ", origin + 5, "");
        if (account) {
                const char *result = e->fields[FIELD_RESULT];

                add(&m, result && strcmp(result, "would-refuse") == 0 ? ": would be refused: " : ": ");
                add(&m, reason ? reason : kind->message);
        } else
                add_part(&m, ": ", reason, "");
        if (e->fields[FIELD_NOUN]) {
                add_part(&m, ": ", e->fields[FIELD_NOUN], "");
                add_part(&m, " ", e->fields[FIELD_OBJECT], "");
                add_part(&m, " ", e->fields[FIELD_RESULT], "");
        }
        add_part(&m, ": ", e->fields[FIELD_COMMAND], "");
        add_part(&m, " (rule ", e->fields[FIELD_RULE], ")");
        if (e->fields[FIELD_COUNT])
                add_part(&m, " (", e->fields[FIELD_COUNT], ")");
        if (detail) {
                size_t size = strlen(detail);

                add(&m, ": ");
                add_n(&m, detail, size > MESSAGE_DETAIL_MAX ? cut(detail, MESSAGE_DETAIL_MAX) : size);
        }

        return m.size;
}
