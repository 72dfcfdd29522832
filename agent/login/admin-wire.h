/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "login/admin-parse.h"

/* Between keishid and keishi-admin, which reads the host's journal and stays. The request is an AdminStart and an
 * eventfd. The helper sends an AdminRecord, and the next one only when keishid has written to the eventfd, which it
 * does once the record is in the trail: so each arrives once, however either of the two ends. */

#define ADMIN_WIRE_VERSION 1u
#define ADMIN_CURSOR_MAX   512u

typedef struct AdminStart {
        uint32_t version;
        uint32_t reserved;
        char root[256];                /* prefix of the journal's files; empty: the host's */
        char cursor[ADMIN_CURSOR_MAX]; /* behind which to go on; empty: at the end of what there is */
} AdminStart;

typedef enum AdminWhat {
        ADMIN_WHAT_COMMAND,
        ADMIN_WHAT_MARK, /* nothing of interest up to the cursor */
        ADMIN_WHAT_GAP,  /* the journal no longer has the entry of the cursor: what came between is not known */
        _ADMIN_WHAT_MAX,
} AdminWhat;

typedef struct AdminRecord {
        uint32_t version, what;
        uint32_t uid, login_uid, pid; /* of the writer, as the kernel told journald; UINT32_MAX, 0: not known */
        uint32_t reserved;
        uint64_t realtime_usec; /* when it was sent, as the kernel told journald; else when it was written */
        char cursor[ADMIN_CURSOR_MAX];
        char boot_id[40];
        AdminCommand command; /* with ADMIN_WHAT_COMMAND */
} AdminRecord;
