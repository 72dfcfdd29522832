/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "factor/apdu.h"

/* Applications on a card that keishi can use, over any link: reading what can be read without a PIN, and signing. */

#define CARD_SIGNATURE_MAX 256u

/* A kind of application. Each function expects that select() found it and nothing else was selected since. They return
 * FACTOR_OK, FACTOR_MISBEHAVED, FACTOR_UNSUPPORTED, what is said below, or what the link says. */
typedef struct CardKind {
        CardApplication application;
        bool has_p256; /* beside RSA */

        FactorStatus (*select)(const CardLink *link, Reply *r, bool *ret_has);

        /* VERIFY without a PIN: the status word as it is. */
        FactorStatus (*ask_tries)(const CardLink *link, Reply *r);

        /* The certificate, DER, points into *r. Size 0: there is none; or it is too long, then *ret_too_long says what
         * it would have had. `room`: for one that is packed. */
        FactorStatus (*read_certificate)(
                const CardLink *link, Reply *r, unsigned char *room, Bytes *ret, size_t *ret_too_long);

        bool (*pin_is_possible)(Bytes pin);

        /* VERIFY, once: the status word as it is. */
        FactorStatus (*present_pin)(const CardLink *link, Reply *r, Bytes pin);

        /* Signs a SHA-256 digest. The signature points into *r. */
        FactorStatus (*sign)(const CardLink *link, Reply *r, CardAlgorithm algorithm, Bytes digest, Bytes *ret);
} CardKind;

extern const CardKind card_piv, card_jpki;

/* One of each kind. */
#define CARD_KINDS 2u

/* DigestInfo of SHA-256 (RFC 8017, 9.2, note 1) without the digest behind it. */
#define DIGEST_INFO_HEAD 19u
#define DIGEST_SIZE      32u
#define DIGEST_INFO_SIZE (DIGEST_INFO_HEAD + DIGEST_SIZE)
void digest_info_write(unsigned char *bytes, Bytes digest);

typedef struct CardContents {
        CardApplication application;
        bool has_tries;
        unsigned tries;
        size_t too_long;
        size_t size;
        unsigned char certificate[FACTOR_CERTIFICATE_MAX];
} CardContents;

/* What is on a card, into `ret` (room for CARD_KINDS). *ret_n is 0 for a card of no kind we know. */
FactorStatus card_read(const CardLink *link, CardContents *ret, size_t *ret_n);

typedef struct CardQuestion {
        CardApplication application;
        CardAlgorithm algorithm;
        unsigned char *pin; /* wiped as soon as it is presented */
        size_t pin_size;
        Bytes digest;
        bool has_tries;
        unsigned tries; /* what the person was told */
} CardQuestion;

typedef struct CardAnswer {
        bool has_tries;
        unsigned tries;
        size_t size;
        unsigned char signature[CARD_SIGNATURE_MAX];
} CardAnswer;

/* Reads the tries, presents the PIN once, has the digest signed: FACTOR_CARD_SIGN of factor-wire.h, also for what it
 * returns. `ret` is written whatever it returns. */
FactorStatus card_prove(const CardLink *link, const CardQuestion *q, CardAnswer *ret);
