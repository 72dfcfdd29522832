/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/password.h"

#include "util/clock.h"
#include "util/text.h"

#define DAY_USEC (86400 * USEC_PER_SEC)

const char *password_fault_to_string(PasswordFault f) {
        static const char *const names[_PASSWORD_FAULT_MAX] = {
                [PASSWORD_FAULT_EMPTY] = "empty",
                [PASSWORD_FAULT_LONG] = "too-long",
                [PASSWORD_FAULT_CHARACTERS] = "characters",
                [PASSWORD_FAULT_SHORT] = "too-short",
                [PASSWORD_FAULT_CLASSES] = "few-classes",
                [PASSWORD_FAULT_SAME] = "same",
                [PASSWORD_FAULT_SIMILAR] = "similar",
                [PASSWORD_FAULT_EASY] = "easy",
                [PASSWORD_FAULT_PERSONAL] = "personal",
                [PASSWORD_FAULT_USED] = "used-before",
                [PASSWORD_FAULT_ANOTHERS] = "anothers",
        };

        return f >= 0 && f < _PASSWORD_FAULT_MAX ? names[f] : NULL;
}

static unsigned kind_of(uint32_t c) {
        if (c >= 'a' && c <= 'z')
                return 1u << 0;
        if (c >= 'A' && c <= 'Z')
                return 1u << 1;
        return c >= '0' && c <= '9' ? 1u << 2 : 1u << 3;
}

PasswordFault password_look(const char *password, size_t size, unsigned min_length, unsigned min_classes) {
        unsigned length = 0, kinds = 0;

        if (size == 0)
                return PASSWORD_FAULT_EMPTY;
        if (size > PASSWORD_BYTES_MAX)
                return PASSWORD_FAULT_LONG;
        for (size_t i = 0, n; i < size; i += n) {
                uint32_t c = 0;

                n = utf8_decode(password + i, size - i, &c);
                if (n == 0 || !code_point_is_plain(c))
                        return PASSWORD_FAULT_CHARACTERS;
                length++;
                kinds |= kind_of(c);
        }
        if (length < min_length)
                return PASSWORD_FAULT_SHORT;
        if ((unsigned)__builtin_popcount(kinds) < min_classes)
                return PASSWORD_FAULT_CLASSES;
        return PASSWORD_FAULT_NONE;
}

PasswordAge password_age(
        uint64_t changed_usec, uint64_t now_usec, unsigned max_days, unsigned warn_days, unsigned *ret_days) {
        uint64_t age = now_usec > changed_usec ? now_usec - changed_usec : 0, max = max_days * DAY_USEC, left;

        *ret_days = 0;
        if (max_days == 0)
                return PASSWORD_AGE_FINE;
        if (age >= max)
                return PASSWORD_AGE_DUE;
        left = (max - age + DAY_USEC - 1) / DAY_USEC;
        *ret_days = (unsigned)left;
        return left <= warn_days ? PASSWORD_AGE_WARN : PASSWORD_AGE_FINE;
}
