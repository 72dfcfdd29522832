/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishi-factor: IC cards for keishid (factor-wire.h). One operation per process, answered on file descriptor 3. */

#include "factor/worker.h"

int main(void) {
        static const WorkerOperation operations[] = {
                { FACTOR_CARD_FIND, card_find, { { FACTOR_ITEM_READER, 0, 1 } }, .deadline_sec = FACTOR_CARD_FIND_SEC,
                        .late = FACTOR_NO_SERVICE },
                { FACTOR_CARD_SIGN, card_sign,
                        { { FACTOR_ITEM_READER, 1, 1 }, { FACTOR_ITEM_APPLICATION, 1, 1 },
                                { FACTOR_ITEM_ALGORITHM, 1, 1 }, { FACTOR_ITEM_PIN, 1, 1 },
                                { FACTOR_ITEM_DIGEST, 1, 1 }, { FACTOR_ITEM_TRIES, 0, 1 } },
                        .deadline_sec = FACTOR_CARD_SIGN_SEC, .late = FACTOR_NO_SERVICE },
                { FACTOR_WATCH, card_watch },
        };

        worker_main(operations, ELEMENTSOF(operations));
}
