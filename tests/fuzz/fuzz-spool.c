/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "fuzz.h"
#include "trail/trail-internal.h"

/* Slots of the reserve and of the break-glass spool. The input is a slot as it is on disk, and also, since a checksum
 * is not found by chance, the text of one. What is read from a slot becomes an entry in canonical form. */

static void require_canonical(EntryHead *head, const Event *e) {
        _cleanup_free_ char *data = NULL;
        size_t size;
        Entry entry;

        head->seq = 1;
        require(entry_write(head, e, &data, &size) == 0);
        require(entry_parse(data, size, &entry) == 0);
        require(entry.kind == event_kind(e) && entry.realtime_usec == head->realtime_usec);
}

static void read_slot(const unsigned char *bytes) {
        _cleanup_(event_free_p) Event *reserve = NULL, *break_glass = NULL;
        EntryHead head = { .boot_id = "00000000000000000000000000000000" };
        SpoolSlot slot;
        int r;

        r = spool_slot_parse(bytes, &slot);
        if (r != 0) {
                require(r == SPOOL_E_FREE || r == SPOOL_E_UNREADABLE);
                return;
        }
        require(slot.size <= KEISHI_SPOOL_TEXT_MAX);
        head.realtime_usec = slot.realtime_usec;
        head.boottime_usec = slot.boottime_usec;

        require(break_glass_read_event(slot, &break_glass) == 0);
        require_canonical(&head, break_glass);

        r = reserve_read_event(slot, &head, &reserve);
        require(r == 0 || r == SPOOL_E_UNREADABLE);
        if (r == 0)
                require_canonical(&head, reserve);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        SpoolSlotHeader header = { .magic = KEISHI_SPOOL_MAGIC, .realtime_usec = 1, .boottime_usec = 1 };
        unsigned char *bytes = calloc(1, KEISHI_SPOOL_SLOT_SIZE);

        require(bytes);
        if (size > 0)
                memcpy(bytes, data, size < KEISHI_SPOOL_SLOT_SIZE ? size : KEISHI_SPOOL_SLOT_SIZE);
        read_slot(bytes);

        if (size > KEISHI_SPOOL_TEXT_MAX)
                size = KEISHI_SPOOL_TEXT_MAX;
        header.length = (uint32_t)size;
        header.crc = spool_crc32(data, size);
        memcpy(bytes, &header, sizeof(header));
        if (size > 0)
                memcpy(bytes + sizeof(header), data, size);
        read_slot(bytes);
        free(bytes);
        return 0;
}
