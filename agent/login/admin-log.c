/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/eventfd.h>

#include "login/admin-log-internal.h"
#include "util/clock.h"
#include "util/json.h"
#include "util/text.h"

#define META_CURSOR "admin-cursor" /* of the journal's entry that was recorded, or passed over, last */

#define PAUSE_MIN_USEC (1 * USEC_PER_SEC)
#define PAUSE_MAX_USEC (60 * USEC_PER_SEC)
#define RETRY_USEC     (5 * USEC_PER_SEC)
#define UNCONFIRMED_EACH                                                                                               \
        { .burst = 30, .interval_usec = 60 * USEC_PER_SEC }
#define UNCONFIRMED_ALL                                                                                                \
        { .burst = 200, .interval_usec = 10 * USEC_PER_SEC }
#define FAILURES_TOLD 4u /* a reader that ends this often, one time after another, is told */

void admin_log_tell(AdminLog *l, const char *result, const char *reason, const char *detail) {
        _cleanup_(event_free_p) Event *e = NULL;

        if (event_new(&e, EVENT_ADMIN_LOG) < 0)
                return;
        event_set(e, FIELD_RESULT, result);
        event_set(e, FIELD_REASON, reason);
        event_set(e, FIELD_DETAIL, detail);
        trail_record_closing(l->c.trail, e);
}

/* ---- what the reader says ---- */

static bool ends(const char *text, size_t room) {
        return memchr(text, '\0', room) != NULL;
}

static bool cursor_valid(const char *cursor) {
        static const char set[] = "abcdefghijklmnopqrstuvwxyz0123456789=;";

        return *cursor && strspn(cursor, set) == strlen(cursor);
}

static bool command_valid(const AdminCommand *c) {
        return c->kind < _ADMIN_KIND_MAX && c->source < _ADMIN_SOURCE_MAX && c->exit_status >= -1 &&
               ends(c->user, sizeof(c->user)) && ends(c->target, sizeof(c->target)) &&
               ends(c->group, sizeof(c->group)) && ends(c->tty, sizeof(c->tty)) && ends(c->cwd, sizeof(c->cwd)) &&
               ends(c->signal, sizeof(c->signal)) && ends(c->reason, sizeof(c->reason)) && ends(c->id, sizeof(c->id)) &&
               ends(c->command, sizeof(c->command));
}

static bool record_valid(const AdminRecord *r) {
        return r->version == ADMIN_WIRE_VERSION && r->what < _ADMIN_WHAT_MAX && ends(r->cursor, sizeof(r->cursor)) &&
               cursor_valid(r->cursor) && ends(r->boot_id, sizeof(r->boot_id)) && r->realtime_usec <= INT64_MAX &&
               (r->what != ADMIN_WHAT_COMMAND || command_valid(&r->command));
}

static void arm(AdminLog *l, uint64_t usec) {
        if (sd_event_source_set_time_relative(l->timer, usec) >= 0)
                (void)sd_event_source_set_enabled(l->timer, SD_EVENT_ONESHOT);
}

/* The reader may send the next one. */
static void acknowledge(AdminLog *l) {
        uint64_t one = 1;

        l->busy = false;
        if (l->acks >= 0 && write(l->acks, &one, sizeof(one)) != (ssize_t)sizeof(one) && l->helper)
                l->helper = helper_cancel(l->helper); /* it would wait for ever */
        if (!l->helper)
                arm(l, l->pause_usec);
}

/* ---- recording ---- */

static const char *result_of(const AdminCommand *c) {
        static const char *const results[] = {
                [ADMIN_ACCEPTED] = "accepted",
                [ADMIN_REFUSED] = "refused",
                [ADMIN_ALERT] = "alert",
                [ADMIN_EXITED] = "ended",
                [ADMIN_UNPARSED] = "unparsed",
        };

        return results[c->kind];
}

/* Who acted: whom PAM has let through; else whom root's sudo names; else whose uid wrote it. */
static int set_person(AdminLog *l, Event *e, const Hint *h) {
        const AdminRecord *r = &l->record;
        const char *account = h ? h->session.account : r->uid == 0 ? r->command.user : l->login;
        _cleanup_(user_done) User u = {};
        int rc;

        event_set(e, FIELD_ACCOUNT, account);
        if (r->uid != UINT32_MAX)
                event_set_uint(e, FIELD_UID, r->uid);
        /* In a shell of root it is who logged in. */
        if (l->login && (!h || !h->session.person))
                account = l->login;
        if (!account || !*account)
                return 0;
        rc = registry_user(l->c.registry, account, &u);
        if (rc != 0 && rc != REGISTRY_E_NOT_FOUND)
                return rc;
        event_set(e, FIELD_PERSON, h && h->session.person ? h->session.person : u.person);
        event_set(e, FIELD_NAME, h && h->session.person ? h->session.name : u.name);
        event_set(e, FIELD_USER_UNIT, u.unit);
        return 0;
}

/* root's word, or of a process that keishi itself has let through. */
static bool is_confirmed(const AdminLog *l, const Hint *h) {
        return h || l->record.uid == 0;
}

