/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "keishi/event.h"
#include "registry/registry.h"
#include "util/cleanup.h"

/* The one way to record an event (R26, law 6). An Event is an EventKind (keishi/event.h: MESSAGE_ID, name, priority) and fields. */

typedef struct Event Event;
typedef struct Trail Trail;

int event_new(Event **ret, EventKind kind);
Event *event_free(Event *e);
DEFINE_CLEANUP(Event *, event_free)

/* Sets a field once; NULL or empty leaves it out. Text from users and devices is made safe here: control characters, bidi controls and invalid UTF-8 are
 * written as \xNN, and what is longer than the field's cap is cut with an ellipsis. -ENOMEM is remembered and returned by the recording function. */
void event_set(Event *e, EventField field, const char *value);
void event_setf(Event *e, EventField field, const char *format, ...) _printf_(3, 4);
void event_set_uint(Event *e, EventField field, uint64_t value);
const char *event_get(const Event *e, EventField field);
EventKind event_kind(const Event *e);

typedef struct TrailOptions {
        const char *reserve_path;
        const char *break_glass_spool_path;
        const char *journal_socket_path;
} TrailOptions;

/* Opens the outbox (table outbox of the registry), the reserve and the break-glass spool (both created preallocated when missing; what they hold is imported
 * now and whenever the outbox can be written again), and starts handing entries to journald. */
int trail_new(Trail **ret, sd_event *event, Registry *registry, const TrailOptions *options);
Trail *trail_free(Trail *t);
DEFINE_CLEANUP(Trail *, trail_free)

/* What every entry carries; call again when it changes. NULL: unknown yet. */
void trail_set_terminal(Trail *t, const char *name, const char *uuid, const char *unit);

/* Appends within the transaction that the caller has open. 0, REGISTRY_E_UNUSABLE or a negative errno: roll back and refuse. */
int trail_append(Trail *t, Event *e);
/* The same in a transaction of its own: for what opens. On anything but 0 the thing must not be opened. */
int trail_record(Trail *t, Event *e);
/* For what closes or refuses: outbox, else reserve, else syslog; never fails, never makes the caller wait longer than a write to a preallocated file. */
void trail_record_closing(Trail *t, Event *e);
/* To be called after registry_commit(): hands new entries to journald without waiting. (trail_record() does so itself.) */
void trail_kick(Trail *t);

/* Time of the newest entry (µs, CLOCK_REALTIME): the floor of the clock. 0: none. */
uint64_t trail_floor(Trail *t);

/* Health for `keishictl status`. */
typedef struct TrailStatus {
        uint64_t last_seq, unsent_to_journal, outbox_entries, reserve_used, reserve_slots;
        bool outbox_writable;
} TrailStatus;
int trail_status(Trail *t, TrailStatus *ret);

/* Entries after `after_seq`, oldest first, at most `limit`, whose fields equal those given (a JSON object of field name → value; "since"/"until" in µs), as a JSON array of
 * objects by field name. *ret_last_seq is the last entry looked at, for the next page. */
int trail_list(Trail *t, uint64_t after_seq, unsigned limit, json_object *filter, json_object **ret, uint64_t *ret_last_seq);
