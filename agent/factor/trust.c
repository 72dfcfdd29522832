/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/trust.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <string.h>

#define SECURITY_LEVEL 2 /* 112 bits, as SSL_CTX_set_security_level(3) counts them */

struct Trust {
        X509_STORE *store;
        size_t n_certificates, n_crls;
};

static inline void bio_free_p(BIO **b) {
        BIO_free(*b);
}

static inline void x509_free_p(X509 **x) {
        X509_free(*x);
}

static inline void store_ctx_free_p(X509_STORE_CTX **c) {
        X509_STORE_CTX_free(*c);
}

static inline void x509_stack_free_p(STACK_OF(X509) * *s) {
        sk_X509_pop_free(*s, X509_free);
}

const char *trust_condition_to_string(int c) {
        static const char *const names[_TRUST_E_MAX] = {
                [TRUST_E_MALFORMED] = "malformed",
                [TRUST_E_ISSUER] = "issuer",
                [TRUST_E_NOT_YET] = "not-yet",
                [TRUST_E_EXPIRED] = "expired",
                [TRUST_E_REVOKED] = "revoked",
                [TRUST_E_NO_CRL] = "no-crl",
                [TRUST_E_CRL_EXPIRED] = "crl-expired",
                [TRUST_E_WEAK] = "weak",
        };

        return c > 0 && c < _TRUST_E_MAX ? names[c] : NULL;
}

int trust_new(Trust **ret) {
        Trust *t = calloc(1, sizeof(*t));

        if (!t)
                return -ENOMEM;
        t->store = X509_STORE_new();
        if (!t->store) {
                free(t);
                return -ENOMEM;
        }
        *ret = t;
        return 0;
}

Trust *trust_free(Trust *t) {
        if (!t)
                return NULL;
        X509_STORE_free(t->store);
        free(t);
        return NULL;
}

size_t trust_count(const Trust *t) {
        return t->n_certificates;
}

static int add_certificate(Trust *t, X509 *x) {
        if (t->n_certificates >= TRUST_CERTIFICATES_MAX)
                return -E2BIG;
        /* One that is there already is no error. */
        if (X509_STORE_add_cert(t->store, x) != 1)
                return -ENOMEM;
        t->n_certificates++;
        return 0;
}

static int add_crl(Trust *t, X509_CRL *crl) {
        if (t->n_crls >= TRUST_CERTIFICATES_MAX)
                return -E2BIG;
        if (X509_STORE_add_crl(t->store, crl) != 1)
                return -ENOMEM;
        t->n_crls++;
        return 0;
}

/* One element of DER or PEM, of whichever kind is wanted. */
static int add_der(Trust *t, Bytes file, bool crls) {
        const unsigned char *p = file.at;
        X509_CRL *crl = NULL;
        X509 *x = NULL;
        int r = -EBADMSG;

        if (!der_valid(file))
                return -EBADMSG;
        if (crls) {
                crl = d2i_X509_CRL(NULL, &p, (long)file.size);
                if (crl)
                        r = add_crl(t, crl);
        } else {
                x = d2i_X509(NULL, &p, (long)file.size);
                if (x)
                        r = add_certificate(t, x);
        }
        X509_CRL_free(crl);
        X509_free(x);
        return r;
}

static int add_pem(Trust *t, Bytes file, bool crls) {
        _cleanup_(bio_free_p) BIO *b = BIO_new_mem_buf(file.at, (int)file.size);
        const char *wanted = crls ? PEM_STRING_X509_CRL : PEM_STRING_X509;
        size_t n = 0;
        int r = 0;

        if (!b)
                return -ENOMEM;
        while (r == 0) {
                char *name = NULL, *header = NULL;
                unsigned char *data = NULL;
                long size;

                if (PEM_read_bio(b, &name, &header, &data, &size) != 1) {
                        if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
                                r = -EBADMSG;
                        break;
                }
                /* Something else in the file, a private key above all, is a mistake of whoever put it there. */
                if (strcmp(name, wanted) != 0)
                        r = -EBADMSG;
                else {
                        r = add_der(t, (Bytes){ data, (size_t)size }, crls);
                        n++;
                }
                OPENSSL_free(name);
                OPENSSL_free(header);
                OPENSSL_free(data);
        }
        return r < 0 ? r : n > 0 ? 0 : -ENODATA;
}

