/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <systemd/sd-bus.h>

#include "factor/lookup.h"

/* Calls that need accounts from NSS before they can be answered: looked up one after the other, without waiting. */

typedef struct Bus Bus;

typedef struct Resolved {
        const char *name;
        Account *account; /* NULL unless r is 0 */
        int r;            /* as lookup_fn tells it */
} Resolved;

/* Answers `m` with what was found. Negative: answered as an internal error. */
typedef int (*resolved_fn)(Bus *b, sd_bus_message *m, json_object *request, const Resolved *found, size_t n);

typedef struct Resolve Resolve;

/* Looks up `names` (copied) and then calls `fn`, at once or later, exactly once, unless the connection goes away
 * before. Takes a reference of the request. */
int resolve(Bus *b, sd_bus_message *m, json_object *request, const char *const *names, size_t n, resolved_fn fn);
/* Forgets all that is under way: the connection is gone. */
void resolve_drop_all(Bus *b);
