/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/lookup.h"

#include <errno.h>
#include <string.h>

#include "factor/account-wire.h"
#include "factor/helper.h"
#include "util/clock.h"

#define LOOKUP_PARALLEL    8
#define CACHE_MAX          512
#define UNKNOWN_CACHE_USEC (5 * USEC_PER_SEC)
#define STALE_FACTOR       10 /* how many lifetimes an answer serves when NSS does not answer */

typedef struct Entry {
        char *key;        /* "n:NAME" or "u:UID" */
        Account *account; /* NULL: unknown */
        uint64_t at_usec; /* CLOCK_BOOTTIME */
} Entry;

struct LookupQuery {
        Lookup *lookup;
        LookupQuery *next;
        Helper *helper;
        char *key;
        lookup_fn fn;
        void *userdata;
};

struct Lookup {
        HelperPool *pool;
        uint64_t cache_usec;
        char *netgroups; /* as they stand in a request */
        size_t netgroups_size;
        Entry cache[CACHE_MAX];
        size_t n_cache;
        LookupQuery *queries;
};

static void entry_done(Entry *e) {
        free(e->key);
        account_unref(e->account);
        *e = (Entry){};
}

static Entry *cache_find(Lookup *l, const char *key) {
        for (size_t i = 0; i < l->n_cache; i++)
                if (strcmp(l->cache[i].key, key) == 0)
                        return &l->cache[i];
        return NULL;
}

/* Remembers an answer in the place of the same key, else of the oldest. */
static void cache_put(Lookup *l, const char *key, Account *account) {
        Entry *e = cache_find(l, key);

        if (!e && l->n_cache < CACHE_MAX)
                e = &l->cache[l->n_cache++];
        if (!e) {
                e = &l->cache[0];
                for (size_t i = 1; i < l->n_cache; i++)
                        if (l->cache[i].at_usec < e->at_usec)
                                e = &l->cache[i];
        }
        entry_done(e);
        e->key = strdup(key);
        if (!e->key) {
                *e = l->cache[--l->n_cache];
                l->cache[l->n_cache] = (Entry){};
                return;
        }
        e->account = account ? account_ref(account) : NULL;
        e->at_usec = clock_usec(CLOCK_BOOTTIME);
}

static uint64_t entry_lifetime(const Lookup *l, const Entry *e) {
        return !e->account && l->cache_usec > UNKNOWN_CACHE_USEC ? UNKNOWN_CACHE_USEC : l->cache_usec;
}

static void query_free(LookupQuery *q) {
        for (LookupQuery **p = &q->lookup->queries; *p; p = &(*p)->next)
                if (*p == q) {
                        *p = q->next;
                        break;
                }
        free(q->key);
        free(q);
}

static bool is_number(const char *text, uid_t uid) {
        char other[16];

        snprintf(other, sizeof(other), "%u", uid);
        return strcmp(text, other) == 0;
}

static void on_answer(int r, const char *reply, size_t size, void *userdata) {
        _cleanup_(account_unref_p) Account *account = NULL;
        LookupQuery *q = userdata;
        Lookup *l = q->lookup;
        lookup_fn fn = q->fn;
        void *data = q->userdata;

        q->helper = NULL;
        if (r == 0)
                r = account_parse(&account, reply, size);
        else
                r = LOOKUP_E_UNAVAILABLE;

        /* An answer about another name is a lie, or a directory that folds names: not an account that was asked for.
         * One about another uid is nonsense. */
        if (r == 0 && q->key[0] == 'n' && strcmp(account->name, q->key + 2) != 0) {
                account = account_unref(account);
                r = LOOKUP_E_UNKNOWN;
        }
        if (r == 0 && q->key[0] == 'u' && !is_number(q->key + 2, account->uid)) {
                account = account_unref(account);
                r = -EPROTO;
        }

        if (r == 0 || r == LOOKUP_E_UNKNOWN)
                cache_put(l, q->key, account);
        else {
                Entry *e = cache_find(l, q->key);

                r = LOOKUP_E_UNAVAILABLE;
                if (e && e->account && clock_usec(CLOCK_BOOTTIME) - e->at_usec < STALE_FACTOR * l->cache_usec) {
                        account = account_ref(e->account);
                        r = 0;
                }
        }
        query_free(q);
        fn(r, account, data);
}

