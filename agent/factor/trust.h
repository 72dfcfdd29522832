/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "factor/public-key.h"
#include "util/cleanup.h"

/* The certificates that a site trusts to have issued its cards, or to have attested its keys, and revocation lists.
 * Everything but trust_load() is pure: bytes and the time are handed in. */

#define TRUST_FILE_MAX         (16u * 1024u * 1024u) /* a revocation list may be long */
#define TRUST_CERTIFICATES_MAX 4096u
#define TRUST_CHAIN_MAX        6u     /* certificates that a card or key brings */
#define TRUST_CERTIFICATE_MAX  20480u /* bytes of one of them */

typedef struct Trust Trust;

typedef enum TrustCondition {
        _TRUST_E_SUCCESS,
        TRUST_E_MALFORMED,   /* a certificate that is no DER, or is too long */
        TRUST_E_ISSUER,      /* no path to a trusted certificate */
        TRUST_E_NOT_YET,     /* it, or one above it, is not valid yet */
        TRUST_E_EXPIRED,     /* it, or one above it */
        TRUST_E_REVOKED,     /* it is on its issuer's list */
        TRUST_E_NO_CRL,      /* lists are configured, and there is none of this issuer */
        TRUST_E_CRL_EXPIRED, /* there is one, out of date (or from the future) */
        TRUST_E_WEAK,        /* key or digest of less than 112 bits */
        _TRUST_E_MAX,
} TrustCondition;
/* Stable names ("issuer", "crl-expired"), for trails and --json; NULL for what is none. */
const char *trust_condition_to_string(int c);

int trust_new(Trust **ret);
Trust *trust_free(Trust *t);
DEFINE_CLEANUP(Trust *, trust_free)

/* Adds the PEM certificates of a text, or one DER certificate. -EBADMSG when one cannot be read, -ENODATA when there is
 * none, -E2BIG, -ENOMEM. */
int trust_add_certificates(Trust *t, Bytes file);
/* The same of revocation lists. From then on the issuer of a certificate that is verified must have one that
 * is in force; those of the authorities above it need none. */
int trust_add_crls(Trust *t, Bytes file);
size_t trust_count(const Trust *t);

/* Whether `leaf` (DER) leads to a trusted certificate, by way of the n others, at `now` (seconds since 1970). A trusted
 * certificate needs not be self-signed. 0, TRUST_E_…, -ENOMEM. */
int trust_verify(const Trust *t, Bytes leaf, const Bytes *others, size_t n, int64_t now);

/* Reads a file, or each *.pem, *.crt and *.cer of a directory; `crls` may be NULL, and is a file, or a directory of
 * *.crl and *.pem. The same errors and openat(2)'s. *ret_path, if wanted: the file that could not be taken, to be
 * freed. */
int trust_load(Trust **ret, const char *certificates, const char *crls, char **ret_path);
