/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "factor/factor-wire.h"
#include "fuzz.h"

/* What keishid receives from a worker, as bytes. What is taken is what the same items make when they are written again,
 * and a frame that is cut is never taken. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static Frame copy;
        FrameReader r, again;
        FrameItem i;

        if (frame_open(&r, data, size) < 0)
                return 0;
        frame_init(&copy, r.what);
        for (again = r; frame_next(&again, &i);) {
                require(i.item > 0 && i.item < _FACTOR_ITEM_MAX);
                require(i.bytes >= data && i.bytes + i.size <= data + size);
                frame_add(&copy, i.item, i.bytes, i.size);
        }
        require(again.at == again.end);
        require(!copy.overflow && copy.size == size && memcmp(copy.bytes, data, size) == 0);
        require(size == 0 || frame_open(&again, data, size - 1) == -EPROTO);
        return 0;
}
