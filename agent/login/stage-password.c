/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

#include "factor/quality.h"
#include "login/password.h"
#include "login/transaction-internal.h"
#include "policy/personal.h"
#include "util/clock.h"

/* A change of a password (R7). The preliminary phase says who may, and has whoever changes their own prove it with the
 * current one; the update asks for the new one and judges it, and the modules after ours write it. Both are calls of
 * their own, tied together like the stages of a login (law 2). Root proves nothing, and is held to the same rules. */

#define TRIES_MAX  3u
#define ORIGIN_NEW "new-password:"

/* ---- who may ---- */

static bool by_root(const Transaction *t) {
        return t->service && t->service->root_changes && t->actor_is_root && t->peer.uid == 0;
}

/* The two phases are tied to each other by a proof of their own, which leaves that of the login alone. */
static char *phase_key(const Transaction *t) {
        char *key = NULL;

        return asprintf(&key, "password/%s", t->service_name) < 0 ? NULL : key;
}

/* Judges; finishes the transaction when it may not. The facts are freed by the caller when it is true. */
static bool may_change(Transaction *t, FactsData *d, Verdict *v) {
        const Proof *p = transaction_proof(t);
        bool authenticated = t->family == FAMILY_SELF || t->family == FAMILY_UNATTENDED || !t->service ||
                             !t->service->needs_auth || p;
        int r;

        /* Of a shared ID: who was named when the login began. */
        if (p && p->person && !t->person) {
                t->person = strdup(p->person);
                t->name = p->name ? strdup(p->name) : NULL;
                if (!t->person) {
                        transaction_finish(t, RESULT_SYSTEM_ERR);
                        return false;
                }
        }
        r = transaction_judge(t, authenticated, d, v);
        if (r != 0) {
                transaction_unusable(t);
                return false;
        }
        if (v->granted && t->family == FAMILY_SELF && (!t->actor || strcmp(t->actor, t->user) != 0)) {
                transaction_record_refused(t, EVENT_PASSWORD_REFUSED, d, NULL, "not-own");
                transaction_fail(t, RESULT_PERM_DENIED, N_("You may change your own password only."));
        } else if (v->granted && !authenticated) {
                transaction_record_refused(
                        t, EVENT_PASSWORD_REFUSED, d, NULL, reason_to_string(REASON_NOT_AUTHENTICATED));
                transaction_fail(t, RESULT_PERM_DENIED, reason_text(REASON_NOT_AUTHENTICATED));
        } else if (!v->granted) {
                transaction_record_refused(t, EVENT_LOGIN_REFUSED, d, v, NULL);
                transaction_fail(t, RESULT_PERM_DENIED, reason_text(v->reason));
        } else
                return true;
        facts_done(d);
        return false;
}

static void prelim_done(Transaction *t) {
        _cleanup_free_ char *key = phase_key(t);
        Proof *p;

        p = key ? proof_add(&t->context->proofs, key, t->user, &t->peer, clock_usec(CLOCK_BOOTTIME)) : NULL;
        if (!p)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        p->factors = t->factors;
        transaction_finish(t, RESULT_SUCCESS);
}

void password_prelim_start(Transaction *t) {
        _cleanup_(facts_done) FactsData d = {};
        Verdict v;

        if (!may_change(t, &d, &v))
                return;
        if (by_root(t))
                return prelim_done(t);
        auth_ask(t, PROMPT_CURRENT_PASSWORD, N_("Current password: "));
}

void password_verified(Transaction *t) {
        int r;

        r = registry_begin(t->context->registry);
        if (r == 0)
                r = auth_take_back(t);
        if (r == 0)
                r = registry_commit(t->context->registry);
        if (r != 0) {
                registry_rollback(t->context->registry);
                return transaction_unusable(t);
        }
        t->charged = false;
        /* Whether what comes after us in the stack can write it there is not known here. */
        if (t->elsewhere)
                transaction_send_text(t, MESSAGE_INFORM,
                        text_in(t->language, N_("A directory keeps this password. If it cannot be changed from here, "
                                                "change it there "
                                                "or ask your system manager.")));
        prelim_done(t);
}

/* ---- the new one ---- */

