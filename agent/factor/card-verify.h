/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "factor/public-key.h"
#include "factor/trust.h"
#include "util/cleanup.h"

/* What keishid itself checks of a card: a signature over a digest that it has made, and what a certificate says. Pure:
 * no I/O, no clock, no randomness of its own. */

#define CARD_CHALLENGE_SIZE 32u

typedef enum CardCondition {
        _CARD_E_SUCCESS,
        CARD_E_MALFORMED, /* not DER, indefinite lengths, bytes left over, too long, version */
        CARD_E_KEY_TYPE,  /* neither RSA of 2048 bits nor P-256 */
        CARD_E_SIGNATURE, /* not made by the enrolled key over this digest */
        CARD_E_NOT_YET,   /* the certificate is not valid yet */
        CARD_E_EXPIRED,
        CARD_E_ISSUER, /* not issued by the configured authority */
        CARD_E_REVOKED,
        CARD_E_CRL,  /* no revocation list of its issuer is in force */
        CARD_E_WEAK, /* its issuer signs with too little */
        _CARD_E_MAX,
} CardCondition;
/* Stable names ("key-type", "not-yet"), for trails and --json; NULL for what is none. */
const char *card_condition_to_string(int c);

/* What a card has to sign: SHA-256 over a label that nothing else of keishi uses, the challenge (random, used once),
 * and what the signature is for ("login hanako desk1"), which so cannot be exchanged. 0 or -ENOMEM. */
int card_digest(const unsigned char challenge[CARD_CHALLENGE_SIZE], const char *purpose, unsigned char ret_digest[32]);

/* Whether `signature` (RSA: PKCS #1 v1.5; ECDSA: DER) over the digest is that of the key enrolled as
 * SubjectPublicKeyInfo. 0, CARD_E_KEY_TYPE, CARD_E_SIGNATURE, -ENOMEM. */
int card_signature_verify(Bytes spki, const unsigned char digest[32], Bytes signature);

/* What a certificate says. */
typedef struct CardFacts {
        PublicKeyKind kind;
        unsigned char spki[PUBLIC_KEY_MAX]; /* SubjectPublicKeyInfo, DER: what is enrolled and compared */
        size_t spki_size;
        int64_t not_before, not_after; /* seconds since 1970 */
        char serial[65];               /* hexadecimal digits, lower case, without a sign */
        char *subject, *issuer;        /* for display, escaped, at most 256 bytes; may be empty (JPKI) */
} CardFacts;

void card_facts_done(CardFacts *f);

/* Takes a certificate apart. 0, CARD_E_MALFORMED, CARD_E_KEY_TYPE, -ENOMEM. */
int card_facts_read(CardFacts *ret, Bytes certificate);
/* CARD_E_NOT_YET, CARD_E_EXPIRED or 0 at `now` (seconds since 1970). */
int card_facts_check(const CardFacts *f, int64_t now);
/* Whether the certificate is one of the configured authority, and not revoked. 0, CARD_E_…, -ENOMEM. */
int card_issuer_check(const Trust *t, Bytes certificate, int64_t now);
