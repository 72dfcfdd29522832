/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/key-reply.h"

#include <errno.h>
#include <string.h>

static bool reply_open(FrameReader *ret, const void *bytes, size_t size) {
        return frame_open(ret, bytes, size) == 0 && ret->what > 0 && ret->what < _FACTOR_STATUS_MAX;
}

static bool number_take(bool *has, unsigned *n, const FrameItem *i) {
        if (*has)
                return false;
        *has = true;
        *n = i->number;
        return true;
}

static bool bytes_take(Bytes *b, const FrameItem *i) {
        if (b->size > 0)
                return false;
        *b = (Bytes){ i->bytes, i->size };
        return true;
}

static bool list_item(const FrameItem *i, size_t n_fds, KeyListed *keys, size_t *n) {
        KeyListed *k = *n > 0 ? &keys[*n - 1] : NULL;

        if (i->item == FACTOR_ITEM_KEY) {
                /* In the order of the descriptors, so none twice. */
                if (*n == HELPER_FDS_MAX || i->number >= n_fds || (k && i->number <= k->index))
                        return false;
                keys[(*n)++] = (KeyListed){ .index = i->number };
                return true;
        }
        if (!k)
                return false;
        switch (i->item) {
        case FACTOR_ITEM_AAGUID:
                if (k->has_aaguid)
                        return false;
                k->has_aaguid = true;
                memcpy(k->aaguid, i->bytes, sizeof(k->aaguid));
                return true;
        case FACTOR_ITEM_KEY_FLAGS:
                k->flags |= i->number;
                return true;
        case FACTOR_ITEM_TRIES:
                return number_take(&k->has_tries, &k->tries, i);
        case FACTOR_ITEM_PIN_TRIES:
                return number_take(&k->has_pin_tries, &k->pin_tries, i);
        default:
                return false;
        }
}

int key_list_reply(
        const void *bytes, size_t size, size_t n_fds, FactorStatus *ret_status, KeyListed *ret, size_t *ret_n) {
        FrameReader r;
        FrameItem i;
        size_t n = 0;

        if (!reply_open(&r, bytes, size) || r.what == FACTOR_PROGRESS)
                return -EPROTO;
        while (frame_next(&r, &i))
                if (r.what != FACTOR_OK || !list_item(&i, n_fds, ret, &n))
                        return -EPROTO;
        *ret_status = (FactorStatus)r.what;
        *ret_n = n;
        return 0;
}

int key_find_reply(const void *bytes, size_t size, size_t n_keys, KeyFound *ret) {
        bool credential_follows = false;
        KeyFound f = {};
        FrameReader r;
        FrameItem i;

        if (!reply_open(&r, bytes, size) || r.what == FACTOR_PROGRESS)
                return -EPROTO;
        f.status = (FactorStatus)r.what;
        while (frame_next(&r, &i)) {
                if (f.status != FACTOR_OK || i.item != (credential_follows ? FACTOR_ITEM_CREDENTIAL : FACTOR_ITEM_KEY))
                        return -EPROTO;
                if (!credential_follows) {
                        if (i.number >= n_keys)
                                return -EPROTO;
                        if (!f.found)
                                f.key = i.number;
                } else if (!f.found) {
                        f.found = true;
                        f.credential = (Bytes){ i.bytes, i.size };
                }
                credential_follows = !credential_follows;
        }
        if (credential_follows || (f.status == FACTOR_OK && !f.found))
                return -EPROTO;
        *ret = f;
        return 0;
}

