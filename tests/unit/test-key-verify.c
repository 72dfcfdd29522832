/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/sha.h>

#include "certificate-fixture.h"
#include "factor/cbor.h"
#include "factor/key-data.h"
#include "factor/key-verify.h"

/* Answers of keys, made here byte by byte. tests/double/test_key.py has key-verify.c look at those of another
 * implementation. */

#define RP "keishi.example.jp"

static const unsigned char aaguid[16] = { 0xee, 0x88, 0x28, 0x79, 0x72, 0x1c, 0x49, 0x13, 0x97, 0x75, 0x3d, 0xfc, 0xce,
        0x97, 0x07, 0x2a };
static const unsigned char credential[32] = { 0xc0, 1, 2, 3 };
static unsigned char hash[32];
static EVP_PKEY *p256, *ed25519, *rsa, *attester, *root_key, *between_key;
static X509 *root, *between;
static Trust *roots;

static int prepare(void **state) {
        static const char *const root_name[] = { "C", "JP", "O", "Keys", "CN", "Root", NULL };
        static const char *const between_name[] = { "C", "JP", "O", "Keys", "CN", "Batch", NULL };
        static const unsigned char challenge[KEY_CHALLENGE_SIZE] = { 1 };

        p256 = make_key("P-256", 0);
        ed25519 = make_key("ED25519", 0);
        rsa = make_key("RSA", 2048);
        attester = make_key("P-256", 0);
        root_key = make_key("P-256", 0);
        between_key = make_key("P-256", 0);
        root = make_certificate(
                &(CertificateSpec){ .key = root_key, .subject = root_name, .basic = "critical,CA:TRUE" });
        between = make_certificate(&(CertificateSpec){ .key = between_key,
                .subject = between_name,
                .issuer = root,
                .issuer_key = root_key,
                .basic = "critical,CA:TRUE" });
        assert_int_equal(trust_new(&roots), 0);
        assert_int_equal(trust_add_certificates(roots, der_of(root)), 0);
        return key_client_data_hash(challenge, "login hanako desk1", hash);
}

/* ---- building ---- */

typedef struct Buffer {
        unsigned char bytes[4096];
        size_t size;
} Buffer;

static void put(Buffer *b, const void *at, size_t size) {
        assert_true(size <= sizeof(b->bytes) - b->size);
        memcpy(b->bytes + b->size, at, size);
        b->size += size;
}

static void put_byte(Buffer *b, unsigned value) {
        put(b, &(unsigned char){ (unsigned char)value }, 1);
}

static void put_head(Buffer *b, unsigned major, unsigned n) {
        if (n < 24)
                put_byte(b, major << 5 | n);
        else if (n < 256) {
                put_byte(b, major << 5 | 24);
                put_byte(b, n);
        } else {
                put_byte(b, major << 5 | 25);
                put_byte(b, n >> 8);
                put_byte(b, n);
        }
}

static void put_number(Buffer *b, int n) {
        put_head(b, n < 0, n < 0 ? (unsigned)(-1 - n) : (unsigned)n);
}

static void put_bytes(Buffer *b, const void *at, size_t size) {
        put_head(b, CBOR_BYTES, (unsigned)size);
        put(b, at, size);
}

static void put_parameter(Buffer *b, int label, EVP_PKEY *key, const char *name) {
        unsigned char bytes[512];
        BIGNUM *n = NULL;

        put_number(b, label);
        assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
        put_bytes(b, bytes,
                (size_t)BN_bn2binpad(n, bytes, strcmp(name, OSSL_PKEY_PARAM_RSA_E) == 0 ? 3 : BN_num_bytes(n)));
        BN_free(n);
}

static void put_coordinate(Buffer *b, int label, EVP_PKEY *key, const char *name) {
        unsigned char bytes[32];
        BIGNUM *n = NULL;

        put_number(b, label);
        assert_int_equal(EVP_PKEY_get_bn_param(key, name, &n), 1);
        assert_int_equal(BN_bn2binpad(n, bytes, 32), 32);
        put_bytes(b, bytes, 32);
        BN_free(n);
}

