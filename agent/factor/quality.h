/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "policy/password.h"
#include "util/secret.h"

/* What libpwquality says of a new password, asked through the helper keishi-quality: its dictionary (libcrack) reads
 * files and runs on what somebody typed. The site's own settings in /etc/security/pwquality.conf hold. */

/* The account that keishi-quality and keishi-fingerprint run as; nobody's ids when it does not exist. */
#define QUALITY_USER "keishi-password"

/* Characters in which a new password differs from the current one, at the least; the site may ask for more. */
#define QUALITY_DIFFERENCE 4

/* Reply: one byte. */
typedef enum QualityReply {
        QUALITY_GOOD = 1,
        QUALITY_SHORT,
        QUALITY_CLASSES,
        QUALITY_SAME,
        QUALITY_SIMILAR,
        QUALITY_EASY,
        QUALITY_UNAVAILABLE, /* settings or dictionary cannot be read */
        _QUALITY_MAX,
} QualityReply;

/* Request: "USER\0CURRENT\0" and the new password up to the end; CURRENT empty: not known. Writes it to `buffer`; its
 * size, or -EMSGSIZE. -EINVAL: a password with a zero byte. */
ssize_t quality_request(char *buffer, size_t room, const char *user, const Secret *current, const Secret *new_password);
/* What a helper's reply means: true with the fault (or none), false when there is no answer that can be understood. */
bool quality_reply(int r, const char *reply, size_t size, PasswordFault *ret);
