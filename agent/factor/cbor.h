/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CBOR (RFC 8949) as CTAP2 writes it: lengths are given, and numbers in their shortest form. Tags, floats and
 * everything of indefinite length are refused. Pure; nothing here allocates. */

#define CBOR_DEPTH_MAX 4u  /* CTAP 2.1, 8: nested at most four deep */
#define CBOR_ITEMS_MAX 64u /* in one array or map */

typedef enum CborType {
        CBOR_UINT,       /* number */
        CBOR_NINT,       /* -1 - number */
        CBOR_BYTES,      /* bytes, size */
        CBOR_TEXT,       /* bytes, size: valid UTF-8 */
        CBOR_ARRAY,      /* number of items, which follow */
        CBOR_MAP,        /* number of pairs, which follow */
        CBOR_SIMPLE = 7, /* false (20), true (21), null (22) */
} CborType;

typedef struct CborItem {
        CborType type;
        uint64_t number;
        const unsigned char *bytes;
        size_t size;
} CborItem;

typedef struct CborReader {
        const unsigned char *at, *end;
} CborReader;

/* The next item; of an array or map only its head. False when there is none, or none that is allowed. */
bool cbor_next(CborReader *r, CborItem *ret);
/* The next item, of that type. */
bool cbor_take(CborReader *r, CborType type, CborItem *ret);
/* The next item, a number from INT32_MIN to INT32_MAX. */
bool cbor_take_number(CborReader *r, int64_t *ret);
/* Over one item and everything in it. */
bool cbor_skip(CborReader *r);
/* Whether a text item is that text. */
bool cbor_is_text(const CborItem *i, const char *text);
