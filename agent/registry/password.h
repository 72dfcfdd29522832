/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/registry.h"

/* What this terminal remembers of passwords (R7): since when an account has its password, and the keyed fingerprints of
 * the current, the pending and the last ones (login/fingerprint.h). Local tables; accounts are named by the uuid of
 * their row of users. Nothing here can be turned into a password without the secret, which is not in the database. */

#define FINGERPRINT_SIZE 32u

typedef struct Fingerprint {
        unsigned char bytes[FINGERPRINT_SIZE];
} Fingerprint;

/* How `changed` is known. */
typedef enum PasswordSource {
        PASSWORD_SEEN,    /* only that it was in use then: when keishi saw it for the first time */
        PASSWORD_SHADOW,  /* the day that shadow(5) gives */
        PASSWORD_CHANGED, /* keishi saw the change */
        _PASSWORD_SOURCE_MAX,
} PasswordSource;
const char *password_source_to_string(PasswordSource s); /* "seen", "shadow", "changed" */

typedef struct PasswordRow {
        uint64_t changed_usec;
        PasswordSource source;
        uint64_t taken_usec; /* when the fingerprint of the current password was taken; 0: there is none */
        bool pending;        /* a new one was accepted, and it is not known yet whether it was written */
} PasswordRow;

/* REGISTRY_E_NOT_FOUND: nothing is known of the account's password. */
int registry_password(Registry *r, const char *user, PasswordRow *ret);

/* Of an account by name, whether its password is due since a member left (R1). 0 yes, REGISTRY_E_NOT_FOUND no. */
int registry_shared_password_is_due(Registry *r, const char *account);

/* What `fingerprint` is to the account (current: or pending), and whether it is another live account's current or
 * pending one. The account's own: every row is looked at and compared in constant time. */
typedef struct FingerprintMatch {
        bool current, former, anothers;
} FingerprintMatch;
/* `user` NULL: an account that is not registered. */
int registry_fingerprint_find(Registry *r, const char *user, const Fingerprint *fingerprint, FingerprintMatch *ret);

/* These work within the caller's transaction (-EPERM outside one). */

/* Notes since when the account has its password. */
int registry_password_note(Registry *r, const char *user, uint64_t changed_usec, PasswordSource source);
/* Notes the fingerprint of the password that the account has now: of the row before, of the pending one, which was not
 * written when it is another, and of those before that, at most `history` stay as former ones. */
int registry_fingerprint_current(
        Registry *r, const char *user, const Fingerprint *fingerprint, uint64_t now_usec, unsigned history);
/* Notes the fingerprint of the password that was accepted; one that was pending before is forgotten. */
int registry_fingerprint_pending(Registry *r, const char *user, const Fingerprint *fingerprint, uint64_t now_usec);
/* Forgets the pending one: it was not written. */
int registry_fingerprint_drop(Registry *r, const char *user);
/* Whether `fingerprint` is the account's pending one, and since when. REGISTRY_E_NOT_FOUND. */
int registry_fingerprint_is_pending(
        Registry *r, const char *user, const Fingerprint *fingerprint, uint64_t *ret_since_usec);
/* The shared ID's password was changed. */
int registry_shared_password_done(Registry *r, const char *account);
/* Forgets all fingerprints, which a new secret makes worthless. */
int registry_fingerprint_forget_all(Registry *r);

/* Of live accounts that are not retired: how many passwords are known, how many of them were changed before a time, and
 * how many have a fingerprint; and how many shared IDs' are due. */
typedef struct PasswordCounts {
        uint64_t known, old, fingerprints, shared_due;
} PasswordCounts;
int registry_password_count(Registry *r, uint64_t before_usec, PasswordCounts *ret);
