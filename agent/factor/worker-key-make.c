/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a registrar does with a key: a credential, fingers. Everything here is behind the key's PIN. */

#include <fido/bio.h>
#include <fido/err.h>
#include <fido/param.h>
#include <string.h>

#include "factor/cbor.h"
#include "factor/worker-key.h"
#include "util/clock.h"

#define SAMPLES_MAX     100u /* good and bad ones of one finger */
#define SAMPLE_MSEC     15000u
#define FORMAT_MAX      32u
#define SIGNATURE_MAX   1024u
#define TEMPLATE_MAX    255u
#define TEMPLATES_MAX   64u
#define CHAIN_MAX       6u
#define RETRIES_INVALID 256

static inline void cred_free_p(fido_cred_t **c) {
        fido_cred_free(c);
}

static inline void bio_template_free_p(fido_bio_template_t **t) {
        fido_bio_template_free(t);
}

static inline void bio_enroll_free_p(fido_bio_enroll_t **e) {
        fido_bio_enroll_free(e);
}

static inline void bio_info_free_p(fido_bio_info_t **i) {
        fido_bio_info_free(i);
}

static inline void bio_array_free_p(fido_bio_template_array_t **a) {
        fido_bio_template_array_free(a);
}

/* Opens the key for something that its PIN is needed for, when as many tries are left as keishid told the person. */
static FactorStatus open_for_pin(KeyDevice **ret, const WorkerRequest *q, unsigned flags, Frame *reply) {
        _cleanup_(key_close_p) KeyDevice *d = NULL;
        FactorStatus s;
        FrameItem told;
        int n;

        s = key_open_with(&d, q, flags);
        if (s != FACTOR_OK)
                return s;
        if (!fido_dev_has_pin(key_fido(d)))
                return FACTOR_PIN_NEEDED;
        if (fido_dev_get_retry_count(key_fido(d), &n) == FIDO_OK && n >= 0 && n < RETRIES_INVALID) {
                bool changed = worker_item(q, FACTOR_ITEM_PIN_TRIES, &told) && (unsigned)n < told.number;

                if (n == 0 || changed)
                        frame_add_uint(reply, FACTOR_ITEM_PIN_TRIES, (uint32_t)n);
                if (n == 0)
                        return FACTOR_BLOCKED;
                if (changed)
                        return FACTOR_CHANGED;
        }
        if (key_has_ended(d))
                return key_status(d, FIDO_OK);
        key_set_limit(d, KEY_TOUCH_MSEC);
        *ret = TAKE_PTR(d);
        return FACTOR_OK;
}

/* What an operation with the PIN ended in. */
static FactorStatus pin_status(KeyDevice *d, int r, Frame *reply) {
        int n;

        if (key_has_ended(d))
                return key_status(d, r);
        switch (r) {
        case FIDO_ERR_PIN_INVALID:
        case FIDO_ERR_PIN_BLOCKED:
        case FIDO_ERR_PIN_AUTH_BLOCKED:
                key_set_limit(d, KEY_QUICK_MSEC);
                if (fido_dev_get_retry_count(key_fido(d), &n) == FIDO_OK && n >= 0 && n < RETRIES_INVALID)
                        frame_add_uint(reply, FACTOR_ITEM_PIN_TRIES, (uint32_t)n);
                /* AUTH_BLOCKED: tries may be left, and the key wants to be taken out and put in again before them. */
                return r == FIDO_ERR_PIN_AUTH_BLOCKED ? FACTOR_BLOCKED : FACTOR_WRONG;
        case FIDO_ERR_OPERATION_DENIED:
                return FACTOR_CANCELLED;
        case FIDO_ERR_UV_BLOCKED:
                return FACTOR_BLOCKED;
        default:
                return key_status(d, r);
        }
}

/* The chain of a packed attestation statement: libfido2 1.12 hands out its leaf only. {"alg": …, "sig": …, "x5c":
 * [leaf, …]} */
