/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishi-factor-key: FIDO2 keys for keishid (factor-wire.h). One operation per process, answered on file descriptor 3;
 * the keys' descriptors come with the request. */

#include <openssl/crypto.h>

#include "factor/worker-key.h"

#define CREDENTIALS_MAX 8

int main(void) {
        static const WorkerOperation operations[] = {
                { FACTOR_KEY_LIST, key_list, .fds_max = HELPER_FDS_MAX, .deadline_sec = FACTOR_KEY_LIST_SEC,
                        .late = FACTOR_TIMEOUT },
                { FACTOR_KEY_FIND, key_find,
                        { { FACTOR_ITEM_RP, 1, 1 }, { FACTOR_ITEM_CREDENTIAL, 1, CREDENTIALS_MAX } },
                        .fds_max = HELPER_FDS_MAX, .deadline_sec = FACTOR_KEY_LIST_SEC, .late = FACTOR_TIMEOUT },
                { FACTOR_KEY_ASSERT, key_assert,
                        { { FACTOR_ITEM_RP, 1, 1 }, { FACTOR_ITEM_DIGEST, 1, 1 }, { FACTOR_ITEM_CREDENTIAL, 1, 1 } },
                        .fds_min = 1, .fds_max = 1, .deadline_sec = FACTOR_KEY_TOUCH_SEC, .late = FACTOR_TIMEOUT },
                { FACTOR_KEY_MAKE, key_make,
                        { { FACTOR_ITEM_RP, 1, 1 }, { FACTOR_ITEM_USER_ID, 1, 1 }, { FACTOR_ITEM_USER_NAME, 1, 1 },
                                { FACTOR_ITEM_DIGEST, 1, 1 }, { FACTOR_ITEM_PIN, 1, 1 },
                                { FACTOR_ITEM_PIN_TRIES, 0, 1 } },
                        .fds_min = 1, .fds_max = 1, .deadline_sec = FACTOR_KEY_TOUCH_SEC, .late = FACTOR_TIMEOUT },
                { FACTOR_KEY_ENROLL, key_enroll, { { FACTOR_ITEM_PIN, 1, 1 }, { FACTOR_ITEM_PIN_TRIES, 0, 1 } },
                        .fds_min = 1, .fds_max = 1, .deadline_sec = FACTOR_KEY_ENROLL_SEC, .late = FACTOR_TIMEOUT },
                { FACTOR_KEY_TEMPLATES, key_templates, { { FACTOR_ITEM_PIN, 1, 1 }, { FACTOR_ITEM_PIN_TRIES, 0, 1 } },
                        .fds_min = 1, .fds_max = 1, .deadline_sec = FACTOR_KEY_TOUCH_SEC, .late = FACTOR_TIMEOUT },
                { FACTOR_KEY_REMOVE_TEMPLATE, key_remove_template,
                        { { FACTOR_ITEM_PIN, 1, 1 }, { FACTOR_ITEM_TEMPLATE, 1, 1 }, { FACTOR_ITEM_PIN_TRIES, 0, 1 } },
                        .fds_min = 1, .fds_max = 1, .deadline_sec = FACTOR_KEY_TOUCH_SEC, .late = FACTOR_TIMEOUT },
        };

        /* openssl.cnf has nothing that this needs, and modules that it may name are other people's code. */
        if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
                return EXIT_FAILURE;
        worker_main(operations, ELEMENTSOF(operations));
}
