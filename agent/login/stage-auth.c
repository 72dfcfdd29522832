/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "factor/password.h"
#include "login/transaction-internal.h"
#include "util/clock.h"
#include "util/text.h"

#define RENDERED_MAX 64u

/* What attempts are counted for. A name that cannot be an account's counts too, in a form that is none. */
static char *attempt_target(const Transaction *t) {
        _cleanup_free_ char *safe = NULL;
        char *target = NULL;

        if (t->user_usable)
                return strdup(t->user);
        safe = text_escape(t->user, strlen(t->user), RENDERED_MAX);
        return safe && asprintf(&target, "%s (no name)", safe) >= 0 ? target : NULL;
}

/* Counted per account and origin, so that nobody can lock a colleague out from elsewhere. */
static char *attempt_origin(const Transaction *t) {
        _cleanup_free_ char *host =
                text_escape(t->rhost ? t->rhost : "", t->rhost ? strlen(t->rhost) : 0, KEISHI_NAME_MAX);
        char *origin = NULL;
        int n;

        if (!host)
                return NULL;
        if (t->family == FAMILY_LOCKER)
                n = asprintf(&origin, "session:%s", t->user);
        else if (t->service && t->service->actor_is_caller && t->actor)
                n = asprintf(&origin, "user:%s", t->actor);
        else if (t->service && t->service->actor_is_caller)
                n = asprintf(&origin, "uid:%u", t->actor_uid);
        else if (t->remote)
                n = asprintf(&origin, "host:%s", host);
        else
                n = asprintf(&origin, "local");
        return n < 0 ? NULL : origin;
}

void auth_fail_locked(Transaction *t) {
        transaction_record_refused(t, EVENT_LOGIN_REFUSED, NULL, NULL, "locked");
        transaction_fail_later(t, RESULT_MAXTRIES,
                N_("Too many failed attempts. Ask the head of your unit or the duty officer to release them (keishictl "
                   "attempt release)."),
                0);
}

int auth_prepare(Transaction *t) {
        t->target = attempt_target(t);
        t->origin = attempt_origin(t);
        return t->target && t->origin ? 0 : -ENOMEM;
}

/* False: the call has been ended, because too many attempts have failed. */
static bool begin(Transaction *t) {
        uint64_t now;
        int r;

        if (auth_prepare(t) < 0) {
                transaction_finish(t, RESULT_SYSTEM_ERR);
                return false;
        }
        now = trusted_clock_steady(t->context->clock);
        r = attempt_peek(t->context->registry, t->context->config, t->target, t->origin, now, &t->attempt);
        if (r != 0) {
                transaction_unusable(t);
                return false;
        }
        if (t->attempt.locked) {
                t->answered_usec = clock_usec(CLOCK_BOOTTIME);
                auth_fail_locked(t);
                return false;
        }
        transaction_say_mode(t);
        return true;
}

void auth_ask(Transaction *t, PromptStyle style, const char *text) {
        if (begin(t))
                transaction_prompt(t, STATE_PASSWORD, style, text);
}

void auth_start(Transaction *t) {
        bool only;

        if (!t->nameless && factors_may_name(t, &only))
                return card_name(t, only);
        if (begin(t))
                factors_start(t);
}

/* A charge taken back within the open transaction: all of them for root's callers, but a caller that proves only itself
 * clears no counter but what it has just charged. */
int auth_take_back(Transaction *t) {
        if (!t->charged)
                return 0;
        if (t->peer.uid != 0)
                return attempt_uncharge(
                        t->context->registry, t->context->config, t->target, t->origin, t->charged_usec);
        return attempt_refund(t->context->registry, t->target, t->origin);
}

void auth_take_back_untried(Transaction *t) {
        if (!t->charged || registry_begin(t->context->registry) != 0)
                return;
        if (attempt_uncharge(t->context->registry, t->context->config, t->target, t->origin, t->charged_usec) != 0 ||
                registry_commit(t->context->registry) != 0)
                registry_rollback(t->context->registry);
        else
                t->charged = false;
}

void auth_wrong(Transaction *t, const char *reason, const char *text, unsigned count, const char *locked_text) {
        transaction_record_refused(t, EVENT_LOGIN_REFUSED, NULL, NULL, reason);
        if (t->attempt.now_locked) {
                transaction_record_refused(t, EVENT_LOGIN_LOCKED, NULL, NULL, "attempts");
                return transaction_fail_later(t, RESULT_MAXTRIES, locked_text, 0);
        }
        transaction_fail_later(t, RESULT_AUTH_ERR, text, count);
}

