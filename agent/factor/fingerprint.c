/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/fingerprint.h"

#include <errno.h>

ssize_t fingerprint_request(char *buffer, size_t room, const FingerprintSecret *secret, const Secret *password) {
        if (sizeof(secret->bytes) + password->size > room)
                return -EMSGSIZE;
        memcpy(buffer, secret->bytes, sizeof(secret->bytes));
        memcpy(buffer + sizeof(secret->bytes), password->bytes, password->size);
        return (ssize_t)(sizeof(secret->bytes) + password->size);
}

bool fingerprint_reply(int r, const char *reply, size_t size, Fingerprint *ret) {
        if (r != 0 || size != sizeof(ret->bytes))
                return false;
        memcpy(ret->bytes, reply, sizeof(ret->bytes));
        return true;
}
