/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "fuzz.h"
#include "trail/entry.h"
#include "trail/kind.h"

/* The canonical trail form. What the parser accepts is what the writer writes: written again, it has the same bytes,
 * MESSAGE excepted (its wording may differ between versions). */

/* The text before and after the line MESSAGE=. */
static void split(const char *data, size_t size, EntryText *ret_before, EntryText *ret_after) {
        const char *at = memmem(data, size, "\nMESSAGE=", 9), *end;

        require(at);
        end = memchr(at + 1, '\n', size - (size_t)(at + 1 - data));
        require(end);
        *ret_before = (EntryText){ data, (size_t)(at - data) };
        *ret_after = (EntryText){ end, size - (size_t)(end - data) };
}

static void require_same(const EntryText *a, const EntryText *b) {
        require(a->size == b->size && memcmp(a->text, b->text, a->size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        _cleanup_(event_free_p) Event *e = NULL;
        _cleanup_free_ char *written = NULL;
        char *terminal[_TERMINAL_FIELD_MAX] = {};
        EntryText before, after, before_again, after_again;
        EntryHead head = {};
        size_t written_size;
        Entry entry;

        if (entry_parse((const char *)data, size, &entry) < 0)
                return 0;

        require(event_new(&e, entry.kind) == 0);
        for (EventField f = 0; f < _FIELD_MAX; f++)
                if (entry.fields[f].text)
                        require(event_set_canonical(e, f, entry.fields[f].text, entry.fields[f].size) == 0);
        head.seq = entry.seq;
        head.realtime_usec = entry.realtime_usec;
        head.boottime_usec = entry.boottime_usec;
        memcpy(head.boot_id, entry.boot_id.text, 32);
        for (size_t i = 0; i < _TERMINAL_FIELD_MAX; i++)
                if (entry.terminal[i].text)
                        head.terminal[i] = terminal[i] = strndup(entry.terminal[i].text, entry.terminal[i].size);

        require(entry_write(&head, e, &written, &written_size) == 0);
        require(entry_parse(written, written_size, &entry) == 0);
        split((const char *)data, size, &before, &after);
        split(written, written_size, &before_again, &after_again);
        require_same(&before, &before_again);
        require_same(&after, &after_again);
        for (size_t i = 0; i < _TERMINAL_FIELD_MAX; i++)
                free(terminal[i]);
        return 0;
}
