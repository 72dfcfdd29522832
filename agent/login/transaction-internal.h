/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "keishi/message.h"
#include "login/attempt.h"
#include "login/factor-plan.h"
#include "login/facts.h"
#include "login/password.h"
#include "login/service.h"
#include "login/text.h"
#include "login/transaction.h"
#include "registry/credential.h"
#include "util/secret.h"

/* Between the files of a transaction: transaction.c carries it, stage-auth.c, stage-account.c and stage-password.c
 * decide its stages, describe.c puts it into words. */

typedef enum State {
        STATE_BEGIN,       /* nothing heard yet */
        STATE_LOOKUP,      /* NSS is asked about the actor, then about PAM_USER */
        STATE_PASSWORD,    /* the password has been asked for */
        STATE_VERIFY,      /* keishi-password runs */
        STATE_CARD,        /* a card is looked for, waited for, or proves itself */
        STATE_PIN_CONFIRM, /* whether to use the last try of a PIN has been asked */
        STATE_PIN,         /* the card's PIN has been asked for */
        STATE_KEY,         /* a key is looked for, waited for, or verifies a finger */
        STATE_PERSON,      /* the staff number behind a shared ID has been asked for */
        STATE_NEW,         /* a new password has been asked for */
        STATE_NEW_AGAIN,   /* …and once more */
        STATE_CHECK,       /* it is judged */
        STATE_DELAY,       /* the answer is known and held back */
        STATE_DONE,        /* RESULT has been sent */
        _STATE_MAX,
} State;

/* What is found out about the age of a password while it is used. */
typedef struct PasswordAgeNote {
        char *user; /* uuid of its account; NULL: nothing is to be done */
        bool store; /* the next two are news */
        uint64_t changed_usec;
        PasswordSource source;
        bool fingerprint; /* is to be taken */
        bool warn;
        unsigned days; /* left */
        PasswordDue due;
} PasswordAgeNote;

/* A card or key that proved itself in this call. */
typedef struct UsedCredential {
        char uuid[37];
        uint32_t counter; /* to be stored when the call is granted */
} UsedCredential;

typedef struct CardStep CardStep;
typedef struct KeyStep KeyStep;

/* What people typed; apart, because most calls have none of it. */
typedef struct Typed {
        Secret password; /* of a change, the new one */
        Secret current;  /* of a change: the current one, where the module knows it */
} Typed;

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
        FactorPlan plan;        /* what is asked for */
        CardStep *card;         /* while the card is dealt with */
        KeyStep *key;           /* the same of a key */
        UsedCredential used[2];
        size_t n_used;
        char *reader;         /* where the card lies */
        bool nameless, named; /* PAM_USER is empty: no card names anybody; or one has */
        char credentials[80]; /* in later stages: those of the proof */

        Typed *typed;        /* NULL until something is */
        uint32_t shadow_day; /* when the password was changed, of a local account; 0: not known */
        bool elsewhere;      /* a directory keeps the password */
        PasswordAgeNote password_note;
        unsigned tries; /* new passwords that were refused */

        /* who sits there */
        char *person, *name;

        /* held back until the delay is over */
        Result held_result;
        const char *held_text;
        unsigned held_count;
        void (*held_fn)(Transaction *t); /* goes on with this instead of ending */
};

/* transaction.c */
/* pkexec, as whom polkit let go on; not polkit's agent, which has asked before. */
bool transaction_is_pkexec(const Transaction *t);
void transaction_send_text(Transaction *t, MessageType type, const char *text);
void transaction_prompt(Transaction *t, State next, PromptStyle style, const char *text);
/* The same with one %u in the text. */
void transaction_prompt_count(Transaction *t, State next, PromptStyle style, const char *text, unsigned count);
/* Shows a marked text with at most one %u. */
void transaction_tell(Transaction *t, MessageType type, const char *text, unsigned count);
/* Nothing is asked, and the caller is told so, for at most `usec`. */
int transaction_wait(Transaction *t, State state, uint64_t usec);
/* A card has named the user, where PAM_USER is empty: the stage begins anew. Takes `user`. */
void transaction_name(Transaction *t, char *user);
/* Sends RESULT and ends. */
void transaction_finish(Transaction *t, Result result);
/* Makes room in `typed`. -ENOMEM. */
int transaction_need_typed(Transaction *t);
/* Shows `text` (marked; may hold one %u for `count`) and finishes with the result, once the delay that failures are
 * given is over. */