static const char *fault_text(PasswordFault f) {
        switch (f) {
        case PASSWORD_FAULT_EMPTY:
                return N_("No password was given.");
        case PASSWORD_FAULT_LONG:
                return N_("This password is too long.");
        case PASSWORD_FAULT_CHARACTERS:
                return N_("This password has characters that cannot be used in one.");
        case PASSWORD_FAULT_SHORT:
                return N_("This password is too short. Choose a longer one.");
        case PASSWORD_FAULT_CLASSES:
                return N_("This password has too few kinds of characters. Mix small and capital letters, digits and "
                          "others.");
        case PASSWORD_FAULT_SAME:
                return N_("This is the current password. Choose another one.");
        case PASSWORD_FAULT_SIMILAR:
                return N_("This password is too much like the current one. Choose another one.");
        case PASSWORD_FAULT_USED:
                return N_("This password was used before. Choose another one.");
        case PASSWORD_FAULT_EASY:
        case PASSWORD_FAULT_PERSONAL:
        case PASSWORD_FAULT_ANOTHERS: /* not to be told from the others: whose it is could be guessed (law 5) */
        default:
                return N_("This password is too easy. Choose another one.");
        }
}

static void record_refused(Transaction *t, const char *reason, const char *result) {
        _cleanup_(event_free_p) Event *e = transaction_event(t, EVENT_PASSWORD_REFUSED, NULL, NULL);

        if (!e)
                return;
        event_set(e, FIELD_RULE, "policy:Password");
        event_set(e, FIELD_REASON, reason);
        event_set(e, FIELD_RESULT, result);
        trail_record_closing(t->context->trail, e);
}

static void ask_new(Transaction *t) {
        secret_done(&t->typed->password);
        transaction_prompt(t, STATE_NEW, PROMPT_NEW_PASSWORD, N_("New password: "));
}

/* Another try, or the end of it. */
static void try_again(Transaction *t, const char *text) {
        secret_done(&t->typed->password);
        if (++t->tries >= (t->service && t->service->batch ? 1 : TRIES_MAX))
                return transaction_fail(t, RESULT_AUTHTOK_ERR, text);
        transaction_send_text(t, MESSAGE_ERROR, text_in(t->language, text));
        ask_new(t);
}

/* The same for a password with this fault. Those that are told in the same words take the same time: whole steps, as
 * for a wrong password. Of the others nobody has to wait to be told. */
static void try_again_after(Transaction *t, PasswordFault fault) {
        const char *text = fault_text(fault);

        if (text != fault_text(PASSWORD_FAULT_ANOTHERS))
                return try_again(t, text);
        secret_done(&t->typed->password);
        if (++t->tries >= (t->service && t->service->batch ? 1 : TRIES_MAX))
                return transaction_fail_later(t, RESULT_AUTHTOK_ERR, text, 0);
        transaction_retry_later(t, text, ask_new);
}

/* The new password cannot be judged: nothing that was not judged is let through. */
static void fail_check(Transaction *t, int r) {
        bool secret = r == PASSWORDS_E_SECRET;

        record_refused(t, secret ? "secret-lost" : "check-unavailable", "failed");
        secret_done(&t->typed->password);
        transaction_fail_later(t, RESULT_AUTHTOK_ERR,
                secret ? N_("Passwords cannot be changed: the secret by which they are compared is lost or damaged. "
                            "Tell your system manager.")
                       : N_("The new password cannot be checked at the moment. Try again, or tell your system "
                            "manager."),
                0);
}

/* Whether a password with this fault is refused; on trial that is only recorded and said. */
static bool is_refused(Transaction *t, PasswordFault fault) {
        if (fault == PASSWORD_FAULT_NONE)
                return false;
        if (fault > PASSWORD_FAULT_CHARACTERS && password_on_trial(t)) {
                record_refused(t, password_fault_to_string(fault), "would-refuse");
                transaction_send_text(t, MESSAGE_INFORM, text_in(t->language, fault_text(fault)));
                return false;
        }
        record_refused(t, password_fault_to_string(fault), "refused");
        return true;
}

static void compare(Transaction *t);

/* Of a person who has several accounts, the birth date may stand with another one. 0, or as the registry. */
static int look_for_person(Transaction *t, PasswordFault *ret) {
        _cleanup_(user_done) User user = {};
        _cleanup_free_ char *birth = NULL;
        Registry *registry = t->context->registry;
        int r;

        r = registry_user(registry, t->user, &user);
        if (r == 0)
                r = registry_birth(registry, t->user, &birth);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        *ret = password_is_personal(t->typed->password.bytes, t->typed->password.size,
                       &(Personal){ .account = t->user, .person = user.person, .name = user.name, .birth = birth })
                       ? PASSWORD_FAULT_PERSONAL
                       : PASSWORD_FAULT_NONE;
        return 0;
}

