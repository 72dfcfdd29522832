/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "factor/card-reply.h"
#include "factor/card-verify.h"
#include "login/credential-act.h"
#include "util/clock.h"

/* Cards over the bus: what lies in the readers, and enrolment. A card is registered by the key that keishid itself has
 * read from it a moment ago; what the caller says only chooses among those. */

#define LOOKED_USEC (300 * USEC_PER_SEC)
#define LOOKS_MAX   8u

typedef struct Look {
        Bus *b;
        sd_bus_message *m;
        uid_t uid;
        Helper *helper;
        struct Look *next;
} Look;

static void look_free(Look *l) {
        for (Look **p = &l->b->looks; *p; p = &(*p)->next)
                if (*p == l) {
                        *p = l->next;
                        break;
                }
        helper_cancel(l->helper);
        sd_bus_message_unref(l->m);
        free(l);
}

void credential_bus_done(Bus *b) {
        while (b->looks)
                look_free(b->looks);
}

/* Notes a card that was read for this caller, in the place of the oldest. */
static void note(Look *l, const CardFacts *facts, CardApplication application) {
        LookedCard *place = l->b->looked;

        for (LookedCard *i = l->b->looked; i < l->b->looked + LOOKED_MAX; i++) {
                if (i->size == facts->spki_size && memcmp(i->spki, facts->spki, i->size) == 0 && i->uid == l->uid) {
                        place = i;
                        break;
                }
                if (i->at_usec < place->at_usec)
                        place = i;
        }
        *place = (LookedCard){
                .uid = l->uid,
                .at_usec = clock_usec(CLOCK_BOOTTIME),
                .application = application,
                .size = facts->spki_size,
        };
        memcpy(place->spki, facts->spki, facts->spki_size);
}

static const LookedCard *looked_find(Bus *b, uid_t uid, const unsigned char *key, size_t size) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);

        for (const LookedCard *i = b->looked; i < b->looked + LOOKED_MAX; i++)
                if (i->uid == uid && i->size == size && size > 0 && now - i->at_usec < LOOKED_USEC &&
                        memcmp(i->spki, key, size) == 0)
                        return i;
        return NULL;
}

/* Whether somebody has it now. */
static bool is_registered(Bus *b, const CardFacts *facts) {
        _cleanup_(credential_done) Credential c = {};

        return registry_credential_by_key(b->c.registry, facts->spki, facts->spki_size, &c) == 0 &&
               (c.state == CREDENTIAL_ACTIVE || c.state == CREDENTIAL_SUSPENDED) &&
               (c.until_usec == 0 || c.until_usec > clock_usec(CLOCK_REALTIME));
}

static int describe_card(Look *l, const CardFoundReader *reader, const CardFoundApplication *a, json_object *cards) {
        _cleanup_(card_facts_done) CardFacts facts = {};
        _cleanup_json_ json_object *o = NULL;
        _cleanup_free_ char *key = NULL;
        int r;

        if (a->certificate.size == 0)
                return 0;
        r = card_facts_read(&facts, a->certificate);
        if (r != 0)
                return r < 0 ? r : 0;
        note(l, &facts, a->application);
        o = json_object_new_object();
        key = base64_write(facts.spki, facts.spki_size);
        if (!o || !key || json_set_string(o, "reader", reader->name) < 0 ||
                json_set_string(o, "application", card_application_to_string(a->application)) < 0 ||
                json_set_string(o, "key", key) < 0 ||
                json_set_string(o, "kind", public_key_kind_to_string(facts.kind)) < 0 ||
                json_set_string(o, "subject", facts.subject) < 0 || json_set_string(o, "serial", facts.serial) < 0 ||
                json_set_boolean(o, "registered", is_registered(l->b, &facts)) < 0 ||
                json_set_uint(o, "not_after_usec", facts.not_after > 0 ? (uint64_t)facts.not_after * USEC_PER_SEC : 0) <
                        0 ||
                (a->has_tries && json_set_uint(o, "tries", a->tries) < 0))
                return -ENOMEM;
        return json_object_array_add(cards, TAKE_PTR(o)) < 0 ? -ENOMEM : 0;
}

static int describe_reader(Look *l, const CardFoundReader *reader, json_object *readers, json_object *cards) {
        static const char *const states[_CARD_STATE_MAX] = {
                [CARD_ABSENT] = "empty",
                [CARD_PRESENT] = "card",
                [CARD_MUTE] = "mute",
                [CARD_BUSY] = "busy",
                [CARD_MISBEHAVED] = "misbehaved",
        };
        _cleanup_json_ json_object *o = json_object_new_object();
        int r = 0;

        if (!o || json_set_string(o, "name", reader->name) < 0 ||
                json_set_string(o, "state", states[reader->state]) < 0 ||
                json_object_array_add(readers, TAKE_PTR(o)) < 0)
                return -ENOMEM;
        for (size_t i = 0; r == 0 && i < reader->n; i++)
                r = describe_card(l, reader, &reader->applications[i], cards);
        return r;
}

