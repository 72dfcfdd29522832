/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/worker-key.h"

#include <fido/err.h>
#include <fido/param.h>
#include <string.h>

#include "factor/cbor.h"
#include "util/text.h"

#define PIN_BYTES_MIN     4u /* CTAP 2.1, 6.5.1: code points, each at least a byte */
#define PIN_BYTES_MAX     63u
#define AUTH_DATA_MIN     37u
#define AUTH_DATA_MAX     4096u
#define SIGNATURE_MAX     1024u
#define CREDENTIALS_MAX   8u
#define RETRIES_MAX       255
#define OPTION_BIO        "bioEnroll"
#define OPTION_BIO_BEFORE "userVerificationMgmtPreview"

static inline void cbor_info_free_p(fido_cbor_info_t **i) {
        fido_cbor_info_free(i);
}

static inline void assert_free_p(fido_assert_t **a) {
        fido_assert_free(a);
}

int key_agent_fd = HELPER_FD;

bool request_text(const WorkerRequest *q, FactorItem item, char ret[KEY_TEXT_MAX]) {
        FrameItem i;

        if (!worker_item(q, item, &i) || i.size >= KEY_TEXT_MAX)
                return false;
        memcpy(ret, i.bytes, i.size);
        ret[i.size] = 0;
        return true;
}

FactorStatus request_pin(const WorkerRequest *q, KeyPin *ret) {
        FrameItem i;

        if (!worker_item(q, FACTOR_ITEM_PIN, &i) || i.size < PIN_BYTES_MIN || i.size > PIN_BYTES_MAX ||
                memchr(i.bytes, 0, i.size) || !utf8_valid((const char *)i.bytes, i.size))
                return FACTOR_PIN_LENGTH;
        memcpy(ret->text, i.bytes, i.size);
        ret->text[i.size] = 0;
        return FACTOR_OK;
}

void key_pin_done(KeyPin *p) {
        explicit_bzero(p, sizeof(*p));
}

static void info_options(KeyInfo *info, const fido_cbor_info_t *i) {
        char **names = fido_cbor_info_options_name_ptr(i);
        const bool *values = fido_cbor_info_options_value_ptr(i);
        bool bio = false, before = false;

        for (size_t n = 0; n < fido_cbor_info_options_len(i); n++) {
                bio = bio || strcmp(names[n], OPTION_BIO) == 0;
                before = before || strcmp(names[n], OPTION_BIO_BEFORE) == 0;
                if (strcmp(names[n], "uv") == 0 && values[n])
                        info->flags |= KEY_FLAG_UV;
                if (strcmp(names[n], "clientPin") == 0 && values[n])
                        info->flags |= KEY_FLAG_PIN;
        }
        /* There or not is what counts: the value tells whether a finger is enrolled. */
        if (bio || before)
                info->flags |= KEY_FLAG_BIO;
        if (before && !bio)
                info->flags |= KEY_FLAG_BIO_PREVIEW;
}

FactorStatus key_info_read(KeyDevice *d, KeyInfo *ret) {
        _cleanup_(cbor_info_free_p) fido_cbor_info_t *i = NULL;
        KeyInfo info = { 0 };
        int r;

        if (!fido_dev_is_fido2(key_fido(d))) {
                *ret = info;
                return FACTOR_OK;
        }
        i = fido_cbor_info_new();
        if (!i)
                return FACTOR_INTERNAL;
        r = fido_dev_get_cbor_info(key_fido(d), i);
        if (r != FIDO_OK)
                return key_status(d, r);
        info.flags = KEY_FLAG_FIDO2;
        info_options(&info, i);
        if (fido_cbor_info_aaguid_len(i) == sizeof(info.aaguid)) {
                info.has_aaguid = true;
                memcpy(info.aaguid, fido_cbor_info_aaguid_ptr(i), sizeof(info.aaguid));
        }
        *ret = info;
        return FACTOR_OK;
}

FactorStatus key_open_with(KeyDevice **ret, const WorkerRequest *q, unsigned flags) {
        _cleanup_(key_close_p) KeyDevice *d = NULL;
        FactorStatus s;
        KeyInfo info = { 0 };

        s = key_open(&d, q->fds[0], key_agent_fd);
        if (s == FACTOR_OK)
                s = key_info_read(d, &info);
        if (s != FACTOR_OK)
                return s;
        flags |= KEY_FLAG_FIDO2;
        if ((info.flags & flags) != flags)
                return FACTOR_UNSUPPORTED;
        *ret = TAKE_PTR(d);
        return FACTOR_OK;
}

FactorStatus reply_add(Frame *reply, FactorItem item, const void *at, size_t size, size_t max) {
        if (!at || size == 0 || size > max)
                return FACTOR_MISBEHAVED;
        frame_add(reply, item, at, size);
        return FACTOR_OK;
}