static void on_quality(int r, const char *reply, size_t size, void *userdata) {
        PasswordFault fault = PASSWORD_FAULT_NONE;
        Transaction *t = userdata;

        t->helper = NULL;
        if (!quality_reply(r, reply, size, &fault))
                return fail_check(t, 0);
        if (is_refused(t, fault))
                return try_again_after(t, fault);
        if (look_for_person(t, &fault) != 0)
                return transaction_unusable(t);
        if (is_refused(t, fault))
                return try_again_after(t, fault);
        compare(t);
}

static void judge(Transaction *t) {
        const Config *config = t->context->config;
        PasswordFault fault;
        int r;

        t->state = STATE_CHECK;
        fault = password_look(t->typed->password.bytes, t->typed->password.size, config->password_min_length,
                config->password_min_classes);
        if (fault == PASSWORD_FAULT_NONE && t->typed->password.size == t->typed->current.size &&
                CRYPTO_memcmp(t->typed->password.bytes, t->typed->current.bytes, t->typed->current.size) == 0)
                fault = PASSWORD_FAULT_SAME;
        if (is_refused(t, fault))
                return try_again_after(t, fault);
        r = t->context->passwords ? passwords_ask_quality(t->context->passwords, t->user, &t->typed->current,
                                            &t->typed->password, on_quality, t, &t->helper)
                                  : -EIO;
        if (r < 0)
                fail_check(t, r);
}

/* ---- not another's ---- */

static void accept(Transaction *t, const Fingerprint *fingerprint) {
        _cleanup_(event_free_p) Event *allowed = NULL, *changed = NULL;
        _cleanup_(facts_done) FactsData d = {};
        Registry *registry = t->context->registry;
        const char *user;
        Verdict v;
        Proof *p;
        int r;

        if (!may_change(t, &d, &v))
                return;
        allowed = transaction_event(t, EVENT_PASSWORD_ALLOWED, &d, &v);
        changed = transaction_event(t, EVENT_PASSWORD_CHANGED, &d, &v);
        if (!allowed || !changed)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        user = password_owner(t, &d)->uuid;

        r = registry_begin(registry);
        if (r == 0 && t->charged)
                r = attempt_uncharge(registry, t->context->config, t->target, t->origin, t->charged_usec);
        if (r == 0 && user)
                r = registry_fingerprint_pending(registry, user, fingerprint, trusted_clock_steady(t->context->clock));
        if (r == 0)
                r = trail_append(t->context->trail, allowed);
        if (r == 0)
                r = registry_commit(registry);
        if (r != 0) {
                registry_rollback(registry);
                return transaction_unusable(t);
        }
        t->charged = false;
        trail_kick(t->context->trail);

        passwords_settle(t->context->passwords, user, t->user, &t->typed->password, fingerprint, TAKE_PTR(changed));
        p = transaction_proof(t);
        if (p && strcmp(p->account, t->user) == 0)
                p->due = PASSWORD_NOT_DUE;
        transaction_finish(t, RESULT_SUCCESS);
}

/* Takes the charge back: this was no guess at somebody else's password. */
static bool take_back(Transaction *t) {
        if (!t->charged)
                return true;
        if (registry_begin(t->context->registry) != 0)
                return false;
        if (attempt_uncharge(t->context->registry, t->context->config, t->target, t->origin, t->charged_usec) != 0 ||
                registry_commit(t->context->registry) != 0) {
                registry_rollback(t->context->registry);
                return false;
        }
        t->charged = false;
        return true;
}

