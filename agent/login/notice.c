/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/notice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-login.h>

#include "login/transaction-internal.h"
#include "util/cleanup.h"

static void strv_free(char **list) {
        for (char **s = list; s && *s; s++)
                free(*s);
        free(list);
}

static int add_line(FILE *f, const Config *config, const char *tty, Reason reason) {
        Language language = text_language(NULL, config->locale, tty);
        char text[1024];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(text, sizeof(text), text_in(language, N_("Your session is ended. %s")),
                text_in(language, reason_text(reason)));
#pragma GCC diagnostic pop
        return fprintf(f, "%s\t%s\n", tty, text) < 0 ? -EIO : 0;
}

/* What to say, one line a terminal; empty when there is none. */
static int compose(const Config *config, uid_t uid, Reason reason, char **ret) {
        char **sessions = NULL, *text = NULL;
        size_t size = 0;
        FILE *f;
        int r = 0;

        if (sd_uid_get_sessions(uid, 0, &sessions) < 0)
                sessions = NULL;
        f = open_memstream(&text, &size);
        if (!f)
                r = -ENOMEM;
        for (char **s = sessions; r == 0 && s && *s; s++) {
                _cleanup_free_ char *tty = NULL;

                if (sd_session_get_tty(*s, &tty) >= 0 && size < NOTICE_TEXT_MAX - 1024)
                        r = add_line(f, config, tty, reason);
        }
        strv_free(sessions);
        if (f && fclose(f) != 0 && r == 0)
                r = -ENOMEM;
        if (r < 0) {
                free(text);
                return r;
        }
        *ret = text;
        return 0;
}

static int leave(const char *directory, uid_t uid, const char *text) {
        _cleanup_close_ int dir = -EBADF, fd = -EBADF;
        char name[16];
        size_t size = strlen(text);

        if (mkdir(directory, 0700) < 0 && errno != EEXIST)
                return -errno;
        dir = open(directory, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (dir < 0)
                return -errno;
        (void)snprintf(name, sizeof(name), "%u", uid);
        fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        return write(fd, text, size) == (ssize_t)size ? 0 : -EIO;
}

Notice notice_leave(const Config *config, const char *directory, uid_t uid, Reason reason) {
        _cleanup_free_ char *text = NULL;

        if (compose(config, uid, reason, &text) < 0 || !*text || leave(directory, uid, text) < 0)
                return NOTICE_NONE;
        return strncmp(text, "pts/", 4) == 0 || strstr(text, "\npts/") ? NOTICE_VANISHES : NOTICE_STAYS;
}