static int answer_look(Look *l, const CardFoundReader *found, size_t n, FactorStatus status) {
        _cleanup_json_ json_object *o = json_object_new_object(), *readers = json_object_new_array(),
                                   *cards = json_object_new_array();
        int r = o && readers && cards ? 0 : -ENOMEM;

        for (size_t i = 0; r == 0 && i < n; i++)
                r = describe_reader(l, &found[i], readers, cards);
        if (r < 0)
                return r;
        if (json_set_string(o, "status", factor_status_to_string(status)) < 0 ||
                json_set(o, "readers", TAKE_PTR(readers)) < 0 || json_set(o, "cards", TAKE_PTR(cards)) < 0)
                return -ENOMEM;
        return bus_reply_json(l->m, o);
}

static void on_look(int r, const char *reply, size_t size, void *userdata) {
        CardFoundReader found[FACTOR_READERS_MAX];
        FactorStatus status = FACTOR_INTERNAL;
        Look *l = userdata;
        size_t n = 0;

        l->helper = NULL;
        if (r == 0 && card_find_reply(reply, size, &status, found, &n) < 0)
                status = FACTOR_INTERNAL;
        r = answer_look(l, found, n, status);
        if (r < 0)
                (void)sd_bus_reply_method_errnof(l->m, r, "Internal error");
        look_free(l);
}

static int do_look(Bus *b, sd_bus_message *m, const Caller *caller) {
        static Frame f;
        unsigned n = 0;
        Look *l;

        for (Look *i = b->looks; i; i = i->next)
                n++;
        if (n >= LOOKS_MAX || !b->c.card)
                return bus_refuse(m, "Unavailable", N_("Too many calls at once; try again later"));
        l = calloc(1, sizeof(*l));
        if (!l)
                return -ENOMEM;
        l->b = b;
        l->m = sd_bus_message_ref(m);
        l->uid = caller->uid;
        l->next = b->looks;
        b->looks = l;
        frame_init(&f, FACTOR_CARD_FIND);
        if (helper_ask(b->c.card, f.bytes, f.size, on_look, l, &l->helper) < 0) {
                look_free(l);
                return -ENOMEM;
        }
        return 1;
}

static unsigned enrolling_roles(void) {
        bool holder;

        return credential_roles(CREDENTIAL_REGISTER, CREDENTIAL_CARD, &holder) |
               credential_roles(CREDENTIAL_SUBSTITUTE, CREDENTIAL_CARD, &holder);
}

int credential_bus_look(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){ .method = "CardLook", .roles = enrolling_roles(), .noun = "credential", .fn = do_look });
}

/* ---- registering ---- */

typedef struct Stand {
        char *card; /* uuid of the card that it stands in for */
} Stand;

static int find_card(const Credential *c, void *userdata) {
        Stand *s = userdata;

        if (c->replaces || (c->state != CREDENTIAL_ACTIVE && c->state != CREDENTIAL_SUSPENDED))
                return 0;
        s->card = strdup(c->uuid);
        return s->card ? 1000 : -ENOMEM;
}

/* The end of the day, by this terminal's clock. */
static uint64_t end_of_day(uint64_t now_usec) {
        time_t t = (time_t)(now_usec / USEC_PER_SEC);
        struct tm tm;

        tzset();
        if (!localtime_r(&t, &tm))
                return 0;
        tm.tm_mday++;
        tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
        tm.tm_isdst = -1;
        t = mktime(&tm);
        return t > 0 ? (uint64_t)t * USEC_PER_SEC : 0;
}

/* Stand-ins whose day is over make room: of this card, whoever had it, and of this person. */
static int close_old_stand_ins(Bus *b, const Caller *caller, const char *person, const char *key, uint64_t now) {
        static const char sql[] = "SELECT uuid FROM credentials WHERE deleted = 0 AND replaces IS NOT NULL"
                                  " AND state IN ('active', 'suspended') AND valid_until > 0 AND valid_until <= ?3"
                                  " AND (person = ?1 OR key = ?2)";

        for (;;) {
                _cleanup_json_ json_object *before = NULL, *after = NULL;
                _cleanup_free_ char *uuid = NULL;
                int r;

                r = credential_query_one(b->c.registry, sql, person, key, now, &uuid);
                if (r != 0)
                        return r == REGISTRY_E_NOT_FOUND ? 0 : r;
                r = registry_credential_set_state(b->c.registry, uuid, CREDENTIAL_REMOVED, caller->user.person,
                        "its day is over", now, &before, &after, NULL);
                if (r == 0)
                        r = credential_append(
                                b, caller, EVENT_CREDENTIAL_REMOVED, NULL, before, after, "its day is over", NULL);
                if (r != 0)
                        return r;
        }
}

