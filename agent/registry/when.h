/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Points in time as people write them: RFC 3339 (`2026-04-01T08:30:00+09:00`, `…Z`; without an offset in local time,
 * seconds may be left out), or a date
 * (`2026-04-01`), which as a beginning is its first moment and as an end its last, both in local time. */

#define WHEN_SIZE 32

/* Microseconds of CLOCK_REALTIME, never 0. False when it is not a time between 1970 and 9999. */
bool when_parse(const char *text, bool is_end, uint64_t *ret_usec);
/* RFC 3339 in local time, to the second. */
void when_format(uint64_t usec, char out[WHEN_SIZE]);
