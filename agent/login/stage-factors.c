/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "login/local.h"
#include "login/transaction-internal.h"

/* Which factors a call asks for, and in what order. Nothing of this depends on whom it is about (law 5). */

/* What a service without combinations of its own is asked: the evaluator refuses it, at the end. */
static const FactorSet only_password = {
        .alternatives = { FACTOR_PASSWORD },
        .order = { { FACTOR_PASSWORD } },
        .n = 1,
};

/* The combinations of this terminal. Its class is looked up only where that can matter. */
static const FactorSet *asked_for(Transaction *t) {
        const Config *config = t->context->config;
        _cleanup_(terminal_done) Terminal self = {};
        const FactorSet *set;
        bool by_class = false;

        for (unsigned class = 1; class < CONFIG_CLASSES && t->family >= 0; class ++)
                by_class |= config->factors[class][t->family].n > 0;
        if (by_class)
                (void)registry_terminal_self(t->context->registry, &self); /* unknown is refused at the end */
        set = config_factors(config, t->family, self.confidentiality);
        return set->n > 0 ? set : &only_password;
}

static bool has_devices(const FactorSet *set) {
        for (size_t i = 0; i < set->n; i++)
                if (set->alternatives[i] & (FACTOR_CARD | FACTOR_BIOMETRIC))
                        return true;
        return false;
}

bool factors_may_name(Transaction *t, bool *ret_only) {
        const FactorSet *set;
        FactorPlan plan;

        if (*t->user || t->peer.uid != 0 || t->family != FAMILY_CONSOLE)
                return false;
        set = asked_for(t);
        if (!has_devices(set) || !local_proved(&t->peer, t->service, t->remote) ||
                !factor_plan_begin(&plan, set, WAY_LOCAL))
                return false;
        *ret_only = factor_plan_next(&plan) == FACTOR_CARD;
        return factor_plan_next(&plan) & FACTOR_CARD;
}

void factors_start(Transaction *t) {
        const FactorSet *set = asked_for(t);
        FactorWay way = WAY_LOCAL;

        if (has_devices(set)) {
                if (!local_proved(&t->peer, t->service, t->remote))
                        way = WAY_AFAR;
                else if (t->service && t->service->one_text)
                        way = WAY_ONE_TEXT;
        }
        if (!factor_plan_begin(&t->plan, set, way)) {
                transaction_record_refused(
                        t, EVENT_LOGIN_REFUSED, NULL, NULL, way == WAY_AFAR ? "not-local" : "one-text");
                return transaction_fail(t, RESULT_PERM_DENIED,
                        way == WAY_AFAR
                                ? N_("This needs a card or a key, which serve only people at the terminal itself.")
                                : N_("This screen locker cannot ask for a card. Use another one, or ask your system "
                                     "manager."));
        }
        factors_next(t);
}

static void ask(Transaction *t, unsigned factor) {
        factor_plan_choose(&t->plan, factor);
        switch (factor) {
        case FACTOR_CARD:
                return card_start(t);
        case FACTOR_BIOMETRIC:
                return key_start(t);
        default:
                return transaction_prompt(t, STATE_PASSWORD, PROMPT_PASSWORD, N_("Password: "));
        }
}

/* The first factor of the combination that is preferred. */
static unsigned preferred(unsigned next, const FactorPlan *p) {
        for (size_t i = 0; i < p->set.n; i++)
                for (size_t k = 0; p->open[i] && k < FACTORS_ASKED_MAX; k++)
                        if (p->set.order[i][k] & next & ~p->verified)
                                return p->set.order[i][k];
        return next & -next;
}

/* No card lies in any reader: what else there is. */
void factors_without_card(Transaction *t) {
        unsigned next = factor_plan_next(&t->plan);

        if ((next & FACTOR_BIOMETRIC) && key_is_plugged_in(t))
                return ask(t, FACTOR_BIOMETRIC);
        if (next & FACTOR_PASSWORD)
                return ask(t, FACTOR_PASSWORD);
        ask(t, preferred(next, &t->plan));
}

void factors_next(Transaction *t) {
        unsigned next = factor_plan_next(&t->plan);

        if (next == 0)
                return auth_decide(t);
        if ((next & (next - 1)) == 0)
                return ask(t, next);
        /* What lies at the terminal decides: the same for everybody. */
        if (next & FACTOR_CARD)
                return card_look(t);
        factors_without_card(t);
}

void factors_with_card(Transaction *t) {
        factor_plan_choose(&t->plan, FACTOR_CARD);
}

void factors_verified(Transaction *t, unsigned factor) {
        factor_plan_verified(&t->plan, factor);
        t->factors |= factor;
        factors_next(t);
}

int factors_note(Transaction *t, const char *uuid, uint32_t counter) {
        UsedCredential *u = &t->used[t->n_used];

        if (t->n_used == ELEMENTSOF(t->used) || strlen(uuid) >= sizeof(u->uuid))
                return -E2BIG;
        memcpy(u->uuid, uuid, strlen(uuid) + 1);
        u->counter = counter;
        t->n_used++;
        return 0;
}

int factors_store(Transaction *t, uint64_t now_usec) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < t->n_used; i++)
                r = registry_credential_used(t->context->registry, t->used[i].uuid, t->used[i].counter, now_usec);
        return r;
}

int factors_in_force(Transaction *t, bool *ret) {
        uint64_t now;
        bool trusted = trusted_clock_now(t->context->clock, &now);

        *ret = true;
        for (size_t i = 0; i < t->n_used && *ret; i++) {
                _cleanup_(credential_done) Credential c = {};
                int r = registry_credential(t->context->registry, t->used[i].uuid, &c);

                if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                        return r;
                *ret = r == 0 && credential_in_force(&c, now, trusted);
        }
        return 0;
}

const char *factors_credentials(const Transaction *t, char *ret, size_t size) {
        size_t used = 0;

        (void)snprintf(ret, size, "%s", t->credentials);
        for (size_t i = 0; i < t->n_used; i++) {
                int n = snprintf(ret + used, size - used, "%s%s", i > 0 ? " " : "", t->used[i].uuid);

                if (n < 0 || (size_t)n >= size - used)
                        break;
                used += (size_t)n;
        }
        return ret;
}

const char *factors_to_string(unsigned factors) {
        static const char *const names[] = {
                [0] = "none",
                [FACTOR_PASSWORD] = "password",
                [FACTOR_CARD] = "card",
                [FACTOR_CARD | FACTOR_PASSWORD] = "password card",
                [FACTOR_BIOMETRIC] = "biometric",
                [FACTOR_BIOMETRIC | FACTOR_PASSWORD] = "password biometric",
                [FACTOR_BIOMETRIC | FACTOR_CARD] = "card biometric",
                [FACTOR_BIOMETRIC | FACTOR_CARD | FACTOR_PASSWORD] = "password card biometric",
        };

        return names[factors & FACTORS_ASKED];
}
