/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trail/entry.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trail/kind.h"
#include "util/text.h"

#define IDENTIFIER "keishid"

/* Room for what is there besides MESSAGE and the optional fields: nine names, "=" and "\n", an id, a kind's name, a
 * boot id, numbers. */
#define FIXED_MAX 512u

static const char *const terminal_names[_TERMINAL_FIELD_MAX] = {
        [TERMINAL_FIELD_NAME] = "KEISHI_TERMINAL",
        [TERMINAL_FIELD_UUID] = "KEISHI_TERMINAL_UUID",
        [TERMINAL_FIELD_UNIT] = "KEISHI_TERMINAL_UNIT",
        [TERMINAL_FIELD_EPOCH] = "KEISHI_EPOCH",
};

static bool is_hex(char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool entry_value_valid(const char *s, size_t size, size_t cap) {
        if (size == 0 || size > cap)
                return false;

        for (size_t n; size > 0; s += n, size -= n) {
                uint32_t c;

                n = utf8_decode(s, size, &c);
                if (n == 0 || !code_point_is_plain(c))
                        return false;
                if (c == '\\') {
                        if (size < 4 || s[1] != 'x' || !is_hex(s[2]) || !is_hex(s[3]))
                                return false;
                        n = 4;
                }
        }
        return true;
}

/* ---- writing ---- */

typedef struct Writer {
        char *data;
        size_t size;
} Writer;

static void put(Writer *w, const char *name, const char *value, size_t size) {
        size_t n = strlen(name);

        memcpy(w->data + w->size, name, n);
        w->size += n;
        w->data[w->size++] = '=';
        memcpy(w->data + w->size, value, size);
        w->size += size;
        w->data[w->size++] = '\n';
}

static void put_text(Writer *w, const char *name, const char *value) {
        if (value && *value)
                put(w, name, value, strlen(value));
}

static void put_number(Writer *w, const char *name, uint64_t value) {
        char digits[20];
        size_t n = sizeof(digits);

        do
                digits[--n] = (char)('0' + value % 10);
        while ((value /= 10) > 0);
        put(w, name, digits + n, sizeof(digits) - n);
}

int entry_write(const EntryHead *head, const Event *e, char **ret, size_t *ret_size) {
        const KindInfo *kind = kind_info(e->kind);
        char message[ENTRY_MESSAGE_MAX];
        size_t message_size, room = FIXED_MAX;
        Writer w = {};

        if (head->seq > INT64_MAX || head->realtime_usec > INT64_MAX || head->boottime_usec > INT64_MAX)
                return -ERANGE;

        message_size = entry_message(head, e, message);
        room += message_size;
        for (size_t i = 0; i < _TERMINAL_FIELD_MAX; i++)
                if (head->terminal[i])
                        room += strlen(terminal_names[i]) + strlen(head->terminal[i]) + 2;
        for (EventField f = 0; f < _FIELD_MAX; f++)
                if (e->fields[f])
                        room += strlen(field_info(f)->journal) + strlen(e->fields[f]) + 2;

        w.data = malloc(room);
        if (!w.data)
                return -ENOMEM;

        put_text(&w, "MESSAGE_ID", kind->message_id);
        put_number(&w, "PRIORITY", kind->priority);
        put_text(&w, "SYSLOG_IDENTIFIER", IDENTIFIER);
        put(&w, "MESSAGE", message, message_size);
        put_text(&w, "KEISHI_EVENT", kind->name);
        put_number(&w, "KEISHI_SEQ", head->seq);
        put_number(&w, "KEISHI_TIME", head->realtime_usec);
        put_text(&w, "KEISHI_BOOT_ID", head->boot_id);
        put_number(&w, "KEISHI_BOOTTIME", head->boottime_usec);
        for (size_t i = 0; i < _TERMINAL_FIELD_MAX; i++)
                put_text(&w, terminal_names[i], head->terminal[i]);
        for (EventField f = 0; f < _FIELD_MAX; f++)
                put_text(&w, field_info(f)->journal, e->fields[f]);

        *ret = w.data;
        *ret_size = w.size;
        return 0;
}

/* ---- parsing ---- */

typedef struct Reader {
        const char *data;
        size_t size;
} Reader;

/* Takes the next line when it has this name and a valid value. */
static bool take(Reader *r, const char *name, size_t cap, EntryText *ret) {
        size_t n = strlen(name);
        const char *value, *end;

        if (r->size <= n || memcmp(r->data, name, n) != 0 || r->data[n] != '=')
                return false;
        value = r->data + n + 1;
        end = memchr(value, '\n', r->size - n - 1);
        if (!end || !entry_value_valid(value, (size_t)(end - value), cap))
                return false;

        *ret = (EntryText){ value, (size_t)(end - value) };
        r->size -= (size_t)(end + 1 - r->data);
        r->data = end + 1;
        return true;
}

static bool take_exactly(Reader *r, const char *name, const char *value) {
        EntryText text;

        return take(r, name, strlen(value), &text) && text.size == strlen(value) &&
               memcmp(text.text, value, text.size) == 0;
}

static bool take_number(Reader *r, const char *name, uint64_t *ret) {
        char digits[20] = "";
        EntryText text;

        if (!take(r, name, sizeof(digits) - 1, &text) || (text.size > 1 && text.text[0] == '0'))
                return false;
        memcpy(digits, text.text, text.size);
        return parse_uint64(digits, 0, INT64_MAX, ret) == 0;
}

static bool take_boot_id(Reader *r, EntryText *ret) {
        if (!take(r, "KEISHI_BOOT_ID", 32, ret) || ret->size != 32)
                return false;
        for (size_t i = 0; i < 32; i++)
                if (!is_hex(ret->text[i]))
                        return false;
        return true;
}

/* The kind is told by KEISHI_EVENT, which comes after what it determines: look ahead for the MESSAGE_ID instead. */
static EventKind peek_kind(const Reader *r) {
        static const char name[] = "MESSAGE_ID=";

        if (r->size < sizeof(name) - 1 + 32 || memcmp(r->data, name, sizeof(name) - 1) != 0)
                return _EVENT_INVALID;
        for (EventKind k = 0; k < _EVENT_MAX; k++)
                if (memcmp(kind_info(k)->message_id, r->data + sizeof(name) - 1, 32) == 0)
                        return k;
        return _EVENT_INVALID;
}

int entry_parse(const char *data, size_t size, Entry *ret) {
        Reader r = { data, size };
        const KindInfo *kind;
        uint64_t priority;
        Entry e = {};

        e.kind = peek_kind(&r);
        kind = kind_info(e.kind);
        if (!kind)
                return -EBADMSG;

        if (!take_exactly(&r, "MESSAGE_ID", kind->message_id) || !take_number(&r, "PRIORITY", &priority) ||
                priority != kind->priority || !take_exactly(&r, "SYSLOG_IDENTIFIER", IDENTIFIER) ||
                !take(&r, "MESSAGE", ENTRY_MESSAGE_MAX, &e.message) || !take_exactly(&r, "KEISHI_EVENT", kind->name) ||
                !take_number(&r, "KEISHI_SEQ", &e.seq) || !take_number(&r, "KEISHI_TIME", &e.realtime_usec) ||
                !take_boot_id(&r, &e.boot_id) || !take_number(&r, "KEISHI_BOOTTIME", &e.boottime_usec))
                return -EBADMSG;
        for (size_t i = 0; i < _TERMINAL_FIELD_MAX; i++)
                (void)take(&r, terminal_names[i], ENTRY_TERMINAL_MAX, &e.terminal[i]);
        for (EventField f = 0; f < _FIELD_MAX; f++)
                (void)take(&r, field_info(f)->journal, field_info(f)->cap, &e.fields[f]);
        if (r.size > 0)
                return -EBADMSG;

        *ret = e;
        return 0;
}
