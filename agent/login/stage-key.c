/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "factor/key-devices.h"
#include "factor/key-reply.h"
#include "factor/key-verify.h"
#include "login/transaction-internal.h"
#include "util/clock.h"

/* The factor biometric: a key that was registered for this person verifies a finger by itself and signs a challenge of
 * ours. Of several keys that are plugged in only that one is asked, and blinks; a PIN is never asked for. Who has no
 * key is looked for with a credential that nobody has, so that everybody waits alike (law 5). */

#define POLL_USEC    (1 * USEC_PER_SEC)
#define MARGIN_USEC  (20 * USEC_PER_SEC)
#define KEYS_MAX     8u
#define DECOY_SIZE   64u
#define PURPOSE_SIZE 320u

struct KeyStep {
        Credential keys[KEYS_MAX];
        size_t n;
        const Credential *key; /* the one that was found */
        unsigned char decoy[DECOY_SIZE];
        KeyDevices devices;
        uint64_t until_usec; /* CLOCK_BOOTTIME; 0: nobody was asked to plug one in yet */
        sd_event_source *poll;
        unsigned char hash[32];
};

KeyStep *key_step_free(KeyStep *s) {
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->poll);
        key_devices_done(&s->devices);
        for (size_t i = 0; i < s->n; i++)
                credential_done(&s->keys[i]);
        free(s);
        return NULL;
}

static void fail_untried(Transaction *t, const char *reason, const char *text) {
        auth_take_back_untried(t);
        transaction_record_refused(t, EVENT_LOGIN_REFUSED, NULL, NULL, reason);
        transaction_fail(t, RESULT_AUTH_ERR, text);
}

static void fail_internal(Transaction *t) {
        fail_untried(
                t, "key-internal", N_("The key cannot be read at the moment. Try again, or tell your system manager."));
}

static int take_key(const Credential *c, void *userdata) {
        Transaction *t = userdata;
        KeyStep *s = t->key;
        Credential *to = &s->keys[s->n];

        /* Replaced ones are of no use any more; a stopped one is looked for, so that its holder is told. */
        if (s->n == KEYS_MAX || !c->id || !c->key || !c->rp || strcmp(c->rp, t->context->config->rp_id) != 0 ||
                (c->state != CREDENTIAL_ACTIVE && c->state != CREDENTIAL_SUSPENDED))
                return 0;
        *to = (Credential){ .kind = c->kind,
                .state = c->state,
                .from_usec = c->from_usec,
                .until_usec = c->until_usec,
                .counter = c->counter,
                .key_size = c->key_size,
                .id_size = c->id_size };
        to->uuid = strdup(c->uuid);
        to->key = malloc(c->key_size);
        to->id = malloc(c->id_size);
        s->n++;
        if (!to->uuid || !to->key || !to->id)
                return -ENOMEM;
        memcpy(to->key, c->key, c->key_size);
        memcpy(to->id, c->id, c->id_size);
        return 0;
}

/* The keys of whoever is to be let in; of a shared ID none: it is nobody's finger. */
static int find_keys(Transaction *t) {
        _cleanup_(user_done) User user = {};
        int r;

        if (!t->user_usable)
                return 0;
        r = registry_user(t->context->registry, t->user, &user);
        if (r != 0)
                return r == REGISTRY_E_NOT_FOUND ? 0 : r;
        if (user.shared && !t->person)
                return 0;
        return registry_credentials(
                t->context->registry, user.shared ? t->person : user.person, CREDENTIAL_KEY, take_key, t);
}

static void find(Transaction *t);

static int on_poll(sd_event_source *source, uint64_t usec, void *userdata) {
        _cleanup_(key_devices_done) KeyDevices now = {};
        Transaction *t = userdata;
        KeyStep *s = t->key;

        if (clock_usec(CLOCK_BOOTTIME) >= s->until_usec)
                fail_untried(t, "key-none",
                        N_("No key of yours was plugged in. Try again, and plug in the one that was registered for "
                           "you."));
        else if (key_devices_list(&now, t->context->root, false) == 0 && !key_devices_same(&now, &s->devices))
                find(t);
        else if (sd_event_source_set_time_relative(source, POLL_USEC) < 0 ||
                 sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) < 0)
                fail_internal(t);
        return 0;
}

