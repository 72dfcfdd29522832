/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "certificate-fixture.h"
#include "factor/card-verify.h"
#include "factor/factor-wire.h"

static EVP_PKEY *rsa, *other_rsa, *p256, *other_p256, *ca_key;
static X509 *ca, *other_ca;

static int prepare(void **state) {
        static const char *const name[] = { "C", "JP", "O", "Site", "CN", "Card CA", NULL };

        rsa = make_key("RSA", 2048);
        other_rsa = make_key("RSA", 2048);
        p256 = make_key("P-256", 0);
        other_p256 = make_key("P-256", 0);
        ca_key = make_key("P-256", 0);
        ca = make_certificate(&(CertificateSpec){ .key = ca_key, .subject = name, .basic = "critical,CA:TRUE" });
        other_ca =
                make_certificate(&(CertificateSpec){ .key = other_p256, .subject = name, .basic = "critical,CA:TRUE" });
        return 0;
}

static Bytes card_certificate(EVP_PKEY *key, const CertificateSpec *more) {
        CertificateSpec s = more ? *more : (CertificateSpec){};

        s.key = key;
        s.issuer_key = s.issuer_key ? s.issuer_key : ca_key;
        s.issuer = ca;
        s.serial = s.serial ? s.serial : 0xabcd;
        return der_of(make_certificate(&s));
}

static void the_enrolled_key_over_this_digest_is_taken_and_no_other(void **state) {
        EVP_PKEY *keys[][2] = { { rsa, other_rsa }, { p256, other_p256 } };
        unsigned char digest[32], other[32], challenge[CARD_CHALLENGE_SIZE] = { 1 };

        assert_int_equal(card_digest(challenge, "login hanako desk1", digest), 0);
        assert_int_equal(card_digest(challenge, "login hanako desk2", other), 0);
        assert_memory_not_equal(digest, other, 32);
        challenge[31] = 1;
        assert_int_equal(card_digest(challenge, "login hanako desk1", other), 0);
        assert_memory_not_equal(digest, other, 32);
        for (size_t i = 0; i < 2; i++) {
                Bytes spki = spki_of(keys[i][0]), good = sign_digest(keys[i][0], digest),
                      foreign = sign_digest(keys[i][1], digest);

                assert_int_equal(card_signature_verify(spki, digest, good), 0);
                assert_int_equal(card_signature_verify(spki, other, good), CARD_E_SIGNATURE);
                assert_int_equal(card_signature_verify(spki, digest, foreign), CARD_E_SIGNATURE);
                assert_int_equal(card_signature_verify(spki_of(keys[1 - i][0]), digest, good), CARD_E_SIGNATURE);
                assert_int_equal(card_signature_verify(spki, digest, (Bytes){}), CARD_E_SIGNATURE);
                assert_int_equal(
                        card_signature_verify(spki, digest, (Bytes){ good.at, good.size - 1 }), CARD_E_SIGNATURE);
        }
}

static void a_signature_with_bytes_behind_it_is_refused(void **state) {
        unsigned char digest[32] = { 7 }, longer[600];

        for (size_t i = 0; i < 2; i++) {
                EVP_PKEY *k = i == 0 ? rsa : p256;
                Bytes s = sign_digest(k, digest);

                memcpy(longer, s.at, s.size);
                longer[s.size] = 0;
                assert_int_equal(card_signature_verify(spki_of(k), digest, (Bytes){ longer, s.size }), 0);
                assert_int_equal(
                        card_signature_verify(spki_of(k), digest, (Bytes){ longer, s.size + 1 }), CARD_E_SIGNATURE);
        }
}

static void keys_of_other_kinds_are_refused(void **state) {
        static const struct {
                const char *kind;
                size_t bits;
        } others[] = { { "RSA", 1024 }, { "RSA", 3072 }, { "P-384", 0 }, { "ED25519", 0 } };
        unsigned char digest[32] = { 7 };

        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
                EVP_PKEY *k = make_key(others[i].kind, others[i].bits);
                Bytes s = strcmp(others[i].kind, "ED25519") == 0 ? (Bytes){ digest, 32 } : sign_digest(k, digest);
                CardFacts f;

                assert_int_equal(card_signature_verify(spki_of(k), digest, s), CARD_E_KEY_TYPE);
                assert_int_equal(card_facts_read(&f, card_certificate(k, NULL)), CARD_E_KEY_TYPE);
        }
}

