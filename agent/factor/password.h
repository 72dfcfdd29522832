/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "factor/helper.h"
#include "util/secret.h"

/* The password as keishid's own factor: the helper keishi-password runs the site's PAM service `keishi-password` and
 * answers with one byte. An empty password is never one and is not even tried. */

typedef enum PasswordResult {
        PASSWORD_RIGHT = 1,
        PASSWORD_WRONG,
        PASSWORD_UNAVAILABLE, /* the service or its directory did not answer, or is not configured */
} PasswordResult;

#define PASSWORD_SERVICE "keishi-password"

/* Request: "USER\0RHOST\0TTY\0" and the password up to the end. Writes it to `buffer`; its size, or -EMSGSIZE. */
ssize_t password_request(
        char *buffer, size_t room, const char *user, const char *rhost, const char *tty, const Secret *password);
/* What a helper's reply means; anything not understood is PASSWORD_UNAVAILABLE. */
PasswordResult password_reply(int r, const char *reply, size_t size);