static int lookup_ask(Lookup *l, const char *kind, const char *value, lookup_fn fn, void *userdata, LookupQuery **ret) {
        _cleanup_free_ char *key = NULL, *request = NULL;
        size_t value_size = strlen(value) + 1;
        LookupQuery *q;
        Entry *e;
        int r;

        if (asprintf(&key, "%s:%s", kind, value) < 0) {
                key = NULL;
                return -ENOMEM;
        }

        e = cache_find(l, key);
        if (e && clock_usec(CLOCK_BOOTTIME) - e->at_usec < entry_lifetime(l, e)) {
                _cleanup_(account_unref_p) Account *account = e->account ? account_ref(e->account) : NULL;

                *ret = NULL;
                fn(account ? 0 : LOOKUP_E_UNKNOWN, account, userdata);
                return 0;
        }

        request = malloc(2 + value_size + l->netgroups_size);
        q = calloc(1, sizeof(*q));
        if (!request || !q) {
                free(q);
                return -ENOMEM;
        }
        memcpy(request, kind, 2);
        memcpy(request + 2, value, value_size);
        if (l->netgroups_size > 0)
                memcpy(request + 2 + value_size, l->netgroups, l->netgroups_size);

        q->lookup = l;
        q->key = TAKE_PTR(key);
        q->fn = fn;
        q->userdata = userdata;
        q->next = l->queries;
        l->queries = q;
        r = helper_ask(l->pool, request, 2 + value_size + l->netgroups_size, on_answer, q, &q->helper);
        if (r < 0) {
                query_free(q);
                return r;
        }
        *ret = q;
        return 0;
}

int lookup_new(Lookup **ret, sd_event *event, const char *helper_path, uint64_t timeout_usec, uint64_t cache_usec) {
        Lookup *l;
        int r;

        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        r = helper_pool_new(&l->pool, event, helper_path, LOOKUP_PARALLEL, timeout_usec);
        if (r < 0) {
                free(l);
                return r;
        }
        l->cache_usec = cache_usec;
        *ret = l;
        return 0;
}

Lookup *lookup_free(Lookup *l) {
        if (!l)
                return NULL;
        helper_pool_free(l->pool);
        while (l->queries)
                query_free(l->queries);
        lookup_flush(l);
        free(l->netgroups);
        free(l);
        return NULL;
}

int lookup_set_netgroups(Lookup *l, char *const *netgroups) {
        char *buffer, *p;
        size_t size = 0;

        for (char *const *n = netgroups; n && *n; n++)
                size += strlen(*n) + 1;
        if (size > HELPER_REPLY_MAX / 2)
                return -E2BIG;
        buffer = malloc(size > 0 ? size : 1);
        if (!buffer)
                return -ENOMEM;
        p = buffer;
        for (char *const *n = netgroups; n && *n; n++)
                p = stpcpy(p, *n) + 1;
        if (size == l->netgroups_size && (size == 0 || memcmp(buffer, l->netgroups, size) == 0)) {
                free(buffer);
                return 0;
        }
        free(l->netgroups);
        l->netgroups = buffer;
        l->netgroups_size = size;
        lookup_flush(l);
        return 0;
}

void lookup_flush(Lookup *l) {
        for (size_t i = 0; i < l->n_cache; i++)
                entry_done(&l->cache[i]);
        l->n_cache = 0;
}

int lookup_name(Lookup *l, const char *name, lookup_fn fn, void *userdata, LookupQuery **ret) {
        return lookup_ask(l, "n", name, fn, userdata, ret);
}

int lookup_uid(Lookup *l, uid_t uid, lookup_fn fn, void *userdata, LookupQuery **ret) {
        char text[16];

        snprintf(text, sizeof(text), "%u", uid);
        return lookup_ask(l, "u", text, fn, userdata, ret);
}

LookupQuery *lookup_query_cancel(LookupQuery *q) {
        if (!q)
                return NULL;
        helper_cancel(q->helper);
        query_free(q);
        return NULL;
}
