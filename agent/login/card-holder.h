/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "factor/card-reply.h"
#include "factor/card-verify.h"
#include "login/server.h"
#include "registry/credential.h"

/* Which of the cards in the readers is the one that was registered for a person, and what may be the matter with it. */

typedef enum CardProblem {
        CARD_PROBLEM_NONE,
        CARD_PROBLEM_NO_SERVICE,
        CARD_PROBLEM_NO_READER,
        CARD_PROBLEM_NO_CARD,
        CARD_PROBLEM_MUTE,
        CARD_PROBLEM_BUSY,
        CARD_PROBLEM_MISBEHAVED,
        CARD_PROBLEM_SEVERAL,
        CARD_PROBLEM_UNKNOWN,  /* registered for nobody */
        CARD_PROBLEM_OTHER,    /* for somebody else, who is not named */
        CARD_PROBLEM_STOPPED,  /* suspended, returned, removed */
        CARD_PROBLEM_REPLACED, /* a stand-in has been issued */
        CARD_PROBLEM_NOT_YET,
        CARD_PROBLEM_EXPIRED,
        CARD_PROBLEM_ISSUER, /* not of the configured authority */
        CARD_PROBLEM_REVOKED,
        CARD_PROBLEM_NO_CRL, /* no list in force */
        CARD_PROBLEM_BLOCKED,
        CARD_PROBLEM_BLOCKED_JPKI,
        CARD_PROBLEM_CHANGED,
        CARD_PROBLEM_PIN_FORM,
        CARD_PROBLEM_INTERNAL,
        _CARD_PROBLEM_MAX,
} CardProblem;
/* Stable names ("card-other"), for trails. */
const char *card_problem_to_string(CardProblem p);
/* What a person is told; marked for translation. */
const char *card_problem_text(CardProblem p);
/* The same while it is waited for that it changes, with one %u for the seconds; NULL: there is nothing to wait for. */
const char *card_problem_waiting(CardProblem p);

/* Whose card is looked for. Empty for who is not registered: no card matches then. */
typedef struct CardHolder {
        char *account; /* of a shared ID: its members' cards count */
        char *person;
        bool shared;
} CardHolder;
void card_holder_done(CardHolder *h);
/* 0, also for who is not registered; REGISTRY_E_UNUSABLE or a negative errno. */
int card_holder_find(CardHolder *ret, const LoginContext *context, const char *account);

/* The holder's card. */
typedef struct CardMatch {
        Credential credential;
        char *person, *name; /* whose it is */
        char reader[FACTOR_READER_MAX + 1];
        CardApplication application;
        CardAlgorithm algorithm;
        bool has_tries;
        unsigned tries;
        int64_t not_before, not_after; /* of the certificate, seconds since 1970 */
        unsigned char *certificate;
        size_t certificate_size;
} CardMatch;
void card_match_done(CardMatch *m);

/* Looks through what lies in the readers. *ret_problem is CARD_PROBLEM_NONE when *ret is the holder's card and in
 * force, else what is the matter. 0, REGISTRY_E_UNUSABLE, or a negative errno. */
int card_match(const LoginContext *context, const CardHolder *holder, const CardFoundReader *readers, size_t n,
        CardMatch *ret, CardProblem *ret_problem);
/* The account of whoever the one registered card in the readers belongs to; NULL: none, or several persons', and
 * *ret_problem says what is the matter. As card_match(). */
int card_names(
        const LoginContext *context, const CardFoundReader *readers, size_t n, char **ret, CardProblem *ret_problem);
/* The dates of the certificate and, where one is configured, its authority. */
CardProblem card_match_check(const LoginContext *context, const CardMatch *m);
