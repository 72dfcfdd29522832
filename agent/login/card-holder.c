/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/card-holder.h"

#include <errno.h>
#include <string.h>

#include "login/text.h"
#include "util/clock.h"

static const struct {
        const char *name, *text, *waiting;
} problems[_CARD_PROBLEM_MAX] = {
        [CARD_PROBLEM_NONE] = { "none", NULL, NULL },
        [CARD_PROBLEM_NO_SERVICE] = { "card-no-service",
                N_("The card service of this terminal does not answer. Tell your system manager."),
                N_("The card service of this terminal does not answer yet. Waiting %u seconds.") },
        [CARD_PROBLEM_NO_READER] = { "card-no-reader",
                N_("There is no card reader. Connect one, or tell your system manager."),
                N_("There is no card reader. Connect one and insert your card within %u seconds.") },
        [CARD_PROBLEM_NO_CARD] = { "card-none", N_("No card was inserted. Try again, and insert your card."),
                N_("Insert your card within %u seconds.") },
        [CARD_PROBLEM_MUTE] = { "card-mute",
                N_("The card does not answer. Clean it, or insert it the other way round."),
                N_("The card does not answer. Insert it the other way round within %u seconds.") },
        [CARD_PROBLEM_BUSY] = { "card-busy", N_("The card is in use by another program. Close that, and try again."),
                N_("The card is in use by another program. Waiting %u seconds.") },
        [CARD_PROBLEM_MISBEHAVED] = { "card-misbehaved",
                N_("The card answers in a way that no card may. Show it to your system manager."), NULL },
        [CARD_PROBLEM_SEVERAL] = { "card-several",
                N_("There are several cards, and none is yours. Leave only your own in the reader, and try again."),
                NULL },
        [CARD_PROBLEM_UNKNOWN] = { "card-unknown",
                N_("This is not a card that is known here. Use the one that was registered for you."), NULL },
        [CARD_PROBLEM_OTHER] = { "card-other", N_("This is not your card. Use the one that was registered for you."),
                NULL },
        [CARD_PROBLEM_STOPPED] = { "card-stopped",
                N_("This card is stopped. Ask the duty officer or the head of your unit."), NULL },
        [CARD_PROBLEM_REPLACED] = { "card-replaced", N_("You were given a stand-in for this card today. Use that."),
                NULL },
        [CARD_PROBLEM_NOT_YET] = { "card-not-yet", N_("This card is not valid yet. Ask your system manager."), NULL },
        [CARD_PROBLEM_EXPIRED] = { "card-expired", N_("This card has expired. Ask your system manager for a new one."),
                NULL },
        [CARD_PROBLEM_ISSUER] = { "card-issuer",
                N_("This card was not issued by the authority of this site. Ask your system manager."), NULL },
        [CARD_PROBLEM_REVOKED] = { "card-revoked",
                N_("The authority has revoked this card. Ask your system manager for a new one."), NULL },
        [CARD_PROBLEM_NO_CRL] = { "card-no-crl",
                N_("The revocation list of the cards is out of date, so none is taken. Tell your system manager."),
                NULL },
        [CARD_PROBLEM_BLOCKED] = { "card-blocked",
                N_("This card is blocked after wrong PINs. Ask your system manager."), NULL },
        [CARD_PROBLEM_BLOCKED_JPKI] = { "card-blocked",
                N_("This card is blocked after wrong PINs. A town office sets a new PIN."), NULL },
        [CARD_PROBLEM_CHANGED] = { "card-changed",
                N_("The card in the reader is no longer the one of before. Try again, and leave it in."), NULL },
        [CARD_PROBLEM_PIN_FORM] = { "pin-form", N_("This cannot be the PIN of your card. Nothing was tried."), NULL },
        [CARD_PROBLEM_INTERNAL] = { "card-internal",
                N_("The card cannot be read at the moment. Try again, or tell your system manager."), NULL },
};

const char *card_problem_to_string(CardProblem p) {
        return p < _CARD_PROBLEM_MAX ? problems[p].name : NULL;
}

const char *card_problem_text(CardProblem p) {
        return p < _CARD_PROBLEM_MAX ? problems[p].text : NULL;
}

const char *card_problem_waiting(CardProblem p) {
        return p < _CARD_PROBLEM_MAX ? problems[p].waiting : NULL;
}

void card_holder_done(CardHolder *h) {
        free(h->account);
        free(h->person);
        *h = (CardHolder){};
}

int card_holder_find(CardHolder *ret, const LoginContext *context, const char *account) {
        _cleanup_(user_done) User user = {};
        int r;

        *ret = (CardHolder){};
        if (!account)
                return 0;
        r = registry_user(context->registry, account, &user);
        if (r != 0)
                return r == REGISTRY_E_NOT_FOUND ? 0 : r;
        ret->account = TAKE_PTR(user.account);
        ret->person = TAKE_PTR(user.person);
        ret->shared = user.shared;
        return 0;
}

void card_match_done(CardMatch *m) {
        credential_done(&m->credential);
        free(m->person);
        free(m->name);
        free(m->certificate);
        *m = (CardMatch){};
}

