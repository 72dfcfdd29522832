/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "factor/card-verify.h"
#include "factor/cbor.h"
#include "factor/key-data.h"
#include "factor/key-reply.h"
#include "factor/key-verify.h"
#include "fuzz.h"

/* Whatever a key or a card says, by way of a worker that lies: authenticator data, COSE keys, attestation certificates,
 * card certificates, the worker's frames. The first byte chooses; nothing that is refused may be written, and nothing
 * made up may be taken.
 */

#define NOW INT64_C(1800000000)

static void authenticator_data(Bytes input) {
        unsigned char spki[PUBLIC_KEY_MAX];
        PublicKeyKind kind;
        AuthData d;
        size_t size;

        if (!auth_data_open(&d, input))
                return;
        require(input.size >= 37 && d.rp_hash == input.at);
        require(!d.aaguid == !(d.flags & AUTH_DATA_AT));
        if (!d.aaguid)
                return;
        require(d.credential.at > input.at && d.credential.at + d.credential.size <= input.at + input.size);
        require(d.public_key.at + d.public_key.size <= input.at + input.size);
        if (cose_key_read(d.public_key, &kind, spki, &size)) {
                _cleanup_(evp_pkey_free_p) EVP_PKEY *key = NULL;

                require(public_key_open(&key, &kind, (Bytes){ spki, size }) == 0);
        }
}

static void cbor(Bytes input) {
        CborReader r = { input.at, input.at + input.size }, all = r;
        CborItem i;

        while (cbor_next(&r, &i))
                require(r.at <= r.end && (!i.bytes || i.bytes + i.size <= r.end));
        if (cbor_skip(&all))
                require(all.at > input.at && all.at <= all.end);
}

/* HASH of 32 zeros, everything else from the input: no signature of it can be right. */
static void assertion(Bytes input) {
        static const unsigned char hash[32], p256[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce,
                0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
                0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77,
                0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3,
                0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
                0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5 };
        uint32_t counter = 0xdeadbeef;
        size_t n = input.size < 37 ? input.size : 37;
        KeyAssertion a = {
                .rp = "keishi.example.jp",
                .client_data_hash = hash,
                .credential = { hash, sizeof(hash) },
                .spki = { p256, sizeof(p256) },
                .auth_data = { input.at, n },
                .signature = { input.at + n, input.size - n },
        };

        require(key_assertion_verify(&a, &counter) > 0 && counter == 0xdeadbeef);
}

/* Its size (2 bytes) and the authenticator data, then a certificate. */
static void registration(Bytes input) {
        static const unsigned char hash[32];
        static KeyCredential c;
        KeyRegistration r = { .rp = "keishi.example.jp", .client_data_hash = hash, .format = "packed" };
        Bytes certificate;
        AuthData d;
        size_t n;

        if (input.size < 2)
                return;
        n = (size_t)input.at[0] << 8 | input.at[1];
        n = n > input.size - 2 ? input.size - 2 : n;
        r.auth_data = (Bytes){ input.at + 2, n };
        certificate = (Bytes){ input.at + 2 + n, input.size - 2 - n };
        r.signature = (Bytes){ hash, sizeof(hash) };
        r.certificates = &certificate;
        r.n_certificates = certificate.size > 0;
        if (auth_data_open(&d, r.auth_data))
                r.credential = d.credential;
        require(key_registration_verify(&c, &r, NULL, NOW) > 0);
        r.format = "none";
        (void)key_registration_verify(&c, &r, NULL, NOW);
}

static void certificate(Bytes input) {
        CardFacts f;
        int r = card_facts_read(&f, input);

        require(r >= 0 && r < _CARD_E_MAX);
        if (r != 0)
                return;
        require(der_valid(input) && f.spki_size > 0 && f.subject && f.issuer && *f.serial);
        require(card_facts_check(&f, NOW) >= 0);
        card_facts_done(&f);
}

static void trusted(Bytes input) {
        Trust *t;

        require(trust_new(&t) == 0);
        if (trust_add_certificates(t, input) == 0)
                require(trust_count(t) > 0);
        (void)trust_add_crls(t, input);
        (void)trust_verify(t, input, &input, 1, NOW);
        trust_free(t);
}

/* The operation, then what the worker sent. */
static void reply(Bytes input) {
        static KeyListed keys[HELPER_FDS_MAX];
        KeyFound found;
        FactorStatus status;
        static KeyReply k;
        size_t n;

        if (input.size == 0)
                return;
        if (key_reply((FactorOperation)(input.at[0] % _FACTOR_OPERATION_MAX), input.at + 1, input.size - 1, &k) == 0)
                require(k.auth_data.size <= KEY_AUTH_DATA_MAX && memchr(k.format, 0, sizeof(k.format)));
        if (key_list_reply(input.at + 1, input.size - 1, 3, &status, keys, &n) == 0)
                for (size_t i = 0; i < n; i++)
                        require(keys[i].index < 3);
        if (key_find_reply(input.at + 1, input.size - 1, 3, &found) == 0)
                require(found.key < 3 && found.found == (found.status == FACTOR_OK) &&
                        found.found == (found.credential.size > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static void (*const parsers[])(
                Bytes) = { authenticator_data, cbor, assertion, registration, certificate, trusted, reply };

        if (size > 0)
                parsers[data[0] % (sizeof(parsers) / sizeof(parsers[0]))]((Bytes){ data + 1, size - 1 });
        return 0;
}
