/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trail/trail.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "trail/trail-internal.h"
#include "util/clock.h"
#include "util/text.h"

/* Well beyond SyncIntervalSec= of packaging/journald/journald@keishi.conf, which is how long journald keeps entries in
 * memory. */
#define JOURNAL_SYNC_USEC (5 * 60 * USEC_PER_SEC)

#define PAUSE_MIN_USEC (1 * USEC_PER_SEC)
#define SYSLOG_SOCKET  "/dev/log"

static int on_import(sd_event_source *source, uint64_t usec, void *userdata) {
        Trail *t = userdata;

        pause_fired(&t->import);
        import_run(t);
        return 0;
}

/* What is imported at the start says where it happened, too. */
void trail_read_terminal(Trail *t) {
        _cleanup_(terminal_done) Terminal self = {};
        _cleanup_free_ char *epoch = NULL;

        if (registry_terminal_self(t->registry, &self) == 0)
                trail_set_terminal(t, self.name, self.uuid, self.unit);
        else
                trail_set_terminal(t, NULL, NULL, NULL);
        if (registry_meta_get(t->registry, TRAIL_META_EPOCH, &epoch) == 0)
                trail_set_epoch(t, epoch);
        else
                trail_set_epoch(t, NULL);
}

int trail_new(Trail **ret, sd_event *event, Registry *registry, const TrailOptions *options) {
        _cleanup_(trail_free_p) Trail *t = NULL;
        uint64_t pause_min = options->pause_min_usec ? options->pause_min_usec : PAUSE_MIN_USEC;
        sd_id128_t boot_id;
        int r;

        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->registry = registry;
        t->reserve.fd = t->break_glass.fd = t->journal.fd = -EBADF;
        outbox_init(&t->outbox, registry);
        pause_init(&t->import, event, pause_min, on_import, t);

        t->reserve_path = strdup(options->reserve_path);
        t->break_glass_path = strdup(options->break_glass_spool_path);
        t->syslog_path = strdup(options->syslog_socket_path ? options->syslog_socket_path : SYSLOG_SOCKET);
        if (!t->reserve_path || !t->break_glass_path || !t->syslog_path)
                return -ENOMEM;
        r = sd_id128_get_boot(&boot_id);
        if (r < 0)
                return r;
        sd_id128_to_string(boot_id, t->boot_id);
        r = journal_init(&t->journal, event, pause_min, &t->outbox, options->journal_socket_path);
        if (r < 0)
                return r;

        /* None of these is a reason not to start: what opens is refused while the outbox cannot be written, and
         * trail_status() tells. */
        (void)spool_open(&t->reserve, t->reserve_path);
        t->writable = outbox_load(&t->outbox) == 0;
        if (t->writable && options->power_was_cut)
                t->writable = outbox_rewind(&t->outbox, JOURNAL_SYNC_USEC) == 0;
        t->floor_at_start = t->outbox.last_time;
        trail_read_terminal(t);
        import_run(t);
        trail_kick(t);

        *ret = TAKE_PTR(t);
        return 0;
}

Trail *trail_free(Trail *t) {
        if (!t)
                return NULL;
        if (!registry_in_transaction(t->registry))
                (void)outbox_persist(&t->outbox);
        journal_done(&t->journal);
        sd_event_source_disable_unref(t->break_glass_watch);
        pause_done(&t->import);
        outbox_done(&t->outbox);
        spool_done(&t->reserve);
        spool_done(&t->break_glass);
        for (size_t i = 0; i < _TERMINAL_FIELD_MAX; i++)
                free(t->terminal[i]);
        free(t->reserve_path);
        free(t->break_glass_path);
        free(t->syslog_path);
        free(t);
        return NULL;
}

static void set_field(Trail *t, EntryTerminal field, const char *value) {
        free(t->terminal[field]);
        t->terminal[field] = value ? text_escape(value, strlen(value), ENTRY_TERMINAL_MAX) : NULL;
}

void trail_set_terminal(Trail *t, const char *name, const char *uuid, const char *unit) {
        set_field(t, TERMINAL_FIELD_NAME, name);
        set_field(t, TERMINAL_FIELD_UUID, uuid);
        set_field(t, TERMINAL_FIELD_UNIT, unit);
}

void trail_set_epoch(Trail *t, const char *epoch) {
        set_field(t, TERMINAL_FIELD_EPOCH, epoch);
}