static void an_enrolled_key_has_one_form(void **state) {
        Bytes spki = spki_of(p256);
        unsigned char changed[PUBLIC_KEY_MAX];
        unsigned char digest[32] = { 7 };
        Bytes s = sign_digest(p256, digest);

        memcpy(changed, spki.at, spki.size);
        changed[spki.size] = 0;
        assert_int_equal(card_signature_verify((Bytes){ changed, spki.size + 1 }, digest, s), CARD_E_KEY_TYPE);
        for (size_t n = 0; n < spki.size; n++)
                assert_int_equal(card_signature_verify((Bytes){ spki.at, n }, digest, s), CARD_E_KEY_TYPE);
        /* not on the curve */
        changed[spki.size - 1] ^= 1;
        assert_int_equal(card_signature_verify((Bytes){ changed, spki.size }, digest, s), CARD_E_KEY_TYPE);
}

static void a_certificate_tells_its_facts(void **state) {
        static const char *const name[] = { "C", "JP", "O", "北海道", "CN", "山田花子\n\xe2\x80\xae", NULL };
        Bytes c = card_certificate(rsa, &(CertificateSpec){ .subject = name }), spki = spki_of(rsa);
        CardFacts f;

        assert_int_equal(card_facts_read(&f, c), 0);
        assert_int_equal(f.kind, PUBLIC_KEY_RSA);
        assert_int_equal(f.spki_size, spki.size);
        assert_memory_equal(f.spki, spki.at, spki.size);
        assert_string_equal(f.serial, "abcd");
        assert_int_equal(f.not_before, NOW - 30 * DAY);
        assert_int_equal(f.not_after, NOW + 30 * DAY);
        assert_non_null(strstr(f.subject, "山田花子"));
        assert_null(strchr(f.subject, '\n'));
        assert_null(strstr(f.subject, "\xe2\x80\xae"));
        assert_string_equal(f.issuer, "CN=Card CA,O=Site,C=JP");
        assert_int_equal(card_facts_check(&f, NOW), 0);
        assert_int_equal(card_facts_check(&f, NOW - 31 * DAY), CARD_E_NOT_YET);
        assert_int_equal(card_facts_check(&f, NOW + 31 * DAY), CARD_E_EXPIRED);
        card_facts_done(&f);
}

static void a_certificate_without_a_name_is_taken(void **state) {
        static const char *const name[] = { NULL };
        Bytes c = card_certificate(p256, &(CertificateSpec){ .subject = name });
        CardFacts f;

        assert_int_equal(card_facts_read(&f, c), 0);
        assert_string_equal(f.subject, "");
        card_facts_done(&f);
}

static void refuse(const unsigned char *at, size_t size) {
        CardFacts f;

        assert_int_equal(card_facts_read(&f, (Bytes){ at, size }), CARD_E_MALFORMED);
}

static void a_certificate_cut_or_continued_is_malformed(void **state) {
        Bytes c = card_certificate(p256, NULL);
        unsigned char *copy = malloc(c.size + 1);

        memcpy(copy, c.at, c.size);
        copy[c.size] = 0;
        refuse(copy, c.size + 1);
        free(copy);
        for (size_t n = 0; n < c.size; n++)
                refuse(c.at, n);
}

static void indefinite_and_long_winded_lengths_are_malformed(void **state) {
        Bytes c = card_certificate(p256, NULL);
        unsigned char *copy = malloc(c.size + 8);

        /* The outer SEQUENCE of indefinite length: OpenSSL itself would take it. */
        assert_int_equal(c.at[0], 0x30);
        assert_int_equal(c.at[1], 0x82);
        copy[0] = 0x30;
        copy[1] = 0x80;
        memcpy(copy + 2, c.at + 4, c.size - 4);
        memset(copy + c.size - 2, 0, 2);
        refuse(copy, c.size);
        /* Its length in three bytes where two do. */
        copy[1] = 0x83;
        copy[2] = 0;
        memcpy(copy + 3, c.at + 2, c.size - 2);
        refuse(copy, c.size + 1);
        free(copy);
}

