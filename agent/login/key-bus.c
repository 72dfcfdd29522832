/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "factor/key-devices.h"
#include "factor/key-reply.h"
#include "keishi/paths.h"
#include "login/credential-act.h"
#include "registry/import-run.h"
#include "util/clock.h"

/* Keys over the bus: what is plugged in, and enrolment (R10): fingers of before are taken off the key, a new one is
 * enrolled, and the key makes a credential that keishid checks, attestation and all. The key's PIN comes from the
 * caller, goes to the worker and is kept nowhere; the finger never leaves the key. */

#define LIST_USEC     ((FACTOR_KEY_LIST_SEC + 3) * USEC_PER_SEC)
#define TOUCH_USEC    ((FACTOR_KEY_TOUCH_SEC + 3) * USEC_PER_SEC)
#define ENROLL_USEC   ((FACTOR_KEY_ENROLL_SEC + 3) * USEC_PER_SEC)
#define TEMPLATES_MAX 16u

static const char no_roots[] =
        N_("The attestation roots ([Biometric] AttestationRoots=) cannot be read, so no key can be told");

typedef enum Step { STEP_TEMPLATES, STEP_REMOVE, STEP_ENROLL, STEP_MAKE } Step;

/* A look at the keys, or (document) an enrolment. One at a time. */
struct KeyRun {
        Bus *b;
        sd_bus_message *m;
        Helper *helper;
        KeyDevices devices;

        Caller caller;
        char *sender;
        json_object *document;
        CredentialTarget target;
        Step step;
        unsigned char hash[32];
        unsigned char templates[TEMPLATES_MAX][255];
        size_t template_sizes[TEMPLATES_MAX], n_templates;
};

static void wipe_pin(json_object *document) {
        const char *pin = document ? json_string(document, "pin") : NULL;

        if (pin)
                explicit_bzero((char *)pin, strlen(pin)); /* json-c's own copy */
}

static void run_free(struct KeyRun *k) {
        if (k->b->key_run == k)
                k->b->key_run = NULL;
        helper_cancel(k->helper);
        key_devices_done(&k->devices);
        import_caller_done(&k->caller);
        credential_target_done(&k->target);
        free(k->sender);
        wipe_pin(k->document);
        json_object_put(k->document);
        sd_bus_message_unref(k->m);
        free(k);
}

void key_bus_done(Bus *b) {
        if (b->key_run)
                run_free(b->key_run);
}

static int run_new(Bus *b, sd_bus_message *m, struct KeyRun **ret) {
        struct KeyRun *k;
        int r;

        if (b->key_run || !b->c.key)
                return -EBUSY;
        k = calloc(1, sizeof(*k));
        if (!k)
                return -ENOMEM;
        k->b = b;
        k->m = sd_bus_message_ref(m);
        b->key_run = k;
        r = key_devices_list(&k->devices, b->c.root ? b->c.root : "", true);
        if (r < 0) {
                run_free(k);
                return r;
        }
        *ret = k;
        return 0;
}

static void run_fail(struct KeyRun *k, int r) {
        (void)sd_bus_reply_method_errnof(k->m, r, "Internal error");
        run_free(k);
}

/* ---- what is plugged in ---- */

static int describe_key(const struct KeyRun *k, const KeyListed *l, json_object *keys) {
        json_object *o = json_object_new_object();
        char aaguid[37] = "";

        if (l->has_aaguid)
                key_aaguid_to_string(l->aaguid, aaguid);
        if (!o || json_object_array_add(keys, o) < 0) {
                json_object_put(o);
                return -ENOMEM;
        }
        if (json_set_string(o, "device", k->devices.names[l->index]) < 0 ||
                json_set_string(o, "model", *aaguid ? aaguid : NULL) < 0 ||
                json_set_boolean(o, "fido2", l->flags & KEY_FLAG_FIDO2) < 0 ||
                json_set_boolean(o, "biometric", l->flags & KEY_FLAG_BIO) < 0 ||
                json_set_boolean(o, "finger", l->flags & KEY_FLAG_UV) < 0 ||
                json_set_boolean(o, "pin", l->flags & KEY_FLAG_PIN) < 0 ||
                (l->has_tries && json_set_uint(o, "tries", l->tries) < 0) ||
                (l->has_pin_tries && json_set_uint(o, "pin_tries", l->pin_tries) < 0))
                return -ENOMEM;
        return 0;
}

