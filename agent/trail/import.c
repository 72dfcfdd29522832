/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>

#include "trail/kind.h"
#include "trail/trail-internal.h"
#include "util/clock.h"
#include "util/text.h"

/* What a spool holds becomes entries in one transaction, together with a list of what was imported (in meta): when the
 * power goes between the commit and the freeing of the slots, the next import recognises them and only frees them. */

#define UNKNOWN_BOOT_ID "00000000000000000000000000000000"
#define CUT_LINE        "CUT=1\n"
#define MARK_SIZE       17u /* 16 hexadecimal digits and a space */

/* ---- the text of reserve slots ---- */

static size_t put_line(char *text, size_t size, size_t room, const char *name, const char *value) {
        size_t name_size = strlen(name), value_size = strlen(value);

        if (name_size + value_size + 2 > room - size)
                return 0;
        memcpy(text + size, name, name_size);
        text[size + name_size] = '=';
        memcpy(text + size + name_size + 1, value, value_size);
        text[size + name_size + 1 + value_size] = '\n';
        return name_size + value_size + 2;
}

size_t reserve_write_text(const Trail *t, const Event *e, char ret[static KEISHI_SPOOL_TEXT_MAX]) {
        const size_t room = KEISHI_SPOOL_TEXT_MAX - strlen(CUT_LINE);
        bool cut = e->oom;
        size_t size = 0;

        size += put_line(ret, size, room, "EVENT", kind_info(e->kind)->name);
        size += put_line(ret, size, room, "BOOT", t->boot_id);
        for (EventField f = 0; f < _FIELD_MAX; f++) {
                size_t n;

                if (!e->fields[f])
                        continue;
                n = put_line(ret, size, room, field_info(f)->name, e->fields[f]);
                cut = cut || n == 0;
                size += n;
        }
        if (cut) {
                memcpy(ret + size, CUT_LINE, strlen(CUT_LINE));
                size += strlen(CUT_LINE);
        }
        return size;
}

/* ---- slots to events ---- */

static bool name_is(const SpoolLine *line, const char *name) {
        return line->name_size == strlen(name) && memcmp(line->name, name, line->name_size) == 0;
}

static bool boot_id_valid(const char *s, size_t size) {
        for (size_t i = 0; i < size; i++)
                if ((s[i] < '0' || s[i] > '9') && (s[i] < 'a' || s[i] > 'f'))
                        return false;
        return size == 32;
}

int reserve_read_event(SpoolSlot slot, EntryHead *head, Event **ret) {
        _cleanup_(event_free_p) Event *e = NULL;
        const char *via = "reserve";
        SpoolLine line;
        int r;

        if (!spool_slot_next(&slot, &line) || !name_is(&line, "EVENT"))
                return SPOOL_E_UNREADABLE;
        r = event_new(&e, kind_from_string(line.value, line.value_size));
        if (r < 0)
                return r == -EINVAL ? SPOOL_E_UNREADABLE : r;

        while (spool_slot_next(&slot, &line)) {
                EventField field;

                if (name_is(&line, "BOOT") && boot_id_valid(line.value, line.value_size)) {
                        memcpy(head->boot_id, line.value, 32);
                        continue;
                }
                if (name_is(&line, "CUT")) {
                        via = "reserve-cut";
                        continue;
                }
                field = field_from_string(line.name, line.name_size);
                if (field < 0 || e->fields[field])
                        return SPOOL_E_UNREADABLE;
                r = event_set_canonical(e, field, line.value, line.value_size);
                if (r < 0)
                        return r == -EBADMSG ? SPOOL_E_UNREADABLE : r;
        }

        event_set(e, FIELD_VIA, via);
        *ret = TAKE_PTR(e);
        return 0;
}

