/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "factor/card-reply.h"
#include "factor/card-verify.h"
#include "login/card-holder.h"
#include "login/transaction-internal.h"
#include "util/clock.h"
#include "util/text.h"

/* The factor card: one that lies in a reader and is registered for this person proves itself with its PIN. The worker
 * brings what the card says; what counts is a signature over a challenge of ours, by the key that was registered. */

#define RETRY_USEC   (1 * USEC_PER_SEC)
#define MARGIN_USEC  (20 * USEC_PER_SEC) /* what a worker may take beyond the wait for a card */
#define PURPOSE_SIZE 320u

struct CardStep {
        bool naming;  /* whose card it is names the user, */
        bool wait;    /* …and one is waited for */
        bool looking; /* only whether there is a card, to choose between factors */
        CardProblem told;
        uint64_t until_usec; /* CLOCK_BOOTTIME; 0: nobody was asked to insert one yet */
        sd_event_source *retry;
        CardHolder holder;
        CardMatch match;
        unsigned char digest[32];
};

CardStep *card_step_free(CardStep *s) {
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->retry);
        card_match_done(&s->match);
        card_holder_done(&s->holder);
        free(s);
        return NULL;
}

/* Ends the call because of what is the matter with the card; nothing was tried. */
static void fail_untried(Transaction *t, CardProblem problem) {
        auth_take_back_untried(t);
        transaction_record_refused(t, EVENT_LOGIN_REFUSED, NULL, NULL, card_problem_to_string(problem));
        transaction_fail(t, RESULT_AUTH_ERR, card_problem_text(problem));
}

static void find(Transaction *t);

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata) {
        find(userdata);
        return 0;
}

static void retry_later(Transaction *t) {
        CardStep *s = t->card;

        s->retry = sd_event_source_disable_unref(s->retry);
        if (sd_event_add_time_relative(t->context->event, &s->retry, CLOCK_BOOTTIME, RETRY_USEC, 0, on_retry, t) < 0)
                fail_untried(t, CARD_PROBLEM_INTERNAL);
}

static bool on_watch_said(const char *packet, size_t size, void *userdata) {
        Transaction *t = userdata;

        bool card;

        if (!card_watch_reply(packet, size, &card))
                return false;
        if (!card)
                return true;
        t->helper = helper_cancel(t->helper);
        find(t);
        return true;
}

/* The watch is over: pcscd has gone, or the time. */
static void on_watch_over(int r, const char *reply, size_t size, void *userdata) {
        Transaction *t = userdata;

        t->helper = NULL;
        retry_later(t);
}

/* Waits until something lies in a reader. */
static void watch(Transaction *t, uint64_t left_usec) {
        static Frame f;
        int r;

        frame_init(&f, FACTOR_WATCH);
        r = helper_ask_more(t->context->card,
                &(HelperQuestion){
                        .request = f.bytes,
                        .size = f.size,
                        .timeout_usec = left_usec,
                        .said = on_watch_said,
                        .fn = on_watch_over,
                        .userdata = t,
                },
                &t->helper);
        if (r < 0)
                retry_later(t);
}

/* Says what is the matter, and waits for that to change, as long as the configuration allows. */
static void wait_for_card(Transaction *t, CardProblem problem) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);
        CardStep *s = t->card;

        if (s->until_usec == 0) {
                s->until_usec = now + t->context->config->card_usec;
                if (transaction_wait(t, STATE_CARD, t->context->config->card_usec + MARGIN_USEC) < 0)
                        return transaction_finish(t, RESULT_SYSTEM_ERR);
        }
        if (now >= s->until_usec)
                return fail_untried(t, problem);
        if (s->told != problem)
                transaction_tell(t, MESSAGE_INFORM, card_problem_waiting(problem),
                        (unsigned)((s->until_usec - now + USEC_PER_SEC - 1) / USEC_PER_SEC));
        s->told = problem;
        if (t->fd < 0)
                return;
        if (problem == CARD_PROBLEM_NO_CARD || problem == CARD_PROBLEM_NO_READER)
                watch(t, s->until_usec - now);
        else
                retry_later(t);
}

static void ask_pin(Transaction *t) {
        const CardMatch *m = &t->card->match;

        if (m->has_tries)
                transaction_prompt_count(
                        t, STATE_PIN, PROMPT_ECHO_OFF, N_("PIN of your card (tries left: %u): "), m->tries);
        else
                transaction_prompt(t, STATE_PIN, PROMPT_ECHO_OFF, N_("PIN of your card: "));
}

/* No card names anybody: as if none had been looked for. */
static void go_on_nameless(Transaction *t) {
        t->card = card_step_free(t->card);
        t->nameless = true;
        auth_start(t);
}

static void find_name(Transaction *t, const CardFoundReader *readers, size_t n) {
        CardStep *s = t->card;
        CardProblem problem;
        char *account = NULL;
        int r;

        r = card_names(t->context, readers, n, &account, &problem);
        if (r != 0)
                return transaction_unusable(t);
        if (account) {
                t->card = card_step_free(t->card);
                return transaction_name(t, account);
        }
        if (!s->wait)
                return go_on_nameless(t);
        if (card_problem_waiting(problem))
                return wait_for_card(t, problem);
        fail_untried(t, problem);
}