static bool reply_item(KeyReply *k, const FrameItem *i) {
        switch (i->item) {
        case FACTOR_ITEM_TRIES:
                return number_take(&k->has_tries, &k->tries, i);
        case FACTOR_ITEM_PIN_TRIES:
                return number_take(&k->has_pin_tries, &k->pin_tries, i);
        case FACTOR_ITEM_REMAINING:
                return number_take(&k->has_remaining, &k->remaining, i);
        case FACTOR_ITEM_SAMPLE:
                if (k->has_sample)
                        return false;
                k->has_sample = true;
                k->sample = (SampleHint)i->number;
                return true;
        case FACTOR_ITEM_CREDENTIAL:
                return bytes_take(&k->credential, i);
        case FACTOR_ITEM_AUTH_DATA:
                return bytes_take(&k->auth_data, i);
        case FACTOR_ITEM_SIGNATURE:
                return bytes_take(&k->signature, i);
        case FACTOR_ITEM_FORMAT:
                if (*k->format || i->size >= sizeof(k->format))
                        return false;
                memcpy(k->format, i->bytes, i->size);
                return true;
        case FACTOR_ITEM_CERTIFICATE:
                if (k->n_certificates == KEY_CHAIN_MAX)
                        return false;
                k->certificates[k->n_certificates++] = (Bytes){ i->bytes, i->size };
                return true;
        case FACTOR_ITEM_TEMPLATE:
                if (k->n_templates == KEY_TEMPLATES_MAX)
                        return false;
                k->templates[k->n_templates++] = (Bytes){ i->bytes, i->size };
                return true;
        default:
                return false;
        }
}

#define HAS(item) (1u << (item))

/* What may stand in a reply of that status, and what must. */
static const struct {
        unsigned may, must;
} items_of[_FACTOR_OPERATION_MAX] = {
        [FACTOR_KEY_ASSERT] = { HAS(FACTOR_ITEM_CREDENTIAL) | HAS(FACTOR_ITEM_AUTH_DATA) | HAS(FACTOR_ITEM_SIGNATURE),
                HAS(FACTOR_ITEM_AUTH_DATA) | HAS(FACTOR_ITEM_SIGNATURE) },
        [FACTOR_KEY_MAKE] = { HAS(FACTOR_ITEM_CREDENTIAL) | HAS(FACTOR_ITEM_AUTH_DATA) | HAS(FACTOR_ITEM_SIGNATURE) |
                                      HAS(FACTOR_ITEM_FORMAT) | HAS(FACTOR_ITEM_CERTIFICATE),
                HAS(FACTOR_ITEM_CREDENTIAL) | HAS(FACTOR_ITEM_AUTH_DATA) | HAS(FACTOR_ITEM_FORMAT) },
        [FACTOR_KEY_ENROLL] = { HAS(FACTOR_ITEM_TEMPLATE), HAS(FACTOR_ITEM_TEMPLATE) },
        [FACTOR_KEY_TEMPLATES] = { HAS(FACTOR_ITEM_TEMPLATE), 0 },
};

int key_reply(FactorOperation operation, const void *bytes, size_t size, KeyReply *ret) {
        unsigned may, must = 0, seen = 0;
        KeyReply k = {};
        FrameReader r;
        FrameItem i;

        _Static_assert(_FACTOR_ITEM_MAX <= 32, "items fit a word");
        if (!reply_open(&r, bytes, size) || operation < FACTOR_KEY_ASSERT || operation > FACTOR_KEY_REMOVE_TEMPLATE)
                return -EPROTO;
        k.status = (FactorStatus)r.what;
        if (k.status == FACTOR_PROGRESS) {
                if (operation != FACTOR_KEY_ENROLL)
                        return -EPROTO;
                may = HAS(FACTOR_ITEM_SAMPLE) | HAS(FACTOR_ITEM_REMAINING);
                must = HAS(FACTOR_ITEM_REMAINING);
        } else if (k.status == FACTOR_OK) {
                may = items_of[operation].may;
                must = items_of[operation].must;
        } else
                may = HAS(FACTOR_ITEM_TRIES) | HAS(FACTOR_ITEM_PIN_TRIES);

        while (frame_next(&r, &i)) {
                if (!(may & HAS(i.item)) || !reply_item(&k, &i))
                        return -EPROTO;
                seen |= HAS(i.item);
        }
        if ((seen & must) != must || (operation == FACTOR_KEY_ENROLL && k.n_templates > 1))
                return -EPROTO;
        *ret = k;
        return 0;
}

int key_assert_reply(const void *bytes, size_t size, KeyAsserted *ret) {
        KeyReply k;
        int r;

        r = key_reply(FACTOR_KEY_ASSERT, bytes, size, &k);
        if (r < 0)
                return r;
        *ret = (KeyAsserted){
                .status = k.status,
                .has_tries = k.has_tries,
                .tries = k.tries,
                .auth_data = k.auth_data,
                .signature = k.signature,
                .credential = k.credential,
        };
        return 0;
}