int break_glass_read_event(SpoolSlot slot, Event **ret) {
        _cleanup_(event_free_p) Event *e = NULL;
        char detail[KEISHI_SPOOL_TEXT_MAX + 1];
        size_t detail_size = 0;
        SpoolLine line;
        int r;

        r = event_new(&e, EVENT_BREAK_GLASS);
        if (r < 0)
                return r;
        while (spool_slot_next(&slot, &line)) {
                EventField field = field_from_string(line.name, line.name_size);

                if (field >= 0 && !e->fields[field]) {
                        _cleanup_free_ char *value = strndup(line.value, line.value_size);

                        if (!value)
                                return -ENOMEM;
                        event_set(e, field, value);
                } else {
                        size_t n = line.name_size + 1 + line.value_size;

                        memcpy(detail + detail_size, line.name, n);
                        detail[detail_size + n] = ' ';
                        detail_size += n + 1;
                }
        }
        if (detail_size > 0) {
                detail[detail_size - 1] = '\0';
                event_set(e, FIELD_DETAIL, detail);
        }

        event_set(e, FIELD_VIA, "break-glass");
        *ret = TAKE_PTR(e);
        return 0;
}

/* That a slot was written counts, even when it cannot be read any more. */
static int break_glass_unreadable(unsigned index, Event **ret) {
        _cleanup_(event_free_p) Event *e = NULL;
        int r;

        r = event_new(&e, EVENT_BREAK_GLASS);
        if (r < 0)
                return r;
        event_set(e, FIELD_RESULT, "unreadable");
        event_setf(e, FIELD_DETAIL, "slot %u of the spool cannot be read", index);
        event_set(e, FIELD_VIA, "break-glass");
        *ret = TAKE_PTR(e);
        return 0;
}

/* ---- a spool into the outbox ---- */

typedef struct Import {
        Trail *trail;
        Spool *spool;
        const char *meta; /* where the marks of what was imported last are kept */
        char *imported;   /* these marks, or NULL */
        char *marks;      /* those of this import */
        size_t marks_size, marks_room;
        unsigned appended, unreadable;
        uint8_t taken[KEISHI_SPOOL_SLOTS / 8];
} Import;

static void import_done(Import *i) {
        free(i->imported);
        free(i->marks);
}

static void mark_write(unsigned index, const void *data, char ret[static MARK_SIZE + 1]) {
        uint32_t head = spool_crc32(data, sizeof(SpoolSlotHeader)), all = spool_crc32(data, KEISHI_SPOOL_SLOT_SIZE);

        snprintf(ret, MARK_SIZE + 1, "%08x%08x ", head ^ index, all);
}

static int remember(Import *i, const char *mark) {
        if (i->marks_size + MARK_SIZE + 1 > i->marks_room) {
                size_t room = i->marks_room == 0 ? 16 * MARK_SIZE : i->marks_room * 2;
                char *grown = realloc(i->marks, room);

                if (!grown)
                        return -ENOMEM;
                i->marks = grown;
                i->marks_room = room;
        }
        memcpy(i->marks + i->marks_size, mark, MARK_SIZE + 1);
        i->marks_size += MARK_SIZE;
        return 0;
}

static int import_slot(unsigned index, const void *data, void *userdata) {
        Import *i = userdata;
        Trail *t = i->trail;
        _cleanup_(event_free_p) Event *e = NULL;
        EntryHead head = { .boot_id = UNKNOWN_BOOT_ID };
        char mark[MARK_SIZE + 1];
        SpoolSlot slot;
        int r;

        i->taken[index / 8] |= (uint8_t)(1u << index % 8);
        mark_write(index, data, mark);
        if (i->imported && strstr(i->imported, mark))
                return 0;
        r = remember(i, mark);
        if (r < 0)
                return r;

        r = spool_slot_parse(data, &slot);
        if (r == 0) {
                head.realtime_usec = slot.realtime_usec;
                head.boottime_usec = slot.boottime_usec;
                r = i->spool == &t->reserve ? reserve_read_event(slot, &head, &e) : break_glass_read_event(slot, &e);
        }
        if (r == SPOOL_E_UNREADABLE) {
                i->unreadable++;
                if (i->spool == &t->reserve)
                        return 0; /* told by the count at the end */
                head = (EntryHead){ .boot_id = UNKNOWN_BOOT_ID, .realtime_usec = clock_usec(CLOCK_REALTIME) };
                r = break_glass_unreadable(index, &e);
        }
        if (r != 0)
                return r;
        r = trail_append_at(t, e, &head);
        if (r == 0)
                i->appended++;
        return r;
}

