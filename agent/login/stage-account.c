/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "login/transaction-internal.h"
#include "util/clock.h"

static bool same(const char *a, const char *b) {
        return a && b && strcmp(a, b) == 0;
}

static Proof *find_proof(const Transaction *t) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);
        Proof *p = proof_find(&t->context->proofs, t->service_name, &t->peer, now);

        if (p || !transaction_is_pkexec(t))
                return p;
        return proof_take_from_agent(&t->context->proofs, t->service_name, &t->peer, t->actor_uid, now);
}

/* Whose factors were verified must be who acts now: the user, or for su (the target's password) and sudo (the actor's)
 * one of the two. */
static bool proof_is_of(const Proof *p, const Transaction *t) {
        return p && (same(p->account, t->user) || (t->family == FAMILY_ADMIN && same(p->account, t->actor)));
}

Proof *transaction_proof(const Transaction *t) {
        Proof *p = find_proof(t);

        return proof_is_of(p, t) ? p : NULL;
}

static int take_person(Transaction *t, const Proof *p) {
        t->factors = p->factors;
        memcpy(t->credentials, p->credentials, sizeof(t->credentials));
        if (!p->person || t->person)
                return 0;
        t->person = strdup(p->person);
        t->name = p->name ? strdup(p->name) : NULL;
        return t->person ? 0 : -ENOMEM;
}

/* strdup() that takes NULL for nothing to copy. */
static bool copy(char **ret, const char *text) {
        *ret = text ? strdup(text) : NULL;
        return *ret || !text;
}

static void refuse(Transaction *t, const FactsData *d, const Verdict *v, Result result) {
        transaction_record_refused(t, EVENT_LOGIN_REFUSED, d, v, NULL);
        transaction_fail(t, transaction_refusal(t, v, result), reason_text(v->reason));
}

/* System accounts with nobody in front run all day; what they do is not a person's access, unless a person became root
 * before. */
static bool is_quiet(const Transaction *t, const FactsData *d) {
        if (t->peer.login_uid != (uid_t)-1 && t->peer.login_uid != 0)
                return false;
        return (t->family == FAMILY_UNATTENDED || t->family == FAMILY_GREETER) &&
               (d->facts.system_account || d->facts.root_changes);
}

/* Records what is granted. That the designation is used was noted with the factors, a moment ago; where none were
 * asked for, it is noted here. */
static int record_granted(Transaction *t, Event *e, const Verdict *v, uint64_t now_usec, bool noted) {
        Registry *registry = t->context->registry;
        int r;

        if (noted || !*v->designation)
                return trail_record(t->context->trail, e);
        r = registry_begin(registry);
        if (r == 0)
                r = trail_append(t->context->trail, e);
        if (r == 0)
                r = registry_designation_used(registry, v->designation, now_usec);
        if (r == 0)
                r = registry_commit(registry);
        if (r != 0) {
                registry_rollback(registry);
                return r;
        }
        trail_kick(t->context->trail);
        return 0;
}

/* Who is let through here writes next about what is run. pkexec does so behind its session, and has no account stage.
 */
static void hint_account(Transaction *t) {
        const Session s = {
                .account = t->actor,
                .person = t->person,
                .name = t->name,
                .target = t->user,
                .service = t->service_name,
                .tty = t->tty,
                .process = t->peer.process,
        };

        if (t->actor && t->service && t->service->tells_command && !t->service->by_agent)
                admin_log_hint(t->context->admin_log, &s, false);
}

