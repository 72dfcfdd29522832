/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>

#include "login/password.h"
#include "login/transaction-internal.h"
#include "policy/password.h"
#include "util/clock.h"

/* How old a password is, found out where it is used: it is said before it is due, and where it can be changed it is
 * changed before a session opens. */

#define DAY_USEC (86400 * USEC_PER_SEC)

/* sudo asks for the password of the actor, su for that of the target. */
const User *password_owner(const Transaction *t, const FactsData *d) {
        if (t->family != FAMILY_ADMIN || (t->actor && strcmp(t->actor, t->user) == 0))
                return &d->user;
        return &d->target_user;
}

/* What is newly known of since when it is the password: the day in shadow(5) is newer than what keishi knows when it
 * was changed behind keishi's back, and better than having seen it for the first time. */
static void notice(Transaction *t, const PasswordRow *row, bool found, uint64_t now_usec) {
        uint64_t shadow_usec = t->shadow_day * DAY_USEC;
        PasswordAgeNote *note = &t->password_note;

        note->changed_usec = row->changed_usec;
        if (t->shadow_day > 0 && shadow_usec <= now_usec) {
                bool other_day = t->shadow_day != row->changed_usec / DAY_USEC;

                note->store = !found || (row->source == PASSWORD_SEEN && other_day) ||
                              t->shadow_day > row->changed_usec / DAY_USEC;
                note->source = PASSWORD_SHADOW;
                if (note->store)
                        note->changed_usec = shadow_usec;
        } else if (!found) {
                note->store = true;
                note->source = PASSWORD_SEEN;
                note->changed_usec = now_usec;
        }
        /* One changed on the day on which its fingerprint was taken is seen when that day is over. */
        note->fingerprint = !found || row->pending || row->taken_usec == 0 ||
                            row->taken_usec / DAY_USEC < note->changed_usec / DAY_USEC;
}

int password_look_at_age(Transaction *t, const FactsData *d) {
        const Config *config = t->context->config;
        const User *user = password_owner(t, d);
        PasswordRow row = {};
        PasswordAge age = PASSWORD_AGE_FINE;
        bool found;
        int r;

        t->password_note = (PasswordAgeNote){};
        if (!user->uuid)
                return 0;
        r = registry_password(t->context->registry, user->uuid, &row);
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        found = r == 0;
        /* Days are worth as much as the clock. */
        if (d->facts.clock_trusted)
                notice(t, &row, found, d->facts.now_usec);
        t->password_note.user = strdup(user->uuid);
        if (!t->password_note.user)
                return -ENOMEM;

        r = user->shared ? registry_shared_password_is_due(t->context->registry, user->account) : REGISTRY_E_NOT_FOUND;
        if (r != 0 && r != REGISTRY_E_NOT_FOUND)
                return r;
        if (r == 0)
                t->password_note.due = PASSWORD_DUE_MEMBER_LEFT;
        else if (d->facts.clock_trusted) {
                age = password_age(t->password_note.changed_usec, d->facts.now_usec, config->password_max_days,
                        config->password_warn_days, &t->password_note.days);
                t->password_note.due = age == PASSWORD_AGE_DUE ? PASSWORD_DUE_AGE : PASSWORD_NOT_DUE;
        }
        t->password_note.warn = age == PASSWORD_AGE_WARN;
        return 0;
}

int password_store_age(Transaction *t) {
        const PasswordAgeNote *note = &t->password_note;

        if (!note->user || !note->store)
                return 0;
        return registry_password_note(t->context->registry, note->user, note->changed_usec, note->source);
}

bool password_on_trial(const Transaction *t) {
        bool trusted;
        uint64_t now;

        trusted = trusted_clock_now(t->context->clock, &now);
        return config_observes(t->context->config, now, trusted);
}

static void say_count(Transaction *t, const char *text, unsigned count) {
        char line[KEISHI_TEXT_MAX];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(line, sizeof(line), text_in(t->language, text), count);
#pragma GCC diagnostic pop
        transaction_send_text(t, MESSAGE_INFORM, line);
}

void password_used(Transaction *t, Proof *p) {
        const PasswordAgeNote *note = &t->password_note;

        if (!note->user)
                return;
        /* Only where it can be changed: sudo, polkit and lockers would be broken by it. */
        if (t->service && t->service->changes_password && note->due != PASSWORD_NOT_DUE) {
                if (!password_on_trial(t))
                        p->due = note->due;
                else
                        transaction_send_text(t, MESSAGE_INFORM,
                                text_in(t->language,
                                        N_("Your password is due: once the trial is over it has to be changed "
                                           "first.")));
        } else if (t->service && t->service->changes_password && note->warn)
                say_count(t, N_("Days until your password has to be changed: %u."), note->days);
        if (note->fingerprint && t->typed && t->context->passwords)
                passwords_seen(t->context->passwords, note->user, t->user, &t->typed->password);
}

const char *password_due_to_string(PasswordDue due) {
        return due == PASSWORD_DUE_MEMBER_LEFT ? "member-left" : due == PASSWORD_DUE_AGE ? "max-age" : NULL;
}

int password_demand(Transaction *t, const Proof *p, const FactsData *d, const Verdict *v) {
        _cleanup_(event_free_p) Event *e = NULL;
        int r;

        e = transaction_event(t, EVENT_PASSWORD_DUE, d, v);
        if (!e)
                return -ENOMEM;
        event_set(e, FIELD_REASON, password_due_to_string(p->due));
        event_set(e, FIELD_RESULT, "due");
        r = trail_record(t->context->trail, e);
        if (r != 0)
                return r;
        /* A greeter that has this to show does not show the question that follows. */
        transaction_send_text(t, MESSAGE_INFORM,
                text_in(t->language, p->due == PASSWORD_DUE_MEMBER_LEFT
                                             ? N_("A member left this shared ID: its password has to be changed now. "
                                                  "Type the current one first.")
                                             : N_("Your password is older than allowed: it has to be changed now. Type "
                                                  "the current one first.")));
        return 0;
}
