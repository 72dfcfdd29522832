/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Text as it is compared when the way of writing does not matter: full-width forms and half-width katakana as their
 * usual counterparts (as NFKC does it, with what it composes), katakana as hiragana, era names in one square as two
 * characters, and ASCII letters in lower case. PURE, and of no locale. */

/* Beyond Unicode: a byte that is not part of UTF-8 stands for itself, as FOLD_BYTE + its value. */
#define FOLD_BYTE 0x110000u

/* Writes the code points of `text` to `out`, at most `cap`, and returns how many there are; `size` is always enough. */
size_t text_fold(const char *text, size_t size, uint32_t *out, size_t cap);
