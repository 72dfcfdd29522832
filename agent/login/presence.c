/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/presence.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-login.h>

#include "factor/factor-wire.h"
#include "util/clock.h"

#define AGAIN_USEC  (2 * USEC_PER_SEC)
#define ENTRIES_MAX 64u
#define LOGIN1      "org.freedesktop.login1"
#define LOGIN1_PATH "/org/freedesktop/login1"

typedef struct Entry {
        Presence *presence;
        char *session, *account, *person, *credential, *reader;
        uid_t uid;
        bool in;               /* as far as the watch has told */
        bool seen;             /* the present watch has told of its reader */
        sd_event_source *left; /* fires when it counts as left behind */
        struct Entry *next;
} Entry;

struct Presence {
        PresenceContext c;
        Helper *watch;
        sd_event_source *again;
        Entry *entries;
        unsigned n;
};

static void entry_free(Entry *e) {
        for (Entry **p = &e->presence->entries; *p; p = &(*p)->next)
                if (*p == e) {
                        *p = e->next;
                        e->presence->n--;
                        break;
                }
        sd_event_source_disable_unref(e->left);
        free(e->session);
        free(e->account);
        free(e->person);
        free(e->credential);
        free(e->reader);
        free(e);
}

static void record(Entry *e, EventKind kind, const char *result) {
        _cleanup_(event_free_p) Event *event = NULL;

        if (event_new(&event, kind) < 0)
                return;
        event_set(event, FIELD_ACCOUNT, e->account);
        event_set_uint(event, FIELD_UID, e->uid);
        event_set(event, FIELD_PERSON, e->person);
        event_set(event, FIELD_SESSION, e->session);
        event_set(event, FIELD_CREDENTIAL, e->credential);
        event_set(event, FIELD_RESULT, result);
        event_set(event, FIELD_DETAIL, e->reader);
        trail_record_closing(e->presence->c.trail, event);
}

/* Locks what the user has open; acts, then records. */
static bool lock_sessions(Entry *e) {
        sd_bus *bus = e->presence->c.bus ? e->presence->c.bus(e->presence->c.userdata) : NULL;
        char **sessions = NULL;
        bool asked = false;
        int n;

        n = bus ? sd_uid_get_sessions(e->uid, 0, &sessions) : 0;
        for (int i = 0; i < n; i++) {
                asked |= sd_bus_call_method_async(bus, NULL, LOGIN1, LOGIN1_PATH, LOGIN1 ".Manager", "LockSession",
                                 NULL, NULL, "s", sessions[i]) >= 0;
                free(sessions[i]);
        }
        free(sessions);
        return asked;
}

/* The card is no longer in its reader. */
static void taken_out(Entry *e) {
        bool was_in = e->in;

        e->in = false;
        if (!was_in)
                return;
        if (!session_list_has(e->presence->c.sessions, e->session)) {
                entry_free(e);
                return;
        }
        if (e->presence->c.config->card_presence == CARD_REMOVE_AFTER_LOGIN) {
                entry_free(e); /* as it should be */
                return;
        }
        record(e, EVENT_CARD_REMOVED, lock_sessions(e) ? "locked" : "failed");
}

static void reader_is(Presence *p, const char *name, size_t size, bool card) {
        for (Entry *e = p->entries, *next; e; e = next) {
                next = e->next;
                if (strlen(e->reader) != size || memcmp(e->reader, name, size) != 0)
                        continue;
                e->seen = true;
                if (card)
                        e->in = true;
                else
                        taken_out(e);
        }
}

