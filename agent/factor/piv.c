/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* PIV (NIST SP 800-73-4): the PIV Authentication key, 9A. */

#include <string.h>
#include <zlib.h>

#include "factor/card.h"

#define PIN_REFERENCE      0x80u
#define PIN_PADDED         8u
#define PIN_MIN            6u
#define KEY                0x9au
#define RSA_2048           0x07u /* SP 800-78-4, table 6-2 */
#define P256               0x11u
#define RSA_SIZE           256u
#define P256_SIGNATURE_MIN 8u
#define P256_SIGNATURE_MAX 72u

#define TAG_TEMPLATE    0x61u
#define TAG_FILE        0x6fu
#define TAG_DATA        0x53u
#define TAG_CERTIFICATE 0x70u
#define TAG_INFO        0x71u
#define TAG_DYNAMIC     0x7cu
#define TAG_RESPONSE    0x82u
#define INFO_GZIP       0x81u /* 01 since SP 800-73-3; cards made before read the bits from the other end */

#define WINDOW_ANY (15 + 32) /* zlib's or gzip's header */

static FactorStatus piv_select(const CardLink *link, Reply *r, bool *ret_has) {
        /* Without its version, which a card may complete (part 1, 2.2). */
        static const unsigned char name[] = { 0xa0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00 };
        const Command select = { 0x00, 0xa4, 0x04, 0x00, { name, sizeof(name) }, .wants = true };
        FactorStatus s;
        Bytes b;
        Tlv t;

        s = command_send(link, &select, r);
        if (s != FACTOR_OK)
                return s;
        *ret_has = r->sw == SW_OK;
        b = (Bytes){ r->bytes, r->size };
        if (r->cut || (*ret_has && b.size > 0 &&
                              (!tlv_take(&b, &t) || b.size > 0 || (t.tag != TAG_TEMPLATE && t.tag != TAG_FILE))))
                return FACTOR_MISBEHAVED;
        return FACTOR_OK;
}

static FactorStatus piv_ask_tries(const CardLink *link, Reply *r) {
        return command_send(link, &(Command){ 0x00, 0x20, 0x00, PIN_REFERENCE }, r);
}

/* A certificate may be packed (part 1, appendix A, table 10). */
static FactorStatus certificate_unpack(Bytes packed, unsigned char *room, Bytes *ret, size_t *ret_too_long) {
        z_stream z = { 0 };
        unsigned char more;
        int r;

        if (inflateInit2(&z, WINDOW_ANY) != Z_OK)
                return FACTOR_INTERNAL;
        z.next_in = (unsigned char *)packed.at;
        z.avail_in = (unsigned)packed.size;
        z.next_out = room;
        z.avail_out = FACTOR_CERTIFICATE_MAX;
        r = inflate(&z, Z_FINISH);
        if (r == Z_BUF_ERROR && z.avail_out == 0) {
                z.next_out = &more;
                z.avail_out = 1;
                r = inflate(&z, Z_FINISH);
                if (z.avail_out == 0)
                        *ret_too_long = FACTOR_CERTIFICATE_MAX + 1;
        }
        *ret = (Bytes){ room, z.total_out };
        (void)inflateEnd(&z);
        if (*ret_too_long > 0) {
                ret->size = 0;
                return FACTOR_OK;
        }
        return r == Z_STREAM_END ? FACTOR_OK : FACTOR_MISBEHAVED;
}

static FactorStatus object_open(Bytes object, unsigned char *room, Bytes *ret, size_t *ret_too_long) {
        Bytes certificate = { 0 }, info = { 0 };
        FactorStatus s = FACTOR_OK;
        Tlv t;

        while (object.size > 0) {
                if (!tlv_take(&object, &t))
                        return FACTOR_MISBEHAVED;
                if (t.tag == TAG_CERTIFICATE && !certificate.at)
                        certificate = t.value;
                else if (t.tag == TAG_INFO && !info.at)
                        info = t.value;
                else if (t.tag == TAG_CERTIFICATE || t.tag == TAG_INFO)
                        return FACTOR_MISBEHAVED;
        }
        if (certificate.size == 0)
                return FACTOR_OK;
        if (info.size == 1 && (info.at[0] & INFO_GZIP))
                s = certificate_unpack(certificate, room, &certificate, ret_too_long);
        else if (certificate.size > FACTOR_CERTIFICATE_MAX)
                *ret_too_long = certificate.size;
        if (s != FACTOR_OK || *ret_too_long > 0)
                return s;
        if (!der_is_sequence(certificate))
                return FACTOR_MISBEHAVED;
        *ret = certificate;
        return FACTOR_OK;
}

