/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "login/transaction-internal.h"

static const char *const stage_names[_STAGE_MAX] = {
        [STAGE_AUTH] = "auth",
        [STAGE_ACCOUNT] = "account",
        [STAGE_SESSION_OPEN] = "session",
        [STAGE_SESSION_CLOSE] = "session",
        [STAGE_PASSWORD_PRELIM] = "password",
        [STAGE_PASSWORD_UPDATE] = "password",
};

const char *reason_text(Reason r) {
        switch (r) {
        case REASON_DEFAULT:
                return N_("You are not designated to use this terminal. Ask the head of your unit.");
        case REASON_SERVICE_UNKNOWN:
                return N_("This way of logging in is not allowed here. Use the login screen, or ask your system "
                          "manager.");
        case REASON_TERMINAL_UNKNOWN:
                return N_("This terminal is not set up. Tell your system manager.");
        case REASON_UNREGISTERED:
                return N_("You are not registered as a user. Ask your system manager.");
        case REASON_RETIRED:
                return N_("Your registration has ended. Ask your system manager.");
        case REASON_RESTRICTED:
                return N_("Your use is restricted. Ask the system owner.");
        case REASON_REMOTE_CLOSED:
                return N_("Logging in from another machine is not allowed. Use a terminal designated to you.");
        case REASON_NOT_AUTHENTICATED:
                return N_("Access without proving who you are is not allowed. Log in with your password.");
        case REASON_CLOCK:
                return N_("The clock of this terminal cannot be trusted, so rules with hours are closed. Tell your "
                          "system manager.");
        case REASON_HOURS:
                return N_("You are not designated to use this terminal at this hour. Ask the head of your unit.");
        case REASON_EXPIRED:
                return N_("Your designation for this terminal is over or has not begun. Ask the head of your unit.");
        case REASON_TARGET:
                return N_("This account may not be acted as. Ask your system manager.");
        case REASON_CLASS:
                return N_("Your business may not be done on a terminal of this class. Use another terminal.");
        case REASON_DRIFT:
                return N_("The configuration of this terminal was changed. It is closed until a system manager has "
                          "looked "
                          "at it; tell them.");
        case REASON_SECOND_LOGIN:
                return N_(
                        "You have a session open on this terminal already. End it first, or ask your system manager.");
        case REASON_CREDENTIAL:
                return N_("Your card or key was stopped. Ask the duty officer or the head of your unit.");
        case REASON_FACTORS:
                return N_("This terminal asks for other proofs of who you are by now. Log in again.");
        case REASON_CLONED:
                return N_("This is not the machine that was enrolled as this terminal (a copied disk, or other "
                          "hardware). It is closed until a system manager enrols it; tell them.");
        case REASON_TERMINAL_RETIRED:
                return N_("This terminal is retired. Use another one, and tell your system manager.");
        case REASON_GRANTED:
        case _REASON_MAX:
                break;
        }
        return N_("Access was refused. Ask your system manager.");
}

/* A terminal that is closed to all staff leaves the way in that pam_keishi itself guards: break-glass at the console.
 */
Result transaction_refusal(const Transaction *t, const Verdict *v, Result result) {
        bool closed = v->reason == REASON_CLONED || v->reason == REASON_TERMINAL_RETIRED;

        return closed && t->family == FAMILY_CONSOLE ? RESULT_UNAVAILABLE : result;
}

const char *verdict_result(const Verdict *v) {
        return v->observed ? "would-refuse" : v->granted ? "granted" : "refused";
}

void transaction_say_observed(Transaction *t, const Verdict *v) {
        char text[KEISHI_TEXT_MAX], day[CONFIG_DAY_TEXT_MAX];

        if (!v->observed || t->family == FAMILY_UNATTENDED || t->family == FAMILY_GREETER)
                return;
        config_observe_day(t->context->config, day);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof(text), text_in(t->language, N_("On trial until %s: after that this will be refused. %s")),
                day, text_in(t->language, reason_text(v->reason)));
#pragma GCC diagnostic pop
        transaction_send_text(t, MESSAGE_INFORM, text);
}

/* At the greeters of this terminal, why the session before was ended. */
static void say_ended(Transaction *t) {
        Reason reason = enforcer_ended_lately(t->context->enforcer);
        char text[KEISHI_TEXT_MAX];

        if (reason == REASON_GRANTED || t->family != FAMILY_CONSOLE || t->remote)
                return;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof(text), text_in(t->language, N_("The last session at this terminal was ended. %s")),
                text_in(t->language, reason_text(reason)));
#pragma GCC diagnostic pop
        transaction_send_text(t, MESSAGE_INFORM, text);
}

void transaction_say_mode(Transaction *t) {
        char text[KEISHI_TEXT_MAX], day[CONFIG_DAY_TEXT_MAX];
        bool trusted;
        uint64_t now;

        say_ended(t);

        trusted = trusted_clock_now(t->context->clock, &now);
        if (!config_observes(t->context->config, now, trusted))
                return;
        config_observe_day(t->context->config, day);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof(text),
                text_in(t->language,
                        N_("This terminal is on trial until %s: access is judged and recorded, not refused.")),
                day);
#pragma GCC diagnostic pop
        transaction_send_text(t, MESSAGE_INFORM, text);
}

const Session *transaction_other_session(const Transaction *t, const FactsData *d) {
        if (t->stage != STAGE_SESSION_OPEN)
                return NULL;
        return session_list_find(t->context->sessions, t->person ? t->person : d->user.person, t->user);
}

