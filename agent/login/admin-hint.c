/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "login/admin-log-internal.h"
#include "util/clock.h"

/* sudo writes just before its PAM session opens, pkexec just after; journald and the reader add a moment. */
#define EXPECT_USEC (30 * USEC_PER_SEC)
/* How long a process may take from PAM's account stage to what it writes about. */
#define KEEP_USEC (15 * 60 * USEC_PER_SEC)
#define HINTS_MAX 1024u

static void hint_free(Hint *h) {
        session_done(&h->session);
        free(h);
}

static bool copy(char **ret, const char *text) {
        *ret = text ? strdup(text) : NULL;
        return *ret || !text;
}

/* pkexec writes when its session is open and its command is about to run. */
#define PKEXEC_USEC (10 * USEC_PER_SEC)

static bool is_of(const Hint *h, const AdminRecord *r) {
        const AdminCommand *c = &r->command;
        bool polkit = strcmp(h->session.service, "polkit-1") == 0;

        return (uint32_t)h->session.process.pid == r->pid && polkit == (c->source == ADMIN_PKEXEC) &&
               (!*c->user || strcmp(h->session.account, c->user) == 0) && r->realtime_usec >= h->account_usec;
}

static bool is_alive(const Hint *h) {
        int fd = process_open(h->session.process);

        if (fd >= 0)
                close(fd);
        return fd >= 0;
}

/* Once, in the time in which the process can be nothing but sudo or pkexec; then its end, by the same number. Whatever
 * else it writes only as long as it is there: its number may be another process's later. */
static bool confirms(const Hint *h, const AdminRecord *r) {
        if (r->command.kind == ADMIN_EXITED)
                return h->logged && !h->ended && *h->id && strcmp(h->id, r->command.id) == 0;
        if (h->logged)
                return is_alive(h);
        if (r->command.source == ADMIN_PKEXEC)
                return r->realtime_usec <= h->account_usec + PKEXEC_USEC;
        return h->session_usec == 0 || r->realtime_usec <= h->session_usec;
}

Hint *hint_find(AdminLog *l, const AdminRecord *r) {
        for (Hint *h = l->hints.first; r->pid > 0 && h; h = h->next)
                if (is_of(h, r) && confirms(h, r))
                        return h;
        return NULL;
}

void hint_told(Hint *h, const AdminRecord *r) {
        if (r->command.kind == ADMIN_EXITED) {
                h->ended = true;
                return;
        }
        if (!h->logged)
                memcpy(h->id, r->command.id, sizeof(h->id));
        h->logged = true;
}

static void record_not_logged(AdminLog *l, const Hint *h) {
        _cleanup_(event_free_p) Event *e = NULL;
        const Session *s = &h->session;

        if (event_new(&e, EVENT_ADMIN_COMMAND) < 0)
                return;
        event_set(e, FIELD_ACCOUNT, s->account);
        event_set(e, FIELD_PERSON, s->person);
        event_set(e, FIELD_NAME, s->name);
        event_set(e, FIELD_TARGET, s->target);
        event_set(e, FIELD_SERVICE, s->service);
        event_set(e, FIELD_TTY, s->tty);
        event_set(e, FIELD_SESSION, *s->id ? s->id : NULL);
        event_set_uint(e, FIELD_PID, (uint64_t)s->process.pid);
        event_set(e, FIELD_RESULT, "not-logged");
        event_set(e, FIELD_REASON, "not-logged");
        event_set(e, FIELD_DETAIL, "PAM let it through, and the system log does not say which command it was");
        trail_record_closing(l->c.trail, e);
}

static void arm(AdminLog *l, uint64_t now) {
        uint64_t next = UINT64_MAX;

        for (const Hint *h = l->hints.first; h; h = h->next)
                if (h->deadline_usec > 0 && !h->logged && h->deadline_usec < next)
                        next = h->deadline_usec;
        if (next == UINT64_MAX)
                return;
        if (sd_event_source_set_time_relative(l->hints.timer, next > now ? next - now : 0) >= 0)
                (void)sd_event_source_set_enabled(l->hints.timer, SD_EVENT_ONESHOT);
}

