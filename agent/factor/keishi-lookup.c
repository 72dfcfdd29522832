/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishi-lookup: one NSS question from keishid on file descriptor 3, one answer back (lookup-wire.h). It gives up root
 * first: NSS modules are other people's code. */

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "factor/helper.h"
#include "factor/lookup-wire.h"
#include "util/text.h"

typedef struct Reply {
        size_t size;
        bool overflow;
        char bytes[HELPER_REPLY_MAX];
} Reply;

static void reply_add(Reply *r, const char *s) {
        size_t n = strlen(s) + 1;

        if (n > sizeof(r->bytes) - r->size) {
                r->overflow = true;
                return;
        }
        memcpy(r->bytes + r->size, s, n);
        r->size += n;
}

static void reply_add_number(Reply *r, unsigned long long v) {
        char text[24];

        snprintf(text, sizeof(text), "%llu", v);
        reply_add(r, text);
}

/* Names of the groups; a gid without a name is left out, since policy names groups. */
static int add_groups(Reply *reply, const struct passwd *pw) {
        static gid_t gids[LOOKUP_GROUPS_MAX];
        static char *names[LOOKUP_GROUPS_MAX];
        int n = LOOKUP_GROUPS_MAX, n_names = 0;

        if (getgrouplist(pw->pw_name, pw->pw_gid, gids, &n) < 0)
                return -E2BIG;
        for (int i = 0; i < n; i++) {
                struct group *gr = getgrgid(gids[i]);

                if (!gr)
                        continue;
                names[n_names] = strdup(gr->gr_name);
                if (!names[n_names++])
                        return -ENOMEM;
        }
        reply_add_number(reply, (unsigned)n_names);
        for (int i = 0; i < n_names; i++)
                reply_add(reply, names[i]);
        return 0;
}

static void add_netgroups(Reply *reply, const char *name, const char *p, const char *end) {
        unsigned n = 0;

        for (const char *q = p; q < end; q += strlen(q) + 1)
                n += innetgr(q, NULL, name, NULL) == 1;
        reply_add_number(reply, n);
        for (const char *q = p; q < end && n > 0; q += strlen(q) + 1)
                if (innetgr(q, NULL, name, NULL) == 1) {
                        reply_add(reply, q);
                        n--;
                }
        /* Membership that changed between the two passes leaves the counts apart, and keishid takes that for no answer.
         */
}

static int answer(Reply *reply, const char *request, const char *end) {
        const char *key, *netgroups;
        struct passwd *pw;
        uint64_t uid;

        key = request + strlen(request) + 1;
        if (key >= end)
                return -EPROTO;
        netgroups = key + strlen(key) + 1;

        errno = 0;
        if (strcmp(request, "n") == 0)
                pw = getpwnam(key);
        else if (strcmp(request, "u") == 0 && parse_uint64(key, 0, UINT32_MAX - 1, &uid) == 0)
                pw = getpwuid((uid_t)uid);
        else
                return -EPROTO;
        if (!pw) {
                if (errno != 0 && errno != ENOENT && errno != ESRCH && errno != EBADF && errno != EPERM)
                        return -errno;
                reply_add(reply, "unknown");
                return 0;
        }

        /* getgrgid() and innetgr() may use the same static space. */
        struct passwd copy = { .pw_name = strdup(pw->pw_name),
                .pw_gecos = strdup(pw->pw_gecos ? pw->pw_gecos : ""),
                .pw_uid = pw->pw_uid,
                .pw_gid = pw->pw_gid };
        if (!copy.pw_name || !copy.pw_gecos)
                return -ENOMEM;

        reply_add(reply, "ok");
        reply_add(reply, copy.pw_name);
        reply_add_number(reply, copy.pw_uid);
        reply_add_number(reply, copy.pw_gid);
        reply_add(reply, copy.pw_gecos);
        if (add_groups(reply, &copy) < 0)
                return -E2BIG;
        add_netgroups(reply, copy.pw_name, netgroups, end);
        return reply->overflow ? -E2BIG : 0;
}

int main(void) {
        static char request[HELPER_REPLY_MAX];
        static Reply reply;
        ssize_t n;

        if (helper_become(LOOKUP_USER) < 0 || !helper_dies_with_agent())
                return EXIT_FAILURE;
        n = recv(HELPER_FD, request, sizeof(request), MSG_TRUNC);
        if (n <= 1 || (size_t)n > sizeof(request) || request[n - 1] != 0)
                return EXIT_FAILURE;
        if (answer(&reply, request, request + n) < 0)
                return EXIT_FAILURE;
        return send(HELPER_FD, reply.bytes, reply.size, MSG_NOSIGNAL) == (ssize_t)reply.size ? EXIT_SUCCESS
                                                                                             : EXIT_FAILURE;
}