static void wrong(Transaction *t) {
        bool changes = t->stage == STAGE_PASSWORD_PRELIM;
        unsigned max = t->context->config->attempts_max;

        secret_done(&t->typed->password);
        auth_wrong(t, "wrong-password",
                changes ? N_("The current password is wrong. Attempts left: %u.")
                        : N_("The user name or the password is wrong. Attempts left: %u."),
                max > t->attempt.count ? max - t->attempt.count : 0,
                changes ? N_("The current password is wrong, and that was the last attempt. Ask the head of "
                             "your unit or the duty officer to release them.")
                        : N_("The user name or the password is wrong, and that was the last attempt. Ask the "
                             "head of "
                             "your unit or the duty officer to release them."));
}

bool auth_charge(Transaction *t) {
        int r;

        if (t->charged)
                return true;
        t->charged_usec = trusted_clock_steady(t->context->clock);
        r = attempt_charge(
                t->context->registry, t->context->config, t->target, t->origin, t->charged_usec, &t->attempt);
        if (r != 0) {
                transaction_unusable(t);
                return false;
        }
        if (t->attempt.locked) {
                auth_fail_locked(t);
                return false;
        }
        t->charged = true;
        return true;
}

static void grant(Transaction *t, const FactsData *d, const Verdict *v) {
        _cleanup_(event_free_p) Event *e = NULL;
        Proof *p;
        int r;

        e = transaction_event(t, EVENT_LOGIN_GRANTED, d, v);
        if (!e)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        r = t->factors & FACTOR_PASSWORD ? password_look_at_age(t, d) : 0;
        if (r != 0)
                return transaction_unusable(t);

        r = registry_begin(t->context->registry);
        if (r != 0)
                return transaction_unusable(t);
        r = auth_take_back(t);
        if (r == 0 || r == REGISTRY_E_NOT_FOUND)
                r = password_store_age(t);
        if (r == 0)
                r = factors_store(t, d->facts.now_usec);
        if (r == 0)
                r = trail_append(t->context->trail, e);
        if (r == 0 && *v->designation)
                r = registry_designation_used(t->context->registry, v->designation, d->facts.now_usec);
        if (r == 0)
                r = registry_commit(t->context->registry);
        if (r != 0) {
                registry_rollback(t->context->registry);
                return transaction_unusable(t);
        }
        t->charged = false;
        trail_kick(t->context->trail);

        p = proof_add(&t->context->proofs, t->service_name, t->user, &t->peer, clock_usec(CLOCK_BOOTTIME));
        if (!p)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        p->factors = t->factors;
        factors_credentials(t, p->credentials, sizeof(p->credentials));
        p->reader = TAKE_PTR(t->reader);
        if (p->reader && t->family == FAMILY_CONSOLE && t->context->config->card_presence == CARD_REMOVE_AFTER_LOGIN)
                transaction_tell(t, MESSAGE_INFORM, N_("Take your card out of the reader."), 0);
        if (t->service && t->service->by_agent && proof_set_agent(p, t->actor_uid, &t->peer) < 0) {
                proof_remove(&t->context->proofs, p);
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        }
        if (t->person && proof_set_person(p, t->person, t->name) < 0) {
                proof_remove(&t->context->proofs, p);
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        }
        transaction_say_observed(t, v);
        password_used(t, p);
        transaction_finish(t, RESULT_SUCCESS);
}

/* All factors are given: now, and only now, may an answer differ from what an unknown user sees (law 5). */
void auth_decide(Transaction *t) {
        _cleanup_(facts_done) FactsData d = {};
        bool in_force = true;
        Verdict v;
        int r;

        r = factors_in_force(t, &in_force);
        if (r != 0)
                return transaction_unusable(t);
        if (!in_force) { /* stopped while the rest was asked for */
                auth_take_back_untried(t);
                transaction_record_refused(t, EVENT_LOGIN_REFUSED, NULL, NULL, "card-stopped");
                return transaction_fail(t, RESULT_PERM_DENIED,
                        N_("Your card or key was stopped. Ask the duty officer or the head of your unit."));
        }
        r = transaction_judge(t, true, &d, &v);
        if (r != 0)
                return transaction_unusable(t);

        /* A locker would answer this with the password; who sits there was named when the session began. */
        if (d.user.shared && !t->person && t->family != FAMILY_LOCKER) {
                facts_done(&d);
                return transaction_prompt(
                        t, STATE_PERSON, PROMPT_ECHO_ON, N_("This is a shared ID. Your staff number: "));
        }
        if (v.granted)
                return grant(t, &d, &v);

        /* Right factors, wrong place: no failed attempt. */
        auth_take_back_untried(t);
        transaction_record_refused(t, EVENT_LOGIN_REFUSED, &d, &v, NULL);
        transaction_fail(t, transaction_refusal(t, &v, RESULT_PERM_DENIED), reason_text(v.reason));
}