typedef struct Search {
        const LoginContext *context;
        const CardHolder *holder;
        uint64_t now_usec;
        bool trusted;
        bool known;        /* a card of somebody else lies there */
        CardProblem about; /* what is the matter with the holder's own */
} Search;

static int is_holders(Search *s, const Credential *c, bool *ret) {
        int r;

        *ret = s->holder->person && strcmp(c->person, s->holder->person) == 0 && !s->holder->shared;
        if (!s->holder->shared)
                return 0;
        r = registry_shared_member(s->context->registry, s->holder->account, c->person);
        *ret = r == 0;
        return r == REGISTRY_E_NOT_FOUND ? 0 : r;
}

typedef struct StandIn {
        const Search *search;
        const char *replaced;
} StandIn;

static int is_stand_in(const Credential *c, void *userdata) {
        StandIn *i = userdata;

        return c->replaces && strcmp(c->replaces, i->replaced) == 0 &&
               credential_in_force(c, i->search->now_usec, i->search->trusted);
}

/* What the registry says against a card of the holder's. */
static int credential_problem(const Search *s, const Credential *c, CardProblem *ret) {
        StandIn stand_in = { s, c->uuid };
        int r;

        *ret = CARD_PROBLEM_NONE;
        if (c->state != CREDENTIAL_ACTIVE)
                *ret = CARD_PROBLEM_STOPPED;
        else if (c->until_usec > 0 && s->now_usec >= c->until_usec)
                *ret = CARD_PROBLEM_EXPIRED;
        else if (!credential_in_force(c, s->now_usec, s->trusted))
                *ret = CARD_PROBLEM_NOT_YET;
        if (*ret != CARD_PROBLEM_NONE)
                return 0;
        r = registry_credentials(s->context->registry, c->person, CREDENTIAL_CARD, is_stand_in, &stand_in);
        if (r == 1)
                *ret = CARD_PROBLEM_REPLACED;
        return r == 1 ? 0 : r;
}

static CardProblem dates_problem(const LoginContext *context, int64_t not_before, int64_t not_after) {
        uint64_t now;

        (void)trusted_clock_now(context->clock, &now);
        if ((int64_t)(now / USEC_PER_SEC) < not_before)
                return CARD_PROBLEM_NOT_YET;
        return (int64_t)(now / USEC_PER_SEC) > not_after ? CARD_PROBLEM_EXPIRED : CARD_PROBLEM_NONE;
}

/* Takes the card over into *ret. */
static int take(Search *s, const CardFoundReader *reader, const CardFoundApplication *a, const CardFacts *facts,
        Credential *credential, CardMatch *ret) {
        _cleanup_(card_match_done) CardMatch m = {
                .application = a->application,
                .algorithm = facts->kind == PUBLIC_KEY_RSA ? CARD_RSA_2048 : CARD_P256,
                .has_tries = a->has_tries,
                .tries = a->tries,
                .not_before = facts->not_before,
                .not_after = facts->not_after,
                .certificate_size = a->certificate.size,
        };
        _cleanup_(user_done) User user = {};
        int r;

        r = registry_person(s->context->registry, credential->person, &user);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        m.person = strdup(credential->person);
        m.name = TAKE_PTR(user.name);
        m.certificate = malloc(a->certificate.size);
        if (!m.person || !m.certificate)
                return -ENOMEM;
        memcpy(m.certificate, a->certificate.at, a->certificate.size);
        memcpy(m.reader, reader->name, sizeof(m.reader));
        m.credential = *credential;
        *credential = (Credential){};
        card_match_done(ret);
        *ret = m;
        m = (CardMatch){};
        return 0;
}

static int look_at(Search *s, const CardFoundReader *reader, const CardFoundApplication *a, CardMatch *ret) {
        _cleanup_(card_facts_done) CardFacts facts = {};
        _cleanup_(credential_done) Credential c = {};
        CardProblem problem;
        bool own;
        int r;

        if (a->certificate.size == 0 || a->too_long)
                return 0;
        r = card_facts_read(&facts, a->certificate);
        if (r != 0)
                return r < 0 ? r : 0; /* not a card of a kind that could be registered */
        r = registry_credential_by_key(s->context->registry, facts.spki, facts.spki_size, &c);
        if (r != 0)
                return r == REGISTRY_E_NOT_FOUND ? 0 : r;
        s->known = true;
        if (c.kind != CREDENTIAL_CARD || !c.application || !c.person || !c.key ||
                strcmp(c.application, card_application_to_string(a->application)) != 0)
                return 0;
        r = is_holders(s, &c, &own);
        if (r != 0 || !own)
                return r;
        r = credential_problem(s, &c, &problem);
        if (r != 0)
                return r;
        if (problem == CARD_PROBLEM_NONE)
                problem = dates_problem(s->context, facts.not_before, facts.not_after);
        if (problem != CARD_PROBLEM_NONE) {
                s->about = problem;
                return 0;
        }
        return take(s, reader, a, &facts, &c, ret);
}

