/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/enforce.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>

#include "login/facts.h"
#include "login/notice.h"
#include "login/service.h"
#include "registry/credential.h"
#include "util/clock.h"
#include "util/text.h"

#define PERIOD_USEC (60 * USEC_PER_SEC)
#define TOLD_USEC   (5 * 60 * USEC_PER_SEC) /* how long greeters say that a session was ended */

/* One thing that is open: a session of ours, or (service NULL) an account that logind has processes of. */
typedef struct Check {
        Enforcer *enforcer;
        LookupQuery *query;
        char *account;
        char *target, *person, *service, *session;
        char credentials[80];
        bool remote;
        struct Check *next;
} Check;

/* An account that is being ended. */
typedef struct Ending {
        Enforcer *enforcer;
        Helper *helper;
        sd_event_source *notice; /* until the user has had time to read */
        uid_t uid;
        struct Ending *next;
} Ending;

struct Enforcer {
        EnforcerContext c;
        char *users_dir, *notice_dir;
        Reason ended_reason; /* of the last local session that was ended, at ended_usec (CLOCK_BOOTTIME) */
        uint64_t ended_usec;
        sd_event_source *timer;
        Check *checks;
        Ending *endings;
};

static void check_free(Check *k) {
        for (Check **p = &k->enforcer->checks; *p; p = &(*p)->next)
                if (*p == k) {
                        *p = k->next;
                        break;
                }
        lookup_query_cancel(k->query);
        free(k->account);
        free(k->target);
        free(k->person);
        free(k->service);
        free(k->session);
        free(k);
}

static void ending_free(Ending *n) {
        for (Ending **p = &n->enforcer->endings; *p; p = &(*p)->next)
                if (*p == n) {
                        *p = n->next;
                        break;
                }
        helper_cancel(n->helper);
        sd_event_source_disable_unref(n->notice);
        free(n);
}

/* Whether a refusal for this reason ends what is open. Hours close the door, not the room. */
static bool reason_ends(Reason r) {
        switch (r) {
        case REASON_DEFAULT:
        case REASON_UNREGISTERED:
        case REASON_RETIRED:
        case REASON_RESTRICTED:
        case REASON_REMOTE_CLOSED:
        case REASON_EXPIRED:
        case REASON_TARGET:
        case REASON_CLASS:
        case REASON_CREDENTIAL:
        case REASON_TERMINAL_RETIRED:
                return true;
        default:
                return false;
        }
}

static void call_bus(Enforcer *e, const char *service, const char *path, const char *method, const char *types, ...) {
        sd_bus *bus = e->c.bus ? e->c.bus(e->c.userdata) : NULL;
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        _cleanup_free_ char *interface = NULL;
        va_list ap;
        int r;

        /* Without the bus the helper still kills every process of the uid. */
        if (!bus || asprintf(&interface, "%s.Manager", service) < 0) {
                interface = NULL;
                return;
        }
        if (sd_bus_message_new_method_call(bus, &m, service, path, interface, method) < 0)
                return;
        va_start(ap, types);
        r = sd_bus_message_appendv(m, types, ap);
        va_end(ap);
        if (r >= 0 && sd_bus_message_set_expect_reply(m, false) >= 0)
                (void)sd_bus_send(bus, m, NULL);
}

