/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/session.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-id128.h>

#include "login/service.h"

typedef struct Watch {
        Session session;
        SessionList *list;
        sd_event_source *source;
        int fd;
        struct Watch *next;
} Watch;

struct SessionList {
        sd_event *event;
        Registry *registry;
        Trail *trail;
        char *boot_id;
        Watch *first;
        size_t n;
};

void session_done(Session *s) {
        free(s->account);
        free(s->person);
        free(s->name);
        free(s->target);
        free(s->service);
        free(s->tty);
        free(s->origin);
        *s = (Session){};
}

static void watch_free(Watch *w) {
        sd_event_source_disable_unref(w->source);
        if (w->fd >= 0)
                close(w->fd);
        session_done(&w->session);
        free(w);
}

static void event_describe(Event *e, const Session *s) {
        event_set(e, FIELD_SESSION, s->id);
        event_set(e, FIELD_ACCOUNT, s->account);
        event_set(e, FIELD_PERSON, s->person);
        event_set(e, FIELD_NAME, s->name);
        event_set(e, FIELD_TARGET, s->target);
        event_set(e, FIELD_SERVICE, s->service);
        event_set(e, FIELD_TTY, s->tty);
        event_set(e, FIELD_ORIGIN, s->origin);
}

static int delete_row(Registry *r, const char *id) {
        sqlite3_stmt *statement = NULL;
        int rc;

        rc = sqlite3_prepare_v2(registry_db(r), "DELETE FROM sessions WHERE id = ?", -1, &statement, NULL);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(statement);
        sqlite3_finalize(statement);
        return rc == SQLITE_DONE ? 0 : registry_result(rc);
}

/* Row and entry together where the registry can be written; the entry alone (reserve) where it cannot: then the row is
 * found dead at the next start, and said twice rather than never. */
static void record_closed(SessionList *l, const Session *s, const char *reason) {
        _cleanup_(event_free_p) Event *e = NULL;

        if (event_new(&e, EVENT_SESSION_CLOSED) < 0)
                return;
        event_describe(e, s);
        event_set(e, FIELD_REASON, reason);
        if (registry_begin(l->registry) == 0) {
                if (delete_row(l->registry, s->id) == 0 && trail_append(l->trail, e) == 0 &&
                        registry_commit(l->registry) == 0) {
                        trail_kick(l->trail);
                        return;
                }
                registry_rollback(l->registry);
        }
        trail_record_closing(l->trail, e);
}

static void watch_remove(Watch *w) {
        SessionList *l = w->list;

        for (Watch **p = &l->first; *p; p = &(*p)->next)
                if (*p == w) {
                        *p = w->next;
                        l->n--;
                        break;
                }
        watch_free(w);
}

static int on_process_gone(sd_event_source *source, int fd, uint32_t revents, void *userdata) {
        Watch *w = userdata;

        record_closed(w->list, &w->session, "process-gone");
        watch_remove(w);
        return 0;
}

static int watch_add(SessionList *l, Session *s) {
        Watch *w;
        int r;

        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->list = l;
        w->fd = process_open(s->process);
        if (w->fd < 0) {
                r = w->fd;
                free(w);
                return r;
        }
        r = sd_event_add_io(l->event, &w->source, w->fd, EPOLLIN, on_process_gone, w);
        if (r < 0) {
                watch_free(w);
                return r;
        }
        w->session = *s;
        *s = (Session){};
        w->next = l->first;
        l->first = w;
        l->n++;
        return 0;
}

static char *column_text(sqlite3_stmt *s, int i) {
        const char *t = (const char *)sqlite3_column_text(s, i);

        return t ? strdup(t) : NULL;
}

typedef struct Row {
        Session session;
        bool this_boot;
} Row;

static void rows_free(Row *rows, size_t n) {
        for (size_t i = 0; i < n; i++)
                session_done(&rows[i].session);
        free(rows);
}

static Row read_row(SessionList *l, sqlite3_stmt *s) {
        const char *id = (const char *)sqlite3_column_text(s, 0), *boot_id = (const char *)sqlite3_column_text(s, 9);
        const char *credentials = (const char *)sqlite3_column_text(s, 11);
        Row row = {
                .session = {
                        .account = column_text(s, 1),
                        .person = column_text(s, 2),
                        .target = column_text(s, 3),
                        .service = column_text(s, 4),
                        .tty = column_text(s, 5),
                        .origin = column_text(s, 6),
                        .name = column_text(s, 10),
                        .process = { (pid_t)sqlite3_column_int64(s, 7), (uint64_t)sqlite3_column_int64(s, 8) },
                },
                .this_boot = boot_id && strcmp(boot_id, l->boot_id) == 0,
        };

        snprintf(row.session.id, sizeof(row.session.id), "%s", id ? id : "");
        snprintf(row.session.credentials, sizeof(row.session.credentials), "%s", credentials ? credentials : "");
        return row;
}

static int read_rows(SessionList *l, Row **ret, size_t *ret_n) {
        static const char sql[] = "SELECT id, account, person, target, service, tty, origin, pid, starttime, boot_id,"
                                  " (SELECT name FROM users u WHERE u.person = s.person AND u.deleted = 0 ORDER BY "
                                  "u.shared, u.id LIMIT 1), credentials"
                                  " FROM sessions s";
        sqlite3_stmt *statement = NULL;
        Row *rows = NULL;
        size_t n = 0;
        int rc, r = 0;

        rc = sqlite3_prepare_v2(registry_db(l->registry), sql, -1, &statement, NULL);
        if (rc != SQLITE_OK)
                return registry_result(rc);
        while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
                Row *grown = reallocarray(rows, n + 1, sizeof(*rows));

                if (!grown) {
                        r = -ENOMEM;
                        break;
                }
                rows = grown;
                rows[n++] = read_row(l, statement);
        }
        sqlite3_finalize(statement);
        if (r == 0 && rc != SQLITE_DONE)
                r = registry_result(rc);
        if (r != 0) {
                rows_free(rows, n);
                return r;
        }
        *ret = rows;
        *ret_n = n;
        return 0;
}

