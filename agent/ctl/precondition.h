/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "util/cleanup.h"

/* What keishi cannot defend by itself: the machine below it. Each precondition can be looked at, and closed by an
 * administrator. Checks only read; what an unprivileged caller cannot see is unknown, not held. */

typedef enum PreconditionState {
        PRECONDITION_HELD,
        PRECONDITION_MISSING,
        PRECONDITION_UNKNOWN,
        _PRECONDITION_STATE_MAX,
} PreconditionState;
/* "held", "missing", "unknown" */
const char *precondition_state_to_string(PreconditionState s);

typedef struct Precondition {
        const char *id;      /* stable, for --json and audits; NULL ends the table */
        const char *title;   /* N_() */
        const char *closing; /* N_(): how to close it */
        /* `root`: prefix of all paths. *ret_detail: what was seen, in the language of the locale, one line, owned by
         * the caller; may stay NULL. */
        PreconditionState (*check)(const char *root, char **ret_detail);
} Precondition;

extern const Precondition preconditions[];

/* Where logind keeps whose processes may stay without a session. */
#define LINGER_DIR "/var/lib/systemd/linger"
/* Who lingers and is no system account (StaffUidMin=, keishid.conf(5)): names, NULL-terminated, to be freed by
 * strings_free(). A name that NSS does not know is one of them.
 * *ret is NULL when there are none. */
int precondition_lingering(const char *root, char ***ret);
