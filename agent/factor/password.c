/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/password.h"

#include <errno.h>

static int append(char **p, char *end, const char *s) {
        size_t n = (s ? strlen(s) : 0) + 1;

        if (n > (size_t)(end - *p))
                return -EMSGSIZE;
        memcpy(*p, s ? s : "", n);
        *p += n;
        return 0;
}

ssize_t password_request(
        char *buffer, size_t room, const char *user, const char *rhost, const char *tty, const Secret *password) {
        char *p = buffer, *end = buffer + room;

        if (append(&p, end, user) < 0 || append(&p, end, rhost) < 0 || append(&p, end, tty) < 0 ||
                password->size > (size_t)(end - p))
                return -EMSGSIZE;
        memcpy(p, password->bytes, password->size);
        return p - buffer + (ssize_t)password->size;
}

PasswordResult password_reply(int r, const char *reply, size_t size) {
        if (r != 0 || size < 1 || size > PASSWORD_REPLY_MAX)
                return PASSWORD_UNAVAILABLE;
        if (reply[0] == PASSWORD_WRONG && size == 1)
                return PASSWORD_WRONG;
        if (reply[0] == PASSWORD_RIGHT && (size == 1 || size == PASSWORD_REPLY_MAX))
                return PASSWORD_RIGHT;
        return PASSWORD_UNAVAILABLE;
}

static uint32_t reply_day(const char *reply, size_t size) {
        uint32_t day = PASSWORD_DAY_UNKNOWN;

        if (size == PASSWORD_REPLY_MAX)
                memcpy(&day, reply + 1, sizeof(day));
        return day;
}

uint32_t password_reply_day(const char *reply, size_t size) {
        uint32_t day = reply_day(reply, size);

        return day == PASSWORD_DAY_UNKNOWN ? 0 : day;
}

bool password_reply_elsewhere(const char *reply, size_t size) {
        return reply_day(reply, size) == 0;
}
