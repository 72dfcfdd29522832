/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/password.h"

#include <errno.h>
#include <string.h>

#include "factor/password.h"
#include "factor/quality.h"
#include "login/password-secret.h"
#include "util/clock.h"

#define REQUEST_MAX 4096u

/* Fingerprints of used passwords that may wait to be taken; those of further ones are taken at another login. */
#define SEEN_MAX 16u
/* They wait while others log in: at half past eight that is what the processors are for. */
#define SEEN_PAUSE_USEC (1 * USEC_PER_SEC)
#define SEEN_TRIES_MAX  120u
/* Changes that may wait to be settled; further ones are settled at the next login. */
#define SETTLE_MAX 64u

/* When a new password is tried: not more often, because a directory may count what is wrong. */
static const uint64_t settle_usec[] = { 1 * USEC_PER_SEC, 5 * USEC_PER_SEC };

typedef struct Job {
        Passwords *passwords;
        char *user, *account; /* user NULL: not registered */
        Secret password;
        Fingerprint fingerprint;
        Event *changed; /* NULL: of a password that was seen */
        size_t tries;
        Helper *helper;
        sd_event_source *source;
        struct Job *next;
} Job;

struct Passwords {
        PasswordsContext c;
        char *secret_path;
        Job *jobs;
        unsigned n_seen, n_settling;
};

static void job_free(Job *j) {
        Passwords *p = j->passwords;

        for (Job **at = &p->jobs; *at; at = &(*at)->next)
                if (*at == j) {
                        *at = j->next;
                        (*(j->changed ? &p->n_settling : &p->n_seen))--;
                        break;
                }
        helper_cancel(j->helper);
        sd_event_source_disable_unref(j->source);
        secret_done(&j->password);
        event_free(j->changed);
        free(j->user);
        free(j->account);
        free(j);
}

/* Takes `changed`. NULL when out of memory. */
static Job *job_new(Passwords *p, const char *user, const char *account, const Secret *password, Event *changed) {
        Job *j = calloc(1, sizeof(*j));

        if (!j) {
                event_free(changed);
                return NULL;
        }
        j->passwords = p;
        j->changed = changed;
        j->password = *password;
        j->user = user ? strdup(user) : NULL;
        j->account = strdup(account);
        j->next = p->jobs;
        p->jobs = j;
        (*(changed ? &p->n_settling : &p->n_seen))++;
        if ((user && !j->user) || !j->account) {
                job_free(j);
                return NULL;
        }
        return j;
}

int passwords_new(Passwords **ret, const PasswordsContext *context) {
        Passwords *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->c = *context;
        p->secret_path = strdup(context->secret_path);
        p->c.secret_path = p->secret_path;
        if (!p->secret_path) {
                free(p);
                return -ENOMEM;
        }
        *ret = p;
        return 0;
}

Passwords *passwords_free(Passwords *p) {
        if (!p)
                return NULL;
        while (p->jobs)
                job_free(p->jobs);
        free(p->secret_path);
        free(p);
        return NULL;
}

int passwords_check_secret(Passwords *p) {
        return password_secret_check(p->c.registry, p->secret_path);
}

int passwords_ask_quality(Passwords *p, const char *account, const Secret *current, const Secret *new_password,
        helper_fn fn, void *userdata, Helper **ret) {
        char request[REQUEST_MAX];
        ssize_t n;
        int r;

        n = quality_request(request, sizeof(request), account, current, new_password);
        r = n < 0 ? (int)n : helper_ask(p->c.quality, request, (size_t)n, fn, userdata, ret);
        explicit_bzero(request, sizeof(request));
        return r;
}

static int ask_fingerprint(
        Passwords *p, HelperPool *pool, const Secret *password, helper_fn fn, void *userdata, Helper **ret) {
        _cleanup_(fingerprint_secret_done) FingerprintSecret secret = {};
        char request[REQUEST_MAX];
        ssize_t n;
        int r;

        r = password_secret_load(p->c.registry, p->secret_path, &secret);
        if (r != 0)
                return r;
        n = fingerprint_request(request, sizeof(request), &secret, password);
        r = n < 0 ? (int)n : helper_ask(pool, request, (size_t)n, fn, userdata, ret);
        explicit_bzero(request, sizeof(request));
        return r;
}

int passwords_ask_fingerprint(Passwords *p, const Secret *password, helper_fn fn, void *userdata, Helper **ret) {
        return ask_fingerprint(p, p->c.fingerprint, password, fn, userdata, ret);
}

/* ---- what is known afterwards ---- */

/* The new password was written at `since`. Records `e` with it. */
static int store_changed(Job *j, const Fingerprint *fingerprint, uint64_t since_usec, Event *e) {
        Passwords *p = j->passwords;
        int r;

        r = registry_begin(p->c.registry);
        if (r == 0 && j->user)
                r = registry_password_note(p->c.registry, j->user, since_usec, PASSWORD_CHANGED);
        if (r == 0 && j->user)
                r = registry_fingerprint_current(
                        p->c.registry, j->user, fingerprint, since_usec, p->c.config->password_history);
        if (r == 0)
                r = registry_shared_password_done(p->c.registry, j->account);
        if (r == 0)
                r = trail_append(p->c.trail, e);
        if (r == 0)
                r = registry_commit(p->c.registry);
        if (r != 0)
                registry_rollback(p->c.registry);
        else
                trail_kick(p->c.trail);
        return r;
}

static Event *describe(const Job *j, const char *result, const char *reason) {
        Event *e = NULL;

        if (event_new(&e, EVENT_PASSWORD_CHANGED) < 0)
                return NULL;
        event_set(e, FIELD_ACCOUNT, j->account);
        event_set(e, FIELD_RESULT, result);
        event_set(e, FIELD_REASON, reason);
        event_set(e, FIELD_DETAIL, "found out at a later login");
        return e;
}