/* One event that tells of the others; with the present time, so that the newest entry is never one of the past. */
static int append_summary(Import *i, unsigned told_by_syslog) {
        _cleanup_(event_free_p) Event *e = NULL;
        int r;

        r = event_new(&e, EVENT_RESERVE_IMPORTED);
        if (r < 0)
                return r;
        event_set_uint(e, FIELD_COUNT, i->appended);
        event_set(e, FIELD_PATH, i->spool->path);
        if (i->unreadable > 0 || told_by_syslog > 0)
                event_setf(e, FIELD_DETAIL, "unreadable slots: %u; told only by syslog: %u", i->unreadable,
                        told_by_syslog);
        return trail_append(i->trail, e);
}

static int import_transaction(Import *i, unsigned told_by_syslog) {
        Registry *registry = i->trail->registry;
        int r;

        r = registry_meta_get(registry, i->meta, &i->imported);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        r = spool_is_open(i->spool) ? spool_scan(i->spool, import_slot, i) : 0;
        if (r != 0 || (i->appended == 0 && i->unreadable == 0 && told_by_syslog == 0))
                return r;
        r = append_summary(i, told_by_syslog);
        if (r == 0 && i->marks)
                r = registry_meta_set(registry, i->meta, i->marks);
        return r;
}

/* The spool's lock is held by the caller. */
static int import_locked(Import *i, unsigned told_by_syslog) {
        Registry *registry = i->trail->registry;
        int r;

        r = registry_begin(registry);
        if (r != 0)
                return r;
        r = import_transaction(i, told_by_syslog);
        if (r == 0)
                r = registry_commit(registry);
        if (r != 0) {
                registry_rollback(registry);
                return r;
        }
        return spool_is_open(i->spool) ? spool_release(i->spool, i->taken) : 0;
}

static int import_spool(Trail *t, Spool *spool, const char *meta, unsigned told_by_syslog) {
        _cleanup_(import_done) Import i = { .trail = t, .spool = spool, .meta = meta };
        int r;

        if (!spool_is_open(spool))
                return told_by_syslog > 0 ? import_locked(&i, told_by_syslog) : 0;
        r = spool_lock(spool);
        if (r != 0)
                return r;
        r = import_locked(&i, told_by_syslog);
        spool_unlock(spool);
        return r;
}

static int on_break_glass(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        Trail *t = userdata;

        t->break_glass_written = true;
        pause_arm(&t->import);
        return 0;
}

/* pam_keishi also writes its spool while the agent runs and says that it cannot decide. Without the watch (no memory,
 * no inotify instance left) that is imported at the next start. */
static void open_break_glass(Trail *t) {
        if (spool_open(&t->break_glass, t->break_glass_path) < 0)
                return;
        if (t->import.event && sd_event_add_inotify_fd(t->import.event, &t->break_glass_watch, t->break_glass.fd,
                                       IN_MODIFY, on_break_glass, t) < 0)
                t->break_glass_watch = NULL;
}

void import_run(Trail *t) {
        int r, q;

        if (registry_in_transaction(t->registry)) {
                pause_arm(&t->import);
                return;
        }
        if (!spool_is_open(&t->break_glass))
                open_break_glass(t);

        r = import_spool(t, &t->break_glass, "trail-break-glass", 0);
        if (r == 0)
                t->break_glass_written = false;
        q = import_spool(t, &t->reserve, "trail-reserve", t->told_by_syslog);
        if (q == 0)
                t->told_by_syslog = 0;
        if (r == 0 && q == 0)
                pause_reset(&t->import);
        else if (r == SPOOL_E_BUSY || q == SPOOL_E_BUSY || t->break_glass_written || t->break_glass.used > 0 ||
                 t->reserve.used > 0 || t->told_by_syslog > 0)
                pause_arm(&t->import);

        if (!registry_in_transaction(t->registry) && outbox_load(&t->outbox) == 0)
                journal_kick(&t->journal);
}
