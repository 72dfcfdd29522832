/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/verdict.h"

#include <stdio.h>
#include <string.h>

#include "policy/hours.h"
#include "util/cleanup.h"

/* Services of a designation that lists none. */
#define SERVICES_DEFAULT "@console @locker @self"

/* How telling a refusal is among those that candidates can give; 0: final, not from a candidate. */
static const unsigned reason_rank[_REASON_MAX] = {
        [REASON_DEFAULT] = 1,
        [REASON_REMOTE_CLOSED] = 2,
        [REASON_CLASS] = 3,
        [REASON_EXPIRED] = 4,
        [REASON_HOURS] = 5,
        [REASON_CLOCK] = 6,
};

/* Length of the UTF-8 character that starts here; a stray byte counts as one. */
static size_t character_size(const char *s) {
        size_t n = 1;

        if (*s == '\0')
                return 0;
        if (((unsigned char)*s & 0xc0) != 0xc0)
                return 1;
        while (((unsigned char)s[n] & 0xc0) == 0x80)
                n++;
        return n;
}

bool pattern_match(const char *pattern, const char *text) {
        const char *star = NULL, *resume = NULL;

        while (*text != '\0') {
                if (*pattern == '*') {
                        star = ++pattern;
                        resume = text;
                } else if (*pattern == '?') {
                        pattern++;
                        text += character_size(text);
                } else if (*pattern == *text) {
                        pattern++;
                        text++;
                } else if (star) {
                        pattern = star;
                        resume += character_size(resume);
                        text = resume;
                } else
                        return false;
        }
        while (*pattern == '*')
                pattern++;
        return *pattern == '\0';
}

bool terminal_match(TerminalKind kind, const char *selector, const char *name, const char *unit) {
        switch (kind) {
        case TERMINAL_NAME:
                return name && strcmp(selector, name) == 0;
        case TERMINAL_PATTERN:
                return name && pattern_match(selector, name);
        case TERMINAL_UNIT:
                return unit && strcmp(selector, unit) == 0;
        default:
                return false;
        }
}

typedef struct ServiceMatch {
        bool listed;   /* the list covers the service; for a remote one that is not enough */
        bool explicit; /* it names the service or @remote */
} ServiceMatch;

static ServiceMatch services_match(const char *list, const Facts *f) {
        const char *family = family_to_string(f->family);
        ServiceMatch m = {};

        if (!list)
                list = SERVICES_DEFAULT;

        for (size_t n; list += strspn(list, " "), (n = strcspn(list, " ")) > 0; list += n) {
                if (n == 1 && *list == '*')
                        m.listed = true;
                else if (*list == '@') {
                        bool same = strlen(family) == n - 1 && memcmp(list + 1, family, n - 1) == 0;

                        m.listed |= same;
                        m.explicit |= n == strlen("@remote") && memcmp(list, "@remote", n) == 0;
                } else if (strlen(f->service) == n && memcmp(list, f->service, n) == 0)
                        m.listed = m.explicit = true;
        }
        return m;
}

static bool bounds_terminal(const Bounds *b, const Facts *f) {
        return !b->terminal || terminal_match(b->terminal_kind, b->terminal, f->terminal, f->terminal_unit);
}

static bool bounds_period(const Bounds *b, const Facts *f) {
        return f->now_usec >= b->from_usec && (b->until_usec == 0 || f->now_usec < b->until_usec);
}

static bool bounds_hours(const Bounds *b, const Facts *f) {
        return hours_match(b->hours, f->weekday, f->minute);
}

static bool bounds_timed(const Bounds *b, bool hours_count) {
        return b->from_usec > 0 || b->until_usec > 0 || (hours_count && b->hours);
}

static bool facts_remote(const Facts *f) {
        return f->remote || f->family == FAMILY_REMOTE;
}

/* Whether the way in (service, local or remote) is one that the candidate opens. */
static Reason check_way(const Facts *f, const Candidate *c) {
        bool any_service = f->family == FAMILY_SELF || f->family == FAMILY_LOCKER;
        ServiceMatch own = services_match(c->bounds.services, f), scope = services_match(c->scope_bounds.services, f);

        if (facts_remote(f) && !(c->remote && (any_service || (own.explicit && scope.explicit))))
                return REASON_REMOTE_CLOSED;
        if (!any_service && !(own.listed && scope.listed))
                return REASON_DEFAULT;
        return REASON_GRANTED;
}

/* The class of the business' information against the terminal's (R12). */
static bool check_class(const Facts *f, const Candidate *c) {
        return c->confidentiality_max <= f->confidentiality && (!f->external_line || c->external_ok);
}

static Reason candidate_check(const Facts *f, const Candidate *c) {
        bool attended = f->family != FAMILY_UNATTENDED;
        Reason way;

        if (!bounds_terminal(&c->bounds, f) || !bounds_terminal(&c->scope_bounds, f))
                return REASON_DEFAULT;
        if (attended) {
                way = check_way(f, c);
                if (way != REASON_GRANTED)
                        return way;
        }
        if (!check_class(f, c))
                return REASON_CLASS;
        if (!f->clock_trusted && (bounds_timed(&c->bounds, attended) || bounds_timed(&c->scope_bounds, attended)))
                return REASON_CLOCK;
        if (!bounds_period(&c->bounds, f) || !bounds_period(&c->scope_bounds, f))
                return REASON_EXPIRED;
        if (attended && (!bounds_hours(&c->bounds, f) || !bounds_hours(&c->scope_bounds, f)))
                return REASON_HOURS;
        return REASON_GRANTED;
}

static void set_text(char *out, size_t size, const char *text) {
        snprintf(out, size, "%s", text ? text : "");
}