static int answer_list(struct KeyRun *k, const char *reply, size_t size) {
        _cleanup_json_ json_object *o = json_object_new_object(), *keys = json_object_new_array();
        KeyListed listed[HELPER_FDS_MAX];
        FactorStatus status = FACTOR_OK;
        size_t n = 0;
        int r = o && keys ? 0 : -ENOMEM;

        if (r == 0 && reply && key_list_reply(reply, size, k->devices.n, &status, listed, &n) < 0)
                status = FACTOR_INTERNAL;
        for (size_t i = 0; r == 0 && i < n; i++)
                r = describe_key(k, &listed[i], keys);
        if (r == 0 && (json_set_string(o, "status", factor_status_to_string(status)) < 0 ||
                              json_set(o, "keys", TAKE_PTR(keys)) < 0))
                r = -ENOMEM;
        return r == 0 ? bus_reply_json(k->m, o) : r;
}

static void on_list(int r, const char *reply, size_t size, void *userdata) {
        struct KeyRun *k = userdata;

        k->helper = NULL;
        r = answer_list(k, r == 0 ? reply : "", r == 0 ? size : 0);
        if (r < 0)
                return run_fail(k, r);
        run_free(k);
}

static int do_look(Bus *b, sd_bus_message *m, const Caller *caller) {
        struct KeyRun *k;
        static Frame f;
        int r;

        r = run_new(b, m, &k);
        if (r == -EBUSY)
                return bus_refuse(m, "Unavailable", N_("A key is being registered; try again later"));
        if (r < 0)
                return r;
        if (k->devices.n == 0) {
                r = answer_list(k, NULL, 0);
                run_free(k);
                return r;
        }
        frame_init(&f, FACTOR_KEY_LIST);
        r = helper_ask_more(b->c.key,
                &(HelperQuestion){ .request = f.bytes,
                        .size = f.size,
                        .fds = k->devices.fds,
                        .n_fds = k->devices.n,
                        .timeout_usec = LIST_USEC,
                        .fn = on_list,
                        .userdata = k },
                &k->helper);
        if (r < 0) {
                run_free(k);
                return r;
        }
        return 1;
}

static unsigned enrolling_roles(void) {
        bool holder;

        return credential_roles(CREDENTIAL_REGISTER, CREDENTIAL_KEY, &holder);
}

int key_bus_look(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){ .method = "KeyLook", .roles = enrolling_roles(), .noun = "credential", .fn = do_look });
}

/* ---- enrolment ---- */

static void refuse(struct KeyRun *k, const char *reason, const char *text) {
        bus_record_refusal(
                k->b, &k->caller, "KeyRegister", noun_to_string(NOUN_CREDENTIAL), k->target.account, reason, text);
        (void)bus_refuse(k->m, "Refused", "%s", text);
        run_free(k);
}

