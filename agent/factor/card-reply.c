/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/card-reply.h"

#include <errno.h>
#include <string.h>

static int find_item(const FrameItem *i, CardFoundReader *readers, size_t *n) {
        CardFoundReader *reader = *n > 0 ? &readers[*n - 1] : NULL;
        CardFoundApplication *application = reader && reader->n > 0 ? &reader->applications[reader->n - 1] : NULL;

        switch (i->item) {
        case FACTOR_ITEM_READER:
                if (*n == FACTOR_READERS_MAX)
                        return -EPROTO;
                reader = &readers[(*n)++];
                *reader = (CardFoundReader){ .state = CARD_ABSENT };
                memcpy(reader->name, i->bytes, i->size);
                return 0;
        case FACTOR_ITEM_CARD:
                if (!reader || reader->n > 0)
                        return -EPROTO;
                reader->state = (CardState)i->number;
                return 0;
        case FACTOR_ITEM_APPLICATION:
                if (!reader || reader->state != CARD_PRESENT || reader->n == CARD_APPLICATIONS_MAX)
                        return -EPROTO;
                reader->applications[reader->n++] = (CardFoundApplication){ .application = (CardApplication)i->number };
                return 0;
        case FACTOR_ITEM_TRIES:
                if (!application || application->has_tries)
                        return -EPROTO;
                application->has_tries = true;
                application->tries = i->number;
                return 0;
        case FACTOR_ITEM_CERTIFICATE:
                if (!application || application->certificate.size > 0)
                        return -EPROTO;
                application->certificate = (Bytes){ i->bytes, i->size };
                return 0;
        case FACTOR_ITEM_TOO_LONG:
                if (!application)
                        return -EPROTO;
                application->too_long = true;
                return 0;
        default:
                return -EPROTO;
        }
}

int card_find_reply(const void *bytes, size_t size, FactorStatus *ret_status, CardFoundReader *ret, size_t *ret_n) {
        FrameReader r;
        FrameItem i;
        size_t n = 0;

        if (frame_open(&r, bytes, size) < 0 || r.what == 0 || r.what >= _FACTOR_STATUS_MAX || r.what == FACTOR_PROGRESS)
                return -EPROTO;
        while (frame_next(&r, &i))
                if (r.what != FACTOR_OK || find_item(&i, ret, &n) < 0)
                        return -EPROTO;
        *ret_status = (FactorStatus)r.what;
        *ret_n = n;
        return 0;
}

int card_sign_reply(const void *bytes, size_t size, CardSigned *ret) {
        CardSigned s = {};
        FrameReader r;
        FrameItem i;

        if (frame_open(&r, bytes, size) < 0 || r.what == 0 || r.what >= _FACTOR_STATUS_MAX || r.what == FACTOR_PROGRESS)
                return -EPROTO;
        s.status = (FactorStatus)r.what;
        while (frame_next(&r, &i))
                if (i.item == FACTOR_ITEM_TRIES && !s.has_tries) {
                        s.has_tries = true;
                        s.tries = i.number;
                } else if (i.item == FACTOR_ITEM_SIGNATURE && s.signature.size == 0 && s.status == FACTOR_OK)
                        s.signature = (Bytes){ i.bytes, i.size };
                else
                        return -EPROTO;
        if (s.status == FACTOR_OK && s.signature.size == 0)
                return -EPROTO;
        *ret = s;
        return 0;
}

bool card_watch_reply(const void *bytes, size_t size, bool *ret_card) {
        FrameReader r;
        FrameItem i;

        *ret_card = false;
        if (frame_open(&r, bytes, size) < 0 || r.what != FACTOR_PROGRESS)
                return false;
        while (frame_next(&r, &i))
                if (i.item == FACTOR_ITEM_CARD && i.number != CARD_ABSENT)
                        *ret_card = true;
        return true;
}
