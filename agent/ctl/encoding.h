/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "util/cleanup.h"

/* Encodings of CSV files. Excel's "Shift_JIS" is CP932: 髙 and ① are not in Shift_JIS. */
typedef enum Encoding {
        ENCODING_AUTO,     /* reading: UTF-8 when all of it is, else CP932 */
        ENCODING_UTF8,     /* reading: with or without BOM; writing: without */
        ENCODING_UTF8_BOM, /* writing: what Excel knows UTF-8 by */
        ENCODING_CP932,
        _ENCODING_MAX,
        _ENCODING_INVALID = -1,
} Encoding;

Encoding encoding_from_string(const char *s);

/* ENCODING_UTF8 when all of a file is, else ENCODING_CP932. `first` are its first bytes, read already; the rest is
 * looked at when `fd` can be read twice (`whole`), from its beginning on and without moving it. A negative errno of
 * reading. */
int encoding_find(int fd, const char *first, size_t size, bool whole, Encoding *ret);

#define ENCODING_BOM "\xef\xbb\xbf"

/* CP932 to UTF-8 and back. */
typedef struct Codec Codec;
int codec_new(Codec **ret); /* -EINVAL: this system's iconv has no CP932 */
Codec *codec_free(Codec *c);
DEFINE_CLEANUP(Codec *, codec_free)

/* Both write NUL-terminated text of at most `room` bytes with it. -EILSEQ: *ret_at is where in `in` the first character
 * is that cannot be converted; encoding refuses also what would come back as another character (¥ as \, 〜 as ～).
 * -E2BIG.
 */
int codec_decode(Codec *c, const char *in, size_t size, char *out, size_t room, size_t *ret_at);
int codec_encode(Codec *c, const char *in, char *out, size_t room, size_t *ret_at);

/* Whether the text has a byte beyond ASCII. */
bool text_beyond_ascii(const char *text, size_t size);