static void a_certificate_longer_than_20_kib_is_malformed(void **state) {
        char *long_name = malloc(FACTOR_CERTIFICATE_MAX + 1);
        unsigned char *der = NULL;
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        X509 *x = make_certificate(&(CertificateSpec){ .key = p256 });
        ASN1_OBJECT *oid = OBJ_txt2obj("1.2.3.4", 1);
        X509_EXTENSION *e;
        int n;

        memset(long_name, 'x', FACTOR_CERTIFICATE_MAX);
        ASN1_OCTET_STRING_set(value, (unsigned char *)long_name, FACTOR_CERTIFICATE_MAX);
        e = X509_EXTENSION_create_by_OBJ(NULL, oid, 0, value);
        X509_add_ext(x, e, -1);
        X509_sign(x, p256, EVP_sha256());
        n = i2d_X509(x, &der);
        refuse(der, (size_t)n);
        OPENSSL_free(der);
        X509_EXTENSION_free(e);
        ASN1_OBJECT_free(oid);
        ASN1_OCTET_STRING_free(value);
        free(long_name);
}

static void nests_of_any_depth_end(void **state) {
        unsigned char deep[4000];

        /* 30 80… would be indefinite: each level has its right length, from the inside out. */
        for (size_t levels = 1; levels < 40; levels++) {
                for (size_t i = 0; i < levels; i++) {
                        deep[2 * i] = 0x30;
                        deep[2 * i + 1] = (unsigned char)(2 * (levels - 1 - i));
                }
                assert_int_equal(der_valid((Bytes){ deep, 2 * levels }), levels <= 24);
        }
}

static Trust *trust_of(X509 *x) {
        Trust *t;

        assert_int_equal(trust_new(&t), 0);
        assert_int_equal(trust_add_certificates(t, der_of(x)), 0);
        return t;
}

static void only_the_configured_authority_issues_cards(void **state) {
        Bytes good = card_certificate(rsa, NULL),
              late = card_certificate(rsa, &(CertificateSpec){ .not_after = NOW - 1 });
        Bytes early = card_certificate(rsa, &(CertificateSpec){ .not_before = NOW + 1 });
        Bytes forged = card_certificate(rsa, &(CertificateSpec){ .issuer_key = other_p256 });
        Bytes weak = card_certificate(rsa, &(CertificateSpec){ .md = EVP_sha1() });
        Trust *t = trust_of(ca), *o = trust_of(other_ca);

        assert_int_equal(card_issuer_check(t, good, NOW), 0);
        assert_int_equal(card_issuer_check(o, good, NOW), CARD_E_ISSUER);
        assert_int_equal(card_issuer_check(t, forged, NOW), CARD_E_ISSUER);
        assert_int_equal(card_issuer_check(t, late, NOW), CARD_E_EXPIRED);
        assert_int_equal(card_issuer_check(t, early, NOW), CARD_E_NOT_YET);
        assert_int_equal(card_issuer_check(t, weak, NOW), CARD_E_WEAK);
        assert_int_equal(card_issuer_check(t, (Bytes){ good.at, good.size - 1 }, NOW), CARD_E_MALFORMED);
        trust_free(t);
        trust_free(o);
}

static void a_card_does_not_issue_cards(void **state) {
        X509 *card =
                make_certificate(&(CertificateSpec){ .key = p256, .issuer_key = ca_key, .issuer = ca, .serial = 5 });
        X509 *second = make_certificate(&(CertificateSpec){ .key = rsa, .issuer_key = p256, .issuer = card });
        Trust *t = trust_of(ca);
        Bytes between = der_of(card);

        assert_int_equal(trust_verify(t, der_of(second), &between, 1, NOW), TRUST_E_ISSUER);
        trust_free(t);
}

