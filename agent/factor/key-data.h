/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "factor/public-key.h"

/* Authenticator data (WebAuthn 6.1), taken apart. Pure. */

#define AUTH_DATA_UP (1u << 0) /* user present */
#define AUTH_DATA_UV (1u << 2) /* user verified */
#define AUTH_DATA_BE (1u << 3) /* may be backed up */
#define AUTH_DATA_BS (1u << 4) /* is backed up */
#define AUTH_DATA_AT (1u << 6) /* attested credential data follows */
#define AUTH_DATA_ED (1u << 7) /* extensions follow */

typedef struct AuthData {
        const unsigned char *rp_hash; /* 32 bytes */
        unsigned flags;
        uint32_t counter;
        const unsigned char *aaguid; /* 16 bytes; NULL without AUTH_DATA_AT */
        Bytes credential;
        Bytes public_key; /* COSE_Key */
} AuthData;

/* All of the input; false when it is not exactly what its flags say. The pointers go into the input. */
bool auth_data_open(AuthData *ret, Bytes data);

/* A COSE_Key (RFC 9053) of ES256, EdDSA with Ed25519 or RS256, with no other parameters, as SubjectPublicKeyInfo. False
 * for anything else. */
bool cose_key_read(Bytes cose, PublicKeyKind *ret_kind, unsigned char ret_spki[PUBLIC_KEY_MAX], size_t *ret_size);