void transaction_fail_later(Transaction *t, Result result, const char *text, unsigned count);
/* Shows `text` once that delay is over, and goes on with `fn`. */
void transaction_retry_later(Transaction *t, const char *text, void (*fn)(Transaction *t));
/* The same as transaction_fail_later() at once. */
void transaction_fail(Transaction *t, Result result, const char *text);
/* The registry cannot be used: as if there were no agent. */
void transaction_unusable(Transaction *t);

/* stage-auth.c */
void auth_start(Transaction *t);
void auth_password(Transaction *t, const Message *m);
void auth_person(Transaction *t, const Message *m);
/* What attempts of this call are counted for. */
int auth_prepare(Transaction *t);
/* Asks for the password that proves who it is, unless too many attempts have failed. */
void auth_ask(Transaction *t, PromptStyle style, const char *text);
void auth_fail_locked(Transaction *t);
/* A charge taken back within the open transaction, because it was right. */
int auth_take_back(Transaction *t);
/* The caller went away or gave up; the charge of what was being tried stays. */
void auth_abandoned(Transaction *t);
/* Charges this call before something is tried, once (law 4). False: the call has been ended. */
bool auth_charge(Transaction *t);
/* The factor was not tried after all. */
void auth_take_back_untried(Transaction *t);
/* A factor was wrong: records `reason`, tells `text` (marked, at most one %u for `count`) or, when that was the last
 * attempt, `locked_text`, and ends the call. */
void auth_wrong(Transaction *t, const char *reason, const char *text, unsigned count, const char *locked_text);
/* All factors are given. */
void auth_decide(Transaction *t);

/* stage-factors.c */
/* Asks for the first factor. */
void factors_start(Transaction *t);
/* Whether a card may name the user: PAM_USER is empty, somebody is at the terminal itself, and a card is asked for.
 * *ret_only: nothing else is asked for first. */
bool factors_may_name(Transaction *t, bool *ret_only);
/* A factor was right: asks for the next, or decides. */
void factors_verified(Transaction *t, unsigned factor);
void factors_next(Transaction *t);
/* What card_look() has found: there is a card, which is chosen; or there is none, and something else is asked for. */
void factors_with_card(Transaction *t);
void factors_without_card(Transaction *t);
/* Notes a card or key that proved itself, with what is to be stored of it. -E2BIG. */
int factors_note(Transaction *t, const char *uuid, uint32_t counter);
/* Stores that within the open transaction. As the registry's functions. */
int factors_store(Transaction *t, uint64_t now_usec);
/* Whether they are still in force. 0, or as the registry's. */
int factors_in_force(Transaction *t, bool *ret);
/* "password card", for trails. Static. */
const char *factors_to_string(unsigned factors);
/* Their uuids, separated by blanks, in `ret`. */
#define FACTORS_CREDENTIALS_SIZE 80u
const char *factors_credentials(const Transaction *t, char *ret, size_t size);

/* stage-card.c */
void card_start(Transaction *t);
/* Looks for a card that names the user; `wait` for one, or goes on without a name. */
void card_name(Transaction *t, bool wait);
/* Only looks whether there is a card, to choose between factors. */
void card_look(Transaction *t);
void card_confirm(Transaction *t, const Message *m);
void card_pin(Transaction *t, const Message *m);
CardStep *card_step_free(CardStep *s);

/* stage-account.c */
void account_start(Transaction *t);
void session_open_start(Transaction *t);
/* The proof of an earlier stage of this service by who acts now, or NULL. */
Proof *transaction_proof(const Transaction *t);

/* stage-password.c */
void password_prelim_start(Transaction *t);
/* …whose current password was right. */
void password_verified(Transaction *t);
void password_update_start(Transaction *t);
void password_answer(Transaction *t, const Message *m);

/* password-age.c */
/* Whose password the call is about. */
const User *password_owner(const Transaction *t, const FactsData *d);
/* Whether the terminal only observes. */
bool password_on_trial(const Transaction *t);
/* While a password is used: finds out its age (into password_note; 0 or as the registry), stores that within the open
 * transaction, and does what follows from it once the login is granted. */
int password_look_at_age(Transaction *t, const FactsData *d);
int password_store_age(Transaction *t);
void password_used(Transaction *t, Proof *p);
/* Records and tells that the password has to be changed first. 0, or as trail_record(). */
int password_demand(Transaction *t, const Proof *p, const FactsData *d, const Verdict *v);
/* "max-age", "member-left"; NULL: not due. */
const char *password_due_to_string(PasswordDue due);

/* stage-key.c */
void key_start(Transaction *t);
/* Whether any key is plugged in, whoever's. */
bool key_is_plugged_in(const Transaction *t);
KeyStep *key_step_free(KeyStep *s);

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
