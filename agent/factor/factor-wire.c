/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/factor-wire.h"

#include <errno.h>
#include <string.h>

#include "util/cleanup.h"
#include "util/text.h"

typedef enum Form { FORM_NONE, FORM_NUMBER, FORM_TEXT, FORM_BYTES } Form;

/* What an item may hold: numbers from 1 (or 0) to max, text and bytes from min to max of them. */
static const struct {
        Form form;
        uint32_t min, max;
} forms[_FACTOR_ITEM_MAX] = {
        [FACTOR_ITEM_READER] = { FORM_TEXT, 1, FACTOR_READER_MAX },
        [FACTOR_ITEM_CARD] = { FORM_NUMBER, 1, _CARD_STATE_MAX - 1 },
        [FACTOR_ITEM_APPLICATION] = { FORM_NUMBER, 1, _CARD_APPLICATION_MAX - 1 },
        [FACTOR_ITEM_TRIES] = { FORM_NUMBER, 0, 255 },
        [FACTOR_ITEM_CERTIFICATE] = { FORM_BYTES, 1, FACTOR_CERTIFICATE_MAX },
        [FACTOR_ITEM_TOO_LONG] = { FORM_NUMBER, 0, UINT32_MAX },
        [FACTOR_ITEM_PIN] = { FORM_BYTES, 0, FACTOR_PIN_MAX },
        [FACTOR_ITEM_DIGEST] = { FORM_BYTES, 32, 32 },
        [FACTOR_ITEM_SIGNATURE] = { FORM_BYTES, 1, 1024 },
        [FACTOR_ITEM_KEY] = { FORM_NUMBER, 0, 7 },
        [FACTOR_ITEM_AAGUID] = { FORM_BYTES, 16, 16 },
        [FACTOR_ITEM_KEY_FLAGS] = { FORM_NUMBER, 0, (KEY_FLAG_FIDO2 << 1) - 1 },
        [FACTOR_ITEM_RP] = { FORM_TEXT, 1, 253 },
        [FACTOR_ITEM_CREDENTIAL] = { FORM_BYTES, 1, FACTOR_CREDENTIAL_MAX },
        [FACTOR_ITEM_USER_ID] = { FORM_BYTES, 1, 64 },
        [FACTOR_ITEM_USER_NAME] = { FORM_TEXT, 1, 64 },
        [FACTOR_ITEM_AUTH_DATA] = { FORM_BYTES, 37, 4096 },
        [FACTOR_ITEM_FORMAT] = { FORM_TEXT, 1, 32 },
        [FACTOR_ITEM_SAMPLE] = { FORM_NUMBER, 1, _SAMPLE_MAX - 1 },
        [FACTOR_ITEM_REMAINING] = { FORM_NUMBER, 0, 255 },
        [FACTOR_ITEM_TEMPLATE] = { FORM_BYTES, 1, 255 },
        [FACTOR_ITEM_ALGORITHM] = { FORM_NUMBER, 1, _CARD_ALGORITHM_MAX - 1 },
        [FACTOR_ITEM_PIN_TRIES] = { FORM_NUMBER, 0, 255 },
};

static const char *const operations[_FACTOR_OPERATION_MAX] = {
        [FACTOR_CARD_FIND] = "card-find",
        [FACTOR_CARD_SIGN] = "card-sign",
        [FACTOR_KEY_LIST] = "key-list",
        [FACTOR_KEY_FIND] = "key-find",
        [FACTOR_KEY_ASSERT] = "key-assert",
        [FACTOR_KEY_MAKE] = "key-make",
        [FACTOR_KEY_ENROLL] = "key-enroll",
        [FACTOR_KEY_TEMPLATES] = "key-templates",
        [FACTOR_KEY_REMOVE_TEMPLATE] = "key-remove-template",
        [FACTOR_WATCH] = "watch",
};

static const char *const statuses[_FACTOR_STATUS_MAX] = {
        [FACTOR_OK] = "ok",
        [FACTOR_PROGRESS] = "progress",
        [FACTOR_NO_SERVICE] = "no-service",
        [FACTOR_NO_READER] = "no-reader",
        [FACTOR_NO_CARD] = "no-card",
        [FACTOR_NO_KEY] = "no-key",
        [FACTOR_REMOVED] = "removed",
        [FACTOR_WRONG] = "wrong",
        [FACTOR_BLOCKED] = "blocked",
        [FACTOR_CHANGED] = "changed",
        [FACTOR_BUSY] = "busy",
        [FACTOR_TIMEOUT] = "timeout",
        [FACTOR_CANCELLED] = "cancelled",
        [FACTOR_UNSUPPORTED] = "unsupported",
        [FACTOR_PIN_NEEDED] = "pin-needed",
        [FACTOR_PIN_LENGTH] = "pin-length",
        [FACTOR_FULL] = "full",
        [FACTOR_MISBEHAVED] = "misbehaved",
        [FACTOR_MALFORMED] = "malformed",
        [FACTOR_INTERNAL] = "internal",
        [FACTOR_MUTE] = "mute",
};

