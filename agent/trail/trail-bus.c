/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <inttypes.h>
#include <string.h>

#include "login/bus-internal.h"
#include "util/clock.h"

/* Reading the trail (R29). A reading is one connection, one filter, from its first call to its last page; it is
 * authorized and recorded at the first call, before anything is handed out. Pages that go on from where the last one
 * ended belong to the same reading: polkit is not asked again, the role is looked at again, and what is handed out is
 * recorded again unless it is nothing but the records of this person's own reading (or following the trail would never
 * come to rest). */

#define READERS_MAX      16u
#define READER_IDLE_USEC (30 * 60 * USEC_PER_SEC)
#define PAGE_MAX         1000u
#define FILTER_MAX       2048u

typedef struct TrailReader {
        char *sender;
        char *filter;
        uint64_t last;
        uint64_t used_usec;
        struct TrailReader *next;
} TrailReader;

static TrailReader *reader_free(TrailReader *reader) {
        if (!reader)
                return NULL;
        free(reader->sender);
        free(reader->filter);
        free(reader);
        return NULL;
}
DEFINE_CLEANUP(TrailReader *, reader_free)

void trail_bus_done(Bus *b) {
        while (b->readers) {
                TrailReader *next = b->readers->next;

                reader_free(b->readers);
                b->readers = next;
        }
}

/* The reading that a call goes on with, or NULL. */
static TrailReader *reader_find(Bus *b, const char *sender, uint64_t after, const char *filter) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);

        for (TrailReader *i = b->readers; i; i = i->next)
                if (strcmp(i->sender, sender) == 0 && strcmp(i->filter, filter) == 0 && i->last == after &&
                        now - i->used_usec < READER_IDLE_USEC)
                        return i;
        return NULL;
}

/* Remembers where a reading got to; the one unused for longest makes room. */
static int reader_note(Bus *b, TrailReader *known, const char *sender, const char *filter, uint64_t last) {
        _cleanup_(reader_free_p) TrailReader *fresh = NULL;
        TrailReader **oldest = NULL;
        unsigned n = 0;

        if (known) {
                known->last = last;
                known->used_usec = clock_usec(CLOCK_BOOTTIME);
                return 0;
        }
        fresh = calloc(1, sizeof(*fresh));
        if (!fresh)
                return -ENOMEM;
        fresh->sender = strdup(sender);
        fresh->filter = strdup(filter);
        if (!fresh->sender || !fresh->filter)
                return -ENOMEM;
        fresh->last = last;
        fresh->used_usec = clock_usec(CLOCK_BOOTTIME);
        for (TrailReader **p = &b->readers; *p; p = &(*p)->next, n++)
                if (!oldest || (*p)->used_usec < (*oldest)->used_usec)
                        oldest = p;
        if (n >= READERS_MAX) {
                TrailReader *gone = *oldest;

                *oldest = gone->next;
                reader_free(gone);
        }
        fresh->next = b->readers;
        b->readers = TAKE_PTR(fresh);
        return 0;
}

bool bus_reading_goes_on(Bus *b, const char *sender, uint64_t after, const char *filter) {
        return reader_find(b, sender, after, filter) != NULL;
}

int bus_reading_note(Bus *b, const char *sender, uint64_t after, const char *filter, uint64_t last) {
        return reader_note(b, reader_find(b, sender, after, filter), sender, filter, last);
}

/* Whether there is anything in the page besides the records of the caller's own readings. */
static bool worth_recording(json_object *entries, const Caller *caller) {
        for (size_t i = 0; i < json_object_array_length(entries); i++) {
                json_object *entry = json_object_array_get_idx(entries, i);
                const char *event = json_string(entry, "event"), *account = json_string(entry, "account");

                if (!event || strcmp(event, "trail-read") != 0 || !account ||
                        strcmp(account, caller->account->name) != 0)
                        return true;
        }
        return false;
}

static int do_list(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *filter = NULL, *entries = NULL;
        const char *filter_text, *text;
        TrailReader *reader;
        uint64_t after, last = 0;
        uint32_t limit;
        int r;

        r = sd_bus_message_read(m, "tus", &after, &limit, &filter_text);
        if (r < 0)
                return r;
        if (strlen(filter_text) > FILTER_MAX || json_parse_object(filter_text, &filter) < 0)
                return bus_refuse(m, "Invalid", N_("The filter is not a JSON object, or too long"));
        if (limit == 0 || limit > PAGE_MAX)
                limit = PAGE_MAX;
        r = trail_list(b->c.trail, after, limit, filter, &entries, &last);
        if (r == -EINVAL)
                return bus_refuse(m, "Invalid", N_("The filter names a field that trails do not have"));
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);

        reader = reader_find(b, caller->sender, after, filter_text);
        if (!reader || worth_recording(entries, caller)) {
                _cleanup_(event_free_p) Event *e = bus_event(EVENT_TRAIL_READ, caller);

                if (!e)
                        return -ENOMEM;
                event_set(e, FIELD_RESULT, "done");
                event_set_uint(e, FIELD_COUNT, json_object_array_length(entries));
                event_setf(e, FIELD_DETAIL, "after %" PRIu64 " filter %s", after, filter_text);
                r = trail_record(b->c.trail, e);
                if (r != 0)
                        return bus_refuse_registry(m, r, NULL);
        }
        r = reader_note(b, reader, caller->sender, filter_text, last);
        if (r < 0)
                return r;
        text = json_text(entries);
        return text ? sd_bus_reply_method_return(m, "st", text, last) : -ENOMEM;
}

int trail_bus_list(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(m), *filter;
        Bus *b = userdata;
        uint64_t after;
        uint32_t limit;
        int r;

        r = sd_bus_message_read(m, "tus", &after, &limit, &filter);
        if (r < 0)
                return r;
        return authorize(b, m,
                &(Ask){
                        .method = "TrailList",
                        .action = sender && reader_find(b, sender, after, filter) ? NULL : ACTION_TRAIL,
                        .roles = ROLE_BIT(ROLE_TRAIL_VIEWER),
                        .noun = "trail",
                        .fn = do_list,
                });
}