static void put_key(Buffer *b, EVP_PKEY *key) {
        unsigned char raw[32];
        size_t size = sizeof(raw);

        switch (EVP_PKEY_get_base_id(key)) {
        case EVP_PKEY_EC:
                put_head(b, CBOR_MAP, 5);
                put_number(b, 1), put_number(b, 2);
                put_number(b, 3), put_number(b, -7);
                put_number(b, -1), put_number(b, 1);
                put_coordinate(b, -2, key, OSSL_PKEY_PARAM_EC_PUB_X);
                put_coordinate(b, -3, key, OSSL_PKEY_PARAM_EC_PUB_Y);
                break;
        case EVP_PKEY_RSA:
                put_head(b, CBOR_MAP, 4);
                put_number(b, 1), put_number(b, 3);
                put_number(b, 3), put_number(b, -257);
                put_parameter(b, -1, key, OSSL_PKEY_PARAM_RSA_N);
                put_parameter(b, -2, key, OSSL_PKEY_PARAM_RSA_E);
                break;
        default:
                put_head(b, CBOR_MAP, 4);
                put_number(b, 1), put_number(b, 1);
                put_number(b, 3), put_number(b, -8);
                put_number(b, -1), put_number(b, 6);
                put_number(b, -2);
                assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &size), 1);
                put_bytes(b, raw, size);
        }
}

/* Authenticator data; with `key` also a credential. */
static Buffer data_of(const char *rp, unsigned flags, uint32_t counter, EVP_PKEY *key) {
        unsigned char rp_hash[32];
        Buffer b = { .size = 0 };

        SHA256((const unsigned char *)rp, strlen(rp), rp_hash);
        put(&b, rp_hash, 32);
        put_byte(&b, flags);
        for (int shift = 24; shift >= 0; shift -= 8)
                put_byte(&b, counter >> shift);
        if (key) {
                put(&b, aaguid, 16);
                put_byte(&b, 0);
                put_byte(&b, sizeof(credential));
                put(&b, credential, sizeof(credential));
                put_key(&b, key);
        }
        return b;
}

static Bytes signed_by(EVP_PKEY *key, const Buffer *data) {
        Buffer b = *data;

        put(&b, hash, 32);
        return sign_message(key, (Bytes){ b.bytes, b.size });
}

static Bytes bytes_of(const Buffer *b) {
        return (Bytes){ b->bytes, b->size };
}

static const Bytes credential_bytes = { credential, sizeof(credential) };

#define UP 0x01u
#define UV 0x04u
#define AT 0x40u
#define ED 0x80u

/* ---- CBOR ---- */

static bool skips(const char *bytes, size_t size) {
        CborReader r = { (const unsigned char *)bytes, (const unsigned char *)bytes + size };

        return cbor_skip(&r) && r.at == r.end;
}
#define skips_literal(text) skips(text, sizeof(text) - 1)

static void only_definite_and_shortest_cbor_is_read(void **state) {
        assert_true(skips_literal("\x00"));
        assert_true(skips_literal("\x18\x18"));
        assert_true(skips_literal("\x1b\x00\x00\x00\x01\x00\x00\x00\x00"));
        assert_true(skips_literal("\xa1\x61\x61\x81\xf5"));
        assert_true(skips_literal("\x63\xe3\x81\x82"));
        /* longer than needed */
        assert_false(skips_literal("\x18\x17"));
        assert_false(skips_literal("\x19\x00\xff"));
        assert_false(skips_literal("\x1a\x00\x00\xff\xff"));
        assert_false(skips_literal("\x1b\x00\x00\x00\x00\xff\xff\xff\xff"));
        assert_false(skips_literal("\x58\x01\x00"));
        /* indefinite, tags, floats, undefined, other simple values, reserved */
        assert_false(skips_literal("\x5f\x41\x00\xff"));
        assert_false(skips_literal("\x9f\x00\xff"));
        assert_false(skips_literal("\xbf\x00\x00\xff"));
        assert_false(skips_literal("\xc0\x00"));
        assert_false(skips_literal("\xf9\x00\x00"));
        assert_false(skips_literal("\xf7"));
        assert_false(skips_literal("\xf0"));
        assert_false(skips_literal("\x1c"));
        assert_false(skips_literal("\xff"));
        /* cut, or no text */
        assert_false(skips_literal(""));
        assert_false(skips_literal("\x42\x00"));
        assert_false(skips_literal("\x5b\xff\xff\xff\xff\xff\xff\xff\xff\x00"));
        assert_false(skips_literal("\x9b\xff\xff\xff\xff\xff\xff\xff\xff"));
        assert_false(skips_literal("\xbb\x80\x00\x00\x00\x00\x00\x00\x00"));
        assert_false(skips_literal("\x62\xc3\x28"));
        /* four deep, and no more */
        assert_true(skips_literal("\x81\x81\x81\x81\x00"));
        assert_false(skips_literal("\x81\x81\x81\x81\x81\x00"));
}