static Next refuse(Verdict *v, Reason reason, const char *restriction) {
        v->reason = reason;
        if (restriction)
                snprintf(v->rule, sizeof(v->rule), "restriction:%s", restriction);
        return VERDICT_DONE;
}

static Next grant_service(Verdict *v, const Facts *f) {
        v->granted = true;
        v->reason = REASON_GRANTED;
        snprintf(v->rule, sizeof(v->rule), "service:%s", f->service);
        return VERDICT_DONE;
}

static Next begin_greeter(Verdict *v, const Facts *f) {
        if (f->remote)
                return refuse(v, REASON_REMOTE_CLOSED, NULL);
        if (!f->system_account)
                return refuse(v, f->registered ? REASON_DEFAULT : REASON_UNREGISTERED, NULL);
        return grant_service(v, f);
}

/* Whether the account acted as may be: a system account, or a registered one that is neither retired nor restricted. */
static bool target_allowed(const Facts *f) {
        if (!f->target)
                return f->stage == STAGE_AUTH;
        return (f->target_system || f->target_registered) && !f->target_retired && !f->target_restriction;
}

/* Whether a family opens something new; lockers and passwd serve who is in already. */
static bool opens(Family family) {
        return family == FAMILY_CONSOLE || family == FAMILY_ADMIN || family == FAMILY_REMOTE;
}

/* Whether it is a session of its own: greeters that unlock one that is open go through the auth and account stages. */
static bool opens_session(Family family) {
        return family == FAMILY_CONSOLE || family == FAMILY_REMOTE;
}

/* Whether what was verified holds one of the combinations asked for. */
static bool factors_suffice(const Facts *f) {
        if (f->factors == 0)
                return true;
        for (size_t i = 0; i < f->n_alternatives; i++)
                if ((f->factors & f->alternatives[i]) == f->alternatives[i])
                        return true;
        return false;
}

Next verdict_begin(Verdict *v, const Facts *f) {
        *v = (Verdict){ .reason = REASON_DEFAULT, .rule = "default" };

        if (!f->service || !family_to_string(f->family))
                return refuse(v, REASON_SERVICE_UNKNOWN, NULL);
        if (f->root_changes)
                return grant_service(v, f);
        if (f->family == FAMILY_GREETER)
                return begin_greeter(v, f);
        if (f->family == FAMILY_UNATTENDED && f->system_account && !f->registered)
                return grant_service(v, f);

        if (!f->terminal)
                return refuse(v, REASON_TERMINAL_UNKNOWN, NULL);
        if (f->terminal_retired)
                return refuse(v, REASON_TERMINAL_RETIRED, NULL);
        if (f->cloned && (opens(f->family) || f->family == FAMILY_UNATTENDED))
                return refuse(v, REASON_CLONED, NULL);
        if (!f->account || !f->registered)
                return refuse(v, REASON_UNREGISTERED, NULL);
        if (f->retired)
                return refuse(v, REASON_RETIRED, NULL);
        if (f->restriction)
                return refuse(v, REASON_RESTRICTED, f->restriction);
        if (f->stopped_credential) {
                (void)snprintf(v->rule, sizeof(v->rule), "credential:%s", f->stopped_credential);
                return refuse(v, REASON_CREDENTIAL, NULL);
        }
        if (f->family == FAMILY_UNATTENDED)
                return VERDICT_CANDIDATES;
        if (f->family == FAMILY_ADMIN && !target_allowed(f))
                return refuse(v, REASON_TARGET, f->target ? f->target_restriction : NULL);
        if (!f->authenticated && (f->stage == STAGE_ACCOUNT || f->stage == STAGE_SESSION_OPEN))
                return refuse(v, REASON_NOT_AUTHENTICATED, NULL);
        if (!factors_suffice(f))
                return refuse(v, REASON_FACTORS, NULL);

        if (f->drift && opens(f->family)) {
                v->reason = REASON_DRIFT;
                snprintf(v->rule, sizeof(v->rule), "policy:OnDrift");
                return VERDICT_DONE;
        }

        if (f->second_login && f->stage == STAGE_SESSION_OPEN && opens_session(f->family)) {
                v->reason = REASON_SECOND_LOGIN;
                snprintf(v->rule, sizeof(v->rule), "policy:OnSecondLogin");
                return VERDICT_DONE;
        }

        if (facts_remote(f))
                v->reason = REASON_REMOTE_CLOSED;
        return VERDICT_CANDIDATES;
}

bool verdict_offer(Verdict *v, const Facts *f, const Candidate *c) {
        Reason reason;

        if (v->granted)
                return true;
        if (reason_rank[v->reason] == 0)
                return false;

        reason = candidate_check(f, c);
        if (reason == REASON_GRANTED)
                v->granted = true;
        else if (reason_rank[reason] <= reason_rank[v->reason])
                return false;

        v->reason = reason;
        snprintf(v->rule, sizeof(v->rule), "designation:%s", c->designation);
        set_text(v->business, sizeof(v->business), c->business);
        set_text(v->designation, sizeof(v->designation), c->designation);
        return v->granted;
}

void verdict_observe(Verdict *v, const Facts *f) {
        if (v->granted || !f->account || !f->known || v->reason == REASON_CLONED ||
                v->reason == REASON_TERMINAL_RETIRED || v->reason == REASON_CREDENTIAL)
                return;
        if (f->restriction)
                (void)refuse(v, REASON_RESTRICTED, f->restriction);
        else if (f->retired)
                (void)refuse(v, REASON_RETIRED, NULL);
        else if (f->target_restriction || f->target_retired)
                (void)refuse(v, REASON_TARGET, f->target_restriction);
        else {
                v->granted = v->observed = true;
                v->designation[0] = '\0'; /* none is used */
        }
}
