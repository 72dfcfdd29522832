/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "factor/helper.h"
#include "factor/lookup.h"
#include "login/session.h"
#include "registry/registry.h"
#include "trail/trail.h"
#include "util/cleanup.h"

/* What administrators do (R13): the commands that sudo and pkexec run, from what the two write into the system log
 * (keishi-admin reads it from the host's journal), into the trail. Two things are held against it: PAM, where keishi
 * itself sees that a command is about to run, and the settings of sudoers by which sudo writes. */

typedef struct AdminLog AdminLog;

typedef struct AdminLogContext {
        sd_event *event;
        Registry *registry;
        Trail *trail;
        Lookup *lookup;
        HelperPool *reader;  /* keishi-admin */
        HelperPool *sudoers; /* keishi-sudoers */
        const char *root;    /* prefix of the journal and of sudoers */
} AdminLogContext;

int admin_log_new(AdminLog **ret, const AdminLogContext *context);
AdminLog *admin_log_free(AdminLog *l);
DEFINE_CLEANUP(AdminLog *, admin_log_free)

/* The process has been let through by PAM, to act as s->target for s->account: who sits there, should it write about a
 * command. `expected`: it runs one now, and when the log does not tell which, that is recorded. Copies; NULL does
 * nothing. */
void admin_log_hint(AdminLog *l, const Session *s, bool expected);

/* sudoers may have changed: looked at soon. NULL does nothing. */
void admin_log_look(AdminLog *l);

/* Object for Status. */
int admin_log_status(const AdminLog *l, json_object **ret);
