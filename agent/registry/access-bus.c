/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "registry/change.h"
#include "registry/review.h"
#include "registry/when.h"
#include "util/clock.h"

/* The review of access rights over the bus. A review is read page by page: what a page looks at is bounded, so that
 * logins do not wait for it. Pages that go on from where the last one ended belong to the same reading, and polkit is
 * asked at its beginning (as for the trail). */

#define PAGE_ROWS   1000u
#define REVIEWS_MAX 1000u
#define IDLE_USEC   (5 * USEC_PER_SEC)
#define FILTER_SIZE 1024u
#define NEXT_USEC   (365 * 86400 * USEC_PER_SEC)
#define NEXT_MAX    (2 * 366 * 86400 * USEC_PER_SEC)

/* Readings are told apart from those of the trail by what stands before the filter. */
#define READING "access-review "

static int reading_text(const char *filter, char ret[static FILTER_SIZE + sizeof(READING)]) {
        if (strlen(filter) > FILTER_SIZE)
                return -E2BIG;
        (void)snprintf(ret, FILTER_SIZE + sizeof(READING), READING "%s", filter);
        return 0;
}

static const char *parse_query(json_object *filter, ReviewQuery *ret) {
        static const char *const names[] = { "unit", "scope", "only", "unused_since", NULL };
        const char *only = json_string(filter, "only"), *name;
        json_object *since;

        if (!json_only_has(filter, names, &name))
                return N_("The filter may have unit, scope, only and unused_since");
        ret->unit = json_string(filter, "unit");
        ret->scope = json_string(filter, "scope");
        ret->only = only ? review_only_from_string(only) : REVIEW_ALL;
        if (ret->only == _REVIEW_INVALID)
                return N_("only is due, overdue, unused or outside");
        if (json_object_object_get_ex(filter, "unused_since", &since))
                ret->unused_since = json_object_get_uint64(since);
        if (ret->only == REVIEW_UNUSED && ret->unused_since == 0)
                ret->unused_since = 1; /* never */
        return NULL;
}

void access_bus_done(Bus *b) {
        if (b->review_idle)
                registry_hold_more(b->c.registry, false);
        b->review_idle = sd_event_source_disable_unref(b->review_idle);
}

static int on_idle(sd_event_source *s, uint64_t usec, void *userdata) {
        access_bus_done(userdata);
        return 0;
}

/* While a review is read page by page, what the pages have in common stays in memory; not after the last one, nor when
 * the reader does not come back. */
static void hold(Bus *b, bool goes_on) {
        if (!goes_on)
                access_bus_done(b);
        else if (b->review_idle)
                (void)sd_event_source_set_time_relative(b->review_idle, IDLE_USEC);
        else if (sd_event_add_time_relative(
                         b->c.event, &b->review_idle, CLOCK_BOOTTIME, IDLE_USEC, USEC_PER_SEC, on_idle, b) >= 0)
                registry_hold_more(b->c.registry, true);
}

static bool clock_trusted(Bus *b) {
        return !b->c.clock_trusted || b->c.clock_trusted(b->c.userdata);
}

static int do_review(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *filter = NULL, *page = json_object_new_object(), *due = NULL;
        ReviewQuery query = { .now_usec = clock_usec(CLOCK_REALTIME), .limit = PAGE_ROWS };
        char reading[FILTER_SIZE + sizeof(READING)];
        json_object *rows = NULL;
        const char *text, *wrong;
        uint64_t after;
        int r;

        if (!page)
                return -ENOMEM;
        r = sd_bus_message_read(m, "ts", &after, &text);
        if (r < 0)
                return r;
        if (reading_text(text, reading) < 0 || json_parse_object(text, &filter) < 0 || after > INT64_MAX)
                return bus_refuse(m, "Invalid", N_("The filter is not a JSON object, or too long"));
        query.after = (int64_t)after;
        wrong = parse_query(filter, &query);
        if (wrong)
                return bus_refuse(m, "Invalid", "%s", wrong);
        hold(b, true);
        r = registry_review(b->c.registry, &query, &rows, &query.after);
        if (r != 0 || (uint64_t)query.after == after)
                hold(b, false);
        if (r == 0)
                r = json_set(page, "rows", rows);
        if (r == 0)
                r = json_set_boolean(page, "clock_trusted", clock_trusted(b));
        if (r == 0 && after == 0) {
                r = registry_shared_passwords_due(b->c.registry, &due);
                if (r == 0)
                        r = json_set(page, "shared_passwords_due", TAKE_PTR(due));
        }
        if (r != 0)
                return bus_refuse_registry(m, r, NULL);
        r = bus_reading_note(b, caller->sender, after, reading, (uint64_t)query.after);
        text = json_text(page);
        return r < 0 ? r : text ? sd_bus_reply_method_return(m, "st", text, (uint64_t)query.after) : -ENOMEM;
}

