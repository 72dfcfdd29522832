/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/key-verify.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

#include "factor/key-attestation.h"
#include "factor/key-data.h"

#define KEY_LABEL "keishi key 1"

static inline void md_ctx_free_p(EVP_MD_CTX **c) {
        EVP_MD_CTX_free(*c);
}

const char *key_condition_to_string(int c) {
        static const char *const names[_KEY_E_MAX] = {
                [KEY_E_MALFORMED] = "malformed",
                [KEY_E_RP] = "rp",
                [KEY_E_NOT_PRESENT] = "not-present",
                [KEY_E_NOT_VERIFIED] = "not-verified",
                [KEY_E_BACKUP] = "backup",
                [KEY_E_CREDENTIAL] = "credential",
                [KEY_E_KEY_TYPE] = "key-type",
                [KEY_E_SIGNATURE] = "signature",
                [KEY_E_COUNTER] = "counter",
                [KEY_E_FORMAT] = "format",
                [KEY_E_UNATTESTED] = "unattested",
                [KEY_E_CERTIFICATE] = "certificate",
                [KEY_E_AAGUID] = "aaguid",
                [KEY_E_ATTESTATION] = "attestation",
                [KEY_E_CHAIN] = "chain",
                [KEY_E_CHAIN_NOT_IN_FORCE] = "chain-not-in-force",
        };

        return c > 0 && c < _KEY_E_MAX ? names[c] : NULL;
}

int key_client_data_hash(
        const unsigned char challenge[KEY_CHALLENGE_SIZE], const char *purpose, unsigned char ret_hash[32]) {
        _cleanup_(md_ctx_free_p) EVP_MD_CTX *c = EVP_MD_CTX_new();
        unsigned char hash[32];

        /* The label ends with its NUL, the challenge has its length: only the purpose, at the end, varies. */
        if (!c || EVP_DigestInit_ex(c, EVP_sha256(), NULL) != 1 ||
                EVP_DigestUpdate(c, KEY_LABEL, sizeof(KEY_LABEL)) != 1 ||
                EVP_DigestUpdate(c, challenge, KEY_CHALLENGE_SIZE) != 1 ||
                EVP_DigestUpdate(c, purpose, strlen(purpose)) != 1 || EVP_DigestFinal_ex(c, hash, NULL) != 1)
                return -ENOMEM;
        memcpy(ret_hash, hash, sizeof(hash));
        return 0;
}

static bool is_of_rp(const AuthData *a, const char *rp) {
        unsigned char hash[SHA256_DIGEST_LENGTH];

        return SHA256((const unsigned char *)rp, strlen(rp), hash) && memcmp(a->rp_hash, hash, sizeof(hash)) == 0;
}

static bool same(Bytes a, Bytes b) {
        return a.size == b.size && (a.size == 0 || memcmp(a.at, b.at, a.size) == 0);
}

/* authData ‖ client data hash: what assertion and attestation signatures are over. */
static int verify_over(EVP_PKEY *key, PublicKeyKind kind, Bytes auth_data, const unsigned char *hash, Bytes signature) {
        unsigned char message[KEY_AUTH_DATA_MAX + SHA256_DIGEST_LENGTH];

        if (auth_data.size > KEY_AUTH_DATA_MAX || signature.size == 0)
                return KEY_E_SIGNATURE;
        memcpy(message, auth_data.at, auth_data.size);
        memcpy(message + auth_data.size, hash, SHA256_DIGEST_LENGTH);
        return public_key_verify(key, kind, (Bytes){ message, auth_data.size + SHA256_DIGEST_LENGTH }, signature)
                       ? 0
                       : KEY_E_SIGNATURE;
}

int key_assertion_verify(const KeyAssertion *a, uint32_t *ret_counter) {
        _cleanup_(evp_pkey_free_p) EVP_PKEY *key = NULL;
        PublicKeyKind kind;
        AuthData d;
        int r;

        if (!auth_data_open(&d, a->auth_data) || d.flags & AUTH_DATA_AT)
                return KEY_E_MALFORMED;
        if (a->answered_credential.size > 0 && !same(a->answered_credential, a->credential))
                return KEY_E_CREDENTIAL;
        r = public_key_open(&key, &kind, a->spki);
        if (r < 0)
                return r == -ENOMEM ? r : KEY_E_KEY_TYPE;
        /* The signature first: what an unsigned answer says is nobody's word. */
        r = verify_over(key, kind, a->auth_data, a->client_data_hash, a->signature);
        if (r != 0)
                return r;
        if (!is_of_rp(&d, a->rp))
                return KEY_E_RP;
        if (!(d.flags & AUTH_DATA_UP))
                return KEY_E_NOT_PRESENT;
        if (!(d.flags & AUTH_DATA_UV))
                return KEY_E_NOT_VERIFIED;
        if ((d.counter > 0 || a->counter > 0) && d.counter <= a->counter)
                return KEY_E_COUNTER;
        *ret_counter = d.counter;
        return 0;
}