static void on_password(int r, const char *reply, size_t size, void *userdata) {
        Transaction *t = userdata;

        t->helper = NULL;
        switch (password_reply(r, reply, size)) {
        case PASSWORD_RIGHT:
                /* An account that NSS does not know has no password, whatever a directory says. */
                if (!t->user_nss)
                        return wrong(t);
                t->shadow_day = password_reply_day(reply, size);
                t->elsewhere = password_reply_elsewhere(reply, size);
                if (t->stage == STAGE_PASSWORD_PRELIM) {
                        t->factors |= FACTOR_PASSWORD;
                        return password_verified(t);
                }
                return factors_verified(t, FACTOR_PASSWORD);
        case PASSWORD_WRONG:
                return wrong(t);
        case PASSWORD_UNAVAILABLE:
                break;
        }
        auth_take_back_untried(t);
        transaction_record_refused(t, EVENT_LOGIN_REFUSED, NULL, NULL, "password-unavailable");
        transaction_fail_later(t, t->stage == STAGE_PASSWORD_PRELIM ? RESULT_TRY_AGAIN : RESULT_SYSTEM_ERR,
                N_("The password cannot be checked at the moment. Try again, or tell your system manager."), 0);
}

static ssize_t write_request(Transaction *t, char *request, size_t room, const Secret *password) {
        _cleanup_free_ char *rhost = NULL, *tty = NULL;

        rhost = t->rhost ? text_escape(t->rhost, strlen(t->rhost), KEISHI_NAME_MAX) : NULL;
        tty = t->tty ? text_escape(t->tty, strlen(t->tty), KEISHI_NAME_MAX) : NULL;
        if ((t->rhost && !rhost) || (t->tty && !tty))
                return -ENOMEM;
        return password_request(request, room, t->user, rhost, tty, password);
}

void auth_password(Transaction *t, const Message *m) {
        char request[4096];
        ssize_t n;
        int r;

        _Static_assert(KEISHI_TEXT_MAX <= sizeof(t->typed->password.bytes), "what the parser lets through fits");
        if (transaction_need_typed(t) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        t->typed->password.size = m->size[ITEM_TEXT];
        memcpy(t->typed->password.bytes, m->text[ITEM_TEXT], t->typed->password.size);
        t->answered_usec = clock_usec(CLOCK_BOOTTIME);

        /* Durably, before it is tried (law 4). */
        if (!auth_charge(t))
                return;

        t->state = STATE_VERIFY;
        if (t->typed->password.size == 0 || !t->user_usable)
                return wrong(t);

        n = write_request(t, request, sizeof(request), &t->typed->password);
        r = n < 0 ? (int)n : helper_ask(t->context->password, request, (size_t)n, on_password, t, &t->helper);
        explicit_bzero(request, sizeof(request));
        if (r < 0) {
                auth_take_back_untried(t);
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        }
}

void auth_person(Transaction *t, const Message *m) {
        _cleanup_(user_done) User u = {};
        _cleanup_free_ char *person = NULL;
        int r = REGISTRY_E_NOT_FOUND;

        person = strndup(m->text[ITEM_TEXT], m->size[ITEM_TEXT]);
        if (!person)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        t->answered_usec = clock_usec(CLOCK_BOOTTIME);
        if (utf8_valid(person, strlen(person)))
                r = registry_shared_member(t->context->registry, t->user, person);
        if (r == 0)
                r = registry_person(t->context->registry, person, &u);
        if (r == REGISTRY_E_NOT_FOUND) {
                transaction_record_refused(t, EVENT_LOGIN_REFUSED, NULL, NULL, "not-a-member");
                return transaction_fail_later(t, RESULT_AUTH_ERR,
                        N_("This staff number is not a member of the shared ID. Ask the head of your unit."), 0);
        }
        if (r != 0)
                return transaction_unusable(t);

        t->person = TAKE_PTR(u.person);
        t->name = TAKE_PTR(u.name);
        auth_decide(t);
}

void auth_abandoned(Transaction *t) {
        if (t->stage == STAGE_AUTH &&
                (t->state == STATE_PASSWORD || t->state == STATE_VERIFY || t->state == STATE_PERSON ||
                        t->state == STATE_CARD || t->state == STATE_KEY || t->state == STATE_PIN_CONFIRM ||
                        t->state == STATE_PIN))
                transaction_record_refused(t, EVENT_LOGIN_ABANDONED, NULL, NULL, "abandoned");
}