static int make_fields(json_object *document, const char *person, const LookedCard *card, const char *key,
        const Stand *stand, uint64_t now, const Caller *caller, json_object **ret) {
        _cleanup_json_ json_object *o = json_object_new_object();
        const char *label = json_string(document, "label"), *until = json_string(document, "until");

        if (!o || json_set_string(o, "kind", "card") < 0 || json_set_string(o, "person", person) < 0 ||
                json_set_string(o, "application", card_application_to_string(card->application)) < 0 ||
                json_set_string(o, "key", key) < 0 || json_set_string(o, "label", label) < 0 ||
                json_set_string(o, "state", "active") < 0 || json_set_string(o, "state_by", caller->user.person) < 0)
                return -ENOMEM;
        if (stand->card) {
                char text[WHEN_SIZE];

                when_format(end_of_day(now), text);
                if (json_set_string(o, "replaces", stand->card) < 0 || json_set_string(o, "until", text) < 0)
                        return -ENOMEM;
        } else if (until && json_set_string(o, "until", until) < 0)
                return -ENOMEM;
        *ret = TAKE_PTR(o);
        return 0;
}

static int write_card(Bus *b, sd_bus_message *m, const Caller *caller, const CredentialTarget *target,
        json_object *document, const LookedCard *card, const char *key, const Stand *stand, const char *deputy) {
        _cleanup_json_ json_object *fields = NULL, *after = NULL;
        uint64_t now = clock_usec(CLOCK_REALTIME);
        RegistryError e = {};
        int r;

        r = make_fields(document, target->person, card, key, stand, now, caller, &fields);
        if (r == 0)
                r = registry_begin(b->c.registry);
        if (r == 0)
                r = close_old_stand_ins(b, caller, target->person, key, now);
        if (r == 0)
                r = registry_row_add(b->c.registry, NOUN_CREDENTIAL, fields, now, &after, &e);
        if (r == 0)
                r = credential_append(b, caller, EVENT_CREDENTIAL_REGISTERED, target->account, NULL, after,
                        stand->card ? "stand-in for one day" : NULL, deputy);
        if (r == 0)
                r = change_commit(b, NOUN_CREDENTIAL);
        if (r != 0)
                return change_failed(b, m, caller, "CardRegister", NOUN_CREDENTIAL, target->account, r, &e);
        return bus_reply_json(m, after);
}

static int do_register(Bus *b, sd_bus_message *m, const Caller *caller) {
        static const char *const names[] = { "user", "key", "label", "until", "substitute", NULL };
        _cleanup_(credential_target_done) CredentialTarget target = {};
        _cleanup_json_ json_object *document = NULL;
        _cleanup_free_ unsigned char *key = NULL;
        const char *text, *wrong, *why, *deputy, *key_text;
        const LookedCard *card;
        Stand stand = {};
        bool substitute;
        size_t size;
        int r;

        r = sd_bus_message_read(m, "s", &text);
        if (r < 0)
                return r;
        if (json_parse_object(text, &document) < 0 || !json_only_has(document, names, &wrong) ||
                !json_string(document, "user") || !json_string(document, "key"))
                return bus_refuse(m, "Invalid", N_("The document has user, key, label, until and substitute"));
        key_text = json_string(document, "key");
        substitute = json_boolean(document, "substitute");
        key = base64_read(key_text, CREDENTIAL_KEY_MAX, &size);
        card = key ? looked_find(b, caller->uid, key, size) : NULL;
        if (!card)
                return bus_refuse(
                        m, "Invalid", N_("This card was not read a moment ago; leave it in the reader, and try again"));

        r = credential_target_find(b, json_string(document, "user"), &target);
        if (r != 0)
                return r == REGISTRY_E_NOT_FOUND ? bus_refuse(m, "NotFound", N_("The user is not registered"))
                                                 : bus_refuse_registry(m, r, NULL);
        wrong = credential_refused(caller, substitute ? CREDENTIAL_SUBSTITUTE : CREDENTIAL_REGISTER, CREDENTIAL_CARD,
                CREDENTIAL_NONE, &target, NULL, NULL, &why, &deputy);
        if (wrong)
                return change_refuse(b, m, caller, "CardRegister", NOUN_CREDENTIAL, target.account, why, wrong);
        if (substitute) {
                r = registry_credentials(b->c.registry, target.person, CREDENTIAL_CARD, find_card, &stand);
                if (r == 0)
                        return bus_refuse(m, "Invalid", N_("The user has no card that another could stand in for"));
                if (r != 1000)
                        return bus_refuse_registry(m, r, NULL);
        }
        r = write_card(b, m, caller, &target, document, card, key_text, &stand, deputy);
        free(stand.card);
        return r;
}

int credential_bus_register_card(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        return authorize(userdata, m,
                &(Ask){
                        .method = "CardRegister",
                        .action = ACTION_CREDENTIAL,
                        .roles = enrolling_roles(),
                        .noun = "credential",
                        .fn = do_register,
                });
}
