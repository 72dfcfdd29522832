/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/key-attestation.h"

#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "factor/key-verify.h"

#define OID_AAGUID         "1.3.6.1.4.1.45724.1.1.4" /* id-fido-gen-ce-aaguid */
#define ATTESTATION_OU     "Authenticator Attestation"
#define SUBJECT_VALUE_MAX  256
#define X509_VERSION_THREE 2 /* as X509_get_version() counts */

static inline void x509_free_p(X509 **x) {
        X509_free(*x);
}

static inline void object_free_p(ASN1_OBJECT **o) {
        ASN1_OBJECT_free(*o);
}

/* The only value of that kind in the name, as UTF-8 in OpenSSL's memory; NULL when there is none, or more than one. */
static unsigned char *subject_value(const X509_NAME *name, int nid, int *ret_size) {
        int at = X509_NAME_get_index_by_NID(name, nid, -1);
        unsigned char *text = NULL;

        if (at < 0 || X509_NAME_get_index_by_NID(name, nid, at) >= 0)
                return NULL;
        *ret_size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
        return *ret_size > 0 ? text : NULL;
}

static bool subject_has(const X509_NAME *name, int nid, const char *wanted) {
        unsigned char *text;
        int size = 0;
        bool has;

        text = subject_value(name, nid, &size);
        if (!text)
                return false;
        has = size <= SUBJECT_VALUE_MAX && !memchr(text, 0, (size_t)size) &&
              (!wanted || ((size_t)size == strlen(wanted) && memcmp(text, wanted, (size_t)size) == 0));
        OPENSSL_free(text);
        return has;
}

static bool subject_valid(const X509_NAME *name) {
        return subject_has(name, NID_countryName, NULL) && subject_has(name, NID_organizationName, NULL) &&
               subject_has(name, NID_organizationalUnitName, ATTESTATION_OU) && subject_has(name, NID_commonName, NULL);
}

/* Basic constraints must be there, once, and say that this is no CA. */
static bool is_end_entity(const X509 *x) {
        BASIC_CONSTRAINTS *b;
        int critical;
        bool ca;

        b = X509_get_ext_d2i(x, NID_basic_constraints, &critical, NULL);
        if (!b)
                return false;
        ca = b->ca;
        BASIC_CONSTRAINTS_free(b);
        return !ca;
}

/* The extension's value is an OCTET STRING with the 16 bytes, inside of the extension's own. */
static int model_check(const X509 *x, const unsigned char aaguid[16]) {
        _cleanup_(object_free_p) ASN1_OBJECT *oid = OBJ_txt2obj(OID_AAGUID, 1);
        const ASN1_OCTET_STRING *value;
        const unsigned char *bytes;
        X509_EXTENSION *e;
        int at;

        if (!oid)
                return KEY_E_CERTIFICATE;
        at = X509_get_ext_by_OBJ(x, oid, -1);
        if (at < 0)
                return 0;
        if (X509_get_ext_by_OBJ(x, oid, at) >= 0)
                return KEY_E_CERTIFICATE;
        e = X509_get_ext(x, at);
        value = X509_EXTENSION_get_data(e);
        bytes = ASN1_STRING_get0_data(value);
        if (X509_EXTENSION_get_critical(e) || ASN1_STRING_length(value) != 2 + (int)KEY_AAGUID_SIZE ||
                bytes[0] != V_ASN1_OCTET_STRING || bytes[1] != KEY_AAGUID_SIZE)
                return KEY_E_CERTIFICATE;
        return memcmp(bytes + 2, aaguid, KEY_AAGUID_SIZE) == 0 ? 0 : KEY_E_AAGUID;
}

int attestation_certificate_read(
        Bytes certificate, const unsigned char aaguid[16], EVP_PKEY **ret_key, PublicKeyKind *ret_kind) {
        const unsigned char *p = certificate.at;
        _cleanup_(x509_free_p) X509 *x = NULL;
        PublicKeyKind kind;
        EVP_PKEY *key;
        int r;

        if (certificate.size > TRUST_CERTIFICATE_MAX || !der_valid(certificate))
                return KEY_E_CERTIFICATE;
        x = d2i_X509(NULL, &p, (long)certificate.size);
        if (!x || X509_get_version(x) != X509_VERSION_THREE || !subject_valid(X509_get_subject_name(x)) ||
                !is_end_entity(x)) {
                ERR_clear_error();
                return KEY_E_CERTIFICATE;
        }
        r = model_check(x, aaguid);
        if (r != 0)
                return r;
        key = X509_get0_pubkey(x);
        kind = key ? public_key_kind(key) : 0;
        ERR_clear_error();
        if (kind == 0 || EVP_PKEY_up_ref(key) != 1)
                return KEY_E_KEY_TYPE;
        *ret_key = key;
        *ret_kind = kind;
        return 0;
}

int attestation_chain_check(const Trust *roots, const Bytes *certificates, size_t n, int64_t now) {
        int r = trust_verify(roots, certificates[0], certificates + 1, n - 1, now);

        switch (r) {
        case TRUST_E_MALFORMED:
                return KEY_E_CERTIFICATE;
        case TRUST_E_NOT_YET:
        case TRUST_E_EXPIRED:
        case TRUST_E_REVOKED:
        case TRUST_E_NO_CRL:
        case TRUST_E_CRL_EXPIRED:
                return KEY_E_CHAIN_NOT_IN_FORCE;
        case TRUST_E_ISSUER:
        case TRUST_E_WEAK:
                return KEY_E_CHAIN;
        default:
                return r;
        }
}
