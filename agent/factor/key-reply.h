/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "factor/factor-wire.h"
#include "factor/helper.h"
#include "factor/key-verify.h"
#include "util/bytes.h"

/* keishid's view of what the key worker says. A reply is foreign: it is taken apart whole, or not at all. What is taken
 * out of it points into it, and is a claim until key-verify.h has agreed. */

#define KEY_MATCHES_MAX   16u
#define KEY_TEMPLATES_MAX 64u

typedef struct KeyFound {
        unsigned index; /* of the descriptors that were sent */
        bool has_aaguid;
        unsigned char aaguid[KEY_AAGUID_SIZE];
        unsigned flags; /* KEY_FLAG_… */
        bool has_tries, has_pin_tries;
        unsigned tries, pin_tries; /* of verification by itself, of its PIN */
} KeyFound;

/* Reply of FACTOR_KEY_LIST to `n_fds` descriptors: its status, and when that is FACTOR_OK each key that is there. `ret`
 * has HELPER_FDS_MAX places. -EPROTO when it is not as factor-wire.h says. */
int key_list_reply(
        const void *bytes, size_t size, size_t n_fds, FactorStatus *ret_status, KeyFound *ret, size_t *ret_n);

typedef struct KeyMatch {
        unsigned index; /* of the descriptors that were sent */
        Bytes credential;
} KeyMatch;

/* Reply of FACTOR_KEY_FIND. `ret` has KEY_MATCHES_MAX places; FACTOR_OK comes with one at least. -EPROTO. */
int key_find_reply(
        const void *bytes, size_t size, size_t n_fds, FactorStatus *ret_status, KeyMatch *ret, size_t *ret_n);

typedef struct KeyReply {
        FactorStatus status;
        bool has_tries, has_pin_tries;
        unsigned tries, pin_tries;

        /* FACTOR_OK of ASSERT and MAKE */
        Bytes credential, auth_data, signature;
        char format[33];
        Bytes certificates[KEY_CHAIN_MAX];
        size_t n_certificates;

        /* FACTOR_PROGRESS of ENROLL */
        bool has_sample, has_remaining;
        SampleHint sample;
        unsigned remaining;

        /* FACTOR_OK of ENROLL, one, and of TEMPLATES */
        Bytes templates[KEY_TEMPLATES_MAX];
        size_t n_templates;
} KeyReply;

/* A packet in answer to one of the other operations. With FACTOR_OK everything is there that belongs to it. -EPROTO. */
int key_reply(FactorOperation operation, const void *bytes, size_t size, KeyReply *ret);
