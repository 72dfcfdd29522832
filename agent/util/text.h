/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes one UTF-8 character of at most `size` bytes (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF).
 * Returns its length in bytes and the code point in *ret; 0 when it is not one. */
size_t utf8_decode(const char *s, size_t size, uint32_t *ret);
bool utf8_valid(const char *s, size_t size);

/* Whether a code point may stand in text shown to people and in trails: no controls (C0, DEL, C1), no line or paragraph
 * separators, no bidirectional controls (U+061C, U+200E..200F, U+202A..202E, U+2066..2069), no U+FEFF, no
 * noncharacters. */
bool code_point_is_plain(uint32_t c);

/* Copies text with everything that is not plain, and every backslash, written as \xNN per byte, and cut at a
 * character's end (with "…") so that the result has at most `cap` bytes. NULL when out of memory. */
char *text_escape(const char *s, size_t size, size_t cap);

/* Account names as useradd's strict set, extended to what directory services bring: 1..255 bytes of printable ASCII or
 * plain UTF-8 without '/', ':', ',' or white space, not starting with '-' or '+'. */
bool account_valid(const char *name);

/* Parses a whole decimal number within [min, max]. -EINVAL when it is not one, -ERANGE when outside. */
int parse_uint64(const char *s, uint64_t min, uint64_t max, uint64_t *ret);
