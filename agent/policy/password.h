/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* PURE. What a new password has to be, as far as that can be seen from it alone, and how old a password may become
 * (R7). */

/* No password of any hash is longer: crypt(3) takes 511 bytes. */
#define PASSWORD_BYTES_MAX 511u

/* Why a new password is refused, in the order in which it is found out. */
typedef enum PasswordFault {
        PASSWORD_FAULT_NONE,
        PASSWORD_FAULT_EMPTY,
        PASSWORD_FAULT_LONG,       /* more than PASSWORD_BYTES_MAX */
        PASSWORD_FAULT_CHARACTERS, /* not UTF-8, or with control characters: not every login screen can take it */
        PASSWORD_FAULT_SHORT,      /* fewer characters than MinLength= */
        PASSWORD_FAULT_CLASSES,    /* fewer kinds of characters than MinClasses= */
        PASSWORD_FAULT_SAME,       /* the current one */
        PASSWORD_FAULT_SIMILAR,    /* too much like the current one (libpwquality) */
        PASSWORD_FAULT_EASY,       /* in a dictionary, or by another rule of libpwquality */
        PASSWORD_FAULT_PERSONAL,   /* the account's, the person's, or a date of birth */
        PASSWORD_FAULT_USED,       /* one of the account's last ones (History=) */
        PASSWORD_FAULT_ANOTHERS,   /* another registered user's */
        _PASSWORD_FAULT_MAX,
        _PASSWORD_FAULT_INVALID = -1,
} PasswordFault;

/* Stable lower-case identifier, as in trails ("too-short"); NULL for none. */
const char *password_fault_to_string(PasswordFault f);

/* What can be seen from the password alone: the first of EMPTY to CLASSES that holds, or NONE. Characters are counted,
 * not bytes; kinds are lower-case, upper-case, digits, and everything else. */
PasswordFault password_look(const char *password, size_t size, unsigned min_length, unsigned min_classes);

typedef enum PasswordAge {
        PASSWORD_AGE_FINE,
        PASSWORD_AGE_WARN, /* due within warn_days */
        PASSWORD_AGE_DUE,
} PasswordAge;

/* How a password that was changed at `changed_usec` stands at `now_usec`; max_days 0: passwords do not grow old. One
 * that was changed in the future is fine. *ret_days: whole days left, rounded up; 0 when it is due. */
PasswordAge password_age(
        uint64_t changed_usec, uint64_t now_usec, unsigned max_days, unsigned warn_days, unsigned *ret_days);