/* ---- keys ---- */

static void each_kind_of_key_logs_in(void **state) {
        EVP_PKEY *keys[] = { p256, ed25519, rsa };

        for (size_t i = 0; i < 3; i++) {
                Buffer made = data_of(RP, UP | UV | AT, 1, keys[i]), data = data_of(RP, UP | UV, 2, NULL);
                KeyRegistration r = { .rp = RP,
                        .client_data_hash = hash,
                        .credential = credential_bytes,
                        .auth_data = bytes_of(&made),
                        .format = "packed",
                        .signature = signed_by(keys[i], &made) };
                KeyAssertion a = { .rp = RP,
                        .client_data_hash = hash,
                        .credential = credential_bytes,
                        .auth_data = bytes_of(&data),
                        .signature = signed_by(keys[i], &data) };
                Bytes spki = spki_of(keys[i]);
                uint32_t counter;
                KeyCredential c;

                assert_int_equal(key_registration_verify(&c, &r, roots, NOW), KEY_E_UNATTESTED);
                assert_int_equal(key_registration_verify(&c, &r, NULL, NOW), 0);
                assert_false(c.attested);
                assert_int_equal(c.unattested, KEY_E_UNATTESTED);
                assert_true(c.user_verified);
                assert_int_equal(c.counter, 1);
                assert_int_equal(c.spki_size, spki.size);
                assert_memory_equal(c.spki, spki.at, spki.size);
                assert_memory_equal(c.aaguid, aaguid, 16);
                a.spki = (Bytes){ c.spki, c.spki_size };
                a.counter = c.counter;
                assert_int_equal(key_assertion_verify(&a, &counter), 0);
                assert_int_equal(counter, 2);
                a.spki = spki_of(keys[(i + 1) % 3]);
                assert_int_equal(key_assertion_verify(&a, &counter), KEY_E_SIGNATURE);
        }
}

static int register_key(const Buffer *cose) {
        Buffer b = data_of(RP, UP | UV | AT, 1, NULL);
        KeyRegistration r = { .rp = RP, .client_data_hash = hash, .credential = credential_bytes, .format = "none" };
        KeyCredential c;

        put(&b, aaguid, 16);
        put_byte(&b, 0);
        put_byte(&b, sizeof(credential));
        put(&b, credential, sizeof(credential));
        put(&b, cose->bytes, cose->size);
        r.auth_data = bytes_of(&b);
        return key_registration_verify(&c, &r, NULL, NOW);
}

static void keys_with_anything_unusual_about_them_are_refused(void **state) {
        Buffer good = { .size = 0 }, b;
        EVP_PKEY *small = make_key("RSA", 1024);

        put_key(&good, p256);
        assert_int_equal(register_key(&good), 0);
        /* a point that is not on the curve */
        b = good;
        b.bytes[b.size - 1] ^= 1;
        assert_int_equal(register_key(&b), KEY_E_KEY_TYPE);
        /* one parameter more: kid */
        b = good;
        b.bytes[0]++;
        put_number(&b, 2), put_bytes(&b, "x", 1);
        assert_int_equal(register_key(&b), KEY_E_KEY_TYPE);
        /* y twice */
        b = good;
        b.bytes[0]++;
        put_coordinate(&b, -3, p256, OSSL_PKEY_PARAM_EC_PUB_Y);
        assert_int_equal(register_key(&b), KEY_E_KEY_TYPE);
        /* y missing */
        b = good;
        b.bytes[0]--;
        b.size -= 35;
        assert_int_equal(register_key(&b), KEY_E_KEY_TYPE);
        /* ES256 said of another curve, another algorithm of this one */
        b = good;
        assert_int_equal(b.bytes[4], 0x26);
        b.bytes[4] = 0x27;
        assert_int_equal(register_key(&b), KEY_E_KEY_TYPE);
        b = good;
        assert_int_equal(b.bytes[6], 1);
        b.bytes[6] = 6;
        assert_int_equal(register_key(&b), KEY_E_KEY_TYPE);
        /* not a map; bytes behind it */
        b = (Buffer){ .size = 0 };
        put_number(&b, 1);
        assert_int_equal(register_key(&b), KEY_E_KEY_TYPE);
        b = good;
        put_byte(&b, 0);
        assert_int_equal(register_key(&b), KEY_E_MALFORMED);

        b = (Buffer){ .size = 0 };
        put_key(&b, small);
        assert_int_equal(register_key(&b), KEY_E_KEY_TYPE);
}

