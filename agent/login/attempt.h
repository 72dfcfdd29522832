/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "registry/registry.h"

/* Failed attempts, per (target account, origin), in the local table attempts: charged durably before a factor is tried,
 * refunded when it was right, so that neither a killed caller nor a power cut saves one (law 4). Origin keeps people
 * apart: "local", "session:ACCOUNT", "user:ACTOR" (of su and the like; "uid:N" when NSS does not know it),
 * "host:RHOST".
 *
 * The window slides: Max charges within WindowSec lock. A lock ends by release, or after ReleaseSec where that is set.
 * A clock that goes backwards neither frees a lock nor forgets a charge. The table is bounded: when it is full, the
 * oldest rows of accounts that are not registered give way. */

#define ATTEMPT_ROWS_MAX 4096

typedef struct Attempt {
        unsigned count;  /* charged in the window, this one included */
        bool locked;     /* was locked before: nothing may be tried until released */
        bool now_locked; /* this charge used up the last one: it may still be tried, and locks unless it is refunded */
        uint64_t delay_usec; /* how long to wait before telling a failure: DelaySec, doubling with each, at most 16
                                times */
} Attempt;

/* Charges one, in a transaction of its own. When already locked nothing is charged, and locked is set. */
int attempt_charge(
        Registry *r, const Config *config, const char *target, const char *origin, uint64_t now_usec, Attempt *ret);
/* Whether it is locked, without charging. */
int attempt_peek(
        Registry *r, const Config *config, const char *target, const char *origin, uint64_t now_usec, Attempt *ret);
/* Takes back the charges of (target, origin) after success, and the lock that the last of them set, within the caller's
 * open transaction. */
int attempt_refund(Registry *r, const char *target, const char *origin);
/* Takes back the newest charge only, and the lock it set: for what was charged and not tried, and for callers that may
 * clear no counter. Within the caller's open transaction. */
int attempt_uncharge(Registry *r, const Config *config, const char *target, const char *origin, uint64_t now_usec);
/* All rows that still count as a JSON array of {account, origin, count, first_usec, last_usec, locked}. `account` NULL:
 * all. */
int attempt_list(Registry *r, const Config *config, const char *account, uint64_t now_usec, json_object **ret);
/* Forgets the attempts of an account, at one origin or (NULL) all; within the caller's open transaction. *ret_n: rows
 * released; 0 rows is REGISTRY_E_NOT_FOUND. */
int attempt_release(Registry *r, const char *target, const char *origin, unsigned *ret_n);
