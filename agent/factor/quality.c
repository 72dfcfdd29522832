/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/quality.h"

#include <errno.h>

ssize_t quality_request(
        char *buffer, size_t room, const char *user, const Secret *current, const Secret *new_password) {
        size_t user_size = strlen(user) + 1, size = user_size + current->size + 1 + new_password->size;

        if (memchr(current->bytes, 0, current->size) || memchr(new_password->bytes, 0, new_password->size))
                return -EINVAL;
        if (size > room)
                return -EMSGSIZE;
        memcpy(buffer, user, user_size);
        memcpy(buffer + user_size, current->bytes, current->size);
        buffer[user_size + current->size] = '\0';
        memcpy(buffer + user_size + current->size + 1, new_password->bytes, new_password->size);
        return (ssize_t)size;
}

bool quality_reply(int r, const char *reply, size_t size, PasswordFault *ret) {
        static const PasswordFault faults[_QUALITY_MAX] = {
                [QUALITY_GOOD] = PASSWORD_FAULT_NONE,
                [QUALITY_SHORT] = PASSWORD_FAULT_SHORT,
                [QUALITY_CLASSES] = PASSWORD_FAULT_CLASSES,
                [QUALITY_SAME] = PASSWORD_FAULT_SAME,
                [QUALITY_SIMILAR] = PASSWORD_FAULT_SIMILAR,
                [QUALITY_EASY] = PASSWORD_FAULT_EASY,
        };

        if (r != 0 || size != 1 || reply[0] < QUALITY_GOOD || reply[0] >= QUALITY_UNAVAILABLE)
                return false;
        *ret = faults[(unsigned char)reply[0]];
        return true;
}
