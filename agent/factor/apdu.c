/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/apdu.h"

#include <string.h>

#define DATA_MAX      255u
#define HEAD_SIZE     4u
#define CLA_CHAINING  0x10u
#define INS_GET       0xc0u
#define EXCHANGES_MAX 256u /* a certificate of 20 KiB in pieces of 80 bytes */

/* One short command (ISO 7816-3, 12.1.3) and its reply behind what `r` has already. */
static FactorStatus exchange(
        const CardLink *link, const unsigned char head[HEAD_SIZE], Bytes data, bool wants, unsigned char le, Reply *r) {
        unsigned char bytes[HEAD_SIZE + 1 + DATA_MAX + 1];
        size_t n = HEAD_SIZE, room = sizeof(r->bytes) - r->size;
        FactorStatus s;

        memcpy(bytes, head, HEAD_SIZE);
        if (data.size > 0) {
                bytes[n++] = (unsigned char)data.size;
                memcpy(bytes + n, data.at, data.size);
                n += data.size;
        }
        if (wants && (data.size == 0 || !link->t0))
                bytes[n++] = le;
        else if (data.size == 0 && link->t0)
                bytes[n++] = 0; /* P3 */
        s = link->transmit(link->userdata, bytes, n, r->bytes + r->size, &room);
        explicit_bzero(bytes, sizeof(bytes));
        if (s != FACTOR_OK)
                return s;
        if (room < 2 || room > sizeof(r->bytes) - r->size)
                return FACTOR_MISBEHAVED;
        r->size += room - 2;
        r->sw = (unsigned)r->bytes[r->size] << 8 | r->bytes[r->size + 1];
        return FACTOR_OK;
}

/* As exchange(), and once more with the length that the card asks for. */
static FactorStatus exchange_exact(
        const CardLink *link, const unsigned char head[HEAD_SIZE], Bytes data, bool wants, unsigned char le, Reply *r) {
        size_t before = r->size;
        FactorStatus s;

        s = exchange(link, head, data, wants, le, r);
        if (s != FACTOR_OK || r->sw >> 8 != 0x6c)
                return s;
        if (!wants || r->size != before)
                return FACTOR_MISBEHAVED;
        s = exchange(link, head, data, true, (unsigned char)r->sw, r);
        return s == FACTOR_OK && r->sw >> 8 == 0x6c ? FACTOR_MISBEHAVED : s;
}

FactorStatus command_send(const CardLink *link, const Command *c, Reply *ret) {
        unsigned char head[HEAD_SIZE] = { c->cla, c->ins, c->p1, c->p2 };
        const unsigned char get[HEAD_SIZE] = { (unsigned char)(c->cla & 0x03), INS_GET, 0, 0 };
        Bytes data = c->data;
        FactorStatus s;

        ret->size = 0;
        ret->cut = false;
        for (; data.size > DATA_MAX; data.at += DATA_MAX, data.size -= DATA_MAX) {
                head[0] = c->cla | CLA_CHAINING;
                s = exchange(link, head, (Bytes){ data.at, DATA_MAX }, false, 0, ret);
                if (s != FACTOR_OK || ret->sw != SW_OK)
                        return s;
                if (ret->size > 0)
                        return FACTOR_MISBEHAVED;
        }
        head[0] = c->cla;
        s = exchange_exact(link, head, data, c->wants, c->le, ret);
        for (unsigned n = 1; s == FACTOR_OK && ret->sw >> 8 == 0x61; n++) {
                size_t before = ret->size;

                if (!c->wants || n == EXCHANGES_MAX)
                        return FACTOR_MISBEHAVED;
                if (ret->size + 256 > REPLY_MAX) {
                        ret->cut = true;
                        return FACTOR_OK;
                }
                s = exchange_exact(link, get, (Bytes){ 0 }, true, (unsigned char)ret->sw, ret);
                if (s == FACTOR_OK && ret->size == before && ret->sw >> 8 == 0x61)
                        return FACTOR_MISBEHAVED;
        }
        return s;
}

bool sw_tries(unsigned sw, unsigned *ret) {
        if ((sw & 0xfff0) == 0x63c0)
                *ret = sw & 0xf;
        else if (sw == SW_BLOCKED)
                *ret = 0;
        else
                return false;
        return true;
}

bool sw_is_unsupported(unsigned sw) {
        return sw == SW_SECURITY_STATUS || sw == SW_DATA_UNUSABLE || sw == SW_CONDITIONS || sw == SW_WRONG_DATA ||
               sw == SW_UNSUPPORTED || sw == SW_FILE_NOT_FOUND || sw == SW_WRONG_P1P2 || sw == SW_REFERENCE_NOT_FOUND ||
               sw == SW_INS_UNSUPPORTED || sw == SW_WRONG_LENGTH;
}
