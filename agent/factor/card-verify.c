/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/card-verify.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>
#include <time.h>

#include "factor/factor-wire.h"
#include "util/text.h"

#define CARD_RSA_BITS 2048
#define NAME_MAX_CARD 256u
#define CARD_LABEL    "keishi card 1"

static inline void md_ctx_free_p(EVP_MD_CTX **c) {
        EVP_MD_CTX_free(*c);
}

static inline void x509_free_p(X509 **x) {
        X509_free(*x);
}

static inline void bio_free_p(BIO **b) {
        BIO_free(*b);
}

static inline void bn_free_p(BIGNUM **b) {
        BN_free(*b);
}

const char *card_condition_to_string(int c) {
        static const char *const names[_CARD_E_MAX] = {
                [CARD_E_MALFORMED] = "malformed",
                [CARD_E_KEY_TYPE] = "key-type",
                [CARD_E_SIGNATURE] = "signature",
                [CARD_E_NOT_YET] = "not-yet",
                [CARD_E_EXPIRED] = "expired",
                [CARD_E_ISSUER] = "issuer",
                [CARD_E_REVOKED] = "revoked",
                [CARD_E_CRL] = "crl",
                [CARD_E_WEAK] = "weak",
        };

        return c > 0 && c < _CARD_E_MAX ? names[c] : NULL;
}

int card_digest(const unsigned char challenge[CARD_CHALLENGE_SIZE], const char *purpose, unsigned char ret_digest[32]) {
        _cleanup_(md_ctx_free_p) EVP_MD_CTX *c = EVP_MD_CTX_new();
        unsigned char digest[32];

        /* The label ends with its NUL, the challenge has its length: only the purpose, at the end, varies. */
        if (!c || EVP_DigestInit_ex(c, EVP_sha256(), NULL) != 1 ||
                EVP_DigestUpdate(c, CARD_LABEL, sizeof(CARD_LABEL)) != 1 ||
                EVP_DigestUpdate(c, challenge, CARD_CHALLENGE_SIZE) != 1 ||
                EVP_DigestUpdate(c, purpose, strlen(purpose)) != 1 || EVP_DigestFinal_ex(c, digest, NULL) != 1)
                return -ENOMEM;
        memcpy(ret_digest, digest, sizeof(digest));
        return 0;
}

static bool is_card_key(const EVP_PKEY *key, PublicKeyKind kind) {
        return kind == PUBLIC_KEY_P256 || (kind == PUBLIC_KEY_RSA && EVP_PKEY_get_bits(key) == CARD_RSA_BITS);
}

int card_signature_verify(Bytes spki, const unsigned char digest[32], Bytes signature) {
        _cleanup_(evp_pkey_free_p) EVP_PKEY *key = NULL;
        PublicKeyKind kind;
        int r;

        r = public_key_open(&key, &kind, spki);
        if (r == -ENOMEM)
                return r;
        if (r < 0 || !is_card_key(key, kind))
                return CARD_E_KEY_TYPE;
        return public_key_verify_digest(key, kind, digest, signature) ? 0 : CARD_E_SIGNATURE;
}

void card_facts_done(CardFacts *f) {
        free(f->subject);
        free(f->issuer);
        *f = (CardFacts){};
}

/* Seconds since 1970 of a time that RFC 5280 allows. */
static bool time_read(const ASN1_TIME *t, int64_t *ret) {
        struct tm tm;

        if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
                return false;
        *ret = timegm(&tm);
        return true;
}

/* The name as RFC 4514 writes it, in UTF-8, with what is not plain escaped. NULL when out of memory. */
static char *name_read(const X509_NAME *name) {
        _cleanup_(bio_free_p) BIO *b = BIO_new(BIO_s_mem());
        char *text;
        long size;

        if (!b || X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) < 0)
                return NULL;
        size = BIO_get_mem_data(b, &text);
        return text_escape(size > 0 ? text : "", size > 0 ? (size_t)size : 0, NAME_MAX_CARD);
}

/* RFC 5280 allows 20 bytes of serial number; some issuers have more, or a sign. */
static bool serial_read(const X509 *x, char serial[65]) {
        _cleanup_(bn_free_p) BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
        unsigned char bytes[32];
        int size = n ? BN_num_bytes(n) : -1;

        if (size < 0 || (size_t)size > sizeof(bytes) || BN_is_negative(n))
                return false;
        if (size == 0)
                bytes[size++] = 0;
        else
                BN_bn2bin(n, bytes);
        for (int i = 0; i < size; i++)
                snprintf(serial + (size_t)i * 2, 3, "%02x", bytes[i]);
        return true;
}

static int key_read(CardFacts *f, X509 *x) {
        _cleanup_(evp_pkey_free_p) EVP_PKEY *key = NULL;
        unsigned char *p = f->spki;
        int n, r;

        n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), NULL);
        if (n <= 0 || (size_t)n > sizeof(f->spki))
                return CARD_E_KEY_TYPE;
        f->spki_size = (size_t)i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &p);
        r = public_key_open(&key, &f->kind, (Bytes){ f->spki, f->spki_size });
        if (r == -ENOMEM)
                return r;
        return r == 0 && is_card_key(key, f->kind) ? 0 : CARD_E_KEY_TYPE;
}

int card_facts_read(CardFacts *ret, Bytes certificate) {
        _cleanup_(card_facts_done) CardFacts f = {};
        _cleanup_(x509_free_p) X509 *x = NULL;
        const unsigned char *p = certificate.at;
        int r;

        if (certificate.size == 0 || certificate.size > FACTOR_CERTIFICATE_MAX || !der_valid(certificate))
                return CARD_E_MALFORMED;
        x = d2i_X509(NULL, &p, (long)certificate.size);
        ERR_clear_error();
        if (!x || p != certificate.at + certificate.size || !serial_read(x, f.serial) ||
                !time_read(X509_get0_notBefore(x), &f.not_before) || !time_read(X509_get0_notAfter(x), &f.not_after))
                return CARD_E_MALFORMED;
        r = key_read(&f, x);
        ERR_clear_error();
        if (r != 0)
                return r;
        f.subject = name_read(X509_get_subject_name(x));
        f.issuer = name_read(X509_get_issuer_name(x));
        if (!f.subject || !f.issuer)
                return -ENOMEM;
        *ret = f;
        f = (CardFacts){};
        return 0;
}

int card_facts_check(const CardFacts *f, int64_t now) {
        return now < f->not_before ? CARD_E_NOT_YET : now > f->not_after ? CARD_E_EXPIRED : 0;
}

int card_issuer_check(const Trust *t, Bytes certificate, int64_t now) {
        int r = trust_verify(t, certificate, NULL, 0, now);

        switch (r) {
        case TRUST_E_MALFORMED:
                return CARD_E_MALFORMED;
        case TRUST_E_NOT_YET:
                return CARD_E_NOT_YET;
        case TRUST_E_EXPIRED:
                return CARD_E_EXPIRED;
        case TRUST_E_REVOKED:
                return CARD_E_REVOKED;
        case TRUST_E_NO_CRL:
        case TRUST_E_CRL_EXPIRED:
                return CARD_E_CRL;
        case TRUST_E_WEAK:
                return CARD_E_WEAK;
        case TRUST_E_ISSUER:
                return CARD_E_ISSUER;
        default:
                return r;
        }
}
