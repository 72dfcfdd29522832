/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "factor/factor-wire.h"
#include "util/bytes.h"

/* keishid's view of what the card worker says. A reply is foreign: it is taken apart whole, or not at all. */

#define CARD_APPLICATIONS_MAX 4u

typedef struct CardFoundApplication {
        CardApplication application;
        bool has_tries;
        unsigned tries;
        bool too_long;     /* the certificate was */
        Bytes certificate; /* empty: none */
} CardFoundApplication;

typedef struct CardFoundReader {
        char name[FACTOR_READER_MAX + 1];
        CardState state;
        CardFoundApplication applications[CARD_APPLICATIONS_MAX];
        size_t n;
} CardFoundReader;

/* Reply of FACTOR_CARD_FIND: its status, and when that is FACTOR_OK what lies in which reader, pointing into the bytes.
 * `ret` has FACTOR_READERS_MAX places. -EPROTO when it is not as factor-wire.h says. */
int card_find_reply(const void *bytes, size_t size, FactorStatus *ret_status, CardFoundReader *ret, size_t *ret_n);

typedef struct CardSigned {
        FactorStatus status;
        bool has_tries;
        unsigned tries;
        Bytes signature; /* with FACTOR_OK only */
} CardSigned;

/* Reply of FACTOR_CARD_SIGN. -EPROTO. */
int card_sign_reply(const void *bytes, size_t size, CardSigned *ret);

/* What a packet of FACTOR_WATCH says: whether more follow, and in *ret_card whether something is in a reader now. False
 * and false for what cannot be read. */
bool card_watch_reply(const void *bytes, size_t size, bool *ret_card);