static void on_fingerprint(int r, const char *reply, size_t size, void *userdata) {
        _cleanup_(user_done) User user = {};
        PasswordFault fault = PASSWORD_FAULT_NONE;
        Fingerprint fingerprint;
        FingerprintMatch match;
        Transaction *t = userdata;
        int q;

        t->helper = NULL;
        if (!fingerprint_reply(r, reply, size, &fingerprint)) {
                (void)take_back(t);
                return fail_check(t, 0);
        }
        q = registry_user(t->context->registry, t->user, &user);
        if (q == 0 || q == REGISTRY_E_NOT_FOUND)
                q = registry_fingerprint_find(t->context->registry, user.uuid, &fingerprint, &match);
        if (q != 0)
                return transaction_unusable(t);
        if (match.current)
                fault = PASSWORD_FAULT_SAME;
        else if (match.former && t->context->config->password_history > 0)
                fault = PASSWORD_FAULT_USED;
        else if (match.anothers)
                fault = PASSWORD_FAULT_ANOTHERS;

        if (!is_refused(t, fault))
                return accept(t, &fingerprint);
        if (fault != PASSWORD_FAULT_ANOTHERS && !take_back(t))
                return transaction_unusable(t);
        if (t->charged && t->attempt.now_locked) {
                transaction_record_refused(t, EVENT_LOGIN_LOCKED, NULL, NULL, "attempts");
                return transaction_fail_later(t, RESULT_AUTHTOK_ERR, fault_text(fault), 0);
        }
        t->charged = false; /* it stays charged, and the next try is charged anew */
        try_again_after(t, fault);
}

/* What could tell somebody that a password is a colleague's is an attempt at it: durably charged before it is compared,
 * at an origin of its own, which no login that is right clears. Root can read what it is compared with. */
static void compare(Transaction *t) {
        int r;

        if (!by_root(t)) {
                t->charged_usec = trusted_clock_steady(t->context->clock);
                r = attempt_charge(
                        t->context->registry, t->context->config, t->target, t->origin, t->charged_usec, &t->attempt);
                if (r != 0)
                        return transaction_unusable(t);
                if (t->attempt.locked)
                        return auth_fail_locked(t);
                t->charged = true;
        }
        r = passwords_ask_fingerprint(t->context->passwords, &t->typed->password, on_fingerprint, t, &t->helper);
        if (r != 0) {
                (void)take_back(t);
                fail_check(t, r);
        }
}

/* ---- the update ---- */

static int prepare_origin(Transaction *t) {
        _cleanup_free_ char *origin = NULL;
        int r;

        r = auth_prepare(t);
        if (r < 0)
                return r;
        if (asprintf(&origin, ORIGIN_NEW "%s", t->origin) < 0) {
                origin = NULL;
                return -ENOMEM;
        }
        free(t->origin);
        t->origin = TAKE_PTR(origin);
        return 0;
}

void password_update_start(Transaction *t) {
        _cleanup_(facts_done) FactsData d = {};
        _cleanup_free_ char *key = phase_key(t);
        Verdict v;
        Proof *p;

        if (!key || prepare_origin(t) < 0 || transaction_need_typed(t) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        p = proof_find(&t->context->proofs, key, &t->peer, clock_usec(CLOCK_BOOTTIME));
        if (!p || !p->account || strcmp(p->account, t->user) != 0) {
                record_refused(t, "not-authenticated", "refused");
                return transaction_fail(t, RESULT_PERM_DENIED, reason_text(REASON_NOT_AUTHENTICATED));
        }
        t->factors = p->factors;
        proof_remove(&t->context->proofs, p);
        if (!may_change(t, &d, &v))
                return;
        ask_new(t);
}

void password_answer(Transaction *t, const Message *m) {
        bool again = t->state == STATE_NEW_AGAIN;

        t->answered_usec = clock_usec(CLOCK_BOOTTIME);
        t->attempt.delay_usec = 0;
        if (!again) {
                t->typed->password.size = m->size[ITEM_TEXT];
                memcpy(t->typed->password.bytes, m->text[ITEM_TEXT], t->typed->password.size);
                if (t->typed->password.size == 0) {
                        record_refused(t, password_fault_to_string(PASSWORD_FAULT_EMPTY), "refused");
                        return try_again(t, fault_text(PASSWORD_FAULT_EMPTY));
                }
                return transaction_prompt(t, STATE_NEW_AGAIN, PROMPT_NEW_AGAIN, N_("Retype new password: "));
        }
        if (t->typed->password.size != m->size[ITEM_TEXT] ||
                CRYPTO_memcmp(t->typed->password.bytes, m->text[ITEM_TEXT], t->typed->password.size) != 0)
                return try_again(t, N_("The two passwords are not the same."));
        judge(t);
}