/* ---- assertions ---- */

static int check(const Buffer *data, uint32_t stored, uint32_t *ret) {
        KeyAssertion a = { .rp = RP,
                .client_data_hash = hash,
                .credential = credential_bytes,
                .spki = spki_of(p256),
                .counter = stored,
                .auth_data = bytes_of(data),
                .signature = signed_by(p256, data) };

        return key_assertion_verify(&a, ret);
}

static void counters_advance_or_are_not_there(void **state) {
        static const struct {
                uint32_t stored, said;
                int condition;
        } cases[] = { { 0, 0, 0 }, { 0, 1, 0 }, { 1, 2, 0 }, { 1, UINT32_MAX, 0 }, { 1, 1, KEY_E_COUNTER },
                { 2, 1, KEY_E_COUNTER }, { 1, 0, KEY_E_COUNTER }, { UINT32_MAX, 0, KEY_E_COUNTER },
                { UINT32_MAX, UINT32_MAX, KEY_E_COUNTER } };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                Buffer data = data_of(RP, UP | UV, cases[i].said, NULL);
                uint32_t counter = 77;

                assert_int_equal(check(&data, cases[i].stored, &counter), cases[i].condition);
                assert_int_equal(counter, cases[i].condition == 0 ? cases[i].said : 77);
        }
}

static void presence_verification_and_the_site_are_demanded(void **state) {
        Buffer data;
        uint32_t n;

        data = data_of(RP, UP, 1, NULL);
        assert_int_equal(check(&data, 0, &n), KEY_E_NOT_VERIFIED);
        data = data_of(RP, UV, 1, NULL);
        assert_int_equal(check(&data, 0, &n), KEY_E_NOT_PRESENT);
        data = data_of("keishi.example.jp.evil.example", UP | UV, 1, NULL);
        assert_int_equal(check(&data, 0, &n), KEY_E_RP);
        data = data_of(RP, UP | UV | AT, 1, p256);
        assert_int_equal(check(&data, 0, &n), KEY_E_MALFORMED);
        /* extensions are allowed, and nothing that is none */
        data = data_of(RP, UP | UV | ED, 1, NULL);
        assert_int_equal(check(&data, 0, &n), KEY_E_MALFORMED);
        put(&data, "\xa1\x61x\xf5", 4);
        assert_int_equal(check(&data, 0, &n), 0);
        put_byte(&data, 0);
        assert_int_equal(check(&data, 0, &n), KEY_E_MALFORMED);
        data = data_of(RP, UP | UV, 1, NULL);
        put(&data, "\xa0", 1);
        assert_int_equal(check(&data, 0, &n), KEY_E_MALFORMED);
}

static void a_signature_is_of_this_challenge_only(void **state) {
        unsigned char other[32];
        static const unsigned char challenge[KEY_CHALLENGE_SIZE] = { 2 };
        Buffer data = data_of(RP, UP | UV, 1, NULL);
        KeyAssertion a = { .rp = RP,
                .client_data_hash = hash,
                .credential = credential_bytes,
                .spki = spki_of(p256),
                .auth_data = bytes_of(&data),
                .signature = signed_by(p256, &data) };
        uint32_t n;

        assert_int_equal(key_assertion_verify(&a, &n), 0);
        assert_int_equal(key_client_data_hash(challenge, "login hanako desk1", other), 0);
        a.client_data_hash = other;
        assert_int_equal(key_assertion_verify(&a, &n), KEY_E_SIGNATURE);
        a.client_data_hash = hash;
        a.answered_credential = (Bytes){ credential, sizeof(credential) - 1 };
        assert_int_equal(key_assertion_verify(&a, &n), KEY_E_CREDENTIAL);
        a.answered_credential = credential_bytes;
        a.signature.size = 0;
        assert_int_equal(key_assertion_verify(&a, &n), KEY_E_SIGNATURE);
        a.spki.size--;
        assert_int_equal(key_assertion_verify(&a, &n), KEY_E_KEY_TYPE);
}