/* None of the keys is the holder's: waits for another to be plugged in. */
static void wait_for_key(Transaction *t) {
        uint64_t usec = t->context->config->key_usec;
        KeyStep *s = t->key;

        if (s->until_usec == 0) {
                s->until_usec = clock_usec(CLOCK_BOOTTIME) + usec;
                if (transaction_wait(t, STATE_KEY, usec + MARGIN_USEC) < 0)
                        return transaction_finish(t, RESULT_SYSTEM_ERR);
                transaction_tell(
                        t, MESSAGE_INFORM, N_("Plug in your key within %u seconds."), (unsigned)(usec / USEC_PER_SEC));
        }
        s->poll = sd_event_source_disable_unref(s->poll);
        if (sd_event_add_time_relative(t->context->event, &s->poll, CLOCK_BOOTTIME, POLL_USEC, 0, on_poll, t) < 0)
                fail_internal(t);
}

static void wrong(Transaction *t, const char *reason, const char *text, unsigned count) {
        auth_wrong(t, reason, text, count,
                N_("That was the last attempt. Ask the head of your unit or the duty officer to release them."));
}

static void asserted(Transaction *t, const KeyAsserted *a) {
        KeyStep *s = t->key;
        KeyAssertion assertion = {
                .rp = t->context->config->rp_id,
                .client_data_hash = s->hash,
                .credential = { s->key->id, s->key->id_size },
                .spki = { s->key->key, s->key->key_size },
                .counter = s->key->counter,
                .answered_credential = a->credential,
                .auth_data = a->auth_data,
                .signature = a->signature,
        };
        char reason[48];
        uint32_t counter;
        int r;

        r = key_assertion_verify(&assertion, &counter);
        if (r != 0) {
                (void)snprintf(reason, sizeof(reason), "key-%s", r > 0 ? key_condition_to_string(r) : "internal");
                return wrong(t, reason, N_("The key could not prove that it is the one registered."), 0);
        }
        if (factors_note(t, s->key->uuid, counter) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        t->key = key_step_free(t->key);
        factors_verified(t, FACTOR_BIOMETRIC);
}

static void on_asserted(int r, const char *reply, size_t size, void *userdata) {
        KeyAsserted a = { .status = FACTOR_INTERNAL };
        Transaction *t = userdata;

        t->helper = NULL;
        t->answered_usec = clock_usec(CLOCK_BOOTTIME);
        if (r == 0 && key_assert_reply(reply, size, &a) < 0)
                a = (KeyAsserted){ .status = FACTOR_INTERNAL };
        switch (a.status) {
        case FACTOR_OK:
                return asserted(t, &a);
        case FACTOR_WRONG:
                if (a.has_tries && a.tries > 0)
                        return wrong(t, "wrong-finger", N_("The finger was not recognised. Tries left on the key: %u."),
                                a.tries);
                if (a.has_tries)
                        return wrong(t, "wrong-finger",
                                N_("The finger was not recognised, and the key is blocked now. Ask the registrar."), 0);
                return wrong(t, "wrong-finger", N_("The finger was not recognised."), 0);
        case FACTOR_BLOCKED:
                return fail_untried(t, "key-blocked",
                        N_("This key is blocked after wrong fingers. Ask the registrar of your unit."));
        case FACTOR_TIMEOUT:
        case FACTOR_CANCELLED:
                return fail_untried(t, "key-untouched", N_("Nobody touched the key. Try again."));
        case FACTOR_BUSY:
                return fail_untried(
                        t, "key-busy", N_("The key is in use by another program. Close that, and try again."));
        case FACTOR_UNSUPPORTED:
                return fail_untried(
                        t, "key-unsupported", N_("This key has no finger registered. Ask the registrar of your unit."));
        case FACTOR_REMOVED:
                return wrong(t, "key-removed",
                        N_("The key was taken out too early. Try again, and leave it plugged in."), 0);
        case FACTOR_MISBEHAVED:
                return wrong(t, "key-misbehaved",
                        N_("The key answers in a way that no key may. Show it to your system manager."), 0);
        default:
                return wrong(t, "key-internal",
                        N_("The key cannot be read at the moment. Try again, or tell your system manager."), 0);
        }
}

static int make_hash(Transaction *t, unsigned char ret[32]) {
        unsigned char challenge[KEY_CHALLENGE_SIZE];
        char purpose[PURPOSE_SIZE];

        if (getrandom(challenge, sizeof(challenge), 0) != sizeof(challenge))
                return -EIO;
        (void)snprintf(purpose, sizeof(purpose), "login %s %s", t->user, t->key->key->uuid);
        return key_client_data_hash(challenge, purpose, ret);
}

static void assert_key(Transaction *t, unsigned which) {
        static Frame f;
        KeyStep *s = t->key;
        uint64_t now;
        bool trusted = trusted_clock_now(t->context->clock, &now);
        int r;

        if (s->key->state != CREDENTIAL_ACTIVE)
                return fail_untried(
                        t, "key-stopped", N_("This key is stopped. Ask the duty officer or the head of your unit."));
        if (!credential_in_force(s->key, now, trusted))
                return fail_untried(t, "key-expired", N_("This key has expired. Ask the registrar of your unit."));
        t->answered_usec = clock_usec(CLOCK_BOOTTIME);
        if (!auth_charge(t))
                return;
        if (make_hash(t, s->hash) < 0 || transaction_wait(t, STATE_KEY, t->context->config->key_usec + MARGIN_USEC) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        transaction_tell(t, MESSAGE_INFORM, N_("Put your finger on the key within %u seconds."),
                (unsigned)(t->context->config->key_usec / USEC_PER_SEC));

        frame_init(&f, FACTOR_KEY_ASSERT);
        frame_add_text(&f, FACTOR_ITEM_RP, t->context->config->rp_id);
        frame_add(&f, FACTOR_ITEM_DIGEST, s->hash, sizeof(s->hash));
        frame_add(&f, FACTOR_ITEM_CREDENTIAL, s->key->id, s->key->id_size);
        r = helper_ask_more(t->context->key,
                &(HelperQuestion){
                        .request = f.bytes,
                        .size = f.size,
                        .fds = &s->devices.fds[which],
                        .n_fds = 1,
                        .timeout_usec = t->context->config->key_usec + 5 * USEC_PER_SEC,
                        .grace_usec = FACTOR_KEY_GRACE_USEC,
                        .fn = on_asserted,
                        .userdata = t,
                },
                &t->helper);
        if (r < 0)
                fail_internal(t);
}

static void on_found(int r, const char *reply, size_t size, void *userdata) {
        Transaction *t = userdata;
        KeyStep *s = t->key;
        KeyFound found = {};

        t->helper = NULL;
        if (r != 0 || key_find_reply(reply, size, s->devices.n, &found) < 0)
                return fail_internal(t);
        if (found.status != FACTOR_OK && found.status != FACTOR_NO_KEY && found.status != FACTOR_REMOVED &&
                found.status != FACTOR_TIMEOUT)
                return fail_internal(t);
        s->key = NULL;
        for (size_t i = 0; found.found && i < s->n; i++)
                if (s->keys[i].id_size == found.credential.size &&
                        memcmp(s->keys[i].id, found.credential.at, found.credential.size) == 0)
                        s->key = &s->keys[i];
        if (s->key)
                assert_key(t, found.key);
        else
                wait_for_key(t);
}

static void find(Transaction *t) {
        static Frame f;
        KeyStep *s = t->key;
        int r;

        t->state = STATE_KEY;
        s->poll = sd_event_source_disable_unref(s->poll);
        key_devices_done(&s->devices);
        r = key_devices_list(&s->devices, t->context->root, true);
        if (r < 0)
                return fail_internal(t);
        if (s->devices.n == 0)
                return wait_for_key(t);
        frame_init(&f, FACTOR_KEY_FIND);
        frame_add_text(&f, FACTOR_ITEM_RP, t->context->config->rp_id);
        for (size_t i = 0; i < s->n; i++)
                frame_add(&f, FACTOR_ITEM_CREDENTIAL, s->keys[i].id, s->keys[i].id_size);
        if (s->n == 0)
                frame_add(&f, FACTOR_ITEM_CREDENTIAL, s->decoy, sizeof(s->decoy));
        r = helper_ask_more(t->context->key,
                &(HelperQuestion){
                        .request = f.bytes,
                        .size = f.size,
                        .fds = s->devices.fds,
                        .n_fds = s->devices.n,
                        .fn = on_found,
                        .userdata = t,
                },
                &t->helper);
        if (r < 0)
                fail_internal(t);
}

void key_start(Transaction *t) {
        int r;

        if (!t->context->config->rp_id) /* the loader asks for it */
                return fail_internal(t);
        t->key = calloc(1, sizeof(*t->key));
        if (!t->key || getrandom(t->key->decoy, DECOY_SIZE, 0) != DECOY_SIZE)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        r = find_keys(t);
        if (r != 0)
                return transaction_unusable(t);
        find(t);
}

bool key_is_plugged_in(const Transaction *t) {
        _cleanup_(key_devices_done) KeyDevices d = {};

        return key_devices_list(&d, t->context->root, false) == 0 && d.n > 0;
}