static void a_configured_revocation_list_must_be_in_force(void **state) {
        Bytes good = card_certificate(rsa, &(CertificateSpec){ .serial = 10 }),
              gone = card_certificate(rsa, &(CertificateSpec){ .serial = 11 });
        Trust *t = trust_of(ca);

        assert_int_equal(trust_add_crls(t, make_crl(ca, ca_key, 11, NOW - DAY, NOW + DAY)), 0);
        assert_int_equal(card_issuer_check(t, good, NOW), 0);
        assert_int_equal(card_issuer_check(t, gone, NOW), CARD_E_REVOKED);
        assert_int_equal(card_issuer_check(t, good, NOW + 2 * DAY), CARD_E_CRL);
        assert_int_equal(card_issuer_check(t, good, NOW - 2 * DAY), CARD_E_CRL);
        trust_free(t);

        /* A list of somebody else by that name. */
        t = trust_of(ca);
        assert_int_equal(trust_add_crls(t, make_crl(other_ca, other_p256, 0, NOW - DAY, NOW + DAY)), 0);
        assert_int_not_equal(card_issuer_check(t, good, NOW), 0);
        trust_free(t);
}

static void a_trust_file_holds_what_it_should_and_nothing_else(void **state) {
        BIO *b = BIO_new(BIO_s_mem());
        Trust *t;
        char *text;
        long size;

        assert_int_equal(trust_new(&t), 0);
        BIO_puts(b, "The authority of the site\n");
        PEM_write_bio_X509(b, ca);
        PEM_write_bio_X509(b, other_ca);
        size = BIO_get_mem_data(b, &text);
        assert_int_equal(trust_add_certificates(t, (Bytes){ (unsigned char *)text, (size_t)size }), 0);
        assert_int_equal(trust_count(t), 2);
        assert_int_equal(trust_add_crls(t, (Bytes){ (unsigned char *)text, (size_t)size }), -EBADMSG);
        assert_int_equal(trust_add_certificates(t, (Bytes){ (unsigned char *)text, (size_t)size - 40 }), -EBADMSG);
        assert_int_equal(trust_add_certificates(t, (Bytes){ (const unsigned char *)"nothing", 7 }), -ENODATA);
        assert_int_equal(trust_add_certificates(t, (Bytes){}), -ENODATA);
        PEM_write_bio_PrivateKey(b, ca_key, NULL, NULL, 0, NULL, NULL);
        size = BIO_get_mem_data(b, &text);
        assert_int_equal(trust_add_certificates(t, (Bytes){ (unsigned char *)text, (size_t)size }), -EBADMSG);
        trust_free(t);
        BIO_free(b);
}

static void conditions_have_names(void **state) {
        for (int c = 1; c < _CARD_E_MAX; c++)
                assert_non_null(card_condition_to_string(c));
        for (int c = 1; c < _TRUST_E_MAX; c++)
                assert_non_null(trust_condition_to_string(c));
        assert_null(card_condition_to_string(0));
        assert_null(card_condition_to_string(_CARD_E_MAX));
        assert_null(trust_condition_to_string(-1));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_enrolled_key_over_this_digest_is_taken_and_no_other),
                cmocka_unit_test(a_signature_with_bytes_behind_it_is_refused),
                cmocka_unit_test(keys_of_other_kinds_are_refused),
                cmocka_unit_test(an_enrolled_key_has_one_form),
                cmocka_unit_test(a_certificate_tells_its_facts),
                cmocka_unit_test(a_certificate_without_a_name_is_taken),
                cmocka_unit_test(a_certificate_cut_or_continued_is_malformed),
                cmocka_unit_test(indefinite_and_long_winded_lengths_are_malformed),
                cmocka_unit_test(a_certificate_longer_than_20_kib_is_malformed),
                cmocka_unit_test(nests_of_any_depth_end),
                cmocka_unit_test(only_the_configured_authority_issues_cards),
                cmocka_unit_test(a_card_does_not_issue_cards),
                cmocka_unit_test(a_configured_revocation_list_must_be_in_force),
                cmocka_unit_test(a_trust_file_holds_what_it_should_and_nothing_else),
                cmocka_unit_test(conditions_have_names),
        };

        return cmocka_run_group_tests(tests, prepare, NULL);
}