FactorStatus reply_add_auth_data(Frame *reply, const void *cbor, size_t size) {
        CborReader r = { cbor, cbor ? (const unsigned char *)cbor + size : NULL };
        CborItem data;

        if (!cbor_take(&r, CBOR_BYTES, &data) || r.at != r.end || data.size < AUTH_DATA_MIN)
                return FACTOR_MISBEHAVED;
        return reply_add(reply, FACTOR_ITEM_AUTH_DATA, data.bytes, data.size, AUTH_DATA_MAX);
}

static bool retries_read(KeyDevice *d, int (*read)(fido_dev_t *dev, int *retries), unsigned *ret) {
        int n;

        if (read(key_fido(d), &n) != FIDO_OK || n < 0 || n > RETRIES_MAX)
                return false;
        *ret = (unsigned)n;
        return true;
}

/* One that is silent or of the older kind is told with no flags, one that has left not at all. */
static void list_one(int fd, uint32_t index, Frame *reply) {
        _cleanup_(key_close_p) KeyDevice *d = NULL;
        KeyInfo info = { 0 };
        FactorStatus s;
        unsigned n;

        s = key_open(&d, fd, key_agent_fd);
        if (s == FACTOR_OK)
                s = key_info_read(d, &info);
        if (s == FACTOR_REMOVED)
                return;
        frame_add_uint(reply, FACTOR_ITEM_KEY, index);
        if (info.has_aaguid)
                frame_add(reply, FACTOR_ITEM_AAGUID, info.aaguid, sizeof(info.aaguid));
        frame_add_uint(reply, FACTOR_ITEM_KEY_FLAGS, info.flags);
        if (info.flags & KEY_FLAG_UV && retries_read(d, fido_dev_get_uv_retry_count, &n))
                frame_add_uint(reply, FACTOR_ITEM_TRIES, n);
        if (info.flags & KEY_FLAG_PIN && retries_read(d, fido_dev_get_retry_count, &n))
                frame_add_uint(reply, FACTOR_ITEM_PIN_TRIES, n);
}

FactorStatus key_list(const WorkerRequest *q, Frame *reply) {
        if (worker_confine(NULL) < 0)
                return FACTOR_INTERNAL;
        for (size_t i = 0; i < q->n_fds; i++)
                list_one(q->fds[i], (uint32_t)i, reply);
        return FACTOR_OK;
}

static fido_assert_t *assert_new(const char *rp, const unsigned char digest[32], const FrameItem *credential) {
        fido_assert_t *a = fido_assert_new();

        if (a && fido_assert_set_rp(a, rp) == FIDO_OK && fido_assert_set_clientdata_hash(a, digest, 32) == FIDO_OK &&
                fido_assert_allow_cred(a, credential->bytes, credential->size) == FIDO_OK)
                return a;
        fido_assert_free(&a);
        return NULL;
}

/* Asks without touch and verification (CTAP 2.1, 6.2.2: pre-flight). What is signed serves nothing: the hash is of
 * zeros, and the flags say that nobody was there. */
static FactorStatus find_credential(KeyDevice *d, const char *rp, const FrameItem *credential) {
        static const unsigned char nothing[32];
        _cleanup_(assert_free_p) fido_assert_t *a = assert_new(rp, nothing, credential);
        int r;

        if (!a || fido_assert_set_up(a, FIDO_OPT_FALSE) != FIDO_OK)
                return FACTOR_INTERNAL;
        r = fido_dev_get_assert(key_fido(d), a, NULL);
        if (r == FIDO_OK && fido_assert_count(a) != 1)
                return FACTOR_NO_KEY;
        return key_status(d, r);
}

/* Credentials are asked for one by one: a key may take no longer lists, and then which of them it is remains unsaid. */
static FactorStatus find_on(const WorkerRequest *q, size_t index, const char *rp, Frame *reply, unsigned *found) {
        _cleanup_(key_close_p) KeyDevice *d = NULL;
        FrameReader items = q->items;
        FactorStatus s;
        FrameItem i;

        s = key_open(&d, q->fds[index], key_agent_fd);
        if (s != FACTOR_OK)
                return s;
        if (!fido_dev_is_fido2(key_fido(d)))
                return FACTOR_NO_KEY;
        while (frame_next(&items, &i) && !key_has_ended(d)) {
                if (i.item != FACTOR_ITEM_CREDENTIAL)
                        continue;
                s = find_credential(d, rp, &i);
                if (s != FACTOR_OK)
                        continue;
                frame_add_uint(reply, FACTOR_ITEM_KEY, (uint32_t)index);
                frame_add(reply, FACTOR_ITEM_CREDENTIAL, i.bytes, i.size);
                (*found)++;
        }
        return s;
}

