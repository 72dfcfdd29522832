/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

/* Bytes that somebody else owns. */
typedef struct Bytes {
        const unsigned char *at;
        size_t size;
} Bytes;
