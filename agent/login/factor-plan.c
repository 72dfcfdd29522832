/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/factor-plan.h"

static bool alternative_usable(unsigned alternative, FactorWay way) {
        switch (way) {
        case WAY_LOCAL:
                return true;
        case WAY_ONE_TEXT:
                return alternative == FACTOR_PASSWORD || alternative == FACTOR_BIOMETRIC;
        case WAY_AFAR:
                break;
        }
        return alternative == FACTOR_PASSWORD;
}

bool factor_plan_begin(FactorPlan *p, const FactorSet *set, FactorWay way) {
        bool any = false;

        *p = (FactorPlan){ .set = *set };
        for (size_t i = 0; i < set->n; i++) {
                p->open[i] = alternative_usable(set->alternatives[i], way);
                any |= p->open[i];
        }
        return any;
}

/* The first factor of an alternative that has not been verified; 0: it is complete. */
static unsigned next_of(const FactorPlan *p, size_t i) {
        for (size_t k = 0; k < FACTORS_ASKED_MAX && p->set.order[i][k] != 0; k++)
                if (!(p->verified & p->set.order[i][k]))
                        return p->set.order[i][k];
        return 0;
}

unsigned factor_plan_next(const FactorPlan *p) {
        unsigned all = 0;

        for (size_t i = 0; i < p->set.n; i++) {
                unsigned next = p->open[i] ? next_of(p, i) : 0;

                if (p->open[i] && next == 0)
                        return 0;
                all |= next;
        }
        return all;
}

void factor_plan_choose(FactorPlan *p, unsigned factor) {
        for (size_t i = 0; i < p->set.n; i++)
                p->open[i] = p->open[i] && next_of(p, i) == factor;
}

void factor_plan_verified(FactorPlan *p, unsigned factor) {
        p->verified |= factor;
}
