/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "login/bus-internal.h"

struct Resolve {
        Bus *bus;
        sd_bus_message *m;
        json_object *request;
        resolved_fn fn;
        LookupQuery *query;
        bool answered; /* the lookup that is being started has been answered already */
        bool starting;
        size_t n, next;
        Resolve *following;
        Resolved found[];
};

static void resolve_free(Resolve *s) {
        for (Resolve **p = &s->bus->resolves; *p; p = &(*p)->following)
                if (*p == s) {
                        *p = s->following;
                        break;
                }
        if (s->query)
                lookup_query_cancel(s->query);
        for (size_t i = 0; i < s->n; i++) {
                free((char *)s->found[i].name);
                account_unref(s->found[i].account);
        }
        json_object_put(s->request);
        sd_bus_message_unref(s->m);
        free(s);
}

void resolve_drop_all(Bus *b) {
        while (b->resolves)
                resolve_free(b->resolves);
}

static void on_account(int r, Account *account, void *userdata);

/* Goes through the names, and stops where an answer is not there yet; on_account() then goes on. */
static void go_on(Resolve *s) {
        int r;

        while (s->next < s->n) {
                s->answered = false;
                s->starting = true;
                r = lookup_name(s->bus->c.lookup, s->found[s->next].name, on_account, s, &s->query);
                s->starting = false;
                if (r < 0) {
                        s->found[s->next++].r = LOOKUP_E_UNAVAILABLE;
                        continue;
                }
                if (!s->answered)
                        return;
        }
        r = s->fn(s->bus, s->m, s->request, s->found, s->n);
        if (r < 0)
                (void)sd_bus_reply_method_errnof(s->m, r, "Internal error");
        resolve_free(s);
}

static void on_account(int r, Account *account, void *userdata) {
        Resolve *s = userdata;

        s->query = NULL;
        s->answered = true;
        s->found[s->next].r = r < 0 ? LOOKUP_E_UNAVAILABLE : r;
        if (r == 0)
                s->found[s->next].account = account_ref(account);
        s->next++;
        if (!s->starting)
                go_on(s);
}

int resolve(Bus *b, sd_bus_message *m, json_object *request, const char *const *names, size_t n, resolved_fn fn) {
        Resolve *s;

        s = calloc(1, sizeof(*s) + n * sizeof(*s->found));
        if (!s)
                return -ENOMEM;
        s->bus = b;
        s->m = sd_bus_message_ref(m);
        s->request = json_object_get(request);
        s->fn = fn;
        s->n = n;
        s->following = b->resolves;
        b->resolves = s;
        for (size_t i = 0; i < n; i++) {
                s->found[i].name = strdup(names[i]);
                if (!s->found[i].name) {
                        resolve_free(s);
                        return -ENOMEM;
                }
        }
        go_on(s);
        return 1;
}
