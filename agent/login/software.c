/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/software.h"

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>

#include "util/clock.h"
#include "util/io.h"
#include "util/text.h"

#define DIRECTORY   "/var/lib/dpkg"
#define STATUS_FILE DIRECTORY "/status"

/* dpkg writes the file several times while it runs. */
#define SETTLE_USEC (5 * USEC_PER_SEC)
#define RETRY_USEC  (60 * USEC_PER_SEC)

#define HISTORY_FILE "/var/log/apt/history.log"
#define META_LOOKED  "software-looked" /* when it was looked last, in seconds */
#define SLACK_SEC    60u               /* apt's clock is read before dpkg's work, and has seconds only */

#define PACKAGES_MAX 65536u
#define RECORDED_MAX 200u /* changes in one transaction; the rest follows */

typedef struct Package {
        char *name, *version;
} Package;

typedef struct PackageList {
        Package *packages;
        size_t n, room;
        char state[96];
} PackageList;

struct Software {
        SoftwareContext c;
        char *path;
        sd_event_source *listener, *timer;
        Helper *helper;
        PackageList list;
        char *history;
        char *claims;       /* as the helper tells them; NULL: none */
        uint64_t began_sec; /* when this look began */
};

static void list_done(PackageList *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->packages[i].name);
                free(l->packages[i].version);
        }
        free(l->packages);
        *l = (PackageList){};
}

