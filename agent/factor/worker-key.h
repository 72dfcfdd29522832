/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "factor/key-io.h"
#include "factor/worker.h"

/* The operations of keishi-factor-key (factor-wire.h). */

FactorStatus key_list(const WorkerRequest *q, Frame *reply);
FactorStatus key_find(const WorkerRequest *q, Frame *reply);
FactorStatus key_assert(const WorkerRequest *q, Frame *reply);
FactorStatus key_make(const WorkerRequest *q, Frame *reply);
FactorStatus key_enroll(const WorkerRequest *q, Frame *reply);
FactorStatus key_templates(const WorkerRequest *q, Frame *reply);
FactorStatus key_remove_template(const WorkerRequest *q, Frame *reply);

/* ---- what they share ---- */

/* keishid's descriptor: when it ends, so does what the key was asked. A fuzzer has none, -1. */
extern int key_agent_fd;

#define KEY_TEXT_MAX 256u

/* A text item as a string; false when it is absent or does not fit. */
bool request_text(const WorkerRequest *q, FactorItem item, char ret[KEY_TEXT_MAX]);

/* The PIN of a request as libfido2 takes it: 4 to 63 bytes of UTF-8 without NUL. FACTOR_OK, FACTOR_PIN_LENGTH. */
typedef struct KeyPin {
        char text[FACTOR_PIN_MAX + 1];
} KeyPin;
FactorStatus request_pin(const WorkerRequest *q, KeyPin *ret);
void key_pin_done(KeyPin *p);

/* What else the key says that it can do. */
typedef struct KeyInfo {
        unsigned flags; /* KEY_FLAG_… */
        bool has_aaguid;
        unsigned char aaguid[16];
} KeyInfo;
FactorStatus key_info_read(KeyDevice *d, KeyInfo *ret);

/* Opens the request's only key, one that is FIDO2 and has all of `flags`: else FACTOR_UNSUPPORTED. */
FactorStatus key_open_with(KeyDevice **ret, const WorkerRequest *q, unsigned flags);

/* Adds bytes that are never empty in a right answer. FACTOR_OK, or FACTOR_MISBEHAVED for none, or too many. */
FactorStatus reply_add(Frame *reply, FactorItem item, const void *at, size_t size, size_t max);
/* The same of authenticator data, which libfido2 hands out as the CBOR byte string that it came in. */
FactorStatus reply_add_auth_data(Frame *reply, const void *cbor, size_t size);
