/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "config/config.h"

/* PURE. Which factor is asked for next: the combinations that are still open, given what was verified. */

typedef struct FactorPlan {
        FactorSet set;
        bool open[FACTOR_ALTERNATIVES_MAX];
        unsigned verified; /* FACTOR_… mask */
} FactorPlan;

/* What the way in allows besides passwords. */
typedef enum FactorWay {
        WAY_LOCAL,    /* everything */
        WAY_ONE_TEXT, /* a locker that answers everything with one string: password alone, or biometric alone */
        WAY_AFAR,     /* not proved to be at the terminal itself: passwords alone */
} FactorWay;

/* Starts over with what the configuration names. False: nothing of it can be asked for this way. */
bool factor_plan_begin(FactorPlan *p, const FactorSet *set, FactorWay way);
/* Mask of the factors that open combinations ask for next; 0 when one of them is complete. */
unsigned factor_plan_next(const FactorPlan *p);
/* Asks for `factor` next: combinations that begin otherwise are closed. */
void factor_plan_choose(FactorPlan *p, unsigned factor);
void factor_plan_verified(FactorPlan *p, unsigned factor);
