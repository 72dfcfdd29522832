/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "factor/public-key.h"

/* Keys, certificates and revocation lists made with OpenSSL, for tests of what takes them apart. They live until the
 * program ends. To be included after cmocka.h. */

#define NOW INT64_C(1800000000) /* 2027-01-15 */
#define DAY INT64_C(86400)

/* For leak detection: what is kept is reachable. */
static inline void *keep(void *p) {
        static void *kept[8192];
        static size_t n;

        assert_non_null(p);
        assert_true(n < sizeof(kept) / sizeof(kept[0]));
        return kept[n++] = p;
}

static inline EVP_PKEY *make_key(const char *kind, size_t bits) {
        EVP_PKEY *k = strcmp(kind, "RSA") == 0       ? EVP_PKEY_Q_keygen(NULL, NULL, kind, bits)
                      : strcmp(kind, "ED25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, kind)
                                                     : EVP_PKEY_Q_keygen(NULL, NULL, "EC", kind);

        return keep(k);
}

static inline Bytes spki_of(EVP_PKEY *k) {
        unsigned char *der = NULL;
        int n = i2d_PUBKEY(k, &der);

        assert_true(n > 0);
        return (Bytes){ keep(der), (size_t)n };
}

typedef struct CertificateSpec {
        EVP_PKEY *key, *issuer_key; /* issuer_key NULL: self-signed */
        X509 *issuer;
        const char *const *subject; /* "C", "JP", "CN", "…", NULL */
        int64_t not_before, not_after;
        long version; /* 0: 3 */
        uint64_t serial;
        const char *basic; /* basicConstraints, or NULL */
        const unsigned char *aaguid;
        bool aaguid_critical;
        const EVP_MD *md; /* NULL: SHA-256 */
} CertificateSpec;

static inline X509 *make_certificate(const CertificateSpec *s) {
        static const char *const nobody[] = { "CN", "nobody", NULL };
        EVP_PKEY *signer = s->issuer_key ? s->issuer_key : s->key;
        X509_NAME *name = X509_NAME_new();
        X509 *x = X509_new();

        for (const char *const *p = s->subject ? s->subject : nobody; *p; p += 2)
                assert_int_equal(
                        X509_NAME_add_entry_by_txt(name, p[0], MBSTRING_UTF8, (const unsigned char *)p[1], -1, -1, 0),
                        1);
        X509_set_version(x, s->version > 0 ? s->version - 1 : X509_VERSION_3);
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), s->serial ? s->serial : 1);
        X509_set_subject_name(x, name);
        X509_set_issuer_name(x, s->issuer ? X509_get_subject_name(s->issuer) : name);
        ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(s->not_before ? s->not_before : NOW - 30 * DAY));
        ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(s->not_after ? s->not_after : NOW + 30 * DAY));
        X509_set_pubkey(x, s->key);
        if (s->basic) {
                X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, s->basic);

                X509_add_ext(x, e, -1);
                X509_EXTENSION_free(e);
        }
        if (s->aaguid) {
                ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.4.1.45724.1.1.4", 1);
                ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
                unsigned char der[18] = { 0x04, 16 };
                X509_EXTENSION *e;

                memcpy(der + 2, s->aaguid, 16);
                ASN1_OCTET_STRING_set(value, der, sizeof(der));
                e = X509_EXTENSION_create_by_OBJ(NULL, oid, s->aaguid_critical, value);
                X509_add_ext(x, e, -1);
                X509_EXTENSION_free(e);
                ASN1_OCTET_STRING_free(value);
                ASN1_OBJECT_free(oid);
        }
        assert_true(X509_sign(x, signer,
                            EVP_PKEY_get_base_id(signer) == EVP_PKEY_ED25519 ? NULL
                            : s->md                                          ? s->md
                                                                             : EVP_sha256()) > 0);
        X509_NAME_free(name);
        return keep(x);
}

static inline Bytes der_of(X509 *x) {
        unsigned char *der = NULL;
        int n = i2d_X509(x, &der);

        assert_true(n > 0);
        return (Bytes){ keep(der), (size_t)n };
}

static inline Bytes make_crl(X509 *issuer, EVP_PKEY *key, uint64_t revoked, int64_t from, int64_t to) {
        ASN1_TIME *t = ASN1_TIME_set(NULL, (time_t)from);
        unsigned char *der = NULL;
        X509_CRL *c = X509_CRL_new();
        int n;

        X509_CRL_set_version(c, 1);
        X509_CRL_set_issuer_name(c, X509_get_subject_name(issuer));
        X509_CRL_set1_lastUpdate(c, t);
        ASN1_TIME_set(t, (time_t)to);
        X509_CRL_set1_nextUpdate(c, t);
        if (revoked) {
                X509_REVOKED *r = X509_REVOKED_new();
                ASN1_INTEGER *serial = ASN1_INTEGER_new();

                ASN1_INTEGER_set_uint64(serial, revoked);
                X509_REVOKED_set_serialNumber(r, serial);
                ASN1_TIME_set(t, (time_t)from);
                X509_REVOKED_set_revocationDate(r, t);
                X509_CRL_add0_revoked(c, r);
                ASN1_INTEGER_free(serial);
        }
        assert_true(X509_CRL_sign(c, key, EVP_sha256()) > 0);
        n = i2d_X509_CRL(c, &der);
        X509_CRL_free(c);
        ASN1_TIME_free(t);
        assert_true(n > 0);
        return (Bytes){ keep(der), (size_t)n };
}

/* Over a message; Ed25519 by itself, the others with SHA-256. */
static inline Bytes sign_message(EVP_PKEY *k, Bytes message) {
        EVP_MD_CTX *c = EVP_MD_CTX_new();
        const EVP_MD *md = EVP_PKEY_get_base_id(k) == EVP_PKEY_ED25519 ? NULL : EVP_sha256();
        unsigned char *signature;
        size_t size = 0;

        assert_int_equal(EVP_DigestSignInit(c, NULL, md, NULL, k), 1);
        assert_int_equal(EVP_DigestSign(c, NULL, &size, message.at, message.size), 1);
        signature = OPENSSL_malloc(size);
        assert_int_equal(EVP_DigestSign(c, signature, &size, message.at, message.size), 1);
        EVP_MD_CTX_free(c);
        return (Bytes){ keep(signature), size };
}

/* Over a SHA-256 digest, as a card does it. */
static inline Bytes sign_digest(EVP_PKEY *k, const unsigned char digest[32]) {
        EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(k, NULL);
        unsigned char *signature;
        size_t size = 0;

        assert_int_equal(EVP_PKEY_sign_init(c), 1);
        assert_int_equal(EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()), 1);
        assert_int_equal(EVP_PKEY_sign(c, NULL, &size, digest, 32), 1);
        signature = OPENSSL_malloc(size);
        assert_int_equal(EVP_PKEY_sign(c, signature, &size, digest, 32), 1);
        EVP_PKEY_CTX_free(c);
        return (Bytes){ keep(signature), size };
}
