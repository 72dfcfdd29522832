/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/key-data.h"

#include <string.h>

#include "factor/cbor.h"
#include "factor/key-verify.h"

#define COSE_KTY      1
#define COSE_ALG      3
#define COSE_CRV      -1 /* EC2, OKP; n of RSA */
#define COSE_X        -2 /* EC2, OKP; e of RSA */
#define COSE_Y        -3
#define COSE_OKP      1
#define COSE_EC2      2
#define COSE_RSA      3
#define COSE_ES256    -7
#define COSE_EDDSA    -8
#define COSE_RS256    -257
#define COSE_CRV_P256 1
#define COSE_ED25519  6

#define COORDINATE_SIZE  32u
#define MODULUS_SIZE_MAX 512u
#define EXPONENT_MAX     8u

bool auth_data_open(AuthData *ret, Bytes data) {
        const unsigned char *p = data.at, *end = data.at + data.size;
        AuthData a = {};

        if (data.size < 37 || data.size > KEY_AUTH_DATA_MAX)
                return false;
        a.rp_hash = p;
        a.flags = p[32];
        a.counter = (uint32_t)p[33] << 24 | (uint32_t)p[34] << 16 | (uint32_t)p[35] << 8 | p[36];
        p += 37;
        if (a.flags & AUTH_DATA_AT) {
                size_t size;
                CborReader r;

                if (end - p < 18)
                        return false;
                a.aaguid = p;
                size = (size_t)p[16] << 8 | p[17];
                p += 18;
                if (size == 0 || size > KEY_CREDENTIAL_MAX || (size_t)(end - p) < size)
                        return false;
                a.credential = (Bytes){ p, size };
                p += size;
                r = (CborReader){ p, end };
                if (!cbor_skip(&r))
                        return false;
                a.public_key = (Bytes){ p, (size_t)(r.at - p) };
                p = r.at;
        }
        if (a.flags & AUTH_DATA_ED) {
                CborReader r = { p, end }, head = r;
                CborItem map;

                if (!cbor_take(&head, CBOR_MAP, &map) || !cbor_skip(&r))
                        return false;
                p = r.at;
        }
        if (p != end)
                return false;
        *ret = a;
        return true;
}

typedef struct CoseKey {
        bool kty_given, alg_given, crv_given;
        int64_t kty, alg, crv;
        Bytes first, x, y; /* -1 as bytes (n of RSA), -2, -3 */
} CoseKey;

/* One parameter; each may come once. */
static bool cose_parameter(CoseKey *k, CborReader *r) {
        int64_t label;
        CborItem i;
        Bytes *b;

        if (!cbor_take_number(r, &label))
                return false;
        switch (label) {
        case COSE_KTY:
                if (k->kty_given)
                        return false;
                k->kty_given = true;
                return cbor_take_number(r, &k->kty);
        case COSE_ALG:
                if (k->alg_given)
                        return false;
                k->alg_given = true;
                return cbor_take_number(r, &k->alg);
        case COSE_CRV: {
                CborReader number = *r;

                if (k->crv_given || k->first.at)
                        return false;
                if (cbor_take_number(&number, &k->crv)) {
                        k->crv_given = true;
                        *r = number;
                        return true;
                }
                b = &k->first;
                break;
        }
        case COSE_X:
                b = &k->x;
                break;
        case COSE_Y:
                b = &k->y;
                break;
        default:
                return false;
        }
        if (b->at || !cbor_take(r, CBOR_BYTES, &i) || i.size == 0)
                return false;
        *b = (Bytes){ i.bytes, i.size };
        return true;
}

static size_t ec_spki(const CoseKey *k, unsigned char *spki) {
        /* SEQUENCE { SEQUENCE { id-ecPublicKey, prime256v1 }, BIT STRING { 04 x y } } */
        static const unsigned char head[] = { 0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
                0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04 };

        if (k->alg != COSE_ES256 || !k->crv_given || k->crv != COSE_CRV_P256 || k->x.size != COORDINATE_SIZE ||
                k->y.size != COORDINATE_SIZE)
                return 0;
        memcpy(spki, head, sizeof(head));
        memcpy(spki + sizeof(head), k->x.at, COORDINATE_SIZE);
        memcpy(spki + sizeof(head) + COORDINATE_SIZE, k->y.at, COORDINATE_SIZE);
        return sizeof(head) + (size_t)2 * COORDINATE_SIZE;
}

