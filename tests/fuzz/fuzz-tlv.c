/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/tlv.h"
#include "fuzz.h"

/* BER-TLV as cards send it: what is found lies within the input, one object after the other, and a DER sequence is an
 * object that is all of it. */

static void walk(Bytes b, unsigned depth) {
        const unsigned char *end = b.at + b.size;
        Tlv t;

        while (b.size > 0) {
                Bytes before = b, found;

                if (!tlv_take(&b, &t)) {
                        require(b.at == before.at && b.size == before.size);
                        return;
                }
                require(b.at > before.at && b.at + b.size == end);
                require(t.value.at >= before.at + 2 && t.value.at + t.value.size == b.at);
                require(tlv_find(before, t.tag, &found) && found.at == t.value.at && found.size == t.value.size);
                if (depth < 8)
                        walk(t.value, depth + 1);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Bytes whole = { data, size }, b = whole;
        size_t head, length;
        uint32_t tag;
        Tlv t;

        walk(whole, 0);
        if (tlv_head(whole, &tag, &head, &length))
                require(head >= 2 && head <= size && head <= 7 && length <= 0xffffff);
        if (der_is_sequence(whole))
                require(tlv_take(&b, &t) && t.tag == 0x30 && b.size == 0);
        return 0;
}