static void found(Transaction *t, const CardFoundReader *readers, size_t n) {
        CardStep *s = t->card;
        CardProblem problem;
        int r;

        r = card_match(t->context, &s->holder, readers, n, &s->match, &problem);
        if (r != 0)
                return transaction_unusable(t);
        if (problem == CARD_PROBLEM_NONE && s->match.has_tries && s->match.tries == 0)
                problem = s->match.application == CARD_JPKI ? CARD_PROBLEM_BLOCKED_JPKI : CARD_PROBLEM_BLOCKED;
        if (problem != CARD_PROBLEM_NONE && card_problem_waiting(problem))
                return wait_for_card(t, problem);
        if (problem != CARD_PROBLEM_NONE)
                return fail_untried(t, problem);

        /* The last try is the holder's own decision. */
        if (s->match.has_tries && s->match.tries == 1)
                return transaction_prompt(t, STATE_PIN_CONFIRM, PROMPT_ECHO_ON,
                        N_("This is the last try: a wrong PIN blocks the card. Type yes to go on: "));
        ask_pin(t);
}

static void on_found(int r, const char *reply, size_t size, void *userdata) {
        CardFoundReader readers[FACTOR_READERS_MAX];
        FactorStatus status = FACTOR_INTERNAL;
        Transaction *t = userdata;
        bool any = false;
        size_t n = 0;

        t->helper = NULL;
        if (r == 0 && card_find_reply(reply, size, &status, readers, &n) < 0)
                status = FACTOR_INTERNAL;
        for (size_t i = 0; i < n; i++)
                any |= readers[i].state != CARD_ABSENT;

        if (t->card->looking) {
                t->card->looking = false;
                if (!any)
                        return factors_without_card(t);
                factors_with_card(t);
        }
        if (t->card->naming && status != FACTOR_OK && !t->card->wait)
                return go_on_nameless(t);
        switch (status) {
        case FACTOR_OK:
                return t->card->naming ? find_name(t, readers, n) : found(t, readers, n);
        case FACTOR_NO_READER:
                return wait_for_card(t, CARD_PROBLEM_NO_READER);
        case FACTOR_NO_SERVICE:
                return wait_for_card(t, CARD_PROBLEM_NO_SERVICE);
        default:
                return fail_untried(t, CARD_PROBLEM_INTERNAL);
        }
}

static void find(Transaction *t) {
        static Frame f;

        t->state = STATE_CARD;
        t->card->retry = sd_event_source_disable_unref(t->card->retry);
        frame_init(&f, FACTOR_CARD_FIND);
        if (helper_ask(t->context->card, f.bytes, f.size, on_found, t, &t->helper) < 0)
                fail_untried(t, CARD_PROBLEM_INTERNAL);
}

static bool step_begin(Transaction *t) {
        if (t->card)
                return true;
        t->card = calloc(1, sizeof(*t->card));
        if (!t->card || card_holder_find(&t->card->holder, t->context, t->user_usable ? t->user : NULL) != 0) {
                transaction_unusable(t);
                return false;
        }
        return true;
}

void card_start(Transaction *t) {
        if (step_begin(t))
                find(t);
}

void card_name(Transaction *t, bool wait) {
        if (!step_begin(t))
                return;
        t->card->naming = true;
        t->card->wait = wait;
        find(t);
}

void card_look(Transaction *t) {
        if (!step_begin(t))
                return;
        t->card->looking = true;
        find(t);
}