static size_t ed25519_spki(const CoseKey *k, unsigned char *spki) {
        /* SEQUENCE { SEQUENCE { id-Ed25519 }, BIT STRING { key } } (RFC 8410) */
        static const unsigned char head[] = { 0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00 };

        if (k->alg != COSE_EDDSA || !k->crv_given || k->crv != COSE_ED25519 || k->x.size != COORDINATE_SIZE || k->y.at)
                return 0;
        memcpy(spki, head, sizeof(head));
        memcpy(spki + sizeof(head), k->x.at, COORDINATE_SIZE);
        return sizeof(head) + COORDINATE_SIZE;
}

/* Writes backwards, as DER is easiest written: `at` is where what has been written begins. */
static unsigned char *der_head(unsigned char *at, unsigned char tag, size_t size) {
        if (size < 0x80)
                *--at = (unsigned char)size;
        else {
                unsigned n = 0;

                for (size_t left = size; left > 0; left >>= 8, n++)
                        *--at = (unsigned char)left;
                *--at = (unsigned char)(0x80 | n);
        }
        *--at = tag;
        return at;
}

static unsigned char *der_integer(unsigned char *at, Bytes n) {
        size_t size = n.size;

        at -= n.size;
        memcpy(at, n.at, n.size);
        if (n.at[0] & 0x80) {
                *--at = 0;
                size++;
        }
        return der_head(at, 0x02, size);
}

static size_t rsa_spki(const CoseKey *k, unsigned char *spki) {
        /* SEQUENCE { rsaEncryption, NULL } */
        static const unsigned char algorithm[] = { 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01,
                0x01, 0x01, 0x05, 0x00 };
        unsigned char room[PUBLIC_KEY_MAX], *end = room + sizeof(room), *at = end;
        Bytes n = k->first, e = k->x;

        if (k->alg != COSE_RS256 || k->crv_given || k->y.at || n.size == 0 || n.size > MODULUS_SIZE_MAX ||
                e.size == 0 || e.size > EXPONENT_MAX || n.at[0] == 0 || e.at[0] == 0)
                return 0;
        at = der_integer(at, e);
        at = der_integer(at, n);
        at = der_head(at, 0x30, (size_t)(end - at));
        *--at = 0; /* no unused bits */
        at = der_head(at, 0x03, (size_t)(end - at));
        at -= sizeof(algorithm);
        memcpy(at, algorithm, sizeof(algorithm));
        at = der_head(at, 0x30, (size_t)(end - at));
        memcpy(spki, at, (size_t)(end - at));
        return (size_t)(end - at);
}

bool cose_key_read(Bytes cose, PublicKeyKind *ret_kind, unsigned char ret_spki[PUBLIC_KEY_MAX], size_t *ret_size) {
        CborReader r = { cose.at, cose.at + cose.size };
        _cleanup_(evp_pkey_free_p) EVP_PKEY *key = NULL;
        unsigned char spki[PUBLIC_KEY_MAX];
        PublicKeyKind kind;
        CoseKey k = {};
        CborItem map;
        size_t size;

        if (!cbor_take(&r, CBOR_MAP, &map))
                return false;
        for (uint64_t i = 0; i < map.number; i++)
                if (!cose_parameter(&k, &r))
                        return false;
        if (r.at != r.end || !k.kty_given || !k.alg_given)
                return false;
        switch (k.kty) {
        case COSE_EC2:
                size = ec_spki(&k, spki);
                break;
        case COSE_OKP:
                size = ed25519_spki(&k, spki);
                break;
        case COSE_RSA:
                size = rsa_spki(&k, spki);
                break;
        default:
                return false;
        }
        if (size == 0 || public_key_open(&key, &kind, (Bytes){ spki, size }) < 0)
                return false;
        memcpy(ret_spki, spki, size);
        *ret_size = size;
        *ret_kind = kind;
        return true;
}
