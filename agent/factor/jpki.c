/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* 個人番号カード, 公的個人認証 (JPKI), 利用者証明用 only: its PIN is EF 0018, its key EF 0017, its certificate EF 000A.
 * The files of the signing set (署名用) are never selected. */

#include <stdlib.h>
#include <string.h>

#include "factor/card.h"

#define FILE_CERTIFICATE 0x0au
#define FILE_KEY         0x17u
#define FILE_PIN         0x18u
#define PIN_SIZE         4u
#define RSA_SIZE         256u
#define PIECE            256u
#define PIECES_MAX       256u

static FactorStatus jpki_select(const CardLink *link, Reply *r, bool *ret_has) {
        static const unsigned char name[] = { 0xd3, 0x92, 0xf0, 0x00, 0x26, 0x01, 0x00, 0x00, 0x00, 0x01 };
        FactorStatus s;

        s = command_send(link, &(Command){ 0x00, 0xa4, 0x04, 0x0c, { name, sizeof(name) } }, r);
        if (s != FACTOR_OK)
                return s;
        *ret_has = r->sw == SW_OK;
        return FACTOR_OK;
}

static FactorStatus file_select(const CardLink *link, unsigned char id, Reply *r) {
        const unsigned char name[] = { 0x00, id };

        return command_send(link, &(Command){ 0x00, 0xa4, 0x02, 0x0c, { name, sizeof(name) } }, r);
}

static FactorStatus jpki_ask_tries(const CardLink *link, Reply *r) {
        FactorStatus s;

        s = file_select(link, FILE_PIN, r);
        if (s != FACTOR_OK || r->sw != SW_OK)
                return s != FACTOR_OK ? s : FACTOR_MISBEHAVED;
        return command_send(link, &(Command){ 0x00, 0x20, 0x00, 0x80 }, r);
}

/* READ BINARY of what follows the `whole` that is there. Appends it. */
static FactorStatus piece_read(const CardLink *link, Reply *piece, Reply *whole, size_t want) {
        const Command read = { 0x00, 0xb0, (unsigned char)(whole->size >> 8), (unsigned char)whole->size, .wants = true,
                .le = (unsigned char)want };
        FactorStatus s;

        s = command_send(link, &read, piece);
        if (s != FACTOR_OK)
                return s;
        if (piece->cut || (piece->sw != SW_OK && piece->sw != SW_END_OF_FILE) || piece->size == 0 || piece->size > want)
                return FACTOR_MISBEHAVED;
        memcpy(whole->bytes + whole->size, piece->bytes, piece->size);
        whole->size += piece->size;
        return FACTOR_OK;
}

/* The file is longer than the certificate in it, whose own head says where it ends. */
static FactorStatus jpki_read_certificate(
        const CardLink *link, Reply *r, unsigned char *room, Bytes *ret, size_t *ret_too_long) {
        size_t head, length, size = PIECE;
        uint32_t tag;
        FactorStatus s;

        s = file_select(link, FILE_CERTIFICATE, r);
        if (s != FACTOR_OK)
                return s;
        if (r->sw != SW_OK)
                return FACTOR_OK;

        Reply *piece = malloc(sizeof(*piece));
        if (!piece)
                return FACTOR_INTERNAL;
        r->size = 0;
        for (unsigned n = 0; s == FACTOR_OK && r->size < size; n++) {
                size_t want = size - r->size;

                s = n == PIECES_MAX ? FACTOR_MISBEHAVED : piece_read(link, piece, r, want < PIECE ? want : PIECE);
                if (s != FACTOR_OK || n > 0)
                        continue;
                if (!tlv_head((Bytes){ r->bytes, r->size }, &tag, &head, &length) || tag != 0x30)
                        s = FACTOR_MISBEHAVED;
                else if (head + length > FACTOR_CERTIFICATE_MAX) {
                        *ret_too_long = head + length;
                        break;
                } else
                        size = head + length;
        }
        free(piece);
        if (s != FACTOR_OK || *ret_too_long > 0)
                return s;
        *ret = (Bytes){ r->bytes, size };
        return der_is_sequence(*ret) ? FACTOR_OK : FACTOR_MISBEHAVED;
}

static bool jpki_pin_is_possible(Bytes pin) {
        for (size_t i = 0; i < pin.size; i++)
                if (pin.at[i] < '0' || pin.at[i] > '9')
                        return false;
        return pin.size == PIN_SIZE;
}

/* The PIN's file is still selected since jpki_ask_tries(). */
static FactorStatus jpki_present_pin(const CardLink *link, Reply *r, Bytes pin) {
        return command_send(link, &(Command){ 0x00, 0x20, 0x00, 0x80, pin }, r);
}

static FactorStatus jpki_sign(const CardLink *link, Reply *r, CardAlgorithm algorithm, Bytes digest, Bytes *ret) {
        unsigned char info[DIGEST_INFO_SIZE];
        FactorStatus s;

        s = file_select(link, FILE_KEY, r);
        if (s != FACTOR_OK)
                return s;
        if (r->sw != SW_OK)
                return sw_is_unsupported(r->sw) ? FACTOR_UNSUPPORTED : FACTOR_MISBEHAVED;
        /* COMPUTE DIGITAL SIGNATURE of the card's own class: it pads. */
        digest_info_write(info, digest);
        s = command_send(link, &(Command){ 0x80, 0x2a, 0x00, 0x80, { info, sizeof(info) }, .wants = true }, r);
        if (s != FACTOR_OK)
                return s;
        if (sw_is_unsupported(r->sw))
                return FACTOR_UNSUPPORTED;
        if (r->sw != SW_OK || r->cut || r->size != RSA_SIZE)
                return FACTOR_MISBEHAVED;
        *ret = (Bytes){ r->bytes, r->size };
        return FACTOR_OK;
}

const CardKind card_jpki = { CARD_JPKI, false, jpki_select, jpki_ask_tries, jpki_read_certificate, jpki_pin_is_possible,
        jpki_present_pin, jpki_sign };
