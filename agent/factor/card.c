/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/card.h"

#include <string.h>

#include "util/cleanup.h"

static const CardKind *const kinds[CARD_KINDS] = { &card_piv, &card_jpki };

void digest_info_write(unsigned char *bytes, Bytes digest) {
        static const unsigned char head[DIGEST_INFO_HEAD] = { 0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48,
                0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20 };

        memcpy(bytes, head, sizeof(head));
        memcpy(bytes + sizeof(head), digest.at, DIGEST_SIZE);
}

static FactorStatus application_read(const CardLink *link, const CardKind *kind, Reply *r, CardContents *ret) {
        Bytes certificate = { 0 };
        FactorStatus s;

        *ret = (CardContents){ .application = kind->application };
        s = kind->ask_tries(link, r);
        if (s != FACTOR_OK)
                return s;
        ret->has_tries = sw_tries(r->sw, &ret->tries);
        s = kind->read_certificate(link, r, ret->certificate, &certificate, &ret->too_long);
        if (s != FACTOR_OK)
                return s;
        ret->size = certificate.size;
        if (certificate.size > 0 && certificate.at != ret->certificate)
                memcpy(ret->certificate, certificate.at, certificate.size);
        return FACTOR_OK;
}

FactorStatus card_read(const CardLink *link, CardContents *ret, size_t *ret_n) {
        _cleanup_free_ Reply *r = malloc(sizeof(*r));
        size_t n = 0;

        if (!r)
                return FACTOR_INTERNAL;
        for (size_t i = 0; i < CARD_KINDS; i++) {
                bool has = false;
                FactorStatus s = kinds[i]->select(link, r, &has);

                if (s == FACTOR_OK && has)
                        s = application_read(link, kinds[i], r, &ret[n++]);
                if (s != FACTOR_OK)
                        return s;
        }
        *ret_n = n;
        return FACTOR_OK;
}

static FactorStatus application_select(const CardLink *link, const CardKind *kind, Reply *r) {
        bool has = false;
        FactorStatus s = kind->select(link, r, &has);

        if (s != FACTOR_OK)
                return s;
        return has ? FACTOR_OK : FACTOR_CHANGED;
}

/* Selects, and learns how many tries there are. */
static FactorStatus tries_read(const CardLink *link, const CardKind *kind, Reply *r, CardAnswer *ret) {
        FactorStatus s;

        s = application_select(link, kind, r);
        if (s == FACTOR_OK)
                s = kind->ask_tries(link, r);
        if (s == FACTOR_OK && r->sw == SW_OK) {
                /* Somebody's PIN is still presented: such a card says nothing about tries. */
                s = link->reset(link->userdata);
                if (s == FACTOR_OK)
                        s = application_select(link, kind, r);
                if (s == FACTOR_OK)
                        s = kind->ask_tries(link, r);
        }
        if (s == FACTOR_OK)
                ret->has_tries = sw_tries(r->sw, &ret->tries);
        return s;
}

/* What VERIFY with a PIN said. */
static FactorStatus verdict_of_pin(unsigned sw, CardAnswer *ret) {
        unsigned left;

        ret->has_tries = false;
        if (sw == SW_OK)
                return FACTOR_OK;
        if (sw_tries(sw, &left)) {
                ret->has_tries = true;
                ret->tries = left;
                return FACTOR_WRONG;
        }
        if (sw == SW_NO_INFORMATION)
                return FACTOR_WRONG;
        if (sw == SW_WRONG_DATA || sw == SW_WRONG_LENGTH)
                return FACTOR_PIN_LENGTH;
        return sw_is_unsupported(sw) ? FACTOR_UNSUPPORTED : FACTOR_MISBEHAVED;
}

FactorStatus card_prove(const CardLink *link, const CardQuestion *q, CardAnswer *ret) {
        _cleanup_free_ Reply *r = malloc(sizeof(*r));
        const CardKind *kind = NULL;
        Bytes signature;
        FactorStatus s;

        *ret = (CardAnswer){ 0 };
        for (size_t i = 0; i < CARD_KINDS; i++)
                if (kinds[i]->application == q->application)
                        kind = kinds[i];
        if (!r || !kind)
                return FACTOR_INTERNAL;
        if (q->digest.size != DIGEST_SIZE)
                return FACTOR_MALFORMED;
        if (q->algorithm == CARD_P256 && !kind->has_p256)
                return FACTOR_UNSUPPORTED;
        if (!kind->pin_is_possible((Bytes){ q->pin, q->pin_size }))
                return FACTOR_PIN_LENGTH;

        s = tries_read(link, kind, r, ret);
        if (s != FACTOR_OK)
                return s;
        if (ret->has_tries && ret->tries == 0)
                return FACTOR_BLOCKED;
        if (q->has_tries && (!ret->has_tries || ret->tries < q->tries))
                return FACTOR_CHANGED;

        s = kind->present_pin(link, r, (Bytes){ q->pin, q->pin_size });
        explicit_bzero(q->pin, q->pin_size);
        if (s == FACTOR_OK)
                s = verdict_of_pin(r->sw, ret);
        if (s == FACTOR_OK)
                s = kind->sign(link, r, q->algorithm, q->digest, &signature);
        if (s != FACTOR_OK)
                return s;
        if (signature.size == 0 || signature.size > sizeof(ret->signature))
                return FACTOR_MISBEHAVED;
        memcpy(ret->signature, signature.at, signature.size);
        ret->size = signature.size;
        return FACTOR_OK;
}
