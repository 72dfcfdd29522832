/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "factor/helper.h"
#include "registry/registry.h"
#include "trail/trail.h"
#include "util/cleanup.h"

/* Which software is installed (R13): whenever dpkg has written its status file, by whichever tool, the helper
 * keishi-software reads it, and what came, went or has another version is recorded. */

typedef struct Software Software;

typedef struct SoftwareContext {
        sd_event *event;
        Registry *registry;
        Trail *trail;
        HelperPool *helpers; /* keishi-software */
        const char *root;    /* prefix of the file */
} SoftwareContext;

/* Listens, and looks soon. A terminal without dpkg has nothing to listen to. */
int software_new(Software **ret, const SoftwareContext *context);
Software *software_free(Software *s);
DEFINE_CLEANUP(Software *, software_free)
