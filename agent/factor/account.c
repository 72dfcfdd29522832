/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "factor/account-wire.h"
#include "factor/lookup-wire.h"
#include "util/text.h"

Account *account_ref(Account *a) {
        a->n_ref++;
        return a;
}

static void strings_free(char **v) {
        for (char **s = v; s && *s; s++)
                free(*s);
        free(v);
}

Account *account_unref(Account *a) {
        if (!a || --a->n_ref > 0)
                return NULL;
        free(a->name);
        free(a->gecos);
        strings_free(a->groups);
        strings_free(a->netgroups);
        free(a);
        return NULL;
}

bool account_in_group(const Account *a, const char *group) {
        for (char **g = a->groups; g && *g; g++)
                if (strcmp(*g, group) == 0)
                        return true;
        return false;
}

/* The next string of a reply, which must be UTF-8; NULL at the end. */
static const char *next_string(const char **p, const char *end) {
        const char *s = *p, *zero;

        if (s >= end)
                return NULL;
        zero = memchr(s, 0, (size_t)(end - s));
        if (!zero || !utf8_valid(s, (size_t)(zero - s)))
                return NULL;
        *p = zero + 1;
        return s;
}

static bool next_number(const char **p, const char *end, uint64_t max, uint64_t *ret) {
        const char *s = next_string(p, end);

        return s && parse_uint64(s, 0, max, ret) == 0;
}

static int next_list(const char **p, const char *end, char ***ret) {
        char **v;
        uint64_t n;

        if (!next_number(p, end, LOOKUP_GROUPS_MAX, &n))
                return -EPROTO;
        v = calloc(n + 1, sizeof(*v));
        if (!v)
                return -ENOMEM;
        *ret = v;
        for (uint64_t i = 0; i < n; i++) {
                const char *s = next_string(p, end);

                if (!s || !*s)
                        return -EPROTO;
                v[i] = strdup(s);
                if (!v[i])
                        return -ENOMEM;
        }
        return 0;
}

int account_parse(Account **ret, const char *reply, size_t size) {
        _cleanup_(account_unref_p) Account *a = NULL;
        const char *p = reply, *end = reply + size, *status, *name, *gecos;
        uint64_t uid, gid;
        int r;

        status = next_string(&p, end);
        if (!status)
                return -EPROTO;
        if (strcmp(status, "unknown") == 0)
                return p == end ? LOOKUP_E_UNKNOWN : -EPROTO;
        if (strcmp(status, "ok") != 0)
                return -EPROTO;

        name = next_string(&p, end);
        if (!name || !account_valid(name))
                return -EPROTO;
        if (!next_number(&p, end, UINT32_MAX - 1, &uid) || !next_number(&p, end, UINT32_MAX - 1, &gid))
                return -EPROTO;
        gecos = next_string(&p, end);
        if (!gecos)
                return -EPROTO;

        a = calloc(1, sizeof(*a));
        if (!a)
                return -ENOMEM;
        a->n_ref = 1;
        a->uid = (uid_t)uid;
        a->gid = (gid_t)gid;
        a->name = strdup(name);
        a->gecos = strdup(gecos);
        if (!a->name || !a->gecos)
                return -ENOMEM;
        r = next_list(&p, end, &a->groups);
        if (r == 0)
                r = next_list(&p, end, &a->netgroups);
        if (r < 0)
                return r;
        if (p != end)
                return -EPROTO;

        *ret = TAKE_PTR(a);
        return 0;
}