/* Tells what was waited for in vain, and forgets what is old. */
static void sweep(AdminLog *l, uint64_t now) {
        for (Hint **p = &l->hints.first; *p;) {
                Hint *h = *p;

                if (h->deadline_usec > 0 && !h->logged && now >= h->deadline_usec) {
                        record_not_logged(l, h);
                        h->logged = true;
                }
                if (now - h->at_usec > KEEP_USEC) {
                        *p = h->next;
                        l->hints.n--;
                        hint_free(h);
                } else
                        p = &h->next;
        }
        arm(l, now);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        sweep(userdata, clock_usec(CLOCK_BOOTTIME));
        return 0;
}

/* Makes room: one that nothing is expected of any more goes first, then the oldest, which is told. */
static void drop_one(AdminLog *l) {
        Hint **last = NULL, **idle = NULL, *h;

        for (Hint **p = &l->hints.first; *p; p = &(*p)->next) {
                last = p;
                if ((*p)->logged || (*p)->deadline_usec == 0)
                        idle = p;
        }
        if (idle)
                last = idle;
        if (!last)
                return;
        h = *last;
        if (!idle)
                record_not_logged(l, h);
        *last = h->next;
        l->hints.n--;
        hint_free(h);
}

/* The process's own hint, a new one where there is none of it yet. */
static Hint *hint_get(AdminLog *l, const Session *s) {
        Hint *h;

        for (h = l->hints.first; h; h = h->next)
                if (process_id_equal(h->session.process, s->process) && strcmp(h->session.service, s->service) == 0)
                        return h;
        if (l->hints.n >= HINTS_MAX)
                drop_one(l);
        h = calloc(1, sizeof(*h));
        if (!h)
                return NULL;
        h->session.process = s->process;
        if (!copy(&h->session.service, s->service) || !copy(&h->session.account, s->account)) {
                hint_free(h);
                return NULL;
        }
        h->next = l->hints.first;
        l->hints.first = h;
        l->hints.n++;
        return h;
}

void admin_log_hint(AdminLog *l, const Session *s, bool expected) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);
        char *person = NULL, *name = NULL, *target = NULL, *tty = NULL;
        Hint *h;

        if (!l)
                return;
        sweep(l, now);
        h = hint_get(l, s);
        if (!h || !copy(&person, s->person) || !copy(&name, s->name) || !copy(&target, s->target) ||
                !copy(&tty, s->tty)) {
                free(person);
                free(name);
                free(target);
                return;
        }
        free(h->session.person);
        free(h->session.name);
        free(h->session.target);
        free(h->session.tty);
        h->session.person = person;
        h->session.name = name;
        h->session.target = target;
        h->session.tty = tty;
        memcpy(h->session.id, s->id, sizeof(s->id));
        h->at_usec = now;
        if (h->account_usec == 0)
                h->account_usec = clock_usec(CLOCK_REALTIME);
        else if (expected)
                h->session_usec = clock_usec(CLOCK_REALTIME);
        if (expected && !h->logged)
                h->deadline_usec = now + EXPECT_USEC;
        arm(l, now);
        admin_log_look(l);
}

int hint_list_init(AdminLog *l) {
        int r = sd_event_add_time_relative(l->c.event, &l->hints.timer, CLOCK_BOOTTIME, 0, USEC_PER_SEC, on_timer, l);

        return r < 0 ? r : sd_event_source_set_enabled(l->hints.timer, SD_EVENT_OFF);
}

void hint_list_done(AdminLog *l) {
        while (l->hints.first) {
                Hint *h = l->hints.first;

                l->hints.first = h->next;
                hint_free(h);
        }
        sd_event_source_disable_unref(l->hints.timer);
}