const char *factor_operation_to_string(FactorOperation o) {
        return o > 0 && o < _FACTOR_OPERATION_MAX ? operations[o] : NULL;
}

const char *factor_status_to_string(FactorStatus s) {
        return s > 0 && s < _FACTOR_STATUS_MAX ? statuses[s] : NULL;
}

const char *card_application_to_string(CardApplication a) {
        static const char *const names[_CARD_APPLICATION_MAX] = { [CARD_PIV] = "piv", [CARD_JPKI] = "jpki" };

        return a > 0 && a < _CARD_APPLICATION_MAX ? names[a] : NULL;
}

void frame_init(Frame *f, unsigned what) {
        FrameHeader h = { FACTOR_WIRE_MAGIC, FACTOR_WIRE_VERSION, (uint16_t)what, 0 };

        memcpy(f->bytes, &h, sizeof(h));
        f->size = sizeof(h);
        f->overflow = false;
}

void frame_add(Frame *f, FactorItem item, const void *value, size_t size) {
        ItemHead h = { (uint16_t)item, (uint16_t)size };
        uint16_t length;

        if (size > FACTOR_FRAME_MAX || sizeof(h) + size > sizeof(f->bytes) - f->size) {
                f->overflow = true;
                return;
        }
        memcpy(f->bytes + f->size, &h, sizeof(h));
        if (size > 0)
                memcpy(f->bytes + f->size + sizeof(h), value, size);
        f->size += sizeof(h) + size;
        length = (uint16_t)(f->size - sizeof(FrameHeader));
        memcpy(f->bytes + offsetof(FrameHeader, length), &length, sizeof(length));
}

void frame_add_text(Frame *f, FactorItem item, const char *text) {
        frame_add(f, item, text, strlen(text));
}

void frame_add_uint(Frame *f, FactorItem item, uint32_t value) {
        frame_add(f, item, &value, sizeof(value));
}

size_t frame_room(const Frame *f) {
        return sizeof(f->bytes) - f->size;
}

void frame_set(Frame *f, unsigned what) {
        uint16_t w = (uint16_t)what;

        memcpy(f->bytes + offsetof(FrameHeader, what), &w, sizeof(w));
}

void frame_done(Frame *f) {
        explicit_bzero(f, sizeof(*f));
}

static bool is_plain(const char *text, size_t size) {
        for (size_t at = 0; at < size;) {
                uint32_t c;
                size_t n = utf8_decode(text + at, size - at, &c);

                if (n == 0 || !code_point_is_plain(c))
                        return false;
                at += n;
        }
        return true;
}

static bool item_take(FrameReader *r, FrameItem *ret) {
        size_t left = (size_t)(r->end - r->at);
        uint32_t n;
        ItemHead h;

        if (left < sizeof(h))
                return false;
        memcpy(&h, r->at, sizeof(h));
        if (h.item == 0 || h.item >= _FACTOR_ITEM_MAX || h.length > left - sizeof(h))
                return false;
        *ret = (FrameItem){ .item = (FactorItem)h.item, .bytes = r->at + sizeof(h), .size = h.length };
        n = h.length;
        if (forms[h.item].form == FORM_NUMBER) {
                if (h.length != sizeof(uint32_t))
                        return false;
                memcpy(&ret->number, ret->bytes, sizeof(uint32_t));
                n = ret->number;
        } else if (forms[h.item].form == FORM_TEXT && !is_plain((const char *)ret->bytes, ret->size))
                return false;
        if (forms[h.item].form == FORM_NONE || n < forms[h.item].min || n > forms[h.item].max)
                return false;
        r->at += sizeof(h) + h.length;
        return true;
}

int frame_open(FrameReader *ret, const void *bytes, size_t size) {
        FrameReader r;
        FrameHeader h;
        FrameItem i;

        if (size < sizeof(h) || size > FACTOR_FRAME_MAX)
                return -EPROTO;
        memcpy(&h, bytes, sizeof(h));
        if (h.magic != FACTOR_WIRE_MAGIC || h.version != FACTOR_WIRE_VERSION || h.length != size - sizeof(h))
                return -EPROTO;
        r.what = h.what;
        r.at = (const unsigned char *)bytes + sizeof(h);
        r.end = r.at + h.length;
        *ret = r;
        while (r.at < r.end)
                if (!item_take(&r, &i))
                        return -EPROTO;
        return 0;
}

bool frame_next(FrameReader *r, FrameItem *ret) {
        return r->at < r->end && item_take(r, ret);
}