static int command_event(AdminLog *l, const Hint *h, Event **ret) {
        _cleanup_(event_free_p) Event *e = NULL;
        const AdminCommand *c = &l->record.command;
        int r;

        r = event_new(&e, EVENT_ADMIN_COMMAND);
        if (r == 0)
                r = set_person(l, e, h);
        if (r != 0)
                return r;
        event_set(e, FIELD_TARGET, c->target);
        event_set(e, FIELD_SERVICE, h ? h->session.service : c->source == ADMIN_SUDO ? "sudo" : "polkit-1");
        event_set(e, FIELD_TTY, c->tty);
        event_set(e, FIELD_RESULT, result_of(c));
        event_set(e, FIELD_REASON, c->kind != ADMIN_ACCEPTED ? result_of(c) : NULL);
        event_set(e, FIELD_SESSION, h && *h->session.id ? h->session.id : NULL);
        if (l->record.pid > 0)
                event_set_uint(e, FIELD_PID, l->record.pid);
        event_set(e, FIELD_OBJECT, c->id);
        event_set(e, FIELD_DETAIL, c->reason);
        if (*c->group && !*c->reason)
                event_setf(e, FIELD_DETAIL, "group %s", c->group);
        event_set(e, FIELD_COMMAND, c->command);
        event_set(e, FIELD_CWD, c->cwd);
        if (*c->signal)
                event_set(e, FIELD_EXIT, c->signal);
        else if (c->exit_status >= 0)
                event_set_uint(e, FIELD_EXIT, (uint64_t)c->exit_status);
        event_set_uint(e, FIELD_HAPPENED, l->record.realtime_usec);
        if (!is_confirmed(l, h))
                event_set(e, FIELD_VIA, "unconfirmed");
        *ret = TAKE_PTR(e);
        return 0;
}

static int gap_event(Event **ret) {
        int r = event_new(ret, EVENT_ADMIN_LOG);

        if (r < 0)
                return r;
        event_set(*ret, FIELD_RESULT, "gap");
        event_set(*ret, FIELD_REASON, "journal");
        event_set(*ret, FIELD_DETAIL,
                "the host's journal does not hold what followed the entry that was read last, or it is damaged; "
                "commands "
                "may be missing");
        return 0;
}

/* Entry and cursor in one transaction: whatever happens, each is recorded once. */
static int commit(AdminLog *l, Event *e) {
        int r;

        r = registry_begin(l->c.registry);
        if (r == 0 && e)
                r = trail_append(l->c.trail, e);
        if (r == 0)
                r = registry_meta_set(l->c.registry, META_CURSOR, l->record.cursor);
        if (r == 0)
                r = registry_commit(l->c.registry);
        if (r != 0) {
                registry_rollback(l->c.registry);
                return r;
        }
        trail_kick(l->c.trail);
        return 0;
}

static void record_now(AdminLog *l) {
        _cleanup_(event_free_p) Event *e = NULL;
        bool command = l->record.what == ADMIN_WHAT_COMMAND;
        Hint *h = command ? hint_find(l, &l->record) : NULL;
        int r = 0;

        if (command)
                r = command_event(l, h, &e);
        else if (l->record.what == ADMIN_WHAT_GAP)
                r = gap_event(&e);
        if (r == 0)
                r = commit(l, e);
        if (r != 0) {
                arm(l, RETRY_USEC);
                return;
        }
        if (h)
                hint_told(h, &l->record);
        if (command && l->record.realtime_usec > l->last_usec)
                l->last_usec = l->record.realtime_usec;
        free(l->login);
        l->login = NULL;
        l->pause_usec = PAUSE_MIN_USEC;
        l->failures = 0;
        if (l->told_failing) {
                l->told_failing = false;
                admin_log_tell(l, "on", "reader", "the host's journal is read again");
        }
        acknowledge(l);
}

static void on_login(int r, Account *account, void *userdata) {
        AdminLog *l = userdata;

        l->query = NULL;
        if (r == 0)
                l->login = strdup(account->name); /* without it the entry has the uid alone */
        record_now(l);
}

/* Whose account has to be looked up. root calls sudo in a shell that somebody became root in: the login is whose it is,
 * if the host keeps track. UINT32_MAX: nobody's. */
static uint32_t uid_to_look_up(AdminLog *l) {
        const AdminRecord *r = &l->record;

        const Hint *h;

        if (r->what != ADMIN_WHAT_COMMAND)
                return UINT32_MAX;
        h = hint_find(l, r);
        if (h && (h->session.person || r->uid != 0))
                return UINT32_MAX;
        return r->uid != 0 ? r->uid : r->login_uid != 0 ? r->login_uid : UINT32_MAX;
}

/* What nothing confirms is recorded, for it may be true: sudo refused before PAM was asked, or the agent was away. Not
 * without bounds, for it may be made up. */
