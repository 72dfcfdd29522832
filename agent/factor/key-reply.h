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

#define KEY_TEMPLATES_MAX 64u

typedef struct KeyListed {
        unsigned index; /* of the descriptors that were sent */
        bool has_aaguid;
        unsigned char aaguid[KEY_AAGUID_SIZE];
        unsigned flags; /* KEY_FLAG_… */
        bool has_tries, has_pin_tries;
        unsigned tries, pin_tries; /* of verification by itself, of its PIN */
} KeyListed;

/* Reply of FACTOR_KEY_LIST to `n_fds` descriptors: its status, and when that is FACTOR_OK each key that is there. `ret`
 * has HELPER_FDS_MAX places. -EPROTO when it is not as factor-wire.h says. */
int key_list_reply(
        const void *bytes, size_t size, size_t n_fds, FactorStatus *ret_status, KeyListed *ret, size_t *ret_n);

typedef struct KeyFound {
        FactorStatus status;
        bool found;
        unsigned key; /* which of the descriptors; below `n_keys` */
        Bytes credential;
} KeyFound;

/* Reply of FACTOR_KEY_FIND: the first key that knows one of the credentials. -EPROTO. */
int key_find_reply(const void *bytes, size_t size, size_t n_keys, KeyFound *ret);

typedef struct KeyAsserted {
        FactorStatus status;
        bool has_tries;
        unsigned tries;
        Bytes auth_data, signature, credential; /* with FACTOR_OK; credential may be empty */
} KeyAsserted;

/* Reply of FACTOR_KEY_ASSERT. -EPROTO. */
int key_assert_reply(const void *bytes, size_t size, KeyAsserted *ret);

typedef struct KeyReply {
        FactorStatus status;
        bool has_tries, has_pin_tries;
        unsigned tries, pin_tries;

        /* FACTOR_OK of MAKE (and of ASSERT) */
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