/* What a worker's condition means for whoever registers. */
static void refuse_status(struct KeyRun *k, const KeyReply *reply) {
        char text[160];

        switch (reply->status) {
        case FACTOR_WRONG:
                (void)snprintf(text, sizeof(text), "The PIN of the key is wrong. Tries left: %u",
                        reply->has_pin_tries ? reply->pin_tries : 0);
                return refuse(k, "wrong-pin", text);
        case FACTOR_BLOCKED:
                return refuse(k, "key-blocked",
                        N_("The key is blocked after wrong PINs; take it out and put it in again, or reset it"));
        case FACTOR_CHANGED:
                return refuse(k, "key-changed", N_("The key is no longer the one that was looked at; look again"));
        case FACTOR_PIN_NEEDED:
                return refuse(k, "key-no-pin", N_("The key has no PIN yet; set one first (fido2-token -S)"));
        case FACTOR_PIN_LENGTH:
                return refuse(k, "pin-form", N_("This cannot be the PIN of a key; nothing was tried"));
        case FACTOR_TIMEOUT:
        case FACTOR_CANCELLED:
                return refuse(k, "key-untouched", N_("Nobody touched the key in time"));
        case FACTOR_REMOVED:
                return refuse(k, "key-removed", N_("The key was taken out too early"));
        case FACTOR_FULL:
                return refuse(k, "key-full", N_("The key has no room left"));
        case FACTOR_UNSUPPORTED:
                return refuse(k, "key-unsupported", N_("The key cannot register a finger"));
        case FACTOR_BUSY:
                return refuse(k, "key-busy", N_("The key is in use by another program"));
        default:
                return refuse(k, "key-internal", N_("The key or its worker gave no answer that can be used"));
        }
}

static void tell(const struct KeyRun *k, const char *step, const KeyReply *reply) {
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *signal = NULL;

        if (sd_bus_message_new_signal(k->b->bus, &signal, KEISHI_BUS_PATH, KEISHI_BUS_NAME ".Manager", "KeyProgress") <
                        0 ||
                sd_bus_message_set_destination(signal, k->sender) < 0 ||
                sd_bus_message_append(signal, "suu", step, reply && reply->has_sample ? (uint32_t)reply->sample : 0,
                        reply && reply->has_remaining ? reply->remaining : UINT32_MAX) < 0)
                return;
        (void)sd_bus_send(k->b->bus, signal, NULL);
}

static void ask(struct KeyRun *k, Step step);

static int find_own_key(const Credential *c, void *userdata) {
        char **uuid = userdata;

        if (c->state != CREDENTIAL_ACTIVE && c->state != CREDENTIAL_SUSPENDED)
                return 0;
        *uuid = strdup(c->uuid);
        return *uuid ? 1000 : -ENOMEM;
}

/* The key that the new one takes the place of. */
static int remove_old(struct KeyRun *k, uint64_t now) {
        _cleanup_json_ json_object *before = NULL, *after = NULL;
        _cleanup_free_ char *uuid = NULL;
        int r;

        r = registry_credentials(k->b->c.registry, k->target.person, CREDENTIAL_KEY, find_own_key, &uuid);
        if (r != 1000)
                return r;
        r = registry_credential_set_state(k->b->c.registry, uuid, CREDENTIAL_REMOVED, k->caller.user.person,
                "registered again", now, &before, &after, NULL);
        if (r == 0)
                r = credential_append(k->b, &k->caller, EVENT_CREDENTIAL_REMOVED, k->target.account, before, after,
                        "registered again", NULL);
        return r;
}