int trail_append_at(Trail *t, const Event *e, EntryHead *head) {
        _cleanup_free_ char *entry = NULL;
        size_t size;
        int r;

        if (e->oom)
                return -ENOMEM;
        if (!registry_in_transaction(t->registry))
                return -EINVAL;

        for (size_t i = 0; i < _TERMINAL_FIELD_MAX; i++)
                head->terminal[i] = t->terminal[i];
        r = outbox_next(&t->outbox, &head->seq);
        if (r == 0)
                r = entry_write(head, e, &entry, &size);
        if (r == 0)
                r = outbox_insert(&t->outbox, head->seq, head->realtime_usec, e->kind, entry, size);
        if (r == 0)
                outbox_keep(&t->outbox, head->seq, head->realtime_usec, TAKE_PTR(entry), size);
        return r;
}

int trail_append(Trail *t, Event *e) {
        EntryHead head = {
                .realtime_usec = clock_usec(CLOCK_REALTIME),
                .boottime_usec = clock_usec(CLOCK_BOOTTIME),
        };
        int r;

        memcpy(head.boot_id, t->boot_id, sizeof(head.boot_id));
        r = trail_append_at(t, e, &head);
        if (r == REGISTRY_E_UNUSABLE)
                t->writable = false;
        return r;
}

/* A transaction of its own around one entry. */
static int record(Trail *t, Event *e) {
        int r;

        r = registry_begin(t->registry);
        if (r == 0)
                r = trail_append(t, e);
        if (r == 0)
                r = registry_commit(t->registry);
        if (r != 0)
                registry_rollback(t->registry);
        if (r == REGISTRY_E_UNUSABLE)
                t->writable = false;
        return r;
}

/* What there is to do after a commit, or when something may have changed. */
static void go_on(Trail *t, bool writable) {
        bool was_writable = t->writable;

        t->writable = writable;
        if (t->writable && !was_writable)
                pause_arm_now(&t->import);
        else if (t->reserve.used > 0 || t->told_by_syslog > 0)
                pause_arm(&t->import);
        journal_kick(&t->journal);
}

int trail_record(Trail *t, Event *e) {
        int r;

        if (registry_in_transaction(t->registry))
                return -EINVAL;
        r = record(t, e);
        if (r != 0)
                return r;
        outbox_committed(&t->outbox);
        go_on(t, true);
        return 0;
}

static int reserve(Trail *t, const Event *e) {
        char text[KEISHI_SPOOL_TEXT_MAX];
        size_t size;
        int r;

        if (!spool_is_open(&t->reserve)) {
                r = spool_open(&t->reserve, t->reserve_path);
                if (r < 0)
                        return r;
        }
        size = reserve_write_text(t, e, text);
        return spool_write(&t->reserve, text, size, clock_usec(CLOCK_REALTIME), clock_usec(CLOCK_BOOTTIME));
}

void trail_record_closing(Trail *t, Event *e) {
        if (!registry_in_transaction(t->registry) && trail_record(t, e) == 0)
                return;

        if (reserve(t, e) != 0) {
                char message[ENTRY_MESSAGE_MAX];
                EntryHead head = {};

                for (size_t i = 0; i < _TERMINAL_FIELD_MAX; i++)
                        head.terminal[i] = t->terminal[i];
                alert_send(t->syslog_path, message, entry_message(&head, e, message));
                t->told_by_syslog++;
        }
        pause_arm(&t->import);
}

void trail_kick(Trail *t) {
        if (!registry_in_transaction(t->registry))
                go_on(t, outbox_load(&t->outbox) == 0);
}

uint64_t trail_floor(Trail *t) {
        if (!t->outbox.loaded)
                (void)outbox_load(&t->outbox);
        return t->outbox.last_time;
}

/* Whether an entry could be recorded now. After a failure only a write shows it; else it is enough that nobody holds
 * the lock. */
static bool probe(Trail *t) {
        int r;

        if (registry_in_transaction(t->registry))
                return t->writable;
        if (!t->writable) {
                if (outbox_touch(&t->outbox) != 0)
                        return false;
                trail_kick(t);
                return true;
        }
        r = registry_begin(t->registry);
        registry_rollback(t->registry);
        return r == 0;
}

uint64_t trail_floor_at_start(const Trail *t) {
        return t->floor_at_start;
}

int trail_status(Trail *t, TrailStatus *ret) {
        TrailStatus status = { .outbox_writable = probe(t) };
        uint64_t first = 0;

        if (spool_is_open(&t->reserve)) {
                status.reserve_used = t->reserve.used;
                status.reserve_slots = KEISHI_SPOOL_SLOTS;
        }
        if ((!t->outbox.loaded && outbox_load(&t->outbox) != 0) || outbox_first(&t->outbox, &first) != 0)
                status.outbox_writable = false;
        status.last_seq = t->outbox.last_seq;
        status.unsent_to_journal = t->outbox.last_seq - t->outbox.handed;
        status.outbox_entries = first > 0 ? t->outbox.last_seq - first + 1 : 0;
        *ret = status;
        return 0;
}