static bool on_said(const char *packet, size_t size, void *userdata) {
        const unsigned char *name = NULL;
        Presence *p = userdata;
        size_t name_size = 0;
        FrameReader r;
        FrameItem i;

        if (frame_open(&r, packet, size) < 0 || r.what != FACTOR_PROGRESS)
                return false;
        while (frame_next(&r, &i)) {
                if (i.item == FACTOR_ITEM_READER && name) /* the one before came without a card: it has gone */
                        reader_is(p, (const char *)name, name_size, false);
                if (i.item == FACTOR_ITEM_READER) {
                        name = i.bytes;
                        name_size = i.size;
                } else if (i.item == FACTOR_ITEM_CARD && name) {
                        reader_is(p, (const char *)name, name_size, i.number != CARD_ABSENT);
                        name = NULL;
                }
        }
        if (name)
                reader_is(p, (const char *)name, name_size, false);
        /* The first packet tells of every reader. */
        for (Entry *e = p->entries, *next; e; e = next) {
                next = e->next;
                if (!e->seen) {
                        e->seen = true;
                        taken_out(e);
                }
        }
        return true;
}

static void watch(Presence *p);

static int on_again(sd_event_source *s, uint64_t usec, void *userdata) {
        watch(userdata);
        return 0;
}

static void watch_later(Presence *p) {
        p->again = sd_event_source_disable_unref(p->again);
        (void)sd_event_add_time_relative(p->c.event, &p->again, CLOCK_BOOTTIME, AGAIN_USEC, 0, on_again, p);
}

static void on_over(int r, const char *reply, size_t size, void *userdata) {
        Presence *p = userdata;

        p->watch = NULL;
        watch_later(p);
}

static void watch(Presence *p) {
        static Frame f;

        p->again = sd_event_source_disable_unref(p->again);
        for (Entry *e = p->entries, *next; e; e = next) {
                next = e->next;
                e->seen = false;
                if (!session_list_has(p->c.sessions, e->session))
                        entry_free(e);
        }
        if (!p->entries || p->watch)
                return;
        frame_init(&f, FACTOR_WATCH);
        if (helper_ask_more(p->c.watch,
                    &(HelperQuestion){
                            .request = f.bytes,
                            .size = f.size,
                            .timeout_usec = 600 * USEC_PER_SEC, /* begun anew then, and what is over is forgotten */
                            .said = on_said,
                            .fn = on_over,
                            .userdata = p,
                    },
                    &p->watch) < 0)
                watch_later(p);
}

static int on_left(sd_event_source *s, uint64_t usec, void *userdata) {
        Entry *e = userdata;

        if (e->in && session_list_has(e->presence->c.sessions, e->session))
                record(e, EVENT_CARD_LEFT, "left");
        entry_free(e);
        return 0;
}

static bool copy(char **ret, const char *text) {
        *ret = strdup(text ? text : "");
        return *ret != NULL;
}

int presence_opened(Presence *p, const PresentCard *card) {
        Entry *e;
        int r = 0;

        if (p->n >= ENTRIES_MAX)
                return -E2BIG;
        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->presence = p;
        e->uid = card->uid;
        e->in = true;
        e->next = p->entries;
        p->entries = e;
        p->n++;
        if (!copy(&e->session, card->session) || !copy(&e->account, card->account) || !copy(&e->person, card->person) ||
                !copy(&e->credential, card->credential) || !copy(&e->reader, card->reader))
                r = -ENOMEM;
        if (r == 0 && p->c.config->card_presence == CARD_REMOVE_AFTER_LOGIN)
                r = sd_event_add_time_relative(
                        p->c.event, &e->left, CLOCK_BOOTTIME, p->c.config->card_left_usec, 0, on_left, e);
        if (r < 0) {
                entry_free(e);
                return r;
        }
        /* A new watch tells of every reader. */
        p->watch = helper_cancel(p->watch);
        watch(p);
        return 0;
}

int presence_new(Presence **ret, const PresenceContext *context) {
        Presence *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->c = *context;
        *ret = p;
        return 0;
}

Presence *presence_free(Presence *p) {
        if (!p)
                return NULL;
        helper_cancel(p->watch);
        sd_event_source_disable_unref(p->again);
        while (p->entries)
                entry_free(p->entries);
        free(p);
        return NULL;
}