/* Who stands behind it: 0 when a configured root does. */
static int attestation_check(
        const KeyRegistration *r, const AuthData *d, EVP_PKEY *credential_key, const Trust *roots, int64_t now) {
        _cleanup_(evp_pkey_free_p) EVP_PKEY *key = NULL;
        PublicKeyKind kind;
        int q;

        if (strcmp(r->format, "none") == 0)
                return r->signature.size == 0 && r->n_certificates == 0 ? KEY_E_UNATTESTED : KEY_E_MALFORMED;
        if (strcmp(r->format, "packed") != 0)
                return KEY_E_FORMAT;
        if (r->n_certificates == 0) {
                q = verify_over(credential_key, public_key_kind(credential_key), r->auth_data, r->client_data_hash,
                        r->signature);
                return q == KEY_E_SIGNATURE ? KEY_E_ATTESTATION : q == 0 ? KEY_E_UNATTESTED : q;
        }
        q = attestation_certificate_read(r->certificates[0], d->aaguid, &key, &kind);
        if (q != 0)
                return q;
        q = verify_over(key, kind, r->auth_data, r->client_data_hash, r->signature);
        if (q != 0)
                return q == KEY_E_SIGNATURE ? KEY_E_ATTESTATION : q;
        if (!roots)
                return KEY_E_CHAIN;
        return attestation_chain_check(roots, r->certificates, r->n_certificates, now);
}

int key_registration_verify(KeyCredential *ret, const KeyRegistration *r, const Trust *roots, int64_t now) {
        _cleanup_(evp_pkey_free_p) EVP_PKEY *key = NULL;
        KeyCredential c = {};
        AuthData d;
        int q;

        if (!auth_data_open(&d, r->auth_data) || !(d.flags & AUTH_DATA_AT) || r->n_certificates > KEY_CHAIN_MAX)
                return KEY_E_MALFORMED;
        if (!is_of_rp(&d, r->rp))
                return KEY_E_RP;
        if (!(d.flags & AUTH_DATA_UP))
                return KEY_E_NOT_PRESENT;
        /* One person, one key: not a credential that travels. */
        if (d.flags & (AUTH_DATA_BE | AUTH_DATA_BS))
                return KEY_E_BACKUP;
        if (!same(r->credential, d.credential))
                return KEY_E_CREDENTIAL;
        if (!cose_key_read(d.public_key, &c.kind, c.spki, &c.spki_size))
                return KEY_E_KEY_TYPE;
        q = public_key_open(&key, &c.kind, (Bytes){ c.spki, c.spki_size });
        if (q < 0)
                return q == -ENOMEM ? q : KEY_E_KEY_TYPE;

        q = attestation_check(r, &d, key, roots, now);
        /* Without roots, only what a root would have been needed for is forgiven. */
        if (q != 0 && (roots || (q != KEY_E_UNATTESTED && q != KEY_E_CHAIN)))
                return q;
        c.attested = q == 0;
        c.unattested = q;
        memcpy(c.id, d.credential.at, d.credential.size);
        c.id_size = d.credential.size;
        memcpy(c.aaguid, d.aaguid, sizeof(c.aaguid));
        c.counter = d.counter;
        c.user_verified = d.flags & AUTH_DATA_UV;
        *ret = c;
        return 0;
}

void key_aaguid_to_string(const unsigned char aaguid[KEY_AAGUID_SIZE], char ret[37]) {
        char *p = ret;

        for (size_t i = 0; i < KEY_AAGUID_SIZE; i++) {
                if (i == 4 || i == 6 || i == 8 || i == 10)
                        *p++ = '-';
                p += snprintf(p, 3, "%02x", aaguid[i]);
        }
}

bool key_aaguid_from_string(const char *text, unsigned char ret[KEY_AAGUID_SIZE]) {
        unsigned char bytes[KEY_AAGUID_SIZE] = { 0 };
        size_t n = 0;

        for (size_t i = 0; i < 36; i++) {
                char c = text[i];
                unsigned v;

                if (i == 8 || i == 13 || i == 18 || i == 23) {
                        if (c != '-')
                                return false;
                        continue;
                }
                if (c >= '0' && c <= '9')
                        v = (unsigned)(c - '0');
                else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
                        v = (unsigned)((c | 0x20) - 'a') + 10;
                else
                        return false;
                bytes[n / 2] = (unsigned char)(n % 2 == 0 ? v << 4 : bytes[n / 2] | v);
                n++;
        }
        if (text[36])
                return false;
        memcpy(ret, bytes, sizeof(bytes));
        return true;
}
