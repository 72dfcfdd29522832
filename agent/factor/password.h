/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "factor/helper.h"
#include "util/secret.h"

/* The password as keishid's own factor: the helper keishi-password runs the site's PAM service `keishi-password` and
 * answers with one byte and, when it was right, with the day of the last change as shadow(5) has it. An empty password
 * is never one and is not even tried. */

typedef enum PasswordResult {
        PASSWORD_RIGHT = 1,
        PASSWORD_WRONG,
        PASSWORD_UNAVAILABLE, /* the service or its directory did not answer, or is not configured */
} PasswordResult;

/* A reply: a PasswordResult, and for PASSWORD_RIGHT a day: 0 when this terminal does not keep the account's password.
 */
#define PASSWORD_DAY_UNKNOWN UINT32_MAX /* it is kept here, and shadow(5) has no day */
#define PASSWORD_REPLY_MAX   (1 + sizeof(uint32_t))

#define PASSWORD_SERVICE "keishi-password"

/* Request: "USER\0RHOST\0TTY\0" and the password up to the end. Writes it to `buffer`; its size, or -EMSGSIZE. */
ssize_t password_request(
        char *buffer, size_t room, const char *user, const char *rhost, const char *tty, const Secret *password);
/* What a helper's reply means; anything not understood is PASSWORD_UNAVAILABLE. */
PasswordResult password_reply(int r, const char *reply, size_t size);
/* When a right password was last changed: days since 1970-01-01, 0 when that is not known (no local account). */
uint32_t password_reply_day(const char *reply, size_t size);
/* Whether a right password is kept elsewhere, by a directory. */
bool password_reply_elsewhere(const char *reply, size_t size);
