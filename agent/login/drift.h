/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <systemd/sd-event.h>

#include "config/config.h"
#include "registry/registry.h"
#include "trail/trail.h"
#include "util/cleanup.h"

/* Drift: whether the files of drift-files.h are what a person accepted (R31). They are read at the start and, told by
 * inotify, within seconds after a change; each change is recorded once, with what was before. What is accepted is
 * recorded at the end of the setup, and after that by a person with a role. */

typedef struct Drift Drift;

typedef struct DriftContext {
        sd_event *event;
        Registry *registry;
        Trail *trail;
        const Config *config;
        const char *root;                /* prefix of the files */
        void (*changed)(void *userdata); /* some have; NULL: nobody wants to know */
        void *userdata;
} DriftContext;

/* Reads what was seen last, looks, records what differs, and listens. 0, REGISTRY_E_… or a negative errno. */
int drift_new(Drift **ret, const DriftContext *context);
Drift *drift_free(Drift *d);
DEFINE_CLEANUP(Drift *, drift_free)

/* Looks now, not only when told. 0 or a negative errno; what cannot be recorded in the registry goes to the reserve. */
int drift_look(Drift *d);

/* Whether there is a state that was accepted, and how many files differ from it. Cost nothing. */
bool drift_has_baseline(const Drift *d);
size_t drift_count(const Drift *d);
/* Whether OnDrift= closes logins now. */
bool drift_closes(const Drift *d);

/* What drift_accept() would accept, as 64 hexadecimal digits: whoever accepts names what they have looked at. */
int drift_digest(const Drift *d, char ret[static 65]);
/* Object for Status. */
int drift_status(const Drift *d, json_object **ret);

/* Accepts what was seen, within the caller's open transaction; and once that is committed. 0 or as registry_commit().
 */
int drift_accept(Drift *d);
void drift_accepted(Drift *d);