static FactorStatus piv_read_certificate(
        const CardLink *link, Reply *r, unsigned char *room, Bytes *ret, size_t *ret_too_long) {
        static const unsigned char object[] = { 0x5c, 0x03, 0x5f, 0xc1, 0x05 };
        const Command get = { 0x00, 0xcb, 0x3f, 0xff, { object, sizeof(object) }, .wants = true };
        size_t head, length;
        uint32_t tag;
        FactorStatus s;
        Bytes b;
        Tlv t;

        s = command_send(link, &get, r);
        if (s != FACTOR_OK)
                return s;
        b = (Bytes){ r->bytes, r->size };
        if (r->cut) {
                if (!tlv_head(b, &tag, &head, &length) || tag != TAG_DATA || length <= b.size - head)
                        return FACTOR_MISBEHAVED;
                *ret_too_long = length;
                return FACTOR_OK;
        }
        if (sw_is_unsupported(r->sw))
                return FACTOR_OK;
        if (r->sw != SW_OK || !tlv_take(&b, &t) || t.tag != TAG_DATA || b.size > 0)
                return FACTOR_MISBEHAVED;
        return object_open(t.value, room, ret, ret_too_long);
}

/* 6 to 8 characters (part 2, 2.4.3); some cards take letters. FF is what it is filled up with. */
static bool piv_pin_is_possible(Bytes pin) {
        if (pin.size < PIN_MIN || pin.size > PIN_PADDED)
                return false;
        for (size_t i = 0; i < pin.size; i++)
                if (pin.at[i] <= ' ' || pin.at[i] > '~')
                        return false;
        return true;
}

static FactorStatus piv_present_pin(const CardLink *link, Reply *r, Bytes pin) {
        unsigned char padded[PIN_PADDED];
        FactorStatus s;

        memset(padded, 0xff, sizeof(padded));
        memcpy(padded, pin.at, pin.size);
        s = command_send(link, &(Command){ 0x00, 0x20, 0x00, PIN_REFERENCE, { padded, sizeof(padded) } }, r);
        explicit_bzero(padded, sizeof(padded));
        return s;
}

/* GENERAL AUTHENTICATE (part 2, 3.2.4; an example in appendix A.4): 7C { 82 00, 81 what is to be signed }. */
static size_t challenge_write(unsigned char *bytes, CardAlgorithm algorithm, Bytes digest) {
        if (algorithm == CARD_P256) {
                static const unsigned char head[] = { 0x7c, 0x24, 0x82, 0x00, 0x81, DIGEST_SIZE };

                memcpy(bytes, head, sizeof(head));
                memcpy(bytes + sizeof(head), digest.at, DIGEST_SIZE);
                return sizeof(head) + DIGEST_SIZE;
        }
        /* EMSA-PKCS1-v1_5 (RFC 8017, 9.2) */
        static const unsigned char head[] = { 0x7c, 0x82, 0x01, 0x06, 0x82, 0x00, 0x81, 0x82, 0x01, 0x00 };
        unsigned char *block = bytes + sizeof(head);

        memcpy(bytes, head, sizeof(head));
        memset(block, 0xff, RSA_SIZE);
        block[0] = 0x00;
        block[1] = 0x01;
        block[RSA_SIZE - DIGEST_INFO_SIZE - 1] = 0x00;
        digest_info_write(block + RSA_SIZE - DIGEST_INFO_SIZE, digest);
        return sizeof(head) + RSA_SIZE;
}

static FactorStatus piv_sign(const CardLink *link, Reply *r, CardAlgorithm algorithm, Bytes digest, Bytes *ret) {
        unsigned char bytes[16 + RSA_SIZE];
        Command sign = { 0x00, 0x87, algorithm == CARD_P256 ? P256 : RSA_2048, KEY, .wants = true };
        Bytes b, signature;
        FactorStatus s;
        Tlv t;

        sign.data = (Bytes){ bytes, challenge_write(bytes, algorithm, digest) };
        s = command_send(link, &sign, r);
        if (s != FACTOR_OK)
                return s;
        if (sw_is_unsupported(r->sw))
                return FACTOR_UNSUPPORTED;
        b = (Bytes){ r->bytes, r->size };
        if (r->sw != SW_OK || r->cut || !tlv_take(&b, &t) || t.tag != TAG_DYNAMIC || b.size > 0 ||
                !tlv_find(t.value, TAG_RESPONSE, &signature))
                return FACTOR_MISBEHAVED;
        if (algorithm == CARD_P256 ? signature.size < P256_SIGNATURE_MIN || signature.size > P256_SIGNATURE_MAX ||
                                             !der_is_sequence(signature)
                                   : signature.size != RSA_SIZE)
                return FACTOR_MISBEHAVED;
        *ret = signature;
        return FACTOR_OK;
}

const CardKind card_piv = { CARD_PIV, true, piv_select, piv_ask_tries, piv_read_certificate, piv_pin_is_possible,
        piv_present_pin, piv_sign };
