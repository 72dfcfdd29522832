/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <string.h>

#include "keishi/protocol.h"

/* A typed secret. There is no function that prints or copies one into text; it is wiped by secret_done(), also through
 * _cleanup_(secret_done). */
typedef struct Secret {
        size_t size;
        char bytes[KEISHI_ANSWER_MAX];
} Secret;

static inline void secret_done(Secret *s) {
        if (s)
                explicit_bzero(s, sizeof(*s));
}