void account_start(Transaction *t) {
        _cleanup_(facts_done) FactsData d = {};
        _cleanup_(event_free_p) Event *e = NULL;
        bool authenticated;
        Verdict v;
        Proof *p;
        int r;

        p = find_proof(t);
        authenticated = t->family == FAMILY_UNATTENDED || !t->service || !t->service->needs_auth || proof_is_of(p, t);
        if (authenticated && p && take_person(t, p) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);

        r = transaction_judge(t, authenticated, &d, &v);
        if (r != 0)
                return transaction_unusable(t);
        if (!v.granted)
                return refuse(t, &d, &v, RESULT_PERM_DENIED);

        if (!is_quiet(t, &d)) {
                e = transaction_event(t, EVENT_LOGIN_GRANTED, &d, &v);
                if (!e)
                        return transaction_finish(t, RESULT_SYSTEM_ERR);
                r = record_granted(t, e, &v, d.facts.now_usec, p != NULL);
                if (r != 0)
                        return transaction_unusable(t);
        }

        hint_account(t);
        if (!p)
                transaction_say_observed(t, &v); /* else it was said when the factors were given */
        if (p && proof_set_target(p, t->user) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        if (p)
                p->at_usec = clock_usec(CLOCK_BOOTTIME);
        if (p && p->due != PASSWORD_NOT_DUE) {
                if (password_demand(t, p, &d, &v) != 0)
                        return transaction_unusable(t);
                return transaction_finish(t, RESULT_NEW_AUTHTOK_REQD);
        }
        transaction_finish(t, RESULT_SUCCESS);
}

/* The account stage was about whoever the session is for; but sudo names its target only now, and was the actor until
 * then; and pkexec's was polkit's agent's, about the actor. The target is judged below. */
static bool target_is_known(const Transaction *t, const Proof *p) {
        return same(p->target, t->user) ||
               ((t->service->actor_is_ruser || t->service->by_agent) && same(p->target, t->actor));
}

/* Noticed, and let in all the same (R6). The entry about the session itself is durable before this one. */
static void record_second(Transaction *t, const FactsData *d, const Verdict *v, const Session *other) {
        _cleanup_(event_free_p) Event *e = transaction_event(t, EVENT_SECOND_LOGIN, d, v);

        if (!e)
                return;
        event_set(e, FIELD_SESSION, other->id);
        event_setf(e, FIELD_DETAIL, "open already: %s on %s, from %s", other->service,
                other->tty ? other->tty : "no tty", other->origin ? other->origin : "local");
        trail_record_closing(t->context->trail, e);
}

void session_open_start(Transaction *t) {
        _cleanup_(facts_done) FactsData d = {};
        _cleanup_(event_free_p) Event *e = NULL;
        _cleanup_(session_done) Session s = {};
        const Session *other;
        Session shown;
        bool authenticated;
        Verdict v;
        Proof *p;
        int r;

        p = find_proof(t);
        authenticated = t->family == FAMILY_UNATTENDED || !t->service || !t->service->needs_auth ||
                        (proof_is_of(p, t) && target_is_known(t, p));
        if (authenticated && p && take_person(t, p) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);

        r = transaction_judge(t, authenticated, &d, &v);
        if (r != 0)
                return transaction_unusable(t);
        if (!v.granted)
                /* sudo goes on after PAM_SESSION_ERR. */
                return refuse(t, &d, &v, t->family == FAMILY_ADMIN ? RESULT_PERM_DENIED : RESULT_SESSION_ERR);
        if (t->family == FAMILY_UNATTENDED || !t->service->own_session)
                return transaction_finish(t, RESULT_SUCCESS);
        /* Applications change it after the account stage; sshd, within the session. */
        if (p && p->due != PASSWORD_NOT_DUE && t->family != FAMILY_REMOTE) {
                transaction_record_refused(t, EVENT_LOGIN_REFUSED, &d, NULL, "password-due");
                return transaction_fail(t, t->family == FAMILY_ADMIN ? RESULT_PERM_DENIED : RESULT_SESSION_ERR,
                        N_("The password has to be changed first."));
        }

        if (event_new(&e, EVENT_SESSION_OPENED) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        event_set(e, FIELD_USER_UNIT, d.user.unit);
        event_set(e, FIELD_BUSINESS, v.business);
        event_set(e, FIELD_RULE, v.rule);
        event_set(e, FIELD_REASON, v.observed ? reason_to_string(v.reason) : NULL);
        event_set(e, FIELD_RESULT, verdict_result(&v));
        event_set(e, FIELD_SEAT, t->peer.seat ? t->peer.seat : (t->peer.vt > 0 ? "seat0" : NULL));
        event_set(e, FIELD_FACTORS, factors_to_string(t->factors));
        event_set(e, FIELD_CREDENTIAL, t->credentials);
        event_set_uint(e, FIELD_PID, (uint64_t)t->peer.process.pid);

        const char *account = t->family == FAMILY_ADMIN ? t->actor : t->user;
        const char *person = t->person ? t->person : d.user.person, *name = t->person ? t->name : d.user.name;
        const char *origin = t->remote ? (t->rhost ? t->rhost : "remote") : "local";

        other = t->family == FAMILY_CONSOLE || t->family == FAMILY_REMOTE ? transaction_other_session(t, &d) : NULL;
        if (other && t->context->config->on_second_login != ON_SECOND_LOGIN_ALLOW)
                record_second(t, &d, &v, other);
        s.process = t->peer.process;
        memcpy(s.credentials, t->credentials, sizeof(s.credentials));
        if (!account || !copy(&s.account, account) || !copy(&s.service, t->service_name) || !copy(&s.origin, origin) ||
                !copy(&s.person, person) || !copy(&s.name, name) ||
                !copy(&s.target, t->family == FAMILY_ADMIN ? t->user : NULL) || !copy(&s.tty, t->tty))
                return transaction_finish(t, RESULT_SYSTEM_ERR);

        shown = s;
        r = session_open(t->context->sessions, &s, d.facts.now_usec, e);
        if (r != 0)
                return transaction_unusable(t);
        /* What it owned is the list's now, and still there. */
        if (t->service->tells_command) {
                (void)snprintf(shown.id, sizeof(shown.id), "%s", event_get(e, FIELD_SESSION));
                admin_log_hint(t->context->admin_log, &shown, true);
        }
        if (p && p->reader && t->family == FAMILY_CONSOLE && t->user_nss && t->context->presence)
                (void)presence_opened(t->context->presence, &(PresentCard){
                                                                    .session = event_get(e, FIELD_SESSION),
                                                                    .account = account,
                                                                    .person = person,
                                                                    .credential = t->credentials,
                                                                    .reader = p->reader,
                                                                    .uid = t->user_nss->uid,
                                                            });
        if (p)
                proof_remove(&t->context->proofs, p);
        if (t->family == FAMILY_CONSOLE)
                enforcer_forget_ended(t->context->enforcer);
        enforcer_watch(t->context->enforcer);
        transaction_finish(t, RESULT_SUCCESS);
}