void card_confirm(Transaction *t, const Message *m) {
        static const char *const words[] = { "yes", "y", "YES", "Yes", "はい" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (m->size[ITEM_TEXT] == strlen(words[i]) &&
                        memcmp(m->text[ITEM_TEXT], words[i], strlen(words[i])) == 0)
                        return ask_pin(t);
        auth_abandoned(t);
        auth_take_back_untried(t);
        transaction_finish(t, RESULT_CONV_ERR);
}

static void verified(Transaction *t) {
        CardStep *s = t->card;
        CardProblem problem;

        problem = card_match_check(t->context, &s->match);
        if (problem != CARD_PROBLEM_NONE)
                return fail_untried(t, problem);
        if (factors_note(t, s->match.credential.uuid, s->match.credential.counter) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        if (s->holder.shared && !t->person) {
                t->person = TAKE_PTR(s->match.person);
                t->name = TAKE_PTR(s->match.name);
        }
        free(t->reader);
        t->reader = strdup(s->match.reader); /* without it, nobody watches the card */
        t->card = card_step_free(t->card);
        factors_verified(t, FACTOR_CARD);
}

/* What is told when the PIN was presented, or may have been. */
static void wrong(Transaction *t, const char *reason, const char *text, unsigned count) {
        auth_wrong(t, reason, text, count,
                N_("That was the last attempt. Ask the head of your unit or the duty officer to release them."));
}

static void wrong_pin(Transaction *t, const CardSigned *s) {
        if (s->has_tries && s->tries == 0)
                return wrong(t, "wrong-pin",
                        t->card->match.application == CARD_JPKI
                                ? N_("The PIN is wrong, and the card is blocked now. A town office sets a new PIN.")
                                : N_("The PIN is wrong, and the card is blocked now. Ask your system manager."),
                        0);
        if (s->has_tries)
                return wrong(t, "wrong-pin", N_("The PIN is wrong. Tries left on the card: %u."), s->tries);
        wrong(t, "wrong-pin", N_("The PIN is wrong."), 0);
}

/* Conditions under which the card has not been asked to prove anything. */
static CardProblem untried(FactorStatus status, CardApplication application) {
        switch (status) {
        case FACTOR_NO_SERVICE:
                return CARD_PROBLEM_NO_SERVICE;
        case FACTOR_NO_READER:
        case FACTOR_NO_CARD:
        case FACTOR_CHANGED:
                return CARD_PROBLEM_CHANGED;
        case FACTOR_BLOCKED:
                return application == CARD_JPKI ? CARD_PROBLEM_BLOCKED_JPKI : CARD_PROBLEM_BLOCKED;
        case FACTOR_BUSY:
                return CARD_PROBLEM_BUSY;
        case FACTOR_MUTE:
                return CARD_PROBLEM_MUTE;
        case FACTOR_PIN_LENGTH:
                return CARD_PROBLEM_PIN_FORM;
        default:
                return CARD_PROBLEM_NONE;
        }
}

static void on_signed(int r, const char *reply, size_t size, void *userdata) {
        CardSigned s = { .status = FACTOR_INTERNAL };
        Transaction *t = userdata;
        CardStep *step = t->card;
        CardProblem problem;

        t->helper = NULL;
        if (r == 0 && card_sign_reply(reply, size, &s) < 0)
                s = (CardSigned){ .status = FACTOR_INTERNAL };
        problem = untried(s.status, step->match.application);
        if (problem != CARD_PROBLEM_NONE)
                return fail_untried(t, problem);

        switch (s.status) {
        case FACTOR_OK:
                r = card_signature_verify((Bytes){ step->match.credential.key, step->match.credential.key_size },
                        step->digest, s.signature);
                if (r == 0)
                        return verified(t);
                return wrong(t, "card-signature", N_("The card could not prove that it is the one registered."), 0);
        case FACTOR_WRONG:
                return wrong_pin(t, &s);
        case FACTOR_REMOVED:
                return wrong(t, "card-removed",
                        N_("The card was taken out too early. Try again, and leave it in the reader."), 0);
        case FACTOR_MISBEHAVED:
                return wrong(t, "card-misbehaved",
                        N_("The card answers in a way that no card may. Show it to your system manager."), 0);
        default:
                return wrong(t, "card-internal",
                        N_("The card cannot be read at the moment. Try again, or tell your system manager."), 0);
        }
}

/* Whether it can be a PIN at all: what else was typed never reaches a card. */
static bool pin_plausible(const char *text, size_t size) {
        if (size == 0 || size > FACTOR_PIN_MAX)
                return false;
        for (size_t i = 0; i < size; i++)
                if (text[i] < 0x20 || text[i] > 0x7e)
                        return false;
        return true;
}

static int make_digest(Transaction *t, unsigned char ret[32]) {
        unsigned char challenge[CARD_CHALLENGE_SIZE];
        char purpose[PURPOSE_SIZE];

        if (getrandom(challenge, sizeof(challenge), 0) != sizeof(challenge))
                return -EIO;
        (void)snprintf(purpose, sizeof(purpose), "login %s %s", t->user, t->card->match.credential.uuid);
        return card_digest(challenge, purpose, ret);
}

void card_pin(Transaction *t, const Message *m) {
        static Frame f;
        CardStep *s = t->card;
        int r;

        t->answered_usec = clock_usec(CLOCK_BOOTTIME);
        t->state = STATE_CARD;
        if (!pin_plausible(m->text[ITEM_TEXT], m->size[ITEM_TEXT]))
                return fail_untried(t, CARD_PROBLEM_PIN_FORM);
        if (!auth_charge(t))
                return;
        if (make_digest(t, s->digest) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);

        frame_init(&f, FACTOR_CARD_SIGN);
        frame_add_text(&f, FACTOR_ITEM_READER, s->match.reader);
        frame_add_uint(&f, FACTOR_ITEM_APPLICATION, s->match.application);
        frame_add_uint(&f, FACTOR_ITEM_ALGORITHM, s->match.algorithm);
        frame_add(&f, FACTOR_ITEM_PIN, m->text[ITEM_TEXT], m->size[ITEM_TEXT]);
        frame_add(&f, FACTOR_ITEM_DIGEST, s->digest, sizeof(s->digest));
        if (s->match.has_tries)
                frame_add_uint(&f, FACTOR_ITEM_TRIES, s->match.tries);
        r = f.overflow ? -EMSGSIZE : helper_ask(t->context->card, f.bytes, f.size, on_signed, t, &t->helper);
        frame_done(&f);
        if (r < 0)
                fail_untried(t, CARD_PROBLEM_INTERNAL);
}
