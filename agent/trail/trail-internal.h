/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "trail/entry.h"
#include "trail/journal.h"
#include "trail/outbox.h"
#include "trail/pause.h"
#include "trail/spool.h"
#include "trail/trail.h"

struct Trail {
        Registry *registry;
        Outbox outbox;
        Journal journal;
        Spool reserve, break_glass;
        char *reserve_path, *break_glass_path, *syslog_path;
        sd_event_source *break_glass_watch; /* its spool is also written while the agent runs, but cannot decide */
        bool break_glass_written;           /* …and was not imported since */
        Pause import; /* armed while a spool may hold something that the outbox could not take yet */
        char *terminal[_TERMINAL_FIELD_MAX];
        char boot_id[33];
        uint64_t floor_at_start; /* CLOCK_REALTIME */
        bool writable;           /* what the last write to the outbox showed */
        unsigned told_by_syslog; /* entries that neither the outbox nor the reserve could take, not yet recorded as such
                                  */
};

/* Appends an event that happened at another time or in another boot: the head's times and boot id are taken as they
 * are. */
int trail_append_at(Trail *t, const Event *e, EntryHead *head);

/* Moves what the spools hold to the outbox, each spool in one transaction; when that cannot be done now, tries again
 * after a pause. */
void import_run(Trail *t);

/* Writes the event as the text of a reserve slot. Returns its size; fields that do not fit are left out and marked. */
size_t reserve_write_text(const Trail *t, const Event *e, char ret[static KEISHI_SPOOL_TEXT_MAX]);

/* Reads a slot of the reserve that was parsed; sets the boot id. SPOOL_E_UNREADABLE when it says anything that
 * reserve_write_text() would not have written. */
int reserve_read_event(SpoolSlot slot, EntryHead *head, Event **ret);
/* Reads a slot of the break-glass spool, written by pam_keishi: what has no field of its own goes into the detail. */
int break_glass_read_event(SpoolSlot slot, Event **ret);

/* Tells syslog (facility authpriv, priority alert), without waiting; when it takes nothing, the kernel's ring buffer.
 */
void alert_send(const char *socket_path, const char *text, size_t size);
