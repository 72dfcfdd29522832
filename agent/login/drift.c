/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/drift.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/inotify.h>

#include "keishi/paths.h"
#include "login/drift-files.h"
#include "util/clock.h"
#include "util/io.h"
#include "util/json.h"
#include "util/text.h"

#define META_BASELINE "drift-baseline" /* when something was accepted last, in microseconds */

/* Changes come in bursts: the first one is looked at after this, together with what followed it. */
#define SETTLE_USEC (2 * USEC_PER_SEC)
#define RETRY_USEC  (20 * USEC_PER_SEC)

#define RECORDED_MAX 64u /* entries of one look; the rest is counted in one more */
#define SHOWN_MAX    64u /* files told of in Status */
#define VALUE_MAX    3500u

#define MASK                                                                                                           \
        (IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO |                \
                IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

typedef struct Entry {
        char *path;
        char *seen;     /* NULL: not there */
        char *accepted; /* NULL: not there */
} Entry;

struct Drift {
        DriftContext c;
        char *root;
        Entry *entries; /* by path */
        size_t n;
        uint64_t baseline_usec; /* 0: none */
        bool first;             /* nothing was ever seen */
        bool started;
        sd_event_source **listeners; /* one for each place; NULL where there is no directory */
        sd_event_source *timer;
};

static bool same(const char *a, const char *b) {
        return a && b ? strcmp(a, b) == 0 : a == b;
}

bool drift_has_baseline(const Drift *d) {
        return d && d->baseline_usec > 0;
}

size_t drift_count(const Drift *d) {
        size_t n = 0;

        for (size_t i = 0; drift_has_baseline(d) && i < d->n; i++)
                n += !same(d->entries[i].seen, d->entries[i].accepted);
        return n;
}

bool drift_closes(const Drift *d) {
        return d && d->c.config->on_drift == ON_DRIFT_CLOSE && drift_count(d) > 0;
}

/* ---- digests of paths and states ---- */

static int digest_begin(EVP_MD_CTX *c) {
        return c && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 ? 0 : -ENOMEM;
}

static int digest_add(EVP_MD_CTX *c, const char *path, const char *state) {
        return EVP_DigestUpdate(c, path, strlen(path) + 1) == 1 && EVP_DigestUpdate(c, state, strlen(state) + 1) == 1
                       ? 0
                       : -ENOMEM;
}

/* Frees `c` in every case; what went wrong before is returned. */
static int digest_end(EVP_MD_CTX *c, int r, char ret[static 65]) {
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned size = 0;

        if (r == 0 && EVP_DigestFinal_ex(c, digest, &size) != 1)
                r = -ENOMEM;
        EVP_MD_CTX_free(c);
        for (unsigned i = 0; r == 0 && i < size && i < 32; i++)
                snprintf(ret + (size_t)2 * i, 3, "%02x", digest[i]);
        return r;
}

/* ---- the table ---- */

static Entry *entry_get(Drift *d, const char *path) {
        Entry *grown;
        size_t i = 0;
        char *copy;
        int order;

        for (; i < d->n; i++) {
                order = strcmp(d->entries[i].path, path);
                if (order == 0)
                        return &d->entries[i];
                if (order > 0)
                        break;
        }
        copy = strdup(path);
        grown = copy ? reallocarray(d->entries, d->n + 1, sizeof(*grown)) : NULL;
        if (!grown) {
                free(copy);
                return NULL;
        }
        memmove(grown + i + 1, grown + i, (d->n - i) * sizeof(*grown));
        grown[i] = (Entry){ .path = copy };
        d->entries = grown;
        d->n++;
        return &d->entries[i];
}

static int column(sqlite3_stmt *s, int i, char **ret) {
        const char *text = (const char *)sqlite3_column_text(s, i);

        if (!text)
                return sqlite3_column_type(s, i) == SQLITE_NULL ? 0 : -ENOMEM;
        *ret = strdup(text);
        return *ret ? 0 : -ENOMEM;
}

static int load(Drift *d) {
        static const char sql[] = "SELECT path, seen, accepted FROM watched_files ORDER BY path";
        _cleanup_free_ char *baseline = NULL;
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int rc = SQLITE_DONE, r;

        r = registry_meta_get(d->c.registry, META_BASELINE, &baseline);
        if (r == 0)
                r = parse_uint64(baseline, 1, INT64_MAX, &d->baseline_usec);
        else if (r == REGISTRY_E_NOT_FOUND)
                r = 0;
        if (r == 0)
                r = registry_statement(d->c.registry, sql, &s);
        while (r == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
                _cleanup_free_ char *path = NULL;
                Entry *e;

                r = column(s, 0, &path);
                e = r == 0 && path ? entry_get(d, path) : NULL;
                if (!e)
                        return -ENOMEM;
                r = column(s, 1, &e->seen);
                if (r == 0)
                        r = column(s, 2, &e->accepted);
        }
        d->first = d->n == 0;
        return r != 0 ? r : rc == SQLITE_DONE ? 0 : registry_result(rc);
}

static int read_text(Drift *d, const char *path, char **ret) {
        static const char sql[] = "SELECT seen_text FROM watched_files WHERE path = ?1";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int rc, r;

        r = registry_statement(d->c.registry, sql, &s);
        if (r == 0)
                r = registry_result(sqlite3_bind_text(s, 1, path, -1, SQLITE_STATIC));
        if (r != 0)
                return r;
        rc = sqlite3_step(s);
        return rc == SQLITE_ROW ? column(s, 0, ret) : rc == SQLITE_DONE ? 0 : registry_result(rc);
}

static int write_seen(Drift *d, const char *path, const char *seen, const char *text) {
        static const char sql[] = "INSERT INTO watched_files (path, seen, seen_text) VALUES (?1, ?2, ?3)"
                                  " ON CONFLICT (path) DO UPDATE SET seen = ?2, seen_text = ?3";
        _cleanup_statement_ sqlite3_stmt *s = NULL;
        int rc, r;

        r = registry_statement(d->c.registry, sql, &s);
        if (r != 0)
                return r;
        rc = sqlite3_bind_text(s, 1, path, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(s, 2, seen, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(s, 3, text, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(s);
        return rc == SQLITE_DONE ? 0 : registry_result(rc);
}

int drift_accept(Drift *d) {
        static const char *const statements[] = { "DELETE FROM watched_files WHERE seen IS NULL",
                "UPDATE watched_files SET accepted = seen" };
        char now[32];

        for (size_t i = 0; i < ELEMENTSOF(statements); i++) {
                _cleanup_statement_ sqlite3_stmt *s = NULL;
                int rc, r;

                r = registry_statement(d->c.registry, statements[i], &s);
                if (r != 0)
                        return r;
                rc = sqlite3_step(s);
                if (rc != SQLITE_DONE)
                        return registry_result(rc);
        }
        snprintf(now, sizeof(now), "%llu", (unsigned long long)clock_usec(CLOCK_REALTIME));
        return registry_meta_set(d->c.registry, META_BASELINE, now);
}

void drift_accepted(Drift *d) {
        d->baseline_usec = clock_usec(CLOCK_REALTIME);
        for (size_t i = 0; i < d->n; i++) {
                Entry *e = &d->entries[i];
                char *copy = e->seen ? strdup(e->seen) : NULL;

                if (e->seen && !copy)
                        continue; /* still counted as different until the next start: never the other way round */
                free(e->accepted);
                e->accepted = copy;
        }
}

/* ---- looking ---- */

/* One change found by a look, until it is recorded. */
typedef struct Change {
        Entry *entry;
        const WatchedFile *file; /* NULL: gone */
} Change;

static void set_json(Event *e, EventField field, const char *state, const char *text, const char *other) {
        _cleanup_json_ json_object *o = state ? file_state_json(state, text, other) : NULL;
        const char *value = o ? json_text(o) : NULL;
        _cleanup_free_ char *escaped = value ? text_escape(value, strlen(value), 4 * strlen(value) + 4) : NULL;

        /* Half of a JSON text is none. */
        if (escaped && strlen(escaped) > VALUE_MAX) {
                json_object_object_del(o, "lines");
                value = json_text(o);
        }
        event_set(e, field, value);
}

static int change_event(Drift *d, const Change *c, Event **ret) {
        const char *seen = c->file ? c->file->state : NULL, *text = c->file ? c->file->text : NULL;
        _cleanup_free_ char *before = NULL;
        _cleanup_(event_free_p) Event *e = NULL;
        int r;

        r = event_new(&e, EVENT_CONFIG_DRIFT);
        if (r < 0)
                return r;
        (void)read_text(d, c->entry->path, &before); /* the difference is told without lines then */
        event_set(e, FIELD_PATH, c->entry->path);
        set_json(e, FIELD_BEFORE, c->entry->seen, before, text);
        set_json(e, FIELD_AFTER, seen, text, before);
        event_set(e, FIELD_RESULT,
                !seen                                                     ? "removed"
                : drift_has_baseline(d) && same(seen, c->entry->accepted) ? "restored"
                : !c->entry->seen                                         ? "added"
                                                                          : "changed");
        if (!d->started)
                event_set(e, FIELD_DETAIL, "changed while the agent did not run");
        *ret = TAKE_PTR(e);
        return 0;
}

static int more_event(size_t n, Event **ret) {
        int r = event_new(ret, EVENT_CONFIG_DRIFT);

        if (r == 0) {
                event_set_uint(*ret, FIELD_COUNT, n);
                event_set(*ret, FIELD_DETAIL, "further files changed");
        }
        return r;
}

static bool is_pam(const char *path) {
        return strncmp(path, KEISHI_PAM_DIR "/", strlen(KEISHI_PAM_DIR "/")) == 0;
}

/* The PAM stacks as a whole, when they are first seen and whenever one of them changed. */
static int pam_event(const Drift *d, const FileList *l, Event **ret) {
        _cleanup_(event_free_p) Event *e = NULL;
        EVP_MD_CTX *c = EVP_MD_CTX_new();
        char hash[65];
        size_t n = 0;
        int r = digest_begin(c);

        for (size_t i = 0; r == 0 && i < l->n; i++)
                if (is_pam(l->files[i].path)) {
                        r = digest_add(c, l->files[i].path, l->files[i].state);
                        n++;
                }
        r = digest_end(c, r, hash);
        if (r == 0)
                r = event_new(&e, EVENT_PAM_STACK);
        if (r < 0)
                return r;
        event_set(e, FIELD_PATH, KEISHI_PAM_DIR);
        event_set(e, FIELD_HASH, hash);
        event_set_uint(e, FIELD_COUNT, n);
        event_set(e, FIELD_DETAIL, d->first ? "first seen" : "changed");
        *ret = TAKE_PTR(e);
        return 0;
}

static int make_events(Drift *d, const FileList *l, const Change *changes, size_t n, Event **events, size_t *ret_n) {
        size_t n_events = 0;
        bool pam = d->first;
        int r = 0;

        /* What a terminal has when keishi first looks is no change. */
        for (size_t i = 0; r == 0 && !d->first && i < n; i++) {
                pam = pam || is_pam(changes[i].entry->path);
                if (n_events < RECORDED_MAX) {
                        r = change_event(d, &changes[i], &events[n_events]);
                        n_events += r == 0;
                }
        }
        if (r == 0 && !d->first && n > RECORDED_MAX) {
                r = more_event(n - RECORDED_MAX, &events[n_events]);
                n_events += r == 0;
        }
        if (r == 0 && pam) {
                r = pam_event(d, l, &events[n_events]);
                n_events += r == 0;
        }
        *ret_n = n_events;
        return r;
}

static int record(Drift *d, const Change *changes, size_t n, Event **events, size_t n_events) {
        int r;

        r = registry_begin(d->c.registry);
        for (size_t i = 0; r == 0 && i < n; i++) {
                const WatchedFile *f = changes[i].file;

                r = write_seen(d, changes[i].entry->path, f ? f->state : NULL, f ? f->text : NULL);
        }
        for (size_t i = 0; r == 0 && i < n_events; i++)
                r = trail_append(d->c.trail, events[i]);
        if (r == 0)
                r = registry_commit(d->c.registry);
        if (r == 0) {
                trail_kick(d->c.trail);
                return 0;
        }
        registry_rollback(d->c.registry);
        /* The table follows at the next start, which says it again rather than never. */
        for (size_t i = 0; i < n_events; i++)
                trail_record_closing(d->c.trail, events[i]);
        return 0;
}

/* Collects what differs from what was seen. Both lists are in the order of paths. */
static int compare(Drift *d, const FileList *l, Change **ret, size_t *ret_n) {
        _cleanup_free_ Change *changes = NULL;
        size_t n = 0;

        for (size_t i = 0; i < l->n; i++)
                if (!entry_get(d, l->files[i].path))
                        return -ENOMEM;
        changes = calloc(d->n + 1, sizeof(*changes));
        if (!changes)
                return -ENOMEM;
        for (size_t i = 0, j = 0; i < d->n; i++) {
                const WatchedFile *f =
                        j < l->n && strcmp(l->files[j].path, d->entries[i].path) == 0 ? &l->files[j++] : NULL;

                if (!same(f ? f->state : NULL, d->entries[i].seen))
                        changes[n++] = (Change){ &d->entries[i], f };
        }
        *ret = TAKE_PTR(changes);
        *ret_n = n;
        return 0;
}

int drift_look(Drift *d) {
        _cleanup_(file_list_done) FileList l = {};
        _cleanup_free_ Change *changes = NULL;
        Event *events[RECORDED_MAX + 2] = {};
        size_t n = 0, n_events = 0;
        int r;

        r = files_scan(d->root, &l);
        if (r == 0)
                r = compare(d, &l, &changes, &n);
        if (r < 0 || n == 0)
                return r;
        r = make_events(d, &l, changes, n, events, &n_events);
        if (r == 0)
                r = record(d, changes, n, events, n_events);
        for (size_t i = 0; r == 0 && i < n; i++) {
                const WatchedFile *f = changes[i].file;
                char *copy = f ? strdup(f->state) : NULL;

                if (f && !copy)
                        r = -ENOMEM; /* looked at and recorded again */
                else {
                        free(changes[i].entry->seen);
                        changes[i].entry->seen = copy;
                }
        }
        for (size_t i = 0; i < ELEMENTSOF(events); i++)
                event_free(events[i]);
        if (r == 0)
                d->first = false;
        if (d->c.changed)
                d->c.changed(d->c.userdata);
        return r;
}

/* ---- listening ---- */

static void listen_to_places(Drift *d);

static void arm(Drift *d, uint64_t usec) {
        int enabled = SD_EVENT_OFF;

        /* One that runs already is not put off: who writes on and on is seen nevertheless. */
        if (sd_event_source_get_enabled(d->timer, &enabled) >= 0 && enabled != SD_EVENT_OFF)
                return;
        if (sd_event_source_set_time_relative(d->timer, usec) >= 0)
                (void)sd_event_source_set_enabled(d->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Drift *d = userdata;

        listen_to_places(d); /* before looking: what comes in between is looked at again */
        if (drift_look(d) < 0)
                arm(d, RETRY_USEC);
        return 0;
}

static int on_change(sd_event_source *s, const struct inotify_event *event, void *userdata) {
        Drift *d = userdata;

        for (size_t i = 0; i < n_watched_places; i++) {
                if (d->listeners[i] != s)
                        continue;
                if (event->len > 0 && !watched_place_concerns(&watched_places[i], event->name))
                        return 0;
                /* The directory itself is gone, or another has its name now. */
                if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT))
                        d->listeners[i] = sd_event_source_disable_unref(d->listeners[i]);
        }
        arm(d, SETTLE_USEC);
        return 0;
}

/* Listens where it does not yet. A directory that is not there comes with a change of /etc. */
static void listen_to_places(Drift *d) {
        for (size_t i = 0; i < n_watched_places; i++) {
                _cleanup_free_ char *path = io_prefix(d->root, watched_places[i].directory);

                if (d->listeners[i] || !path)
                        continue;
                if (sd_event_add_inotify(d->c.event, &d->listeners[i], path, MASK, on_change, d) >= 0)
                        (void)sd_event_source_set_priority(d->listeners[i], SD_EVENT_PRIORITY_IDLE);
                else
                        d->listeners[i] = NULL;
        }
}

int drift_new(Drift **ret, const DriftContext *context) {
        _cleanup_(drift_free_p) Drift *d = NULL;
        int r;

        d = calloc(1, sizeof(*d));
        if (!d)
                return -ENOMEM;
        d->c = *context;
        d->root = strdup(context->root ? context->root : "");
        d->listeners = calloc(n_watched_places, sizeof(sd_event_source *));
        if (!d->root || !d->listeners)
                return -ENOMEM;
        r = load(d);
        if (r == 0)
                r = sd_event_add_time_relative(
                        context->event, &d->timer, CLOCK_BOOTTIME, 0, USEC_PER_SEC / 10, on_timer, d);
        if (r == 0)
                r = sd_event_source_set_enabled(d->timer, SD_EVENT_OFF);
        if (r != 0)
                return r;
        listen_to_places(d);
        r = drift_look(d);
        if (r < 0)
                return r;
        d->started = true;
        *ret = TAKE_PTR(d);
        return 0;
}

Drift *drift_free(Drift *d) {
        if (!d)
                return NULL;
        for (size_t i = 0; d->listeners && i < n_watched_places; i++)
                sd_event_source_disable_unref(d->listeners[i]);
        sd_event_source_disable_unref(d->timer);
        for (size_t i = 0; i < d->n; i++) {
                free(d->entries[i].path);
                free(d->entries[i].seen);
                free(d->entries[i].accepted);
        }
        free(d->entries);
        free(d->listeners);
        free(d->root);
        free(d);
        return NULL;
}

/* ---- telling ---- */

int drift_digest(const Drift *d, char ret[static 65]) {
        EVP_MD_CTX *c = EVP_MD_CTX_new();
        int r = digest_begin(c);

        for (size_t i = 0; r == 0 && i < d->n; i++)
                if (d->entries[i].seen)
                        r = digest_add(c, d->entries[i].path, d->entries[i].seen);
        return digest_end(c, r, ret);
}

static int file_json(const Entry *e, json_object *array) {
        json_object *o = json_object_new_object();
        _cleanup_free_ char *path = text_escape(e->path, strlen(e->path), 512);

        if (!o || !path || json_object_array_add(array, o) < 0) {
                json_object_put(o);
                return -ENOMEM;
        }
        if (json_set_string(o, "path", path) < 0 ||
                json_set_string(o, "change",
                        !e->seen       ? "removed"
                        : !e->accepted ? "added"
                                       : "changed") < 0 ||
                json_set_string(o, "accepted", e->accepted) < 0 || json_set_string(o, "now", e->seen) < 0)
                return -ENOMEM;
        return 0;
}

int drift_status(const Drift *d, json_object **ret) {
        _cleanup_json_ json_object *o = json_object_new_object(), *files = json_object_new_array();
        size_t shown = 0;
        char digest[65];
        int r;

        if (!o || !files)
                return -ENOMEM;
        r = drift_digest(d, digest);
        for (size_t i = 0; r == 0 && drift_has_baseline(d) && i < d->n && shown < SHOWN_MAX; i++)
                if (!same(d->entries[i].seen, d->entries[i].accepted)) {
                        r = file_json(&d->entries[i], files);
                        shown++;
                }
        if (r != 0 || json_set_boolean(o, "recorded", drift_has_baseline(d)) < 0 ||
                json_set_uint(o, "accepted_usec", d->baseline_usec) < 0 || json_set_string(o, "state", digest) < 0 ||
                json_set_uint(o, "changed", drift_count(d)) < 0 || json_set_boolean(o, "closes", drift_closes(d)) < 0 ||
                json_set(o, "files", TAKE_PTR(files)) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}
