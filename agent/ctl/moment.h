/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Times as people write them, in the local zone: "2026-03-31", "2026-03-31 17:15", "2026-03-31T17:15:30", "17:15"
 * (today), "now", or @MICROSECONDS since 1970. */

/* A day alone means its first microsecond, or (`end`) its last. -EINVAL when it cannot be read, -ERANGE when there is
 * no such day or minute. */
int moment_parse(const char *text, bool end, uint64_t *ret_usec);

#define MOMENT_TEXT_MAX 40u
/* "2026-03-31 17:15:30"; empty for 0. */
void moment_format(uint64_t usec, char ret[static MOMENT_TEXT_MAX]);
