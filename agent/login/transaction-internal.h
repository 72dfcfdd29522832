/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "keishi/message.h"
#include "login/attempt.h"
#include "login/facts.h"
#include "login/service.h"
#include "login/text.h"
#include "login/transaction.h"
#include "util/secret.h"

/* Between the files of a transaction: transaction.c carries it, stage-auth.c and stage-account.c decide its stages,
 * describe.c puts it into words. */

typedef enum State {
        STATE_BEGIN,    /* nothing heard yet */
        STATE_LOOKUP,   /* NSS is asked about the actor, then about PAM_USER */
        STATE_PASSWORD, /* the password has been asked for */
        STATE_VERIFY,   /* keishi-password runs */
        STATE_PERSON,   /* the staff number behind a shared ID has been asked for */
        STATE_DELAY,    /* the answer is known and held back */
        STATE_DONE,     /* RESULT has been sent */
        _STATE_MAX,
} State;

struct Transaction {
        LoginContext *context;
        transaction_fn on_end;
        void *userdata;

        int fd;
        Peer peer;
        State state;
        sd_event_source *io, *deadline, *tick, *hold;

        /* from BEGIN */
        Stage stage;
        uint32_t flags;
        char *service_name, *user, *ruser, *rhost, *tty; /* as sent */
        bool user_usable;                                /* PAM_USER can be an account's name */
        Language language;

        /* facts */
        const Service *service; /* NULL: no row */
        Family family;
        bool remote;
        bool actor_is_root; /* the caller stands for nobody: root itself started it */
        uid_t actor_uid;
        char *actor; /* account that acts; NULL: not known to NSS */
        Account *actor_nss, *user_nss;
        LookupQuery *query;
        bool looking_for_actor;
        char *target, *origin; /* of attempts */

        /* the password factor */
        Helper *helper;
        Attempt attempt;
        bool charged;
        uint64_t charged_usec;  /* trusted_clock_steady() */
        uint64_t answered_usec; /* CLOCK_BOOTTIME */
        unsigned factors;       /* verified */

        /* who sits there */
        char *person, *name;

        /* held back until the delay is over */
        Result held_result;
        const char *held_text;
        unsigned held_count;
};

/* transaction.c */
void transaction_send_text(Transaction *t, MessageType type, const char *text);
void transaction_prompt(Transaction *t, State next, PromptStyle style, const char *text);
/* Sends RESULT and ends. */
void transaction_finish(Transaction *t, Result result);
/* Shows `text` (marked; may hold one %u for `count`) and finishes with the result, once the delay that failures are
 * given is over. */
void transaction_fail_later(Transaction *t, Result result, const char *text, unsigned count);
/* The same at once. */
void transaction_fail(Transaction *t, Result result, const char *text);
/* The registry cannot be used: as if there were no agent. */
void transaction_unusable(Transaction *t);

/* stage-auth.c */
void auth_start(Transaction *t);
void auth_password(Transaction *t, const Message *m);
void auth_person(Transaction *t, const Message *m);
/* The caller went away or gave up; the charge of what was being tried stays. */
void auth_abandoned(Transaction *t);

/* stage-account.c */
void account_start(Transaction *t);
void session_open_start(Transaction *t);
void password_start(Transaction *t);

/* describe.c */
/* Collects facts and judges; r as facts_judge(). *ret_data is to be freed by facts_done(). */
int transaction_judge(Transaction *t, bool authenticated, FactsData *ret_data, Verdict *ret);
/* Another session that the person has open here, when one is being opened; NULL when there is none. */
const Session *transaction_other_session(const Transaction *t, const FactsData *d);
/* granted, refused, or would-refuse: what a trail says of a verdict. */
const char *verdict_result(const Verdict *v);
/* Tells the person what will be refused once the terminal no longer only observes; nothing for other verdicts. */
void transaction_say_observed(Transaction *t, const Verdict *v);
/* Tells whoever is there that the terminal only observes, and that the session before was ended and why, when it is so:
 * the same to everybody (law 5). */
void transaction_say_mode(Transaction *t);
/* A new entry with all that is known of the call; NULL when out of memory. */
Event *transaction_event(Transaction *t, EventKind kind, const FactsData *d, const Verdict *v);
/* Records a refusal; never fails. `v` may be NULL: then `reason` and the rule "default" stand. */
void transaction_record_refused(
        Transaction *t, EventKind kind, const FactsData *d, const Verdict *v, const char *reason);
/* What PAM is told of a refusal, where it is `result` otherwise. */
Result transaction_refusal(const Transaction *t, const Verdict *v, Result result);
/* What a person is told about a refusal by the evaluator; marked for translation. */
const char *reason_text(Reason r);