static int make_fields(const struct KeyRun *k, const KeyCredential *c, json_object **ret) {
        _cleanup_json_ json_object *o = json_object_new_object();
        _cleanup_free_ char *key = base64_write(c->spki, c->spki_size), *id = base64_write(c->id, c->id_size);
        char aaguid[37];

        key_aaguid_to_string(c->aaguid, aaguid);
        if (!o || !key || !id || json_set_string(o, "kind", "key") < 0 ||
                json_set_string(o, "person", k->target.person) < 0 || json_set_string(o, "key", key) < 0 ||
                json_set_string(o, "credential", id) < 0 || json_set_string(o, "rp", k->b->c.config->rp_id) < 0 ||
                json_set_string(o, "aaguid", aaguid) < 0 || json_set_boolean(o, "attested", c->attested) < 0 ||
                json_set_string(o, "label", json_string(k->document, "label")) < 0 ||
                json_set_string(o, "until", json_string(k->document, "until")) < 0 ||
                json_set_string(o, "state", "active") < 0 || json_set_string(o, "state_by", k->caller.user.person) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}

static void write_key(struct KeyRun *k, const KeyCredential *c) {
        _cleanup_json_ json_object *fields = NULL, *after = NULL;
        const char *unattested = json_string(k->document, "unattested");
        uint64_t now = clock_usec(CLOCK_REALTIME);
        Registry *registry = k->b->c.registry;
        char detail[400] = "";
        RegistryError e = {};
        int r;

        if (!c->attested)
                (void)snprintf(detail, sizeof(detail), "not attested (%s): %s", key_condition_to_string(c->unattested),
                        unattested ? unattested : "");
        r = make_fields(k, c, &fields);
        if (r == 0)
                r = registry_begin(registry);
        if (r == 0 && json_boolean(k->document, "again"))
                r = remove_old(k, now);
        if (r == 0)
                r = registry_row_add(registry, NOUN_CREDENTIAL, fields, now, &after, &e);
        if (r == 0)
                r = registry_credential_used(registry, json_string(after, "uuid"), c->counter, now);
        if (r == 0)
                r = credential_append(
                        k->b, &k->caller, EVENT_CREDENTIAL_REGISTERED, k->target.account, NULL, after, detail, NULL);
        if (r == 0)
                r = change_commit(k->b, NOUN_CREDENTIAL);
        if (r == 0)
                r = bus_reply_json(k->m, after);
        else
                r = change_failed(k->b, k->m, &k->caller, "KeyRegister", NOUN_CREDENTIAL, k->target.account, r, &e);
        if (r < 0)
                return run_fail(k, r);
        run_free(k);
}

static void made(struct KeyRun *k, const KeyReply *reply) {
        bool opted_out = json_string(k->document, "unattested") != NULL;
        KeyRegistration registration = {
                .rp = k->b->c.config->rp_id,
                .client_data_hash = k->hash,
                .credential = reply->credential,
                .auth_data = reply->auth_data,
                .format = reply->format,
                .signature = reply->signature,
                .certificates = reply->certificates,
                .n_certificates = reply->n_certificates,
        };
        const Trust *roots = opted_out ? NULL : trust_file_get(k->b->c.key_trust);
        KeyCredential c = {};
        char text[160];
        int r;

        if (!opted_out && !roots)
                return refuse(k, "key-roots", no_roots);
        r = key_registration_verify(&c, &registration, roots, (int64_t)(clock_usec(CLOCK_REALTIME) / USEC_PER_SEC));
        if (r < 0)
                return run_fail(k, r);
        if (r > 0) {
                (void)snprintf(text, sizeof(text), "The key is not one that may be registered: %s",
                        key_condition_to_string(r));
                return refuse(k, key_condition_to_string(r), text);
        }
        if (!c.user_verified)
                return refuse(k, "not-verified", N_("The key verified no finger"));
        write_key(k, &c);
}

static void keep_templates(struct KeyRun *k, const KeyReply *reply) {
        for (size_t i = 0; i < reply->n_templates && k->n_templates < TEMPLATES_MAX; i++) {
                k->template_sizes[k->n_templates] = reply->templates[i].size;
                memcpy(k->templates[k->n_templates++], reply->templates[i].at, reply->templates[i].size);
        }
}

static const FactorOperation operations[] = {
        [STEP_TEMPLATES] = FACTOR_KEY_TEMPLATES,
        [STEP_REMOVE] = FACTOR_KEY_REMOVE_TEMPLATE,
        [STEP_ENROLL] = FACTOR_KEY_ENROLL,
        [STEP_MAKE] = FACTOR_KEY_MAKE,
};

static bool on_said(const char *packet, size_t size, void *userdata) {
        struct KeyRun *k = userdata;
        static KeyReply reply;

        if (key_reply(operations[k->step], packet, size, &reply) < 0 || reply.status != FACTOR_PROGRESS)
                return false;
        tell(k, "sample", &reply);
        return true;
}

static void on_step(int r, const char *packet, size_t size, void *userdata) {
        struct KeyRun *k = userdata;
        static KeyReply reply;

        k->helper = NULL;
        if (r != 0 || key_reply(operations[k->step], packet, size, &reply) < 0)
                reply = (KeyReply){ .status = FACTOR_INTERNAL };
        if (reply.status != FACTOR_OK)
                return refuse_status(k, &reply);
        switch (k->step) {
        case STEP_TEMPLATES:
                keep_templates(k, &reply);
                return ask(k, k->n_templates > 0 ? STEP_REMOVE : STEP_ENROLL);
        case STEP_REMOVE:
                k->n_templates--;
                return ask(k, k->n_templates > 0 ? STEP_REMOVE : STEP_ENROLL);
        case STEP_ENROLL:
                return ask(k, STEP_MAKE);
        case STEP_MAKE:
                return made(k, &reply);
        }
}

static int make_request(struct KeyRun *k, Frame *f) {
        unsigned char challenge[KEY_CHALLENGE_SIZE], user[32];
        const char *pin = json_string(k->document, "pin");
        char purpose[320];

        frame_init(f, operations[k->step]);
        if (k->step == STEP_MAKE) {
                if (getrandom(challenge, sizeof(challenge), 0) != sizeof(challenge) ||
                        getrandom(user, sizeof(user), 0) != sizeof(user))
                        return -EIO;
                (void)snprintf(purpose, sizeof(purpose), "register %s", k->target.person);
                if (key_client_data_hash(challenge, purpose, k->hash) < 0)
                        return -ENOMEM;
                frame_add_text(f, FACTOR_ITEM_RP, k->b->c.config->rp_id);
                frame_add(f, FACTOR_ITEM_USER_ID, user, sizeof(user));
                frame_add(f, FACTOR_ITEM_USER_NAME, k->target.account, strnlen(k->target.account, 64));
                frame_add(f, FACTOR_ITEM_DIGEST, k->hash, sizeof(k->hash));
        }
        frame_add(f, FACTOR_ITEM_PIN, pin, strlen(pin));
        if (k->step == STEP_REMOVE)
                frame_add(f, FACTOR_ITEM_TEMPLATE, k->templates[k->n_templates - 1],
                        k->template_sizes[k->n_templates - 1]);
        return f->overflow ? -EMSGSIZE : 0;
}

static void ask(struct KeyRun *k, Step step) {
        static const char *const names[] = { "fingers", "remove", "enroll", "touch" };
        const char *device = json_string(k->document, "device");
        static Frame f;
        size_t which = 0;
        int r;

        k->step = step;
        while (which < k->devices.n && strcmp(k->devices.names[which], device) != 0)
                which++;
        if (which == k->devices.n)
                return refuse(k, "key-removed", N_("The key was taken out too early"));
        tell(k, names[step], NULL);
        r = make_request(k, &f);
        if (r == 0)
                r = helper_ask_more(k->b->c.key,
                        &(HelperQuestion){ .request = f.bytes,
                                .size = f.size,
                                .fds = &k->devices.fds[which],
                                .n_fds = 1,
                                .timeout_usec = step == STEP_ENROLL ? ENROLL_USEC : TOUCH_USEC,
                                .grace_usec = FACTOR_KEY_GRACE_USEC,
                                .said = on_said,
                                .fn = on_step,
                                .userdata = k },
                        &k->helper);
        frame_done(&f);
        if (r < 0)
                run_fail(k, r);
}

/* Keys are registered for one site name; with another, those of before would be lost without a word. */
static int other_site(Bus *b, char **ret) {
        static const char sql[] = "SELECT rp FROM credentials WHERE deleted = 0 AND kind = ?1 AND rp <> ?2"
                                  " AND state IN ('active', 'suspended') LIMIT 1";

        return credential_query_one(b->c.registry, sql, "key", b->c.config->rp_id, 0, ret);
}

static const char *document_wrong(json_object *document) {
        static const char *const names[] = { "user", "device", "pin", "label", "until", "again", "unattested", NULL };
        const char *wrong, *pin = json_string(document, "pin"), *why = json_string(document, "unattested");

        if (!json_only_has(document, names, &wrong) || !json_string(document, "user") ||
                !json_string(document, "device") || !pin)
                return N_("The document has user, device, pin, label, until, again and unattested");
        if (strlen(pin) > FACTOR_PIN_MAX)
                return N_("This cannot be the PIN of a key; nothing was tried");
        if (why && (!*why || strlen(why) > 255))
                return N_("A reason is needed, of at most 255 bytes");
        return NULL;
}

static int start(Bus *b, sd_bus_message *m, const Caller *caller, json_object *document, CredentialTarget *target) {
        struct KeyRun *k;
        int r;

        r = run_new(b, m, &k);
        if (r == -EBUSY)
                return bus_refuse(m, "Unavailable", N_("A key is being registered; try again later"));
        if (r < 0)
                return r;
        k->document = json_object_get(document);
        k->target = *target;
        *target = (CredentialTarget){};
        k->sender = strdup(caller->sender);
        r = k->sender ? import_caller_copy(caller, k->sender, &k->caller) : -ENOMEM;
        if (r < 0) {
                run_free(k);
                return r;
        }
        ask(k, STEP_TEMPLATES);
        return 1;
}

static int do_register(Bus *b, sd_bus_message *m, const Caller *caller) {
        _cleanup_(credential_target_done) CredentialTarget target = {};
        _cleanup_json_ json_object *document = NULL;
        _cleanup_free_ char *other = NULL;
        const char *text, *wrong, *why, *deputy;
        int r;

        (void)sd_bus_message_sensitive(m); /* the PIN: its memory is wiped */
        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        wrong = json_parse_object(text, &document) < 0 ? N_("The fields are not a JSON object")
                                                       : document_wrong(document);
        if (wrong)
                return bus_refuse(m, "Invalid", "%s", wrong);
        if (!b->c.config->rp_id)
                return bus_refuse(m, "Invalid", N_("[Biometric] RpId= of keishid.conf is not set"));
        /* Before anybody puts a finger on anything. */
        if (!json_string(document, "unattested") && !trust_file_get(b->c.key_trust)) {
                wipe_pin(document);
                return bus_refuse(m, "Invalid", "%s", no_roots);
        }
        r = other_site(b, &other);
        if (r == 0)
                return bus_refuse(m, "Invalid", "Keys are registered here for %s: RpId= must not change", other);
        if (r != REGISTRY_E_NOT_FOUND)
                return bus_refuse_registry(m, r, NULL);
        r = credential_target_find(b, json_string(document, "user"), &target);
        if (r != 0)
                return r == REGISTRY_E_NOT_FOUND ? bus_refuse(m, "NotFound", N_("The user is not registered"))
                                                 : bus_refuse_registry(m, r, NULL);
        wrong = credential_refused(
                caller, CREDENTIAL_REGISTER, CREDENTIAL_KEY, CREDENTIAL_NONE, &target, NULL, NULL, &why, &deputy);
        if (wrong) {
                wipe_pin(document);
                return change_refuse(b, m, caller, "KeyRegister", NOUN_CREDENTIAL, target.account, why, wrong);
        }
        return start(b, m, caller, document, &target);
}

int key_bus_register(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){
                        .method = "KeyRegister",
                        .action = ACTION_CREDENTIAL,
                        .roles = enrolling_roles(),
                        .noun = "credential",
                        .fn = do_register,
                });
}
