/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "config/config.h"
#include "factor/helper.h"
#include "factor/lookup.h"
#include "login/session.h"
#include "login/trusted-clock.h"
#include "registry/registry.h"
#include "trail/trail.h"

/* Rights that end act on what is open (R2, R4): whenever the directory has changed, and every minute while something is
 * open, what is open is judged again as if it were asked for now. Who would be refused because of restriction,
 * retirement, transfer or the end of a designation is ended: lingering is switched off, logind ends the user's
 * sessions and manager, systemd kills the user's slice, and the helper keishi-end kills whatever else runs under the
 * uid (cron, at), again and again until nothing is left. Hours that are over, a doubtful clock or a registry that
 * cannot be read end nobody; a terminal that only observes ends the restricted
 * and the retired.
 *
 * Who is ended is told why, and whom to ask: on their text terminals (notice.h), NoticeSec= before it happens, and by
 * the next prompts of this terminal's greeters. Telling never holds up the end. */

typedef struct Enforcer Enforcer;

typedef struct EnforcerContext {
        sd_event *event;
        Registry *registry;
        Trail *trail;
        Lookup *lookup;
        const Config *config;
        TrustedClock *clock;
        SessionList *sessions;
        HelperPool *end;                /* keishi-end */
        const char *users_dir;          /* logind's list of users with processes: /run/systemd/users */
        const char *notice_dir;         /* KEISHI_NOTICE_DIR */
        sd_bus *(*bus)(void *userdata); /* the system bus at this moment, or NULL */
        void *userdata;
} EnforcerContext;

/* Strings are copied, the rest is borrowed and outlives the enforcer. */
int enforcer_new(Enforcer **ret, const EnforcerContext *context);
Enforcer *enforcer_free(Enforcer *e);
DEFINE_CLEANUP(Enforcer *, enforcer_free)

/* Something was opened: it is judged again within a minute, and from then on. */
void enforcer_watch(Enforcer *e);
/* Why a local session was ended here a few minutes ago, for whoever comes to the greeter next: the same to everybody,
 * and without a name (law 5). REASON_GRANTED when none was. */
Reason enforcer_ended_lately(const Enforcer *e);
/* Somebody is in: what was ended before concerns nobody at the greeter any more. */
void enforcer_forget_ended(Enforcer *e);
/* Judges everything open, from the loop, soon. Several calls before that are one. */
void enforcer_kick(Enforcer *e);