static FactorStatus reply_add_chain(Frame *reply, const unsigned char *statement, size_t size) {
        CborReader r = { statement, statement ? statement + size : NULL };
        CborItem map, name, array, certificate;

        if (!cbor_take(&r, CBOR_MAP, &map))
                return FACTOR_MISBEHAVED;
        for (uint64_t i = 0; i < map.number; i++) {
                if (!cbor_take(&r, CBOR_TEXT, &name))
                        return FACTOR_MISBEHAVED;
                if (!cbor_is_text(&name, "x5c")) {
                        if (!cbor_skip(&r))
                                return FACTOR_MISBEHAVED;
                        continue;
                }
                if (!cbor_take(&r, CBOR_ARRAY, &array) || array.number > CHAIN_MAX)
                        return FACTOR_MISBEHAVED;
                for (uint64_t n = 0; n < array.number; n++) {
                        FactorStatus s;

                        if (!cbor_take(&r, CBOR_BYTES, &certificate))
                                return FACTOR_MISBEHAVED;
                        s = reply_add(reply, FACTOR_ITEM_CERTIFICATE, certificate.bytes, certificate.size,
                                FACTOR_CERTIFICATE_MAX);
                        if (s != FACTOR_OK)
                                return s;
                }
        }
        return r.at == r.end ? FACTOR_OK : FACTOR_MISBEHAVED;
}

static FactorStatus make_reply(const fido_cred_t *c, Frame *reply) {
        const char *format = fido_cred_fmt(c);
        FactorStatus s;

        s = reply_add(reply, FACTOR_ITEM_CREDENTIAL, fido_cred_id_ptr(c), fido_cred_id_len(c), FACTOR_CREDENTIAL_MAX);
        if (s == FACTOR_OK)
                s = reply_add_auth_data(reply, fido_cred_authdata_ptr(c), fido_cred_authdata_len(c));
        if (s == FACTOR_OK)
                s = reply_add(reply, FACTOR_ITEM_FORMAT, format, format ? strlen(format) : 0, FORMAT_MAX);
        if (s != FACTOR_OK || !format || strcmp(format, "packed") != 0)
                return s;
        s = reply_add(reply, FACTOR_ITEM_SIGNATURE, fido_cred_sig_ptr(c), fido_cred_sig_len(c), SIGNATURE_MAX);
        return s == FACTOR_OK ? reply_add_chain(reply, fido_cred_attstmt_ptr(c), fido_cred_attstmt_len(c)) : s;
}

FactorStatus key_make(const WorkerRequest *q, Frame *reply) {
        _cleanup_(key_pin_done) KeyPin pin = { 0 };
        _cleanup_(cred_free_p) fido_cred_t *c = NULL;
        _cleanup_(key_close_p) KeyDevice *d = NULL;
        char rp[KEY_TEXT_MAX], name[KEY_TEXT_MAX];
        FrameItem id, digest;
        FactorStatus s;
        int r;

        if (!request_text(q, FACTOR_ITEM_RP, rp) || !request_text(q, FACTOR_ITEM_USER_NAME, name) ||
                !worker_item(q, FACTOR_ITEM_USER_ID, &id) || !worker_item(q, FACTOR_ITEM_DIGEST, &digest))
                return FACTOR_MALFORMED;
        s = request_pin(q, &pin);
        if (s != FACTOR_OK)
                return s;
        if (worker_confine(NULL) < 0)
                return FACTOR_INTERNAL;
        c = fido_cred_new();
        if (!c || fido_cred_set_type(c, COSE_ES256) != FIDO_OK || fido_cred_set_rp(c, rp, rp) != FIDO_OK ||
                fido_cred_set_user(c, id.bytes, id.size, name, name, NULL) != FIDO_OK ||
                fido_cred_set_clientdata_hash(c, digest.bytes, digest.size) != FIDO_OK)
                return FACTOR_INTERNAL;
        s = open_for_pin(&d, q, 0, reply);
        if (s != FACTOR_OK)
                return s;
        r = fido_dev_make_cred(key_fido(d), c, pin.text);
        return r == FIDO_OK ? make_reply(c, reply) : pin_status(d, r, reply);
}