static bool is_one_too_many(AdminLog *l) {
        const AdminRecord *r = &l->record;

        if (r->what != ADMIN_WHAT_COMMAND || r->uid == 0 || hint_find(l, r))
                return false;
        if (r->uid != UINT32_MAX && budget_spend(&l->unconfirmed, r->uid, clock_usec(CLOCK_BOOTTIME))) {
                l->told_dropped = false;
                return false;
        }
        if (!l->told_dropped)
                admin_log_tell(l, "dropped", "unconfirmed",
                        "somebody fills the system log under the name of sudo or pkexec; what no PAM call confirms is "
                        "not "
                        "recorded meanwhile");
        l->told_dropped = true;
        return true;
}

static bool on_said(const char *packet, size_t size, void *userdata) {
        AdminLog *l = userdata;
        uint32_t uid;

        if (l->busy || size != sizeof(l->record))
                return false; /* which ends it */
        memcpy(&l->record, packet, size);
        if (!record_valid(&l->record))
                return false;
        l->busy = true;
        if (is_one_too_many(l)) {
                acknowledge(l);
                return true;
        }
        uid = uid_to_look_up(l);
        if (uid != UINT32_MAX && lookup_uid(l->c.lookup, uid, on_login, l, &l->query) == 0)
                return true;
        record_now(l);
        return true;
}

/* ---- the reader ---- */

static void on_end(int r, const char *reply, size_t size, void *userdata) {
        AdminLog *l = userdata;

        l->helper = NULL;
        l->failures++;
        if (l->failures >= FAILURES_TOLD && !l->told_failing) {
                l->told_failing = true;
                admin_log_tell(
                        l, "off", "reader", "the host's journal cannot be read: keishi-admin ends again and again");
        }
        /* What is being recorded stays, and is not asked for again: the cursor moves with it. */
        if (l->busy && l->query)
                return;
        arm(l, l->pause_usec);
        l->pause_usec = l->pause_usec * 2 < PAUSE_MAX_USEC ? l->pause_usec * 2 : PAUSE_MAX_USEC;
}

static int start(AdminLog *l) {
        AdminStart s = { .version = ADMIN_WIRE_VERSION };
        _cleanup_free_ char *cursor = NULL;
        int r;

        r = registry_meta_get(l->c.registry, META_CURSOR, &cursor);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        if (strlen(l->root) >= sizeof(s.root) || (cursor && strlen(cursor) >= sizeof(s.cursor)))
                return -E2BIG;
        memcpy(s.root, l->root, strlen(l->root));
        if (cursor)
                memcpy(s.cursor, cursor, strlen(cursor));
        if (l->acks >= 0)
                close(TAKE_FD(l->acks));
        /* What another reader did not take must not count for this one. */
        l->acks = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (l->acks < 0)
                return -errno;
        return helper_ask_more(l->c.reader,
                &(HelperQuestion){
                        .request = &s,
                        .size = sizeof(s),
                        .fds = &l->acks,
                        .n_fds = 1,
                        .timeout_usec = UINT64_MAX,
                        .said = on_said,
                        .fn = on_end,
                        .userdata = l,
                },
                &l->helper);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        AdminLog *l = userdata;

        if (l->busy && !l->query)
                record_now(l);
        else if (!l->busy && !l->helper && start(l) != 0) {
                l->helper = NULL;
                arm(l, RETRY_USEC);
        }
        return 0;
}

int admin_log_new(AdminLog **ret, const AdminLogContext *context) {
        _cleanup_(admin_log_free_p) AdminLog *l = NULL;
        int r;

        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->c = *context;
        l->acks = -EBADF;
        l->pause_usec = PAUSE_MIN_USEC;
        l->unconfirmed = (Budget){ .each = UNCONFIRMED_EACH, .all = UNCONFIRMED_ALL };
        l->root = strdup(context->root ? context->root : "");
        if (!l->root)
                return -ENOMEM;
        r = sd_event_add_time_relative(context->event, &l->timer, CLOCK_BOOTTIME, 0, USEC_PER_SEC / 10, on_timer, l);
        if (r >= 0)
                r = hint_list_init(l);
        if (r >= 0)
                r = sudoers_init(l);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(l);
        return 0;
}

AdminLog *admin_log_free(AdminLog *l) {
        if (!l)
                return NULL;
        hint_list_done(l);
        sudoers_done(l);
        if (l->query)
                lookup_query_cancel(l->query);
        if (l->helper)
                helper_cancel(l->helper);
        if (l->acks >= 0)
                close(l->acks);
        sd_event_source_disable_unref(l->timer);
        free(l->login);
        free(l->root);
        free(l);
        return NULL;
}

int admin_log_status(const AdminLog *l, json_object **ret) {
        _cleanup_json_ json_object *o = json_object_new_object();
        const char *state = l ? l->sudoers.state : NULL;
        bool absent = state && strcmp(state, "absent") == 0, ok = state && strcmp(state, "ok") == 0;

        if (!o || !l)
                return -ENOMEM;
        if (json_set_boolean(o, "read", l->helper && l->failures == 0) < 0 ||
                json_set_uint(o, "last_usec", l->last_usec) < 0 ||
                json_set_string(o, "sudo",
                        !state   ? "unknown"
                        : absent ? "absent"
                        : ok     ? "logs"
                                 : "does-not-log") < 0 ||
                (state && !ok && !absent && json_set_string(o, "settings", state) < 0))
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}