static int add_file(Trust *t, Bytes file, bool crls) {
        int r;

        if (file.size == 0)
                return -ENODATA;
        if (file.size > TRUST_FILE_MAX)
                return -E2BIG;
        r = file.at[0] == 0x30 ? add_der(t, file, crls) : add_pem(t, file, crls);
        ERR_clear_error();
        return r;
}

int trust_add_certificates(Trust *t, Bytes file) {
        return add_file(t, file, false);
}

int trust_add_crls(Trust *t, Bytes file) {
        return add_file(t, file, true);
}

static int certificate_open(X509 **ret, Bytes der) {
        const unsigned char *p = der.at;

        if (der.size > TRUST_CERTIFICATE_MAX || !der_valid(der))
                return TRUST_E_MALFORMED;
        *ret = d2i_X509(NULL, &p, (long)der.size);
        return *ret ? 0 : TRUST_E_MALFORMED;
}

static TrustCondition verdict(int error) {
        switch (error) {
        case X509_V_ERR_CERT_NOT_YET_VALID:
                return TRUST_E_NOT_YET;
        case X509_V_ERR_CERT_HAS_EXPIRED:
                return TRUST_E_EXPIRED;
        case X509_V_ERR_CERT_REVOKED:
                return TRUST_E_REVOKED;
        case X509_V_ERR_UNABLE_TO_GET_CRL:
        case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
                return TRUST_E_NO_CRL;
        case X509_V_ERR_CRL_HAS_EXPIRED:
        case X509_V_ERR_CRL_NOT_YET_VALID:
        case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
        case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
                return TRUST_E_CRL_EXPIRED;
        case X509_V_ERR_EE_KEY_TOO_SMALL:
        case X509_V_ERR_CA_KEY_TOO_SMALL:
        case X509_V_ERR_CA_MD_TOO_WEAK:
                return TRUST_E_WEAK;
        default:
                return TRUST_E_ISSUER;
        }
}

int trust_verify(const Trust *t, Bytes leaf, const Bytes *others, size_t n, int64_t now) {
        _cleanup_(x509_stack_free_p) STACK_OF(X509) *stack = sk_X509_new_null();
        _cleanup_(store_ctx_free_p) X509_STORE_CTX *c = X509_STORE_CTX_new();
        _cleanup_(x509_free_p) X509 *x = NULL;
        X509_VERIFY_PARAM *p;
        int r;

        if (!stack || !c)
                return -ENOMEM;
        if (n > TRUST_CHAIN_MAX)
                return TRUST_E_MALFORMED;
        r = certificate_open(&x, leaf);
        for (size_t i = 0; i < n && r == 0; i++) {
                X509 *other;

                r = certificate_open(&other, others[i]);
                if (r == 0 && sk_X509_push(stack, other) <= 0) {
                        X509_free(other);
                        r = -ENOMEM;
                }
        }
        if (r == 0 && X509_STORE_CTX_init(c, t->store, x, stack) != 1)
                r = -ENOMEM;
        if (r != 0) {
                ERR_clear_error();
                return r;
        }

        p = X509_STORE_CTX_get0_param(c);
        X509_VERIFY_PARAM_set_time(p, (time_t)now);
        X509_VERIFY_PARAM_set_auth_level(p, SECURITY_LEVEL);
        X509_VERIFY_PARAM_set_depth(p, TRUST_CHAIN_MAX);
        X509_VERIFY_PARAM_set_flags(p, X509_V_FLAG_PARTIAL_CHAIN | (t->n_crls > 0 ? X509_V_FLAG_CRL_CHECK : 0));
        if (X509_verify_cert(c) != 1)
                r = verdict(X509_STORE_CTX_get_error(c));
        ERR_clear_error();
        return r;
}
