/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"
#include "util/cleanup.h"

/* Public keys of cards and authenticators as they are enrolled: the DER of a SubjectPublicKeyInfo (RFC 5280, 4.1.2.7),
 * of the few kinds that are known here. Pure: no I/O, no clock. */

#define PUBLIC_KEY_MAX 1024u /* bytes of a SubjectPublicKeyInfo */

typedef enum PublicKeyKind {
        PUBLIC_KEY_RSA = 1, /* 2048 to 4096 bits, signatures PKCS #1 v1.5 with SHA-256 */
        PUBLIC_KEY_P256,    /* ECDSA with SHA-256, signatures as DER */
        PUBLIC_KEY_ED25519,
        _PUBLIC_KEY_MAX,
} PublicKeyKind;

/* "rsa", "p256", "ed25519"; NULL for what is none. */
const char *public_key_kind_to_string(PublicKeyKind k);

static inline void evp_pkey_free_p(EVP_PKEY **p) {
        EVP_PKEY_free(*p);
}

/* Opens a SubjectPublicKeyInfo: DER only, all of the input, one of the kinds above, a point on the curve, an RSA
 * exponent of 65537 or more. 0; -EBADMSG for anything else; -ENOMEM. */
int public_key_open(EVP_PKEY **ret, PublicKeyKind *ret_kind, Bytes spki);
/* The kind of a key that OpenSSL has taken apart; 0 for none of ours. */
PublicKeyKind public_key_kind(const EVP_PKEY *key);

/* Whether the signature over `message` (hashed here) is that key's. */
bool public_key_verify(EVP_PKEY *key, PublicKeyKind kind, Bytes message, Bytes signature);
/* The same over a SHA-256 digest that is already there; false for Ed25519, which signs no digests. */
bool public_key_verify_digest(EVP_PKEY *key, PublicKeyKind kind, const unsigned char digest[32], Bytes signature);

/* Whether the bytes are one DER element and nothing after it, with all that is inside of it: definite lengths in their
 * shortest form, nested at most 24 deep. */
bool der_valid(Bytes der);