/* SampleHint has the order of CTAP's lastEnrollSampleStatus, from 1, without "database full", which ends it. */
static bool sample_hint(uint8_t status, SampleHint *ret) {
        if (status < FIDO_BIO_ENROLL_FP_DATABASE_FULL)
                *ret = (SampleHint)(SAMPLE_GOOD + status);
        else if (status == FIDO_BIO_ENROLL_NO_USER_ACTIVITY)
                *ret = SAMPLE_NO_TOUCH;
        else if (status == FIDO_BIO_ENROLL_NO_USER_PRESENCE_TRANSITION)
                *ret = SAMPLE_NO_TRANSITION;
        else
                return false;
        return true;
}

/* FACTOR_OK: go on. */
static FactorStatus tell_sample(const fido_bio_enroll_t *e) {
        uint8_t status = fido_bio_enroll_last_status(e);
        SampleHint hint;
        Frame f;

        if (status == FIDO_BIO_ENROLL_FP_DATABASE_FULL)
                return FACTOR_FULL;
        if (!sample_hint(status, &hint))
                return FACTOR_MISBEHAVED;
        frame_init(&f, FACTOR_PROGRESS);
        frame_add_uint(&f, FACTOR_ITEM_SAMPLE, hint);
        frame_add_uint(&f, FACTOR_ITEM_REMAINING, fido_bio_enroll_remaining_samples(e));
        return worker_progress(&f) < 0 ? FACTOR_CANCELLED : FACTOR_OK;
}

/* How many samples it will take, before the first: a REMAINING without SAMPLE. Keys need not say. */
static FactorStatus tell_start(KeyDevice *d) {
        _cleanup_(bio_info_free_p) fido_bio_info_t *i = fido_bio_info_new();
        Frame f;
        int r;

        if (!i)
                return FACTOR_INTERNAL;
        r = fido_bio_dev_get_info(key_fido(d), i);
        if (r != FIDO_OK)
                return key_has_ended(d) ? key_status(d, r) : FACTOR_OK;
        frame_init(&f, FACTOR_PROGRESS);
        frame_add_uint(&f, FACTOR_ITEM_REMAINING, fido_bio_info_max_samples(i));
        return worker_progress(&f) < 0 ? FACTOR_CANCELLED : FACTOR_OK;
}

static FactorStatus take_samples(KeyDevice *d, fido_bio_template_t *t, const char *pin, Frame *reply) {
        _cleanup_(bio_enroll_free_p) fido_bio_enroll_t *e = fido_bio_enroll_new();
        /* The worker's own deadline would leave the key blinking. */
        uint64_t until = clock_usec(CLOCK_BOOTTIME) + FACTOR_KEY_ENROLL_SEC * USEC_PER_SEC;
        FactorStatus s;
        int r;

        if (!e)
                return FACTOR_INTERNAL;
        key_set_limit(d, SAMPLE_MSEC + KEY_QUICK_MSEC);
        r = fido_bio_dev_enroll_begin(key_fido(d), t, e, SAMPLE_MSEC, pin);
        if (r != FIDO_OK)
                return pin_status(d, r, reply);
        s = tell_sample(e);
        for (unsigned n = 1; s == FACTOR_OK && fido_bio_enroll_remaining_samples(e) > 0; n++) {
                if (n == SAMPLES_MAX)
                        s = FACTOR_MISBEHAVED;
                else if (clock_usec(CLOCK_BOOTTIME) + (SAMPLE_MSEC + 2 * KEY_QUICK_MSEC) * USEC_PER_MSEC > until)
                        s = FACTOR_TIMEOUT;
                if (s != FACTOR_OK)
                        break;
                key_set_limit(d, SAMPLE_MSEC + KEY_QUICK_MSEC);
                r = fido_bio_dev_enroll_continue(key_fido(d), t, e, SAMPLE_MSEC);
                s = r == FIDO_OK ? tell_sample(e) : pin_status(d, r, reply);
        }
        if (s != FACTOR_OK && !key_has_ended(d)) {
                key_set_limit(d, KEY_QUICK_MSEC);
                (void)fido_bio_dev_enroll_cancel(key_fido(d));
        }
        return s;
}

