/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/public-key.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <string.h>

#define DER_DEPTH_MAX      24
#define RSA_BITS_MIN       2048
#define RSA_BITS_MAX       4096
#define RSA_EXPONENT_MIN   65537
#define RSA_EXPONENT_BYTES 8

static inline void bn_free_p(BIGNUM **b) {
        BN_free(*b);
}

static inline void md_ctx_free_p(EVP_MD_CTX **c) {
        EVP_MD_CTX_free(*c);
}

static inline void pkey_ctx_free_p(EVP_PKEY_CTX **c) {
        EVP_PKEY_CTX_free(*c);
}

const char *public_key_kind_to_string(PublicKeyKind k) {
        static const char *const names[_PUBLIC_KEY_MAX] = {
                [PUBLIC_KEY_RSA] = "rsa",
                [PUBLIC_KEY_P256] = "p256",
                [PUBLIC_KEY_ED25519] = "ed25519",
        };

        return k > 0 && k < _PUBLIC_KEY_MAX ? names[k] : NULL;
}

/* Takes one element's identifier and length (X.690, 8.1); `left` is moved to behind the element. */
static bool der_take(Bytes *left, Bytes *ret_content, bool *ret_constructed) {
        const unsigned char *p = left->at, *end = left->at + left->size;
        size_t size = 0;

        if (end - p < 2)
                return false;
        *ret_constructed = *p & 0x20;
        if ((*p & 0x1f) == 0x1f) {
                /* Tags of several bytes, in their shortest form. */
                if (*++p == 0x80)
                        return false;
                for (unsigned n = 1; *p & 0x80; n++)
                        if (n == 3 || end - ++p < 2)
                                return false;
        }
        if (end - ++p < 1)
                return false;
        if (*p < 0x80)
                size = *p++;
        else {
                unsigned n = *p++ & 0x7f;

                if (n == 0 || n > 3 || (size_t)(end - p) < n || *p == 0)
                        return false;
                for (; n > 0; n--)
                        size = size << 8 | *p++;
                if (size < 0x80)
                        return false;
        }
        if (size > (size_t)(end - p))
                return false;
        *ret_content = (Bytes){ p, size };
        *left = (Bytes){ p + size, (size_t)(end - p) - size };
        return true;
}

static bool der_all(Bytes left, unsigned depth) {
        while (left.size > 0) {
                bool constructed;
                Bytes content;

                if (!der_take(&left, &content, &constructed))
                        return false;
                if (constructed && (depth == 0 || !der_all(content, depth - 1)))
                        return false;
        }
        return true;
}

bool der_valid(Bytes der) {
        bool constructed;
        Bytes content, left = der;

        return der_take(&left, &content, &constructed) && left.size == 0 && der_all(der, DER_DEPTH_MAX);
}

static PublicKeyKind rsa_kind(const EVP_PKEY *key) {
        _cleanup_(bn_free_p) BIGNUM *e = NULL;
        int bits = EVP_PKEY_get_bits(key);

        if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX || EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) != 1 ||
                !BN_is_odd(e) || BN_num_bytes(e) > RSA_EXPONENT_BYTES || BN_get_word(e) < RSA_EXPONENT_MIN)
                return 0;
        return PUBLIC_KEY_RSA;
}

static PublicKeyKind ec_kind(const EVP_PKEY *key) {
        char group[64];
        size_t size;

        if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), &size) != 1 ||
                strcmp(group, "prime256v1") != 0)
                return 0;
        return PUBLIC_KEY_P256;
}

PublicKeyKind public_key_kind(const EVP_PKEY *key) {
        switch (EVP_PKEY_get_base_id(key)) {
        case EVP_PKEY_RSA:
                return rsa_kind(key);
        case EVP_PKEY_EC:
                return ec_kind(key);
        case EVP_PKEY_ED25519:
                return PUBLIC_KEY_ED25519;
        default:
                return 0;
        }
}

int public_key_open(EVP_PKEY **ret, PublicKeyKind *ret_kind, Bytes spki) {
        _cleanup_(evp_pkey_free_p) EVP_PKEY *key = NULL;
        const unsigned char *p = spki.at;
        unsigned char *again = NULL;
        PublicKeyKind kind;
        bool same;
        int n;

        if (spki.size == 0 || spki.size > PUBLIC_KEY_MAX || !der_valid(spki))
                return -EBADMSG;
        key = d2i_PUBKEY(NULL, &p, (long)spki.size);
        kind = key ? public_key_kind(key) : 0;
        if (kind == 0 || p != spki.at + spki.size) {
                ERR_clear_error();
                return -EBADMSG;
        }
        /* One key has one form: what is compared as bytes elsewhere must not have two. */
        n = i2d_PUBKEY(key, &again);
        same = n > 0 && (size_t)n == spki.size && memcmp(again, spki.at, spki.size) == 0;
        OPENSSL_free(again);
        ERR_clear_error();
        if (n < 0)
                return -ENOMEM;
        if (!same)
                return -EBADMSG;
        *ret = TAKE_PTR(key);
        *ret_kind = kind;
        return 0;
}

bool public_key_verify(EVP_PKEY *key, PublicKeyKind kind, Bytes message, Bytes signature) {
        _cleanup_(md_ctx_free_p) EVP_MD_CTX *c = EVP_MD_CTX_new();
        const EVP_MD *md = kind == PUBLIC_KEY_ED25519 ? NULL : EVP_sha256();
        bool right;

        right = c && EVP_DigestVerifyInit(c, NULL, md, NULL, key) == 1 &&
                EVP_DigestVerify(c, signature.at, signature.size, message.at, message.size) == 1;
        ERR_clear_error();
        return right;
}

bool public_key_verify_digest(EVP_PKEY *key, PublicKeyKind kind, const unsigned char digest[32], Bytes signature) {
        _cleanup_(pkey_ctx_free_p) EVP_PKEY_CTX *c = NULL;
        bool right;

        if (kind != PUBLIC_KEY_RSA && kind != PUBLIC_KEY_P256)
                return false;
        c = EVP_PKEY_CTX_new(key, NULL);
        right = c && EVP_PKEY_verify_init(c) == 1 &&
                (kind != PUBLIC_KEY_RSA || EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1) &&
                EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1 &&
                EVP_PKEY_verify(c, signature.at, signature.size, digest, 32) == 1;
        ERR_clear_error();
        return right;
}
