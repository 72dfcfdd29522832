/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "util/cleanup.h"

/* NSS, asked through the helper keishi-lookup, because NSS may hang (SSSD) and keishid never waits. Answers are cached
 * for a while, unknown names for a shorter one; when the helper does not answer, a cached answer that is older serves
 * on, up to ten times as long. */

typedef struct Lookup Lookup;

/* An account as NSS knows it. Immutable, shared; account_ref() to keep one. */
typedef struct Account {
        unsigned n_ref;
        char *name;
        uid_t uid;
        gid_t gid;
        char *gecos;
        char **groups;    /* names of all groups, the primary one first, NULL-terminated */
        char **netgroups; /* of those asked for with lookup_set_netgroups(), the ones that the user is in,
                             NULL-terminated */
} Account;
Account *account_ref(Account *a);
Account *account_unref(Account *a);
DEFINE_CLEANUP(Account *, account_unref)
bool account_in_group(const Account *a, const char *group);

enum {
        _LOOKUP_E_SUCCESS,
        LOOKUP_E_UNKNOWN,     /* NSS answered: no such account */
        LOOKUP_E_UNAVAILABLE, /* NSS or the helper did not answer in time, died, or answered nonsense */
};

int lookup_new(Lookup **ret, sd_event *event, const char *helper_path, uint64_t timeout_usec, uint64_t cache_usec);
Lookup *lookup_free(Lookup *l);
DEFINE_CLEANUP(Lookup *, lookup_free)

/* The netgroups whose membership answers shall tell. Drops the cache. Copies. */
int lookup_set_netgroups(Lookup *l, char *const *netgroups);
/* Forgets everything cached: NSS databases changed. */
void lookup_flush(Lookup *l);

/* `account` is NULL unless r is 0, and lives during the call. */
typedef void (*lookup_fn)(int r, Account *account, void *userdata);
typedef struct LookupQuery LookupQuery;

/* Asks for a name or a uid. The function is called exactly once: before this returns when the answer is cached (then
 * *ret is NULL), else later from the loop. lookup_query_cancel() withdraws it without a call. */
int lookup_name(Lookup *l, const char *name, lookup_fn fn, void *userdata, LookupQuery **ret);
int lookup_uid(Lookup *l, uid_t uid, lookup_fn fn, void *userdata, LookupQuery **ret);
LookupQuery *lookup_query_cancel(LookupQuery *q);
