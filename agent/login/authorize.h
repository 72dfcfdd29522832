/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "config/config.h"
#include "factor/lookup.h"
#include "registry/registry.h"

/* Who calls, and whether they may (law 8). The caller is the uid that the bus daemon saw at its socket
 * (GetConnectionUnixUser of the unique name; never a pid), the account that NSS gives for it, the person that the
 * registry gives for the account, and the roles whose NSS groups the account is in. uid 0 holds no role. Then polkit is
 * asked, with the caller's bus name as subject. Everything is asynchronous: the caller waits, keishid does not. */

typedef struct Bus Bus;
typedef struct Authorization Authorization;

#define ROLE_BIT(role) (1u << (role))
#define ROLES_ALL      ((1u << _ROLE_MAX) - 1u)

/* polkit actions (packaging/polkit/org.keishi1.policy) */
#define ACTION_READ          "org.keishi1.read"
#define ACTION_CHANGE        "org.keishi1.change"
#define ACTION_RELEASE       "org.keishi1.release-attempts"
#define ACTION_TRAIL         "org.keishi1.read-trail"
#define ACTION_CONFIRM_CLOCK "org.keishi1.confirm-clock"
#define ACTION_ACCEPT_DRIFT  "org.keishi1.accept-drift"
#define ACTION_CREDENTIAL    "org.keishi1.credential"

/* A role that the caller holds for a unit by a row of deputies (代理), from date to date. */
typedef struct Deputy {
        Role role;
        char *unit;
        char *uuid;
} Deputy;

typedef struct Caller {
        const char *sender; /* unique bus name */
        uid_t uid;
        Account *account;  /* NULL for uid 0 */
        User user;         /* empty for uid 0 */
        Account **others;  /* the person's other accounts, when asked for (Ask.others); NULL-terminated, may be NULL */
        Account **targets; /* accounts of the person that is acted on (Ask.target), like others */
        unsigned roles;    /* ROLE_BIT() of each role held; 0 for who is retired, restricted or a shared ID */
        unsigned own;      /* those of them that come from a group: the others are a deputy's */
        Deputy *deputies;
        size_t n_deputies;
} Caller;

/* Whether the caller holds one of the roles, as a deputy too: enough to be heard, not to act for any unit. */
static inline bool caller_has(const Caller *c, unsigned roles) {
        return (c->roles & roles) != 0;
}
/* Whether the caller holds one of the roles by a group. */
static inline bool caller_has_own(const Caller *c, unsigned roles) {
        return (c->own & roles) != 0;
}
/* Whether the caller holds the role for this unit: by a group and being of the unit, or as a deputy. In the latter case
 * *ret_deputy (may be NULL) is the uuid of the row, else NULL. */
bool caller_of_unit(const Caller *c, Role role, const char *unit, const char **ret_deputy);
/* Whether the caller is the person with this staff number, whatever the account. */
bool caller_is(const Caller *c, const char *person);

/* Runs once the caller is known and allowed: reads `m` from its beginning and answers it. Negative: answered as an
 * internal error. */
typedef int (*authorized_fn)(Bus *b, sd_bus_message *m, const Caller *caller);

typedef struct Ask {
        const char *method; /* for the trail */
        const char *action; /* polkit's; NULL: polkit is not asked */
        unsigned roles;     /* one of these is needed; 0: `fn` looks at the roles itself */
        const char *noun;   /* for the trail of a refusal; both belong to the message or are static, may be NULL */
        const char *object;
        bool others;        /* the person's other accounts are looked up too: their groups count */
        const char *target; /* staff number of the person that is acted on, whose accounts are looked up; copied */
        bool root;          /* uid 0, and only it, passes: Setup */
        bool or_root;       /* uid 0 passes too; `fn` looks at whether it may */
        authorized_fn fn;
} Ask;

/* Starts; the call is answered later, in every case. What a method handler returns. */
int authorize(Bus *b, sd_bus_message *m, const Ask *ask);
/* Forgets every call that is under way: the connection is gone. */
void authorize_drop_all(Bus *b);
