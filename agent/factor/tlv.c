/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/tlv.h"

#define TAG_MORE     0x1fu /* of the first byte: the tag goes on */
#define TAG_CONTINUE 0x80u /* of the following bytes */
#define TAG_BYTES    3u
#define LENGTH_LONG  0x80u
#define LENGTH_BYTES 3u

bool tlv_head(Bytes b, uint32_t *ret_tag, size_t *ret_head, size_t *ret_length) {
        size_t at = 0, length, n;
        uint32_t tag;

        if (b.size < 2)
                return false;
        tag = b.at[at++];
        if ((tag & TAG_MORE) == TAG_MORE)
                do {
                        if (at == TAG_BYTES || at == b.size)
                                return false;
                        tag = tag << 8 | b.at[at];
                } while (b.at[at++] & TAG_CONTINUE);
        if (at == b.size)
                return false;
        length = b.at[at++];
        if (length & LENGTH_LONG) {
                n = length & ~(size_t)LENGTH_LONG;
                if (n == 0 || n > LENGTH_BYTES || n > b.size - at)
                        return false;
                for (length = 0; n > 0; n--)
                        length = length << 8 | b.at[at++];
        }
        *ret_tag = tag;
        *ret_head = at;
        *ret_length = length;
        return true;
}

bool tlv_take(Bytes *b, Tlv *ret) {
        size_t head, length;
        uint32_t tag;

        if (!tlv_head(*b, &tag, &head, &length) || length > b->size - head)
                return false;
        *ret = (Tlv){ tag, { b->at + head, length } };
        b->at += head + length;
        b->size -= head + length;
        return true;
}

bool tlv_find(Bytes b, uint32_t tag, Bytes *ret) {
        Tlv t;

        while (b.size > 0 && tlv_take(&b, &t))
                if (t.tag == tag) {
                        *ret = t.value;
                        return true;
                }
        return false;
}

bool der_is_sequence(Bytes b) {
        size_t head, length, shortest;
        uint32_t tag;

        if (!tlv_head(b, &tag, &head, &length) || tag != 0x30 || length != b.size - head)
                return false;
        shortest = length < 0x80 ? 2 : length < 0x100 ? 3 : length < 0x10000 ? 4 : 5;
        return head == shortest;
}