static void on_ended(int r, const char *reply, size_t size, void *userdata) {
        Ending *n = userdata;
        char manager[64];

        n->helper = NULL;
        /* That it was killed is no fault of the machine's for an administrator to look into. */
        (void)snprintf(manager, sizeof(manager), "user@%u.service", n->uid);
        call_bus(n->enforcer, "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "ResetFailedUnit", "s", manager);
        if (r != 0 || size != 1 || reply[0] != '0') {
                _cleanup_(event_free_p) Event *event = NULL;

                if (event_new(&event, EVENT_SESSION_ENDED) == 0) {
                        event_set_uint(event, FIELD_UID, n->uid);
                        event_set(event, FIELD_RESULT, "failed");
                        event_set(event, FIELD_DETAIL,
                                "processes of the user are left; they are tried again every minute");
                        trail_record_closing(n->enforcer->c.trail, event);
                }
        }
        ending_free(n);
}

/* Lingering first, so that logind does not start anew what systemd kills. */
static void end_now(Ending *n) {
        Enforcer *e = n->enforcer;
        char slice[32], request[16];

        snprintf(slice, sizeof(slice), "user-%u.slice", n->uid);
        snprintf(request, sizeof(request), "%u", n->uid);
        call_bus(e, "org.freedesktop.login1", "/org/freedesktop/login1", "SetUserLinger", "ubb", n->uid, 0, 0);
        call_bus(e, "org.freedesktop.login1", "/org/freedesktop/login1", "TerminateUser", "u", n->uid);
        call_bus(e, "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "KillUnit", "ssi", slice, "all", SIGKILL);
        if (helper_ask(e->c.end, request, strlen(request), on_ended, n, &n->helper) < 0)
                ending_free(n);
}

static int on_notice_over(sd_event_source *s, uint64_t usec, void *userdata) {
        end_now(userdata);
        return 0;
}

static void tell(Enforcer *e, uid_t uid) {
        char unit[64];

        (void)snprintf(unit, sizeof(unit), NOTICE_UNIT, uid);
        call_bus(e, "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "StartUnit", "ss", unit, "replace");
}

/* Tells the user, and ends what they have: at once, or a moment later when what is said would vanish with it. */
static void start_ending(Enforcer *e, uid_t uid, Reason reason) {
        Ending *n = calloc(1, sizeof(*n));
        uint64_t wait = 0;
        Notice told;

        if (!n)
                return;
        n->enforcer = e;
        n->uid = uid;
        n->next = e->endings;
        e->endings = n;
        told = notice_leave(e->c.config, e->notice_dir, uid, reason);
        if (told == NOTICE_VANISHES) {
                tell(e, uid);
                wait = e->c.config->notice_usec;
        }
        if (wait == 0 || sd_event_add_time_relative(
                                 e->c.event, &n->notice, CLOCK_BOOTTIME, wait, USEC_PER_MSEC, on_notice_over, n) < 0)
                end_now(n);
        if (told == NOTICE_STAYS)
                tell(e, uid);
}

/* Acts, then records: what closes happens anyway (law 6). */
static void end_account(Check *k, const Account *account, const FactsData *d, const Verdict *v) {
        _cleanup_(event_free_p) Event *event = NULL;
        Enforcer *e = k->enforcer;

        for (Ending *n = e->endings; n; n = n->next)
                if (n->uid == account->uid)
                        return;
        start_ending(e, account->uid, v->reason);
        if (k->service && !k->remote) {
                e->ended_reason = v->reason;
                e->ended_usec = clock_usec(CLOCK_BOOTTIME);
        }

        if (event_new(&event, EVENT_SESSION_ENDED) < 0)
                return;
        event_set(event, FIELD_ACCOUNT, account->name);
        event_set_uint(event, FIELD_UID, account->uid);
        event_set(event, FIELD_PERSON, k->person ? k->person : d->user.person);
        event_set(event, FIELD_NAME, d->user.name);
        event_set(event, FIELD_USER_UNIT, d->user.unit);
        event_set(event, FIELD_TARGET, k->target);
        event_set(event, FIELD_SERVICE, k->service);
        event_set(event, FIELD_SESSION, k->session);
        event_set(event, FIELD_RULE, v->rule);
        event_set(event, FIELD_REASON, reason_to_string(v->reason));
        event_set(event, FIELD_RESULT, "done");
        trail_record_closing(e->c.trail, event);
}

static void judge(Check *k, const Account *account) {
        const char *service_name = k->service ? k->service : "systemd-user";
        const Service *service = service_find(service_name);
        _cleanup_(facts_done) FactsData d = {};
        Enforcer *e = k->enforcer;
        FactsQuery q = {
                .stage = STAGE_ACCOUNT,
                .service_name = service_name,
                .service = service,
                .family = service ? service->family : _FAMILY_INVALID,
                .authenticated = true,
                .remote = k->remote,
                .account = k->account,
                .person = k->person,
                .nss = account,
                .target = k->target,
        };
        char stopped[CREDENTIAL_UUID_SIZE];
        Verdict v;

        /* System accounts, and the break-glass account that logged in while there was no agent, are not staff. */
        if (account->uid < e->c.config->staff_uid_min)
                return;
        q.clock_trusted = trusted_clock_now(e->c.clock, &q.now_usec);
        if (facts_collect(&d, e->c.registry, e->c.config, &q) != 0 ||
                registry_credentials_stopped(e->c.registry, k->credentials, stopped) != 0)
                return;
        d.facts.stopped_credential = *stopped ? stopped : NULL;
        if (!k->service && !d.user.uuid)
                return;
        /* The target's NSS entry was looked at when the session was opened; its registration is what can change. */
        if (k->target && !d.facts.target_registered)
                d.facts.target_system = true;
        if (facts_judge(&d, e->c.registry, &v) != 0)
                return;
        if (config_observes(e->c.config, q.now_usec, q.clock_trusted))
                verdict_observe(&v, &d.facts);
        if (v.granted || !reason_ends(v.reason))
                return;
        end_account(k, account, &d, &v);
}

static void on_account(int r, Account *account, void *userdata) {
        Check *k = userdata;

        k->query = NULL;
        if (r == 0 && account)
                judge(k, account);
        check_free(k);
}

static char *copy(const char *s) {
        return s ? strdup(s) : NULL;
}

static Check *check_new(Enforcer *e) {
        Check *k = calloc(1, sizeof(*k));

        if (!k)
                return NULL;
        k->enforcer = e;
        k->next = e->checks;
        e->checks = k;
        return k;
}

static void check_session(const Session *s, void *userdata) {
        Check *k = check_new(userdata);
        LookupQuery *query = NULL;

        if (!k)
                return;
        k->account = copy(s->account);
        k->target = copy(s->target);
        k->person = copy(s->person);
        k->service = copy(s->service);
        k->session = strdup(s->id);
        memcpy(k->credentials, s->credentials, sizeof(k->credentials));
        k->remote = s->origin && strcmp(s->origin, "local") != 0;
        if (!k->account || !k->service || lookup_name(k->enforcer->c.lookup, k->account, on_account, k, &query) < 0)
                check_free(k);
        else if (query)
                k->query = query;
}

static void on_user(int r, Account *account, void *userdata) {
        Check *k = userdata;

        k->query = NULL;
        if (r == 0 && account) {
                k->account = strdup(account->name);
                if (k->account)
                        judge(k, account);
        }
        check_free(k);
}

static void check_uid(Enforcer *e, uid_t uid) {
        LookupQuery *query = NULL;
        Check *k = check_new(e);

        if (!k)
                return;
        if (lookup_uid(e->c.lookup, uid, on_user, k, &query) < 0)
                check_free(k);
        else if (query)
                k->query = query;
}

/* Accounts that have processes without a session of ours: a user manager, lingering, sessions from before setup. */
static void check_users(Enforcer *e) {
        struct dirent *d;
        DIR *dir;

        dir = opendir(e->users_dir);
        if (!dir)
                return;
        while ((d = readdir(dir))) {
                uint64_t uid;

                if (parse_uint64(d->d_name, 1, UINT32_MAX - 1, &uid) == 0)
                        check_uid(e, (uid_t)uid);
        }
        closedir(dir);
}

/* What is to be at once is not put together with other wake-ups. */
static void arm(Enforcer *e, uint64_t usec) {
        (void)sd_event_source_set_time_accuracy(e->timer, usec == 0 ? 1 : USEC_PER_SEC / 10);
        if (sd_event_source_set_time_relative(e->timer, usec) >= 0)
                (void)sd_event_source_set_enabled(e->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        Enforcer *e = userdata;

        /* What the last round still asks NSS about is asked again. */
        while (e->checks)
                check_free(e->checks);
        session_list_each(e->c.sessions, check_session, e);
        check_users(e);

        /* Nothing open, nothing to wake up for. */
        if (session_count(e->c.sessions) > 0)
                arm(e, PERIOD_USEC);
        return 0;
}

int enforcer_new(Enforcer **ret, const EnforcerContext *context) {
        _cleanup_(enforcer_free_p) Enforcer *e = NULL;
        int r;

        e = calloc(1, sizeof(*e));
        if (!e)
                return -ENOMEM;
        e->c = *context;
        e->users_dir = strdup(context->users_dir);
        e->notice_dir = strdup(context->notice_dir);
        if (!e->users_dir || !e->notice_dir)
                return -ENOMEM;
        e->ended_reason = REASON_GRANTED;
        r = sd_event_add_time_relative(context->event, &e->timer, CLOCK_BOOTTIME, 0, USEC_PER_SEC / 10, on_timer, e);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(e);
        return 0;
}

Enforcer *enforcer_free(Enforcer *e) {
        if (!e)
                return NULL;
        sd_event_source_disable_unref(e->timer);
        while (e->checks)
                check_free(e->checks);
        while (e->endings)
                ending_free(e->endings);
        free(e->users_dir);
        free(e->notice_dir);
        free(e);
        return NULL;
}

void enforcer_watch(Enforcer *e) {
        int enabled = SD_EVENT_OFF;

        if (sd_event_source_get_enabled(e->timer, &enabled) >= 0 && enabled == SD_EVENT_OFF)
                arm(e, PERIOD_USEC);
}

Reason enforcer_ended_lately(const Enforcer *e) {
        bool lately = e->ended_usec != 0 && clock_usec(CLOCK_BOOTTIME) - e->ended_usec < TOLD_USEC;

        return lately ? e->ended_reason : REASON_GRANTED;
}

void enforcer_forget_ended(Enforcer *e) {
        e->ended_usec = 0;
}

void enforcer_kick(Enforcer *e) {
        arm(e, 0);
}