/* Nothing matched: why, as far as may be said. */
static CardProblem why_none(const Search *s, const CardFoundReader *readers, size_t n) {
        static const struct {
                CardState state;
                CardProblem problem;
        } others[] = { { CARD_MUTE, CARD_PROBLEM_MUTE }, { CARD_BUSY, CARD_PROBLEM_BUSY },
                { CARD_MISBEHAVED, CARD_PROBLEM_MISBEHAVED } };
        size_t cards = 0;

        if (s->about != CARD_PROBLEM_NONE)
                return s->about;
        for (size_t i = 0; i < n; i++)
                cards += readers[i].state == CARD_PRESENT;
        if (cards > 1)
                return CARD_PROBLEM_SEVERAL;
        if (cards == 1)
                return s->known ? CARD_PROBLEM_OTHER : CARD_PROBLEM_UNKNOWN;
        for (size_t k = 0; k < ELEMENTSOF(others); k++)
                for (size_t i = 0; i < n; i++)
                        if (readers[i].state == others[k].state)
                                return others[k].problem;
        return n > 0 ? CARD_PROBLEM_NO_CARD : CARD_PROBLEM_NO_READER;
}

int card_match(const LoginContext *context, const CardHolder *holder, const CardFoundReader *readers, size_t n,
        CardMatch *ret, CardProblem *ret_problem) {
        Search s = { .context = context, .holder = holder };

        s.trusted = trusted_clock_now(context->clock, &s.now_usec);
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < readers[i].n; k++) {
                        int r = look_at(&s, &readers[i], &readers[i].applications[k], ret);

                        if (r != 0)
                                return r;
                        if (ret->person) {
                                *ret_problem = CARD_PROBLEM_NONE;
                                return 0;
                        }
                }
        *ret_problem = why_none(&s, readers, n);
        return 0;
}

/* The person whose card this is, when it is registered and in force. */
static int person_of(Search *s, const CardFoundApplication *a, char **ret) {
        _cleanup_(card_facts_done) CardFacts facts = {};
        _cleanup_(credential_done) Credential c = {};
        int r;

        if (a->certificate.size == 0 || a->too_long)
                return 0;
        r = card_facts_read(&facts, a->certificate);
        if (r != 0)
                return r < 0 ? r : 0;
        r = registry_credential_by_key(s->context->registry, facts.spki, facts.spki_size, &c);
        if (r != 0)
                return r == REGISTRY_E_NOT_FOUND ? 0 : r;
        if (c.kind != CREDENTIAL_CARD || !c.application || !c.person ||
                strcmp(c.application, card_application_to_string(a->application)) != 0)
                return 0;
        r = credential_problem(s, &c, &s->about);
        if (r == 0 && s->about == CARD_PROBLEM_NONE)
                *ret = TAKE_PTR(c.person);
        return r;
}

int card_names(
        const LoginContext *context, const CardFoundReader *readers, size_t n, char **ret, CardProblem *ret_problem) {
        Search s = { .context = context };
        _cleanup_free_ char *one = NULL;
        _cleanup_(user_done) User user = {};
        int r;

        s.trusted = trusted_clock_now(context->clock, &s.now_usec);
        for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < readers[i].n; k++) {
                        _cleanup_free_ char *person = NULL;

                        r = person_of(&s, &readers[i].applications[k], &person);
                        if (r != 0)
                                return r;
                        if (one && person && strcmp(one, person) != 0) {
                                *ret_problem = CARD_PROBLEM_SEVERAL;
                                return 0;
                        }
                        if (person && !one)
                                one = TAKE_PTR(person);
                }
        *ret_problem = why_none(&s, readers, n);
        if (!one)
                return 0;
        r = registry_person(context->registry, one, &user);
        if (r != 0) {
                *ret_problem = CARD_PROBLEM_STOPPED; /* whoever it was has no account any more */
                return r == REGISTRY_E_NOT_FOUND ? 0 : r;
        }
        *ret = TAKE_PTR(user.account);
        return 0;
}

CardProblem card_match_check(const LoginContext *context, const CardMatch *m) {
        CardProblem problem = dates_problem(context, m->not_before, m->not_after);
        const Trust *trust;
        uint64_t now;

        if (problem != CARD_PROBLEM_NONE || !context->config->card_ca)
                return problem;
        trust = trust_file_get(context->card_trust);
        if (!trust)
                return CARD_PROBLEM_ISSUER;
        (void)trusted_clock_now(context->clock, &now);
        switch (card_issuer_check(
                trust, (Bytes){ m->certificate, m->certificate_size }, (int64_t)(now / USEC_PER_SEC))) {
        case 0:
                return CARD_PROBLEM_NONE;
        case CARD_E_NOT_YET:
                return CARD_PROBLEM_NOT_YET;
        case CARD_E_EXPIRED:
                return CARD_PROBLEM_EXPIRED;
        case CARD_E_REVOKED:
                return CARD_PROBLEM_REVOKED;
        case CARD_E_CRL:
                return CARD_PROBLEM_NO_CRL;
        default:
                return CARD_PROBLEM_ISSUER;
        }
}