FactorStatus key_enroll(const WorkerRequest *q, Frame *reply) {
        _cleanup_(bio_template_free_p) fido_bio_template_t *t = fido_bio_template_new();
        _cleanup_(key_pin_done) KeyPin pin = { 0 };
        _cleanup_(key_close_p) KeyDevice *d = NULL;
        FactorStatus s;

        if (!t)
                return FACTOR_INTERNAL;
        s = request_pin(q, &pin);
        if (s != FACTOR_OK)
                return s;
        if (worker_confine(NULL) < 0)
                return FACTOR_INTERNAL;
        s = open_for_pin(&d, q, KEY_FLAG_BIO, reply);
        if (s == FACTOR_OK)
                s = tell_start(d);
        if (s == FACTOR_OK)
                s = take_samples(d, t, pin.text, reply);
        if (s != FACTOR_OK)
                return s;
        return reply_add(
                reply, FACTOR_ITEM_TEMPLATE, fido_bio_template_id_ptr(t), fido_bio_template_id_len(t), TEMPLATE_MAX);
}

FactorStatus key_templates(const WorkerRequest *q, Frame *reply) {
        _cleanup_(bio_array_free_p) fido_bio_template_array_t *a = fido_bio_template_array_new();
        _cleanup_(key_pin_done) KeyPin pin = { 0 };
        _cleanup_(key_close_p) KeyDevice *d = NULL;
        FactorStatus s;
        int r;

        if (!a)
                return FACTOR_INTERNAL;
        s = request_pin(q, &pin);
        if (s != FACTOR_OK)
                return s;
        if (worker_confine(NULL) < 0)
                return FACTOR_INTERNAL;
        s = open_for_pin(&d, q, KEY_FLAG_BIO, reply);
        if (s != FACTOR_OK)
                return s;
        r = fido_bio_dev_get_template_array(key_fido(d), a, pin.text);
        /* What CTAP says where there is none. */
        if (r == FIDO_ERR_INVALID_OPTION)
                return FACTOR_OK;
        if (r != FIDO_OK)
                return pin_status(d, r, reply);
        if (fido_bio_template_array_count(a) > TEMPLATES_MAX)
                return FACTOR_MISBEHAVED;
        for (size_t i = 0; i < fido_bio_template_array_count(a) && s == FACTOR_OK; i++) {
                const fido_bio_template_t *t = fido_bio_template(a, i);

                s = reply_add(reply, FACTOR_ITEM_TEMPLATE, fido_bio_template_id_ptr(t), fido_bio_template_id_len(t),
                        TEMPLATE_MAX);
        }
        return s;
}

FactorStatus key_remove_template(const WorkerRequest *q, Frame *reply) {
        _cleanup_(bio_template_free_p) fido_bio_template_t *t = fido_bio_template_new();
        _cleanup_(key_pin_done) KeyPin pin = { 0 };
        _cleanup_(key_close_p) KeyDevice *d = NULL;
        FrameItem id;
        FactorStatus s;

        if (!worker_item(q, FACTOR_ITEM_TEMPLATE, &id))
                return FACTOR_MALFORMED;
        if (!t || fido_bio_template_set_id(t, id.bytes, id.size) != FIDO_OK)
                return FACTOR_INTERNAL;
        s = request_pin(q, &pin);
        if (s != FACTOR_OK)
                return s;
        if (worker_confine(NULL) < 0)
                return FACTOR_INTERNAL;
        s = open_for_pin(&d, q, KEY_FLAG_BIO, reply);
        if (s != FACTOR_OK)
                return s;
        return pin_status(d, fido_bio_dev_enroll_remove(key_fido(d), t, pin.text), reply);
}