/* ---- attestation ---- */

static const char *const attester_name[] = { "C", "JP", "O", "Keys", "OU", "Authenticator Attestation", "CN", "Batch 1",
        NULL };

/* A registration attested by a certificate of that kind, and what comes of it. */
static int attest(CertificateSpec s, bool through, Buffer *data) {
        Bytes chain[2];
        KeyRegistration r = { .rp = RP,
                .client_data_hash = hash,
                .credential = credential_bytes,
                .format = "packed",
                .certificates = chain,
                .n_certificates = through ? 2 : 1 };
        Buffer made = data ? *data : data_of(RP, UP | UV | AT, 1, p256);
        KeyCredential c;
        int q;

        s.key = s.key ? s.key : attester;
        s.subject = s.subject ? s.subject : attester_name;
        s.issuer = through ? between : root;
        s.issuer_key = s.issuer_key ? s.issuer_key : through ? between_key : root_key;
        s.basic = s.basic ? (*s.basic ? s.basic : NULL) : "CA:FALSE";
        chain[0] = der_of(make_certificate(&s));
        chain[1] = der_of(between);
        r.auth_data = bytes_of(&made);
        r.signature = signed_by(s.key, &made);
        q = key_registration_verify(&c, &r, roots, NOW);
        assert_true(q != 0 || c.attested);
        return q;
}

static void attestations_that_lead_to_a_root_are_taken(void **state) {
        EVP_PKEY *big = make_key("RSA", 2048);

        assert_int_equal(attest((CertificateSpec){}, false, NULL), 0);
        assert_int_equal(attest((CertificateSpec){ .aaguid = aaguid }, false, NULL), 0);
        assert_int_equal(attest((CertificateSpec){ .aaguid = aaguid }, true, NULL), 0);
        assert_int_equal(attest((CertificateSpec){ .key = big }, false, NULL), 0);
}

static void attestation_certificates_are_what_webauthn_demands(void **state) {
        static const char *const no_unit[] = { "C", "JP", "O", "Keys", "CN", "Batch 1", NULL };
        static const char *const other_unit[] = { "C", "JP", "O", "Keys", "OU", "Sales", "CN", "Batch 1", NULL };
        static const char *const two_units[] = { "C", "JP", "O", "Keys", "OU", "Authenticator Attestation", "OU",
                "Sales", "CN", "Batch 1", NULL };
        static const char *const *const names[] = { no_unit, other_unit, two_units };
        static const unsigned char other_model[16] = { 1 };

        for (size_t i = 0; i < 3; i++)
                assert_int_equal(attest((CertificateSpec){ .subject = names[i] }, false, NULL), KEY_E_CERTIFICATE);
        assert_int_equal(attest((CertificateSpec){ .basic = "CA:TRUE" }, false, NULL), KEY_E_CERTIFICATE);
        assert_int_equal(attest((CertificateSpec){ .basic = "" }, false, NULL), KEY_E_CERTIFICATE);
        assert_int_equal(
                attest((CertificateSpec){ .aaguid = aaguid, .aaguid_critical = true }, false, NULL), KEY_E_CERTIFICATE);
        assert_int_equal(attest((CertificateSpec){ .aaguid = other_model }, false, NULL), KEY_E_AAGUID);
        assert_int_equal(attest((CertificateSpec){ .not_after = NOW - 1 }, false, NULL), KEY_E_CHAIN_NOT_IN_FORCE);
        assert_int_equal(attest((CertificateSpec){ .not_before = NOW + 1 }, false, NULL), KEY_E_CHAIN_NOT_IN_FORCE);
        assert_int_equal(attest((CertificateSpec){ .issuer_key = p256 }, false, NULL), KEY_E_CHAIN);
        assert_int_equal(attest((CertificateSpec){ .md = EVP_sha1() }, false, NULL), KEY_E_CHAIN);
}

