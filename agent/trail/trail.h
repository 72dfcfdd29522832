/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "keishi/event.h"
#include "registry/registry.h"
#include "util/cleanup.h"

/* The one way to record an event (R26, law 6). An Event is an EventKind (keishi/event.h: MESSAGE_ID, name, priority)
 * and fields. */

typedef struct Event Event;
typedef struct Trail Trail;

int event_new(Event **ret, EventKind kind);
Event *event_free(Event *e);
DEFINE_CLEANUP(Event *, event_free)

/* Sets a field; NULL or empty changes nothing, a later value replaces an earlier one. Text from users and devices is
 * made safe here: control characters, bidi controls and invalid UTF-8 are written as \xNN (a backslash too), and what
 * is longer than the field's cap is cut with an ellipsis. -ENOMEM is remembered and returned by the recording function.
 */
void event_set(Event *e, EventField field, const char *value);
void event_setf(Event *e, EventField field, const char *format, ...) _printf_(3, 4);
void event_set_uint(Event *e, EventField field, uint64_t value);
const char *event_get(const Event *e, EventField field);
EventKind event_kind(const Event *e);

typedef struct TrailOptions {
        const char *reserve_path;
        const char *break_glass_spool_path;
        const char *journal_socket_path;
        const char *syslog_socket_path; /* NULL: /dev/log */
        bool power_was_cut; /* journald may have lost what it was handed last: those entries are handed over once more
                             */
        uint64_t pause_min_usec; /* first pause before trying again (journald, import), doubling to 30 s; 0: 1 s */
} TrailOptions;

/* Opens the outbox (table outbox of the registry), the reserve and the break-glass spool (both created preallocated
 * when missing; what they hold is imported now and whenever the outbox can be written again), and starts handing
 * entries to journald. A registry or spool that cannot be used now is no error here: what opens is refused meanwhile,
 * and trail_status() tells. The registry must outlive the trail. Without an event loop (NULL) nothing is tried again
 * later. */
int trail_new(Trail **ret, sd_event *event, Registry *registry, const TrailOptions *options);
Trail *trail_free(Trail *t);
DEFINE_CLEANUP(Trail *, trail_free)

/* What every entry carries; call when it changes (trail_new() has read it from the registry). NULL: unknown yet. */
void trail_set_terminal(Trail *t, const char *name, const char *uuid, const char *unit);
/* The epoch of the trail, likewise: with the terminal and the number it makes an entry unique. NULL: none yet. */
void trail_set_epoch(Trail *t, const char *epoch);
/* Reads all of that from the registry (TRAIL_META_EPOCH, and the row of this terminal), as it is now. */
void trail_read_terminal(Trail *t);
#define TRAIL_META_EPOCH "epoch"

/* Appends within the transaction that the caller has open. 0, REGISTRY_E_UNUSABLE or a negative errno: roll back and
 * refuse. */
int trail_append(Trail *t, Event *e);
/* The same in a transaction of its own (-EINVAL inside another): for what opens. On anything but 0 the thing must not
 * be opened. */
int trail_record(Trail *t, Event *e);
/* For what closes or refuses: outbox, else reserve, else syslog; never fails, never makes the caller wait longer than a
 * write to a preallocated file. While the caller has a transaction open it is the reserve, which a rollback does not
 * empty. */
void trail_record_closing(Trail *t, Event *e);
/* To be called after registry_commit(): hands new entries to journald without waiting. (trail_record() does so itself.)
 */
void trail_kick(Trail *t);

/* Time of the newest entry (µs, CLOCK_REALTIME): the floor of the clock. 0: none, or the outbox could not be read yet.
 * Costs nothing. */
uint64_t trail_floor(Trail *t);

/* The same as it was before this agent recorded anything: what a clock that was set meanwhile is compared with. */
uint64_t trail_floor_at_start(const Trail *t);

/* Who changed a directory row last, as far as the newest entries tell: the account, and when. REGISTRY_E_NOT_FOUND. */
int trail_last_change(Trail *t, const char *uuid, char **ret_account, uint64_t *ret_usec);

/* Health for `keishictl status`. */
typedef struct TrailStatus {
        uint64_t last_seq, unsent_to_journal, outbox_entries, reserve_used, reserve_slots;
        bool outbox_writable;
} TrailStatus;
int trail_status(Trail *t, TrailStatus *ret);

/* Entries after `after_seq`, oldest first, at most `limit`, whose fields equal those given (a JSON object of name →
 * value; "since" and "until" in µs, both included), as a JSON array of objects by name. Names: "event", "terminal",
 * "terminal_uuid", "unit" (the terminal's), "epoch", and the fields of keishi/event.h in lower case
 * ("account", "user_unit", …); only in what is returned also "message", "boot_id", and as integers "seq", "time",
 * "priority", "boottime". Text is in its escaped form (event_set()). *ret_last_seq is the last entry looked at, for the
 * next page; only a bounded number is looked at, so the end is reached when it equals `after_seq`, not when few or none
 * are returned. -EINVAL: a filter of an unknown name or a value of a wrong type; REGISTRY_E_UNUSABLE. */
int trail_list(
        Trail *t, uint64_t after_seq, unsigned limit, json_object *filter, json_object **ret, uint64_t *ret_last_seq);