int access_bus_review(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        const char *sender = sd_bus_message_get_sender(m), *filter;
        char reading[FILTER_SIZE + sizeof(READING)];
        Bus *b = userdata;
        uint64_t after;
        bool goes_on;
        int r;

        r = sd_bus_message_read(m, "ts", &after, &filter);
        if (r < 0)
                return r;
        goes_on = sender && after > 0 && reading_text(filter, reading) == 0 &&
                  bus_reading_goes_on(b, sender, after, reading);
        return authorize(b, m,
                &(Ask){
                        .method = "AccessReview",
                        .action = goes_on ? NULL : ACTION_READ,
                        .roles = ROLES_ALL,
                        .noun = noun_to_string(NOUN_DESIGNATION),
                        .fn = do_review,
                });
}

/* When the next review is: what is asked for, or a year from now. NULL, or the text of a refusal. */
static const char *next_review(json_object *document, uint64_t now, uint64_t *ret) {
        const char *text = json_string(document, "next");

        *ret = now + NEXT_USEC;
        if (!text || !*text)
                return NULL;
        if (!when_parse(text, false, ret) || *ret <= now || *ret > now + NEXT_MAX)
                return N_("The next review is a date within two years");
        return NULL;
}

static int mark(Bus *b, const Caller *caller, const char *id, uint64_t now, uint64_t next, const char **ret_text,
        const char **ret_why, RegistryError *e) {
        _cleanup_json_ json_object *before = NULL, *after = NULL;
        const char *deputy;
        int r;

        r = registry_reviewed(b->c.registry, id, caller->user.person, now, next, &before, &after, e);
        if (r != 0)
                return r;
        *ret_text = change_refused(b, caller, NOUN_DESIGNATION, before, after, ret_why, &deputy);
        if (*ret_text)
                return 0;
        return change_append(b, caller, EVENT_ACCESS_REVIEWED, NOUN_DESIGNATION, before, after, NULL, deputy);
}

static int do_reviewed(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_json_ json_object *document = NULL;
        const char *text, *why = NULL, *id = NULL;
        uint64_t now = clock_usec(CLOCK_REALTIME), next;
        RegistryError e = {};
        json_object *ids;
        size_t n;
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        if (json_parse_object(text, &document) < 0 || !json_object_object_get_ex(document, "ids", &ids) ||
                !json_object_is_type(ids, json_type_array) || json_object_array_length(ids) == 0 ||
                json_object_array_length(ids) > REVIEWS_MAX)
                return bus_refuse(m, "Invalid", N_("ids must be an array of 1 to 1000 designations"));
        if (!clock_trusted(b))
                return bus_refuse(m, "Unavailable",
                        N_("The clock of this terminal cannot be trusted, so no date can be set; see keishictl "
                           "terminal confirm-clock"));
        text = next_review(document, now, &next);
        if (text)
                return bus_refuse(m, "Invalid", "%s", text);

        r = registry_begin(b->c.registry);
        n = json_object_array_length(ids);
        for (size_t i = 0; r == 0 && !text && i < n; i++) {
                json_object *element = json_object_array_get_idx(ids, i);

                id = json_object_is_type(element, json_type_string) ? json_object_get_string(element) : "";
                r = mark(b, caller, id, now, next, &text, &why, &e);
        }
        if (text)
                return change_refuse(b, m, caller, "AccessReviewed", NOUN_DESIGNATION, id, why, text);
        if (r != 0)
                return change_failed(b, m, caller, "AccessReviewed", NOUN_DESIGNATION, id, r, &e);
        r = change_commit(b, NOUN_DESIGNATION);
        return r != 0 ? bus_refuse_registry(m, r, NULL) : sd_bus_reply_method_return(m, "u", (uint32_t)n);
}

int access_bus_reviewed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){
                        .method = "AccessReviewed",
                        .action = ACTION_CHANGE,
                        .roles = change_roles(NOUN_DESIGNATION),
                        .noun = noun_to_string(NOUN_DESIGNATION),
                        .others = true,
                        .fn = do_reviewed,
                });
}