static void what_is_attested_is_what_is_enrolled(void **state) {
        Buffer data;

        data = data_of(RP, UP | UV | AT | 0x08, 1, p256);
        assert_int_equal(attest((CertificateSpec){}, false, &data), KEY_E_BACKUP);
        data = data_of(RP, UV | AT, 1, p256);
        assert_int_equal(attest((CertificateSpec){}, false, &data), KEY_E_NOT_PRESENT);
        data = data_of("example.jp", UP | UV | AT, 1, p256);
        assert_int_equal(attest((CertificateSpec){}, false, &data), KEY_E_RP);
        data = data_of(RP, UP | UV, 1, NULL);
        assert_int_equal(attest((CertificateSpec){}, false, &data), KEY_E_MALFORMED);
}

static void a_chain_without_its_middle_leads_nowhere(void **state) {
        Buffer made = data_of(RP, UP | UV | AT, 1, p256);
        Bytes leaf = der_of(make_certificate(&(CertificateSpec){ .key = attester,
                .subject = attester_name,
                .issuer = between,
                .issuer_key = between_key,
                .basic = "CA:FALSE" }));
        Bytes many[KEY_CHAIN_MAX + 1];
        KeyRegistration r = { .rp = RP,
                .client_data_hash = hash,
                .credential = credential_bytes,
                .auth_data = bytes_of(&made),
                .format = "packed",
                .signature = signed_by(attester, &made),
                .certificates = &leaf,
                .n_certificates = 1 };
        KeyCredential c;

        assert_int_equal(key_registration_verify(&c, &r, roots, NOW), KEY_E_CHAIN);
        assert_int_equal(key_registration_verify(&c, &r, NULL, NOW), 0);
        assert_int_equal(c.unattested, KEY_E_CHAIN);
        r.signature = signed_by(p256, &made);
        assert_int_equal(key_registration_verify(&c, &r, NULL, NOW), KEY_E_ATTESTATION);
        for (size_t i = 0; i < KEY_CHAIN_MAX + 1; i++)
                many[i] = leaf;
        r.certificates = many;
        r.n_certificates = KEY_CHAIN_MAX + 1;
        assert_int_equal(key_registration_verify(&c, &r, roots, NOW), KEY_E_MALFORMED);
}

static void models_have_a_text(void **state) {
        unsigned char back[16];
        char text[37];

        key_aaguid_to_string(aaguid, text);
        assert_string_equal(text, "ee882879-721c-4913-9775-3dfcce97072a");
        assert_true(key_aaguid_from_string(text, back));
        assert_memory_equal(back, aaguid, 16);
        assert_true(key_aaguid_from_string("EE882879-721C-4913-9775-3DFCCE97072A", back));
        assert_false(key_aaguid_from_string("ee882879-721c-4913-9775-3dfcce97072", back));
        assert_false(key_aaguid_from_string("ee882879-721c-4913-9775-3dfcce97072aa", back));
        assert_false(key_aaguid_from_string("ee882879721c49139775-3dfcce97072a-----", back));
        assert_false(key_aaguid_from_string("ge882879-721c-4913-9775-3dfcce97072a", back));
        assert_false(key_aaguid_from_string("", back));
        for (int c = 1; c < _KEY_E_MAX; c++)
                assert_non_null(key_condition_to_string(c));
        assert_null(key_condition_to_string(0));
        assert_null(key_condition_to_string(_KEY_E_MAX));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_definite_and_shortest_cbor_is_read),
                cmocka_unit_test(each_kind_of_key_logs_in),
                cmocka_unit_test(keys_with_anything_unusual_about_them_are_refused),
                cmocka_unit_test(counters_advance_or_are_not_there),
                cmocka_unit_test(presence_verification_and_the_site_are_demanded),
                cmocka_unit_test(a_signature_is_of_this_challenge_only),
                cmocka_unit_test(attestations_that_lead_to_a_root_are_taken),
                cmocka_unit_test(attestation_certificates_are_what_webauthn_demands),
                cmocka_unit_test(what_is_attested_is_what_is_enrolled),
                cmocka_unit_test(a_chain_without_its_middle_leads_nowhere),
                cmocka_unit_test(models_have_a_text),
        };

        return cmocka_run_group_tests(tests, prepare, NULL);
}
