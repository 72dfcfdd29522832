/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trail/trail.h"

/* The canonical form of a trail entry: what the outbox stores, journald receives, and later is sealed and archived,
 * byte for byte.
 *
 * It is one entry of the Journal Export Format (systemd.io/JOURNAL_EXPORT_FORMATS) without the empty line that ends it.
 * Every value is made safe before (valid UTF-8, no control or bidirectional characters, a backslash only as the
 * beginning of \xNN, lower-case digits), so only the text form NAME=value\n occurs, never the binary one. Each field
 * stands at most once, in this order:
 *
 *   MESSAGE_ID PRIORITY SYSLOG_IDENTIFIER=keishid MESSAGE KEISHI_EVENT KEISHI_SEQ KEISHI_TIME KEISHI_BOOT_ID
 * KEISHI_BOOTTIME [KEISHI_TERMINAL] [KEISHI_TERMINAL_UUID] [KEISHI_TERMINAL_UNIT] [KEISHI_EPOCH] [fields of
 * keishi/event.h, in the order of their table]
 *
 * MESSAGE_ID and PRIORITY are those of the kind. Numbers are decimal without leading zeros, at most INT64_MAX; times
 * are microseconds. A boot id of 32 zeros means unknown. What is optional and empty is left out. */

#define ENTRY_MESSAGE_MAX  1024u
#define ENTRY_TERMINAL_MAX 128u

struct Event {
        EventKind kind;
        bool oom;
        char *fields[_FIELD_MAX]; /* in canonical form, at most the field's cap */
};

/* Whether text is a value in canonical form, 1..cap bytes. */
bool entry_value_valid(const char *s, size_t size, size_t cap);

/* Sets a field to text that is in canonical form already. -EBADMSG when it is not. */
int event_set_canonical(Event *e, EventField field, const char *value, size_t size);

typedef enum EntryTerminal {
        TERMINAL_FIELD_NAME,
        TERMINAL_FIELD_UUID,
        TERMINAL_FIELD_UNIT,
        TERMINAL_FIELD_EPOCH,
        _TERMINAL_FIELD_MAX,
} EntryTerminal;

/* What an entry carries besides its event; strings in canonical form. */
typedef struct EntryHead {
        uint64_t seq;
        uint64_t realtime_usec;
        uint64_t boottime_usec;
        char boot_id[33];
        const char *terminal[_TERMINAL_FIELD_MAX]; /* or NULL */
} EntryHead;

/* Writes the canonical form. The caller owns *ret, *ret_size bytes, not NUL-terminated. -ENOMEM, -ERANGE (a number
 * above INT64_MAX). */
int entry_write(const EntryHead *head, const Event *e, char **ret, size_t *ret_size);

/* One line for people reading a console: "login-refused: hanako on T02 by login: hours (rule default)". At most
 * ENTRY_MESSAGE_MAX bytes, cut at the end of a character. Returns the length. */
size_t entry_message(const EntryHead *head, const Event *e, char ret[static ENTRY_MESSAGE_MAX]);

typedef struct EntryText {
        const char *text; /* NULL: absent */
        size_t size;
} EntryText;

/* A parsed entry; points into the bytes that it was parsed from. */
typedef struct Entry {
        EventKind kind;
        uint64_t seq;
        uint64_t realtime_usec;
        uint64_t boottime_usec;
        EntryText message;
        EntryText boot_id;
        EntryText terminal[_TERMINAL_FIELD_MAX];
        EntryText fields[_FIELD_MAX];
} Entry;

/* Reads the canonical form, strictly. -EBADMSG for everything that entry_write() would not have written. */
int entry_parse(const char *data, size_t size, Entry *ret);
