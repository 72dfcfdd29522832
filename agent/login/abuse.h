/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "trail/trail.h"
#include "util/budget.h"

/* What nobody honest sends, in the trail: only so much of it, for each uid and in all, and the next entry tells how
 * many were left out, so that whoever abuses us can neither fill the disk with it nor hide what others do. */

typedef struct AbuseLog {
        Budget budget;
        unsigned left_out;
} AbuseLog;

void abuse_log_init(AbuseLog *log);

typedef struct Abuse {
        const char *what;
        uid_t uid;
        pid_t pid;
        const char *exe, *service, *target; /* NULL: not known */
} Abuse;

/* Records it, or counts it. */
void abuse_record(AbuseLog *log, Trail *trail, const Abuse *abuse);