/* The fingerprint of a password that was used. One that was pending is thereby known to have been written, or not. */
static int store_seen(Job *j, const Fingerprint *fingerprint) {
        Passwords *p = j->passwords;
        _cleanup_(event_free_p) Event *e = NULL;
        uint64_t since = 0;
        PasswordRow row;
        int r;

        r = registry_fingerprint_is_pending(p->c.registry, j->user, fingerprint, &since);
        if (r == 0) {
                e = describe(j, "done", NULL);
                return e ? store_changed(j, fingerprint, since, e) : -ENOMEM;
        }
        if (r == REGISTRY_E_NOT_FOUND)
                r = registry_password(p->c.registry, j->user, &row);
        if (r == 0 && row.pending) {
                e = describe(j, "failed", "not-written");
                if (!e)
                        return -ENOMEM;
        }
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;

        r = registry_begin(p->c.registry);
        if (r == 0)
                r = registry_fingerprint_current(p->c.registry, j->user, fingerprint, trusted_clock_steady(p->c.clock),
                        p->c.config->password_history);
        if (r == 0 && e)
                r = trail_append(p->c.trail, e);
        if (r == 0)
                r = registry_commit(p->c.registry);
        if (r != 0)
                registry_rollback(p->c.registry);
        else if (e)
                trail_kick(p->c.trail);
        return r;
}

/* ---- a password that was used ---- */

static void on_seen_fingerprint(int r, const char *reply, size_t size, void *userdata) {
        Fingerprint fingerprint;
        Job *j = userdata;

        j->helper = NULL;
        if (fingerprint_reply(r, reply, size, &fingerprint))
                (void)store_seen(j, &fingerprint); /* what fails is done at the next login */
        job_free(j);
}

static int on_quiet(sd_event_source *s, uint64_t usec, void *userdata) {
        Job *j = userdata;
        int r;

        if (helper_pool_busy(j->passwords->c.password) && ++j->tries < SEEN_TRIES_MAX) {
                if (sd_event_source_set_time_relative(s, SEEN_PAUSE_USEC) < 0 ||
                        sd_event_source_set_enabled(s, SD_EVENT_ONESHOT) < 0)
                        job_free(j);
                return 0;
        }
        r = ask_fingerprint(j->passwords, j->passwords->c.background, &j->password, on_seen_fingerprint, j, &j->helper);
        secret_done(&j->password);
        if (r != 0)
                job_free(j);
        return 0;
}

void passwords_seen(Passwords *p, const char *user, const char *account, const Secret *password) {
        Job *j;

        if (p->n_seen >= SEEN_MAX)
                return;
        for (j = p->jobs; j; j = j->next)
                if (!j->changed && strcmp(j->user, user) == 0)
                        return;
        j = job_new(p, user, account, password, NULL);
        if (!j)
                return;
        if (sd_event_add_time_relative(
                    p->c.event, &j->source, CLOCK_MONOTONIC, SEEN_PAUSE_USEC, SEEN_PAUSE_USEC / 10, on_quiet, j) < 0)
                job_free(j);
}

/* ---- a password that was accepted ---- */

static void settle_later(Job *j);

/* Whether a login was faster, and it is recorded already. */
static bool is_known(const Job *j) {
        Registry *registry = j->passwords->c.registry;
        FingerprintMatch match = {};
        uint64_t since;

        return j->user && registry_fingerprint_find(registry, j->user, &j->fingerprint, &match) == 0 && match.current &&
               registry_fingerprint_is_pending(registry, j->user, &j->fingerprint, &since) == REGISTRY_E_NOT_FOUND;
}

static void on_tried(int r, const char *reply, size_t size, void *userdata) {
        Job *j = userdata;

        j->helper = NULL;
        if (password_reply(r, reply, size) != PASSWORD_RIGHT)
                return settle_later(j);
        if (is_known(j))
                return job_free(j);
        event_set(j->changed, FIELD_RESULT, "done");
        (void)store_changed(j, &j->fingerprint, trusted_clock_steady(j->passwords->c.clock), j->changed);
        job_free(j);
}

static int on_settle(sd_event_source *s, uint64_t usec, void *userdata) {
        char request[REQUEST_MAX];
        Job *j = userdata;
        ssize_t n;
        int r;

        n = password_request(request, sizeof(request), j->account, NULL, NULL, &j->password);
        r = n < 0 ? (int)n : helper_ask(j->passwords->c.password, request, (size_t)n, on_tried, j, &j->helper);
        explicit_bzero(request, sizeof(request));
        if (r < 0)
                job_free(j);
        return 0;
}

/* The next try; after the last one it stays pending until the next login. */
static void settle_later(Job *j) {
        j->source = sd_event_source_disable_unref(j->source);
        if (j->tries == ELEMENTSOF(settle_usec) ||
                sd_event_add_time_relative(j->passwords->c.event, &j->source, CLOCK_BOOTTIME, settle_usec[j->tries++],
                        100 * USEC_PER_MSEC, on_settle, j) < 0)
                job_free(j);
}

void passwords_settle(Passwords *p, const char *user, const char *account, const Secret *password,
        const Fingerprint *fingerprint, Event *changed) {
        Job *j;

        if (p->n_settling >= SETTLE_MAX) {
                event_free(changed);
                return;
        }
        j = job_new(p, user, account, password, changed);
        if (!j)
                return;
        j->fingerprint = *fingerprint;
        settle_later(j);
}
