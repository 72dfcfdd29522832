/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/facts.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "util/clock.h"

void facts_done(FactsData *d) {
        user_done(&d->user);
        user_done(&d->target_user);
        terminal_done(&d->terminal);
        free(d->restriction);
        free(d->restriction_reason);
        free(d->target_restriction);
        free(d->target_restriction_reason);
        *d = (FactsData){};
}

Family service_family(const Service *s, uid_t caller_real_uid, bool actor_is_user) {
        if (!s)
                return _FAMILY_INVALID;
        if (s->root_free && caller_real_uid == 0)
                return FAMILY_UNATTENDED;
        if (s->self_is_proof && actor_is_user)
                return FAMILY_SELF;
        return s->family;
}

/* An account and its restriction at `now`, 0 when the clock is not trusted. Not registered is 0 with an empty row. */
static int collect_user(
        Registry *registry, const char *account, uint64_t now, User *ret, char **ret_restriction, char **ret_reason) {
        int r;

        r = registry_user(registry, account, ret);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        r = registry_restriction(registry, account, ret->person, now, ret_restriction, ret_reason);
        return r == REGISTRY_E_NOT_FOUND ? 0 : r;
}

/* What is said of the person behind a shared ID holds there too: nobody escapes a restriction by using one. */
static int collect_person(Registry *registry, const char *person, uint64_t now, FactsData *d) {
        _cleanup_(user_done) User u = {};
        int r;

        r = registry_person(registry, person, &u);
        if (r == REGISTRY_E_NOT_FOUND)
                d->user.retired = true;
        else if (r != 0)
                return r;
        if (d->restriction)
                return 0;
        r = registry_restriction(registry, u.account, person, now, &d->restriction, &d->restriction_reason);
        return r == REGISTRY_E_NOT_FOUND ? 0 : r;
}

/* Who has to look at what changed, or to enrol the terminal, gets in to do so. */
static bool may_look_after(const Config *config, const Account *nss) {
        static const Role roles[] = { ROLE_SYSTEM_MANAGER, ROLE_SYSTEM_OWNER };

        for (size_t i = 0; nss && i < ELEMENTSOF(roles); i++)
                if (config->role_groups[roles[i]] && account_in_group(nss, config->role_groups[roles[i]]))
                        return true;
        return false;
}

int facts_collect(FactsData *ret, Registry *registry, const Config *config, const FactsQuery *q) {
        _cleanup_(facts_done) FactsData d = {};
        const FactorSet *factors;
        Facts *f = &d.facts;
        struct tm tm;
        time_t seconds = (time_t)(q->now_usec / USEC_PER_SEC);
        uint64_t restricted_at = q->clock_trusted ? q->now_usec : 0;
        int r;

        r = q->terminal ? registry_terminal(registry, q->terminal, &d.terminal)
                        : registry_terminal_self(registry, &d.terminal);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        if (q->account) {
                r = collect_user(registry, q->account, restricted_at, &d.user, &d.restriction, &d.restriction_reason);
                if (r != 0)
                        return r;
        }
        if (q->person) {
                r = collect_person(registry, q->person, restricted_at, &d);
                if (r != 0)
                        return r;
        }
        if (q->target) {
                r = collect_user(registry, q->target, restricted_at, &d.target_user, &d.target_restriction,
                        &d.target_restriction_reason);
                if (r != 0)
                        return r;
        }

        tzset();
        if (!localtime_r(&seconds, &tm))
                return -EOVERFLOW;

        f->stage = q->stage;
        f->service = q->service_name;
        f->family = q->family;
        f->authenticated = q->authenticated;
        f->remote = q->remote;
        f->root_changes = q->root_changes;

        f->account = q->account;
        /* A registered account that NSS does not know, or that NSS gives root's uid, is nobody. */
        f->registered = d.user.uuid && q->nss && q->nss->uid != 0;
        f->known = q->nss != NULL;
        f->system_account = !d.user.uuid && q->nss && q->nss->uid < config->staff_uid_min;
        f->retired = d.user.retired;
        f->restriction = d.restriction;
        f->unit = d.user.unit;

        f->target = q->family == FAMILY_ADMIN ? q->target : NULL;
        f->target_registered = d.target_user.uuid != NULL;
        f->target_system = !d.target_user.uuid && q->target_nss && q->target_nss->uid < config->staff_uid_min;
        f->target_retired = d.target_user.retired;
        f->target_restriction = d.target_restriction;

        f->terminal = d.terminal.name;
        f->terminal_unit = d.terminal.unit;
        f->confidentiality = d.terminal.confidentiality;
        f->external_line = d.terminal.external_line;
        if (q->drift_closes || q->identity_closes || d.terminal.retired) {
                bool may = may_look_after(config, q->nss);

                f->drift = q->drift_closes && !may;
                f->cloned = q->identity_closes && !may;
                f->terminal_retired = d.terminal.retired && !may;
        }

        f->now_usec = q->now_usec;
        f->weekday = (unsigned)(tm.tm_wday + 6) % 7;
        f->minute = (unsigned)(tm.tm_hour * 60 + tm.tm_min);
        f->clock_trusted = q->clock_trusted;

        factors = config_factors(config, q->family, d.terminal.confidentiality);
        f->n_alternatives = factors->n;
        memcpy(f->alternatives, factors->alternatives, sizeof(f->alternatives));
        f->factors = q->factors;
        d.nss = q->nss;

        *ret = d;
        d = (FactsData){};
        return 0;
}

typedef struct Judge {
        Verdict *verdict;
        const Facts *facts;
} Judge;

static bool offer(const Candidate *c, void *userdata) {
        Judge *j = userdata;

        return verdict_offer(j->verdict, j->facts, c);
}

int facts_judge(const FactsData *d, Registry *registry, Verdict *ret) {
        Judge j = { ret, &d->facts };
        Subject subject = { .account = d->facts.account, .unit = d->facts.unit };

        if (verdict_begin(ret, &d->facts) == VERDICT_DONE)
                return 0;
        if (d->nss) {
                subject.groups = d->nss->groups;
                subject.netgroups = d->nss->netgroups;
        }
        return registry_candidates(registry, &subject, d->facts.terminal, d->facts.terminal_unit, offer, &j);
}
