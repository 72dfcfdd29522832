/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"

/* BER-TLV as cards use it (ISO 7816-4, 5.2.2.2): tags of at most three bytes, definite lengths of at most three.
 * Nothing is read past the size given, and what is found points into it. */

typedef struct Tlv {
        uint32_t tag; /* its bytes, most significant first */
        Bytes value;
} Tlv;

/* The head of what `b` begins with: its tag, how long the head is, how long the value claims to be, which may be more
 * than is there. False when the head is not one or is cut. */
bool tlv_head(Bytes b, uint32_t *ret_tag, size_t *ret_head, size_t *ret_length);

/* Takes one whole object from the front. */
bool tlv_take(Bytes *b, Tlv *ret);

/* The first object with that tag among those that `b` consists of. False when there is none, or when `b` does not
 * consist of whole objects up to there. */
bool tlv_find(Bytes b, uint32_t tag, Bytes *ret);

/* Whether `b` is one SEQUENCE, from its first byte to its last, whose length is written as DER writes it (X.690, 10.1).
 * What is inside is not looked at. */
bool der_is_sequence(Bytes b);
