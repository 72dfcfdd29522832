/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/cbor.h"

#include <string.h>

#include "util/text.h"

/* The argument of an initial byte (RFC 8949, 3): 0 to 23 in it, or 1, 2, 4, 8 bytes behind it, never more than needed.
 */
static bool argument_take(CborReader *r, unsigned info, uint64_t *ret) {
        static const uint64_t least[] = { 24, 0x100, 0x10000, UINT64_C(0x100000000) };
        uint64_t n = 0;
        size_t size;

        if (info < 24) {
                *ret = info;
                return true;
        }
        if (info > 27)
                return false;
        size = (size_t)1 << (info - 24);
        if ((size_t)(r->end - r->at) < size)
                return false;
        for (size_t i = 0; i < size; i++)
                n = n << 8 | *r->at++;
        *ret = n;
        return n >= least[info - 24];
}

bool cbor_next(CborReader *r, CborItem *ret) {
        CborItem i = {};
        unsigned first;

        if (r->at >= r->end)
                return false;
        first = *r->at++;
        i.type = (CborType)(first >> 5);
        if (!argument_take(r, first & 0x1f, &i.number))
                return false;
        switch (i.type) {
        case CBOR_UINT:
        case CBOR_NINT:
                break;
        case CBOR_BYTES:
        case CBOR_TEXT:
                if (i.number > (size_t)(r->end - r->at))
                        return false;
                i.bytes = r->at;
                i.size = (size_t)i.number;
                r->at += i.size;
                if (i.type == CBOR_TEXT && !utf8_valid((const char *)i.bytes, i.size))
                        return false;
                break;
        case CBOR_ARRAY:
        case CBOR_MAP:
                if (i.number > CBOR_ITEMS_MAX)
                        return false;
                break;
        case CBOR_SIMPLE:
                if (i.number < 20 || i.number > 22)
                        return false;
                break;
        default:
                return false;
        }
        *ret = i;
        return true;
}

bool cbor_take(CborReader *r, CborType type, CborItem *ret) {
        return cbor_next(r, ret) && ret->type == type;
}

bool cbor_take_number(CborReader *r, int64_t *ret) {
        CborItem i;

        if (!cbor_next(r, &i) || (i.type != CBOR_UINT && i.type != CBOR_NINT) || i.number > INT32_MAX)
                return false;
        *ret = i.type == CBOR_UINT ? (int64_t)i.number : -1 - (int64_t)i.number;
        return true;
}

static bool skip(CborReader *r, unsigned depth) {
        uint64_t n;
        CborItem i;

        if (!cbor_next(r, &i))
                return false;
        if (i.type != CBOR_ARRAY && i.type != CBOR_MAP)
                return true;
        n = i.type == CBOR_MAP ? i.number * 2 : i.number;
        if (n > 0 && depth == 0)
                return false;
        while (n-- > 0)
                if (!skip(r, depth - 1))
                        return false;
        return true;
}

bool cbor_skip(CborReader *r) {
        return skip(r, CBOR_DEPTH_MAX);
}

bool cbor_is_text(const CborItem *i, const char *text) {
        return i->type == CBOR_TEXT && i->size == strlen(text) && memcmp(i->bytes, text, i->size) == 0;
}
