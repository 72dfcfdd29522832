/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "factor/public-key.h"
#include "factor/trust.h"

/* The certificate side of a packed attestation (WebAuthn Level 2, 8.2.1). Pure. */

/* Takes an attestation certificate apart: version 3, subject with C, O, OU "Authenticator Attestation" and CN, no CA,
 * and where it names a model (OID 1.3.6.1.4.1.45724.1.1.4, not critical), that of `aaguid`. 0, KEY_E_CERTIFICATE,
 * KEY_E_AAGUID, KEY_E_KEY_TYPE. */
int attestation_certificate_read(
        Bytes certificate, const unsigned char aaguid[16], EVP_PKEY **ret_key, PublicKeyKind *ret_kind);

/* Whether the chain (leaf first) leads to one of the roots at `now`. 0, KEY_E_CHAIN, KEY_E_CHAIN_NOT_IN_FORCE,
 * KEY_E_CERTIFICATE, -ENOMEM. */
int attestation_chain_check(const Trust *roots, const Bytes *certificates, size_t n, int64_t now);
