/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The side of the helper programs. On its own, so that they do not link what helper.c needs. */

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>

#include "factor/helper.h"

#define NOBODY 65534

bool helper_dies_with_agent(void) {
        struct pollfd p = { .fd = HELPER_FD };

        /* In this order: an agent that died before the first has closed its end by the second. */
        return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && poll(&p, 1, 0) == 0;
}

static void user_find(const char *user, uid_t *ret_uid, gid_t *ret_gid) {
        _cleanup_fclose_ FILE *f = fopen("/etc/passwd", "re");

        *ret_uid = *ret_gid = NOBODY;
        for (struct passwd *pw; f && (pw = fgetpwent(f));)
                if (strcmp(pw->pw_name, user) == 0 && pw->pw_uid != 0 && pw->pw_gid != 0) {
                        *ret_uid = pw->pw_uid;
                        *ret_gid = pw->pw_gid;
                }
}

int helper_become(const char *user) {
        uid_t uid;
        gid_t gid;

        if (geteuid() != 0)
                return 0;
        user_find(user, &uid, &gid);
        if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
                return -errno;
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}