static int adopt(SessionList *l) {
        Row *rows = NULL;
        size_t n = 0;
        int r;

        r = read_rows(l, &rows, &n);
        for (size_t i = 0; i < n && r == 0; i++) {
                const char *reason = "machine-restarted";

                if (rows[i].this_boot) {
                        r = rows[i].session.service ? watch_add(l, &rows[i].session) : -ESRCH;
                        if (r == 0)
                                continue;
                        if (r != -ESRCH)
                                break;
                        r = 0;
                        reason = "process-gone";
                }
                record_closed(l, &rows[i].session, reason);
        }
        rows_free(rows, n);
        return r;
}

int session_list_new(SessionList **ret, sd_event *event, Registry *registry, Trail *trail, const char *boot_id) {
        _cleanup_(session_list_free_p) SessionList *l = NULL;
        int r;

        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->event = sd_event_ref(event);
        l->registry = registry;
        l->trail = trail;
        l->boot_id = strdup(boot_id);
        if (!l->boot_id)
                return -ENOMEM;
        r = adopt(l);
        if (r != 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

SessionList *session_list_free(SessionList *l) {
        if (!l)
                return NULL;
        while (l->first)
                watch_remove(l->first);
        sd_event_unref(l->event);
        free(l->boot_id);
        free(l);
        return NULL;
}

static int insert_row(SessionList *l, const Session *s, uint64_t now_usec) {
        static const char sql[] = "INSERT INTO sessions (id, account, person, target, service, tty, origin, pid, "
                                  "starttime, boot_id, opened, credentials)"
                                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
        const char *texts[] = { s->id, s->account, s->person, s->target, s->service, s->tty, s->origin };
        sqlite3_stmt *statement = NULL;
        int rc;

        rc = sqlite3_prepare_v2(registry_db(l->registry), sql, -1, &statement, NULL);
        for (size_t i = 0; rc == SQLITE_OK && i < ELEMENTSOF(texts); i++)
                rc = sqlite3_bind_text(statement, (int)i + 1, texts[i], -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_int64(statement, 8, s->process.pid);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_int64(statement, 9, (sqlite3_int64)s->process.start);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(statement, 10, l->boot_id, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_int64(statement, 11, (sqlite3_int64)now_usec);
        if (rc == SQLITE_OK)
                rc = sqlite3_bind_text(statement, 12, s->credentials, -1, SQLITE_STATIC);
        if (rc == SQLITE_OK)
                rc = sqlite3_step(statement);
        sqlite3_finalize(statement);
        return rc == SQLITE_DONE ? 0 : registry_result(rc);
}

int session_open(SessionList *l, Session *s, uint64_t now_usec, Event *entry) {
        sd_id128_t id;
        int r;

        r = sd_id128_randomize(&id);
        if (r < 0)
                return r;
        sd_id128_to_string(id, s->id);
        event_describe(entry, s);

        r = registry_begin(l->registry);
        if (r != 0)
                return r;
        r = insert_row(l, s, now_usec);
        if (r == 0)
                r = trail_append(l->trail, entry);
        if (r == 0)
                r = registry_commit(l->registry);
        if (r != 0) {
                registry_rollback(l->registry);
                return r;
        }
        trail_kick(l->trail);

        r = watch_add(l, s);
        if (r < 0) {
                record_closed(l, s, r == -ESRCH ? "process-gone" : "not-opened");
                return r;
        }
        return 0;
}

bool session_close(SessionList *l, const char *service, const Peer *peer) {
        ProcessId parent = l->first ? peer_parent(peer) : (ProcessId){};

        for (Watch *w = l->first; w; w = w->next)
                if (strcmp(w->session.service, service) == 0 && (process_id_equal(w->session.process, peer->process) ||
                                                                        process_id_equal(w->session.process, parent))) {
                        record_closed(l, &w->session, "closed");
                        watch_remove(w);
                        return true;
                }
        return false;
}

size_t session_count(const SessionList *l) {
        return l->n;
}

static bool is_own(const Session *s) {
        const Service *service = s->service ? service_find(s->service) : NULL;

        return service && (service->family == FAMILY_CONSOLE || service->family == FAMILY_REMOTE);
}

const Session *session_list_find(const SessionList *l, const char *person, const char *account) {
        for (Watch *w = l->first; w; w = w->next) {
                const Session *s = &w->session;
                bool same = person && s->person ? strcmp(person, s->person) == 0
                                                : account && s->account && strcmp(account, s->account) == 0;

                if (same && is_own(s))
                        return s;
        }
        return NULL;
}

void session_list_each(const SessionList *l, void (*fn)(const Session *s, void *userdata), void *userdata) {
        for (Watch *w = l->first; w; w = w->next)
                fn(&w->session, userdata);
}

bool session_list_has(const SessionList *l, const char *id) {
        for (Watch *w = l->first; w; w = w->next)
                if (strcmp(w->session.id, id) == 0)
                        return true;
        return false;
}