int transaction_judge(Transaction *t, bool authenticated, FactsData *ret_data, Verdict *ret) {
        bool admin = t->family == FAMILY_ADMIN;
        FactsQuery q = {
                .stage = t->stage,
                .service_name = t->service_name,
                .service = t->service,
                .family = t->family,
                .authenticated = authenticated,
                /* The current password is all that changing it asks for. */
                .factors = t->stage == STAGE_PASSWORD_PRELIM || t->stage == STAGE_PASSWORD_UPDATE ? 0 : t->factors,
                .remote = t->remote,
                .root_changes = t->service && t->service->root_changes && t->actor_is_root && t->peer.uid == 0,
                .account = admin ? t->actor : (t->user_usable ? t->user : NULL),
                .nss = admin ? t->actor_nss : t->user_nss,
                .person = t->person,
                /* In its auth stage sudo has the actor as PAM_USER and no target yet. */
                .target = admin && t->user_usable &&
                                          !(t->stage == STAGE_AUTH && t->actor && strcmp(t->user, t->actor) == 0)
                                  ? t->user
                                  : NULL,
                .target_nss = admin ? t->user_nss : NULL,
                .drift_closes = drift_closes(t->context->drift),
                .identity_closes = identity_closes(t->context->identity),
        };
        Registry *registry = t->context->registry;
        char stopped[CREDENTIAL_UUID_SIZE];
        bool own;
        int r;

        q.clock_trusted = trusted_clock_now(t->context->clock, &q.now_usec);
        r = registry_view_begin(registry, &own);
        if (r != 0)
                return r;
        r = registry_credentials_stopped(registry, t->credentials, stopped);
        if (r == 0)
                r = facts_collect(ret_data, registry, t->context->config, &q);
        if (r == 0) {
                ret_data->facts.stopped_credential = *stopped ? stopped : NULL;
                ret_data->facts.second_login = t->context->config->on_second_login == ON_SECOND_LOGIN_REFUSE &&
                                               transaction_other_session(t, ret_data);
                r = facts_judge(ret_data, registry, ret);
                if (r != 0)
                        facts_done(ret_data);
                else if (config_observes(t->context->config, q.now_usec, q.clock_trusted))
                        verdict_observe(ret, &ret_data->facts);
        }
        if (r == 0)
                ret_data->facts.stopped_credential = NULL; /* lived here only */
        registry_view_end(registry, own);
        return r;
}

Event *transaction_event(Transaction *t, EventKind kind, const FactsData *d, const Verdict *v) {
        bool admin = t->family == FAMILY_ADMIN;
        const Account *nss = admin ? t->actor_nss : t->user_nss;
        const char *account = admin ? t->actor : t->user;
        _cleanup_(user_done) User found = {};
        const User *user = d ? &d->user : &found;
        char credentials[FACTORS_CREDENTIALS_SIZE];
        Event *e;

        /* Who a failed attempt was about belongs in the trail too; where the registry cannot tell, the account stands
         * alone. */
        if (!d && account && registry_user(t->context->registry, account, &found) != 0)
                found = (User){};

        if (event_new(&e, kind) < 0)
                return NULL;
        event_set(e, FIELD_ACCOUNT, account);
        if (nss)
                event_set_uint(e, FIELD_UID, nss->uid);
        if (t->person) {
                event_set(e, FIELD_PERSON, t->person);
                event_set(e, FIELD_NAME, t->name);
        } else {
                event_set(e, FIELD_PERSON, user->person);
                event_set(e, FIELD_NAME, user->name);
        }
        event_set(e, FIELD_USER_UNIT, user->unit);
        if (admin)
                event_set(e, FIELD_TARGET, t->user);
        event_set(e, FIELD_SERVICE, t->service_name);
        event_set(e, FIELD_STAGE, stage_names[t->stage]);
        event_set(e, FIELD_TTY, t->tty);
        event_set(e, FIELD_SEAT, t->peer.seat ? t->peer.seat : (t->peer.vt > 0 ? "seat0" : NULL));
        event_set(e, FIELD_ORIGIN, t->remote ? (t->rhost ? t->rhost : "remote") : "local");
        if (v) {
                event_set(e, FIELD_BUSINESS, v->business);
                event_set(e, FIELD_RULE, v->rule);
                if (!v->granted || v->observed)
                        event_set(e, FIELD_REASON, reason_to_string(v->reason));
                event_set(e, FIELD_RESULT, verdict_result(v));
        }
        event_set(e, FIELD_FACTORS, factors_to_string(t->factors));
        event_set(e, FIELD_CREDENTIAL, factors_credentials(t, credentials, sizeof(credentials)));
        event_set_uint(e, FIELD_PID, (uint64_t)t->peer.process.pid);
        event_set(e, FIELD_PEER, t->peer.exe);
        /* Root itself asks, but somebody logged in to become it (R13). */
        if (t->family == FAMILY_UNATTENDED && t->peer.login_uid != (uid_t)-1 && t->peer.login_uid != 0)
                event_setf(e, FIELD_DETAIL, "asked for by root, logged in as uid %u", t->peer.login_uid);
        else if (!admin && t->actor && t->user && strcmp(t->actor, t->user) != 0)
                event_setf(e, FIELD_DETAIL, "asked for by %s (uid %u)", t->actor, t->actor_uid);
        return e;
}

void transaction_record_refused(
        Transaction *t, EventKind kind, const FactsData *d, const Verdict *v, const char *reason) {
        _cleanup_(event_free_p) Event *e = NULL;

        e = transaction_event(t, kind, d, v);
        if (!e)
                return;
        if (!v) {
                event_set(e, FIELD_RULE, "default");
                event_set(e, FIELD_REASON, reason);
                event_set(e, FIELD_RESULT, kind == EVENT_LOGIN_ABANDONED ? "abandoned" : "refused");
        }
        trail_record_closing(t->context->trail, e);
}
