/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/config.h"
#include "trail/trail.h"

/* What the trail says about the agent itself: start, stop, a stop that was not orderly, and what it found loaded (R31).
 */

/* Whether the last run on this machine ended with the power, not in order; to be asked before lifecycle_started(). */
bool lifecycle_power_was_cut(Registry *registry, const char *boot_id);
/* Records, in one transaction: AGENT_CRASHED when the last run did not stop in order (or the power was cut),
 * AGENT_STARTED, and POLICY_LOADED with the hash of the configuration. What changed in files is drift.h's. */
int lifecycle_started(Registry *registry, Trail *trail, const Config *config, const char *boot_id);
/* Records an orderly stop. */
void lifecycle_stopped(Registry *registry, Trail *trail);
