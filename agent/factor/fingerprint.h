/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "registry/password.h"
#include "util/secret.h"

/* The slow keyed fingerprint of a password: scrypt (RFC 7914) with the terminal's secret for salt, computed by the
 * helper keishi-fingerprint. Equal passwords have equal fingerprints on one terminal and unlike ones on two; without
 * the secret nobody can try passwords against one. N 32768, r 8, p 1: 32 MiB and some 100 ms. */

#define FINGERPRINT_SECRET_SIZE 32u
#define FINGERPRINT_N           32768u
#define FINGERPRINT_R           8u
#define FINGERPRINT_P           1u

/* The secret that fingerprints are keyed with; wiped by fingerprint_secret_done(). */
typedef struct FingerprintSecret {
        unsigned char bytes[FINGERPRINT_SECRET_SIZE];
} FingerprintSecret;

static inline void fingerprint_secret_done(FingerprintSecret *s) {
        explicit_bzero(s, sizeof(*s));
}

/* Request: the secret, then the password up to the end. Its size, or -EMSGSIZE. */
ssize_t fingerprint_request(char *buffer, size_t room, const FingerprintSecret *secret, const Secret *password);
/* Reply: the fingerprint. False when there is none. */
bool fingerprint_reply(int r, const char *reply, size_t size, Fingerprint *ret);