FactorStatus key_find(const WorkerRequest *q, Frame *reply) {
        FactorStatus s = FACTOR_NO_KEY;
        char rp[KEY_TEXT_MAX];
        unsigned found = 0;

        if (!request_text(q, FACTOR_ITEM_RP, rp))
                return FACTOR_MALFORMED;
        if (worker_confine(NULL) < 0)
                return FACTOR_INTERNAL;
        for (size_t i = 0; i < q->n_fds; i++)
                s = find_on(q, i, rp, reply, &found);
        if (found > 0)
                return FACTOR_OK;
        /* With one key, what is wrong with it is worth saying. */
        return q->n_fds == 1 && s != FACTOR_OK ? s : FACTOR_NO_KEY;
}

/* What a refusal means is seen from the tries: the specification gives several codes to a finger that is not known. */
static FactorStatus assert_refused(KeyDevice *d, int r, unsigned before, bool counted, Frame *reply) {
        FactorStatus s = key_status(d, r);
        unsigned after = before;

        if (key_has_ended(d))
                return s;
        if (r != FIDO_ERR_UV_INVALID && r != FIDO_ERR_UV_BLOCKED && r != FIDO_ERR_OPERATION_DENIED &&
                r != FIDO_ERR_PIN_REQUIRED && r != FIDO_ERR_PIN_AUTH_BLOCKED && r != FIDO_ERR_NOT_ALLOWED)
                return s;
        key_set_limit(d, KEY_QUICK_MSEC);
        if (counted && retries_read(d, fido_dev_get_uv_retry_count, &after))
                frame_add_uint(reply, FACTOR_ITEM_TRIES, after);
        if (r == FIDO_ERR_UV_INVALID || after < before)
                return FACTOR_WRONG;
        if (r == FIDO_ERR_UV_BLOCKED || r == FIDO_ERR_PIN_AUTH_BLOCKED || (counted && after == 0))
                return FACTOR_BLOCKED;
        return r == FIDO_ERR_OPERATION_DENIED ? FACTOR_CANCELLED : FACTOR_UNSUPPORTED;
}

static FactorStatus assert_reply(const fido_assert_t *a, Frame *reply) {
        FactorStatus s;

        if (fido_assert_count(a) != 1)
                return FACTOR_MISBEHAVED;
        s = reply_add_auth_data(reply, fido_assert_authdata_ptr(a, 0), fido_assert_authdata_len(a, 0));
        if (s == FACTOR_OK)
                s = reply_add(reply, FACTOR_ITEM_SIGNATURE, fido_assert_sig_ptr(a, 0), fido_assert_sig_len(a, 0),
                        SIGNATURE_MAX);
        /* May be left out when only one was asked for (CTAP 2.1, 6.2.2). */
        if (s == FACTOR_OK && fido_assert_id_len(a, 0) > 0)
                s = reply_add(reply, FACTOR_ITEM_CREDENTIAL, fido_assert_id_ptr(a, 0), fido_assert_id_len(a, 0),
                        FACTOR_CREDENTIAL_MAX);
        return s;
}

FactorStatus key_assert(const WorkerRequest *q, Frame *reply) {
        _cleanup_(assert_free_p) fido_assert_t *a = NULL;
        _cleanup_(key_close_p) KeyDevice *d = NULL;
        FrameItem digest, credential;
        unsigned tries = 0;
        char rp[KEY_TEXT_MAX];
        FactorStatus s;
        bool counted;
        int r;

        if (!request_text(q, FACTOR_ITEM_RP, rp) || !worker_item(q, FACTOR_ITEM_DIGEST, &digest) ||
                !worker_item(q, FACTOR_ITEM_CREDENTIAL, &credential))
                return FACTOR_MALFORMED;
        if (worker_confine(NULL) < 0)
                return FACTOR_INTERNAL;
        a = assert_new(rp, digest.bytes, &credential);
        if (!a || fido_assert_set_up(a, FIDO_OPT_TRUE) != FIDO_OK || fido_assert_set_uv(a, FIDO_OPT_TRUE) != FIDO_OK)
                return FACTOR_INTERNAL;
        /* A key that could only ask for a PIN is not asked at all. */
        s = key_open_with(&d, q, KEY_FLAG_UV);
        if (s != FACTOR_OK)
                return s;
        counted = retries_read(d, fido_dev_get_uv_retry_count, &tries);
        if (key_has_ended(d))
                return key_status(d, FIDO_OK);
        if (counted && tries == 0) {
                frame_add_uint(reply, FACTOR_ITEM_TRIES, 0);
                return FACTOR_BLOCKED;
        }
        key_set_limit(d, KEY_TOUCH_MSEC);
        /* Without a PIN libfido2 has the key verify by itself: getPinUvAuthTokenUsingUv, or the option uv. */
        r = fido_dev_get_assert(key_fido(d), a, NULL);
        return r == FIDO_OK ? assert_reply(a, reply) : assert_refused(d, r, tries, counted, reply);
}