/* Takes over nothing. */
static int list_add(PackageList *l, const char *name, size_t name_size, const char *version, size_t version_size) {
        Package p, *grown;

        if (l->n == PACKAGES_MAX)
                return -E2BIG;
        if (l->n == l->room) {
                grown = reallocarray(l->packages, l->room + 1024, sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                l->packages = grown;
                l->room += 1024;
        }
        p = (Package){ strndup(name, name_size), strndup(version, version_size) };
        if (!p.name || !p.version) {
                free(p.name);
                free(p.version);
                return -ENOMEM;
        }
        l->packages[l->n++] = p;
        return 0;
}

/* One that is to run sooner is not put off: what is written on and on is looked at nevertheless. */
static void arm(Software *s, uint64_t usec) {
        int enabled = SD_EVENT_OFF;
        uint64_t at = 0;

        if (sd_event_source_get_enabled(s->timer, &enabled) >= 0 && enabled != SD_EVENT_OFF &&
                sd_event_source_get_time(s->timer, &at) >= 0 && at <= clock_usec(CLOCK_BOOTTIME) + usec)
                return;
        if (sd_event_source_set_time_relative(s->timer, usec) >= 0)
                (void)sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

/* ---- what changed ---- */

static int by_name(const void *a, const void *b) {
        return strcmp(((const Package *)a)->name, ((const Package *)b)->name);
}

/* What apt claims about who asked for a change of the package: the newest claim that names it. */
static void set_claim(const Software *s, Event *e, const char *package) {
        size_t n = strcspn(package, ":"), claim_size = 0;
        const char *claim = NULL;

        for (const char *line = s->claims; line && *line; line += strcspn(line, "\n"), line += *line == '\n') {
                size_t size = strcspn(line, "\n");

                if (*line == '+') {
                        claim = line + 1;
                        claim_size = size - 1;
                } else if (claim && size == n && memcmp(line, package, n) == 0) {
                        event_setf(e, FIELD_REQUESTED_BY, "%.*s", (int)claim_size, claim);
                        return;
                }
        }
}

static int append_change(Software *s, const char *name, const char *before, const char *after) {
        _cleanup_(event_free_p) Event *e = NULL;
        int r = event_new(&e, EVENT_SOFTWARE_CHANGED);

        if (r < 0)
                return r;
        event_set(e, FIELD_NOUN, "package");
        event_set(e, FIELD_OBJECT, name);
        event_set(e, FIELD_BEFORE, before);
        event_set(e, FIELD_AFTER, after);
        event_set(e, FIELD_RESULT, !before ? "installed" : !after ? "removed" : "changed");
        set_claim(s, e, name);
        return trail_append(s->c.trail, e);
}

static int append_first(Software *s) {
        _cleanup_(event_free_p) Event *e = NULL;
        int r = event_new(&e, EVENT_SOFTWARE_CHANGED);

        if (r < 0)
                return r;
        event_set(e, FIELD_RESULT, "first-seen");
        event_set_uint(e, FIELD_COUNT, s->list.n);
        return trail_append(s->c.trail, e);
}

static int write_row(Software *s, const char *name, const char *version) {
        static const char set[] = "INSERT OR REPLACE INTO software (package, version) VALUES (?1, ?2)";
        static const char remove[] = "DELETE FROM software WHERE package = ?1";
        _cleanup_statement_ sqlite3_stmt *q = NULL;
        int rc, r;

        r = registry_statement(s->c.registry, version ? set : remove, &q);
        if (r != 0)
                return r;
        rc = sqlite3_bind_text(q, 1, name, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK && version)
                rc = sqlite3_bind_text(q, 2, version, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(q);
        return rc == SQLITE_DONE ? 0 : registry_result(rc);
}

static int load(Software *s, PackageList *ret) {
        static const char sql[] = "SELECT package, version FROM software ORDER BY package";
        _cleanup_statement_ sqlite3_stmt *q = NULL;
        int rc = SQLITE_DONE, r;

        r = registry_statement(s->c.registry, sql, &q);
        while (r == 0 && (rc = sqlite3_step(q)) == SQLITE_ROW) {
                const char *name = (const char *)sqlite3_column_text(q, 0);
                const char *version = (const char *)sqlite3_column_text(q, 1);

                r = name && version ? list_add(ret, name, strlen(name), version, strlen(version)) : -ENOMEM;
        }
        return r != 0 ? r : rc == SQLITE_DONE ? 0 : registry_result(rc);
}

/* Both lists by name. Returns how many changes were written, RECORDED_MAX when there may be more. */
static int write_changes(Software *s, const PackageList *was, unsigned *ret_n) {
        const PackageList *is = &s->list;
        bool first = was->n == 0;
        unsigned n = 0;
        int r = first ? append_first(s) : 0;

        for (size_t i = 0, j = 0; r == 0 && (i < was->n || j < is->n) && (first || n < RECORDED_MAX);) {
                int order = i == was->n ? 1 : j == is->n ? -1 : strcmp(was->packages[i].name, is->packages[j].name);
                const Package *before = order <= 0 ? &was->packages[i++] : NULL;
                const Package *after = order >= 0 ? &is->packages[j++] : NULL;
                const char *name = order <= 0 ? was->packages[i - 1].name : is->packages[j - 1].name;

                if (before && after && strcmp(before->version, after->version) == 0)
                        continue;
                r = write_row(s, name, after ? after->version : NULL);
                if (r == 0 && !first)
                        r = append_change(s, name, before ? before->version : NULL, after ? after->version : NULL);
                n++;
        }
        *ret_n = first ? 0 : n;
        return r;
}

/* What ended before this look is not claimed for what changes after it. */
static int note_looked(Software *s) {
        char text[24];

        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)s->began_sec);
        return registry_meta_set(s->c.registry, META_LOOKED, text);
}

static int compare(Software *s) {
        _cleanup_(list_done) PackageList was = {};
        unsigned n = 0;
        int r;

        /* A file that tells of nothing is no terminal without software. */
        if (s->list.n == 0)
                return -EBADMSG;
        qsort(s->list.packages, s->list.n, sizeof(Package), by_name);
        r = load(s, &was);
        if (r == 0)
                r = registry_begin(s->c.registry);
        if (r != 0)
                return r;
        r = write_changes(s, &was, &n);
        if (r == 0 && n < RECORDED_MAX)
                r = note_looked(s);
        if (r == 0)
                r = registry_commit(s->c.registry);
        if (r != 0) {
                registry_rollback(s->c.registry);
                return r;
        }
        trail_kick(s->c.trail);
        if (n == RECORDED_MAX)
                arm(s, USEC_PER_SEC / 10);
        return 0;
}

/* ---- the helper ---- */

/* One line "NAME VERSION" of the characters that deb-control(5) and deb-version(7) allow. */
static int take_line(Software *s, const char *line, size_t size) {
        static const char name_set[] = "abcdefghijklmnopqrstuvwxyz0123456789+.-:";
        static const char version_set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.+-~:";
        const char *blank = memchr(line, ' ', size);
        size_t n = blank ? (size_t)(blank - line) : 0;

        if (n == 0 || n >= size - 1 || strspn(line, name_set) != n || strspn(blank + 1, version_set) != size - n - 1)
                return -EBADMSG;
        return list_add(&s->list, line, n, blank + 1, size - n - 1);
}

/* A page; *ret_next is what to skip for the next one. -ESTALE: another file than that of the page before. */
static int take_page(Software *s, const char *text, uint64_t *ret_next) {
        size_t size = strcspn(text, "\n"), state = strcspn(text, " ");
        char next[16] = "";
        int r = 0;

        if (text[size] != '\n' || state >= size || state >= sizeof(s->list.state) || size - state - 1 >= sizeof(next))
                return -EBADMSG;
        memcpy(next, text + state + 1, size - state - 1);
        if (parse_uint64(next, 0, PACKAGES_MAX, ret_next) < 0)
                return -EBADMSG;
        if (*s->list.state && (strlen(s->list.state) != state || memcmp(s->list.state, text, state) != 0))
                return -ESTALE;
        memcpy(s->list.state, text, state);
        s->list.state[state] = '\0';
        for (text += size + 1; r == 0 && *text; text += size + 1) {
                size = strcspn(text, "\n");
                r = text[size] == '\n' ? take_line(s, text, size) : -EBADMSG;
        }
        if (r == 0 && *ret_next > 0 && *ret_next != s->list.n)
                r = -EBADMSG;
        return r;
}

static int ask(Software *s, uint64_t skip);

static void on_claims(int r, const char *reply, size_t size, void *userdata) {
        Software *s = userdata;

        s->helper = NULL;
        /* No history, or one that cannot be read, claims nothing. */
        if (r == 0 && !memchr(reply, '\0', size))
                s->claims = strndup(reply, size);
        r = compare(s);
        list_done(&s->list);
        free(s->claims);
        s->claims = NULL;
        if (r != 0)
                arm(s, RETRY_USEC);
}

static int ask_claims(Software *s) {
        _cleanup_free_ char *request = NULL, *looked = NULL;
        uint64_t since = s->began_sec;

        if (registry_meta_get(s->c.registry, META_LOOKED, &looked) == 0)
                (void)parse_uint64(looked, 0, INT64_MAX, &since);
        since = since > SLACK_SEC ? since - SLACK_SEC : 0;
        if (since > UINT32_MAX || asprintf(&request, "@%llu\n%s", (unsigned long long)since, s->history) < 0) {
                request = NULL;
                return -ENOMEM;
        }
        return helper_ask(s->c.helpers, request, strlen(request), on_claims, s, &s->helper);
}

static void on_page(int r, const char *reply, size_t size, void *userdata) {
        _cleanup_free_ char *text = NULL;
        Software *s = userdata;
        uint64_t next = 0;

        s->helper = NULL;
        if (r == 0) {
                text = memchr(reply, '\0', size) ? NULL : strndup(reply, size);
                r = text ? take_page(s, text, &next) : -EBADMSG;
        } else
                r = -EIO;
        if (r == 0)
                r = next > 0 ? ask(s, next) : ask_claims(s);
        if (r == 0)
                return;
        list_done(&s->list);
        if (r != 0)
                arm(s, r == -ESTALE ? SETTLE_USEC : RETRY_USEC);
}

static int ask(Software *s, uint64_t skip) {
        _cleanup_free_ char *request = NULL;

        if (asprintf(&request, "%llu\n%s", (unsigned long long)skip, s->path) < 0) {
                request = NULL;
                return -ENOMEM;
        }
        return helper_ask(s->c.helpers, request, strlen(request), on_page, s, &s->helper);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Software *s = userdata;

        /* What is being read may be older than what called. */
        if (s->helper)
                s->helper = helper_cancel(s->helper);
        list_done(&s->list);
        free(s->claims);
        s->claims = NULL;
        s->began_sec = clock_usec(CLOCK_REALTIME) / USEC_PER_SEC;
        if (ask(s, 0) < 0)
                arm(s, RETRY_USEC);
        return 0;
}

static int on_change(sd_event_source *source, const struct inotify_event *event, void *userdata) {
        if (event->len == 0 || strcmp(event->name, "status") == 0)
                arm(userdata, SETTLE_USEC);
        return 0;
}

int software_new(Software **ret, const SoftwareContext *context) {
        _cleanup_(software_free_p) Software *s = NULL;
        _cleanup_free_ char *directory = io_prefix(context->root, DIRECTORY);
        int r;

        s = calloc(1, sizeof(*s));
        if (!s || !directory)
                return -ENOMEM;
        s->c = *context;
        s->path = io_prefix(context->root, STATUS_FILE);
        s->history = io_prefix(context->root, HISTORY_FILE);
        if (!s->path || !s->history)
                return -ENOMEM;
        r = sd_event_add_time_relative(
                context->event, &s->timer, CLOCK_BOOTTIME, SETTLE_USEC, USEC_PER_SEC, on_timer, s);
        if (r < 0)
                return r;
        r = sd_event_add_inotify(context->event, &s->listener, directory,
                IN_CLOSE_WRITE | IN_MOVED_TO | IN_CREATE | IN_ONLYDIR, on_change, s);
        if (r < 0)
                (void)sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
        *ret = TAKE_PTR(s);
        return 0;
}

Software *software_free(Software *s) {
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->listener);
        sd_event_source_disable_unref(s->timer);
        if (s->helper)
                helper_cancel(s->helper);
        list_done(&s->list);
        free(s->path);
        free(s->history);
        free(s->claims);
        free(s);
        return NULL;
}
