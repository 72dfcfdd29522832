/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "login/transaction-internal.h"
#include "util/clock.h"
#include "util/text.h"

#define BEGIN_USEC   (10 * USEC_PER_SEC)
#define TICK_USEC    (10 * USEC_PER_SEC) /* well inside the module's patience */
#define PATIENT_USEC (12 * UINT64_C(3600) * USEC_PER_SEC)

/* What may be heard in which state; anything else ends the connection and is recorded. */
static const bool expected[_STATE_MAX][MESSAGE_CANCEL + 1] = {
        [STATE_BEGIN] = { [MESSAGE_BEGIN] = true },
        [STATE_PASSWORD] = { [MESSAGE_ANSWER] = true, [MESSAGE_CANCEL] = true },
        [STATE_PERSON] = { [MESSAGE_ANSWER] = true, [MESSAGE_CANCEL] = true },
        [STATE_NEW] = { [MESSAGE_ANSWER] = true, [MESSAGE_CANCEL] = true },
        [STATE_NEW_AGAIN] = { [MESSAGE_ANSWER] = true, [MESSAGE_CANCEL] = true },
        [STATE_PIN_CONFIRM] = { [MESSAGE_ANSWER] = true, [MESSAGE_CANCEL] = true },
        [STATE_PIN] = { [MESSAGE_ANSWER] = true, [MESSAGE_CANCEL] = true },
};

static void end(Transaction *t) {
        if (t->state == STATE_DONE && t->fd < 0)
                return;
        t->state = STATE_DONE;
        t->io = sd_event_source_disable_unref(t->io);
        t->deadline = sd_event_source_disable_unref(t->deadline);
        t->tick = sd_event_source_disable_unref(t->tick);
        t->hold = sd_event_source_disable_unref(t->hold);
        t->query = lookup_query_cancel(t->query);
        t->helper = helper_cancel(t->helper);
        t->card = card_step_free(t->card);
        t->key = key_step_free(t->key);
        if (t->fd >= 0)
                close(TAKE_FD(t->fd));
        t->on_end(t, t->userdata);
}

/* A peer that does not read is dropped: nobody waits for it. */
static int send_message(Transaction *t, const MessageBuilder *b) {
        if (b->overflow)
                return -EMSGSIZE;
        if (send(t->fd, b->bytes, b->size, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)b->size)
                return -EIO;
        return 0;
}

bool transaction_is_pkexec(const Transaction *t) {
        return t->service && t->service->by_agent && t->peer.exe && strcmp(t->peer.exe, "/usr/bin/pkexec") == 0;
}

void transaction_send_text(Transaction *t, MessageType type, const char *text) {
        MessageBuilder b;

        /* pkexec's conversation aborts the program whatever it is told. */
        if (t->fd < 0 || transaction_is_pkexec(t))
                return;
        if (type == MESSAGE_ERROR && t->service && t->service->hides_errors)
                type = MESSAGE_INFORM;
        message_init(&b, type);
        message_add_text(&b, ITEM_TEXT, text);
        (void)send_message(t, &b);
}

static int set_deadline(Transaction *t, uint64_t usec) {
        return sd_event_source_set_time_relative(t->deadline, usec);
}

/* A marked text in the caller's language, its %u replaced. */
static void fill_in(Transaction *t, const char *text, unsigned count, char ret[static KEISHI_TEXT_MAX]) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        /* Marked texts of our own; a test holds translations to the same directives. */
        (void)snprintf(ret, KEISHI_TEXT_MAX, text_in(t->language, text), count);
#pragma GCC diagnostic pop
}

void transaction_tell(Transaction *t, MessageType type, const char *text, unsigned count) {
        char filled[KEISHI_TEXT_MAX];

        fill_in(t, text, count, filled);
        transaction_send_text(t, type, filled);
}

int transaction_wait(Transaction *t, State state, uint64_t usec) {
        int r;

        t->state = state;
        r = sd_event_source_set_enabled(t->tick, SD_EVENT_ON);
        return r < 0 ? r : set_deadline(t, usec);
}

void transaction_prompt(Transaction *t, State next, PromptStyle style, const char *text) {
        transaction_prompt_count(t, next, style, text, 0);
}

void transaction_prompt_count(Transaction *t, State next, PromptStyle style, const char *text, unsigned count) {
        bool patient = t->service && t->service->patient;
        char filled[KEISHI_TEXT_MAX];
        MessageBuilder b;

        fill_in(t, text, count, filled);
        message_init(&b, MESSAGE_PROMPT);
        message_add_uint(&b, ITEM_PROMPT_STYLE, style);
        message_add_text(&b, ITEM_TEXT, filled);
        t->state = next;
        (void)sd_event_source_set_enabled(t->tick, SD_EVENT_OFF);
        if (send_message(t, &b) < 0 ||
                set_deadline(t, patient ? PATIENT_USEC : t->context->config->transaction_usec) < 0)
                end(t);
}

int transaction_need_typed(Transaction *t) {
        if (!t->typed)
                t->typed = calloc(1, sizeof(*t->typed));
        return t->typed ? 0 : -ENOMEM;
}

void transaction_finish(Transaction *t, Result result) {
        MessageBuilder b;

        if (t->fd < 0)
                return;
        message_init(&b, MESSAGE_RESULT);
        message_add_uint(&b, ITEM_RESULT, result);
        if (t->named && result == RESULT_SUCCESS)
                message_add_text(&b, ITEM_SET_USER, t->user);
        (void)send_message(t, &b);
        end(t);
}

void transaction_fail(Transaction *t, Result result, const char *text) {
        if (text)
                transaction_send_text(t, MESSAGE_ERROR, text_in(t->language, text));
        transaction_finish(t, result);
}

void transaction_unusable(Transaction *t) {
        transaction_record_refused(t, EVENT_LOGIN_REFUSED, NULL, NULL, "registry-unusable");
        transaction_fail(t, RESULT_UNAVAILABLE,
                N_("The security agent cannot read or write its registry (disk full?), so nobody can log in. Tell your "
                   "system manager."));
}

static int on_hold_over(sd_event_source *s, uint64_t usec, void *userdata) {
        Transaction *t = userdata;

        if (t->held_text)
                transaction_tell(t, MESSAGE_ERROR, t->held_text, t->held_count);
        t->hold = sd_event_source_disable_unref(t->hold);
        if (t->held_fn)
                t->held_fn(t);
        else
                transaction_finish(t, t->held_result);
        return 0;
}

static void hold_back(Transaction *t, Result result, const char *text, unsigned count, void (*fn)(Transaction *t)) {
        uint64_t step = t->attempt.delay_usec > 0 ? t->attempt.delay_usec : t->context->config->attempts_delay_usec;
        uint64_t now = clock_usec(CLOCK_BOOTTIME), spent = now - t->answered_usec;
        /* Whole steps from the answer on: how long verifying took cannot be told from outside. */
        uint64_t wait = step > 0 ? step - spent % step : 0;

        t->state = STATE_DELAY;
        t->held_result = result;
        t->held_text = text;
        t->held_count = count;
        t->held_fn = fn;
        if (sd_event_source_set_enabled(t->tick, SD_EVENT_ON) < 0 || set_deadline(t, wait + BEGIN_USEC) < 0 ||
                sd_event_add_time_relative(t->context->event, &t->hold, CLOCK_BOOTTIME, wait, 1000, on_hold_over, t) <
                        0)
                transaction_finish(t, result);
}

void transaction_fail_later(Transaction *t, Result result, const char *text, unsigned count) {
        hold_back(t, result, text, count, NULL);
}

void transaction_retry_later(Transaction *t, const char *text, void (*fn)(Transaction *t)) {
        hold_back(t, RESULT_AUTHTOK_ERR, text, 0, fn);
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        Transaction *t = userdata;
        MessageBuilder b;

        message_init(&b, MESSAGE_WAIT);
        if (send_message(t, &b) < 0 || sd_event_source_set_time_relative(s, TICK_USEC) < 0)
                end(t);
        return 0;
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata) {
        Transaction *t = userdata;

        auth_abandoned(t);
        transaction_finish(t, expected[t->state][MESSAGE_ANSWER] ? RESULT_CONV_ERR : RESULT_SYSTEM_ERR);
        return 0;
}

static void abuse(Transaction *t, const char *what) {
        abuse_record(&t->context->abuse, t->context->trail,
                &(Abuse){
                        .what = what,
                        .uid = t->peer.uid,
                        .pid = t->peer.process.pid,
                        .exe = t->peer.exe,
                        .service = t->service_name,
                        .target = t->user,
                });
}

static void run_stage(Transaction *t) {
        /* An actor that NSS gives root's uid is not root for that. */
        uid_t caller = t->actor_is_root ? 0 : (t->actor_uid != 0 ? t->actor_uid : (uid_t)-1);

        t->family = service_family(t->service, caller, t->user_nss && t->actor_uid == t->user_nss->uid);

        switch (t->stage) {
        case STAGE_AUTH:
                return auth_start(t);
        case STAGE_ACCOUNT:
                return account_start(t);
        case STAGE_SESSION_OPEN:
                return session_open_start(t);
        case STAGE_PASSWORD_PRELIM:
                return password_prelim_start(t);
        case STAGE_PASSWORD_UPDATE:
                return password_update_start(t);
        case STAGE_SESSION_CLOSE: /* done at BEGIN: what closes asks nobody */
        case _STAGE_MAX:
                break;
        }
        transaction_finish(t, RESULT_SYSTEM_ERR);
}

static void on_lookup(int r, Account *account, void *userdata);

static void lookup_user(Transaction *t) {
        t->looking_for_actor = false;
        /* Nobody but root makes us ask NSS about names of their choice. */
        if (t->peer.uid != 0) {
                if (lookup_uid(t->context->lookup, t->peer.uid, on_lookup, t, &t->query) < 0)
                        transaction_finish(t, RESULT_SYSTEM_ERR);
                return;
        }
        /* A name that cannot be an account's is not asked about. */
        if (!t->user_usable)
                return on_lookup(LOOKUP_E_UNKNOWN, NULL, t);
        if (lookup_name(t->context->lookup, t->user, on_lookup, t, &t->query) < 0)
                transaction_finish(t, RESULT_SYSTEM_ERR);
}

static void on_lookup(int r, Account *account, void *userdata) {
        Transaction *t = userdata;

        t->query = NULL;
        if (r == LOOKUP_E_UNAVAILABLE) {
                t->answered_usec = clock_usec(CLOCK_BOOTTIME);
                transaction_record_refused(t, EVENT_LOGIN_REFUSED, NULL, NULL, "directory-unavailable");
                return transaction_fail_later(t, RESULT_SYSTEM_ERR,
                        N_("The user directory does not answer. Try again, or tell your system manager."), 0);
        }
        if (t->looking_for_actor) {
                t->actor_nss = account ? account_ref(account) : NULL;
                if (account) {
                        free(t->actor);
                        t->actor = strdup(account->name);
                        t->actor_uid = account->uid;
                        if (!t->actor)
                                return transaction_finish(t, RESULT_SYSTEM_ERR);
                }
                return lookup_user(t);
        }
        t->user_nss = account ? account_ref(account) : NULL;

        /* A caller other than root may only prove itself (law 4): its uid is what was asked about. */
        if (t->peer.uid != 0 && (!account || !t->user_usable || strcmp(account->name, t->user) != 0)) {
                abuse(t, "about-another");
                return transaction_finish(t, RESULT_PERM_DENIED);
        }
        run_stage(t);
}

void transaction_name(Transaction *t, char *user) {
        free(t->user);
        t->user = user;
        t->user_usable = account_valid(t->user);
        t->named = true;
        t->state = STATE_LOOKUP;
        lookup_user(t);
}

/* Who acts: the real uid of a set-uid program. sudo makes itself root in full, and says in PAM_RUSER who called it;
 * where it does not, the kernel's login uid stands, and nobody is taken for root. */
static int find_actor(Transaction *t) {
        uid_t uid = t->peer.uid;
        int r;

        if (!t->service || !t->service->actor_is_caller) {
                t->actor_uid = uid;
                t->actor_is_root = uid == 0;
                return 0;
        }
        r = peer_real_uid(&t->peer, &uid);
        if (r < 0)
                return r;
        t->actor_uid = uid;

        t->looking_for_actor = true;
        if (uid == 0 && t->service->actor_is_ruser) {
                if (t->ruser && strcmp(t->ruser, "root") != 0) {
                        if (!account_valid(t->ruser))
                                return -EPROTO;
                        t->actor = strdup(t->ruser);
                        return t->actor ? lookup_name(t->context->lookup, t->ruser, on_lookup, t, &t->query) : -ENOMEM;
                }
                if (!t->ruser && t->peer.login_uid == (uid_t)-1)
                        return -EPROTO;
                if (!t->ruser)
                        uid = t->peer.login_uid;
        }
        t->actor_is_root = uid == 0;
        t->actor_uid = uid;
        return lookup_uid(t->context->lookup, uid, on_lookup, t, &t->query);
}

/* An item as it was sent; NULL when it is absent or empty. Whoever shows or stores it makes it safe. */
static int take_text(const Message *m, MessageItem item, char **ret) {
        if (!m->text[item] || m->size[item] == 0)
                return 0;
        *ret = strndup(m->text[item], m->size[item]);
        return *ret ? 0 : -ENOMEM;
}

static int take_user(Transaction *t, const Message *m) {
        if (!m->text[ITEM_USER])
                return asprintf(&t->user, "(%u bytes)", m->number[ITEM_USER_LENGTH]) < 0 ? -ENOMEM : 0;
        t->user = strndup(m->text[ITEM_USER], m->size[ITEM_USER]);
        if (!t->user)
                return -ENOMEM;
        t->user_usable = account_valid(t->user);
        return 0;
}

static int take_begin(Transaction *t, const Message *m) {
        _cleanup_free_ char *locale = NULL;
        char vt[16] = "";
        int r;

        t->stage = (Stage)m->number[ITEM_STAGE];
        t->flags = m->number[ITEM_FLAGS];
        r = take_text(m, ITEM_SERVICE, &t->service_name);
        if (r == 0)
                r = take_text(m, ITEM_RUSER, &t->ruser);
        if (r == 0)
                r = take_text(m, ITEM_RHOST, &t->rhost);
        if (r == 0)
                r = take_text(m, ITEM_TTY, &t->tty);
        if (r == 0)
                r = take_text(m, ITEM_LOCALE, &locale);
        if (r == 0)
                r = take_user(t, m);
        if (r < 0)
                return r;
        if (m->text[ITEM_OLD_TOKEN]) {
                if (transaction_need_typed(t) < 0)
                        return -ENOMEM;
                t->typed->current.size = m->size[ITEM_OLD_TOKEN];
                memcpy(t->typed->current.bytes, m->text[ITEM_OLD_TOKEN], t->typed->current.size);
        }

        /* polkit's helper names no terminal, but has one. */
        if (t->peer.vt > 0)
                (void)snprintf(vt, sizeof(vt), "tty%u", t->peer.vt);
        t->language = text_language(locale, t->context->config->locale, t->tty ? t->tty : vt);
        t->service = service_find(t->service_name);
        t->family = t->service ? t->service->family : _FAMILY_INVALID;
        /* Where root's own jobs start from says nothing about a person. */
        t->remote = t->rhost || t->family == FAMILY_REMOTE || (t->peer.remote && t->family != FAMILY_UNATTENDED);
        return 0;
}

static void begin(Transaction *t, const Message *m) {
        uint32_t stage = m->number[ITEM_STAGE];

        if (stage < STAGE_AUTH || stage >= _STAGE_MAX || m->size[ITEM_SERVICE] == 0 ||
                message_has(m, ITEM_USER) == message_has(m, ITEM_USER_LENGTH)) {
                abuse(t, "malformed");
                return end(t);
        }
        if (take_begin(t, m) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        t->state = STATE_LOOKUP;
        (void)sd_event_source_set_enabled(t->tick, SD_EVENT_ON);
        if (set_deadline(t, t->context->config->transaction_usec) < 0)
                return transaction_finish(t, RESULT_SYSTEM_ERR);

        if (t->peer.uid != 0 &&
                (!t->service || !t->service->any_caller || (t->stage != STAGE_AUTH && t->stage != STAGE_ACCOUNT))) {
                abuse(t, "not-root");
                return transaction_finish(t, RESULT_PERM_DENIED);
        }
        if (t->stage == STAGE_SESSION_CLOSE) {
                (void)session_close(t->context->sessions, t->service_name, &t->peer);
                return transaction_finish(t, RESULT_SUCCESS);
        }

        switch (find_actor(t)) {
        case 0:
                break;
        case -EPROTO:
                abuse(t, "no-actor");
                return transaction_finish(t, RESULT_PERM_DENIED);
        default:
                return transaction_finish(t, RESULT_SYSTEM_ERR);
        }
        if (!t->service || !t->service->actor_is_caller)
                lookup_user(t);
}

static void cancelled(Transaction *t) {
        auth_abandoned(t);
        transaction_finish(t, RESULT_CONV_ERR);
}

static void hear(Transaction *t) {
        unsigned char bytes[KEISHI_MESSAGE_MAX];
        Message m;
        ssize_t n;

        n = recv(t->fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return;
        if (n <= 0) {
                auth_abandoned(t);
                return end(t);
        }
        if (message_parse(&m, bytes, (size_t)n) < 0 || m.type > MESSAGE_CANCEL || !expected[t->state][m.type]) {
                abuse(t, "malformed");
                auth_abandoned(t);
                end(t);
        } else if (m.type == MESSAGE_BEGIN)
                begin(t, &m);
        else if (m.type == MESSAGE_CANCEL)
                cancelled(t);
        else {
                (void)sd_event_source_set_enabled(t->tick, SD_EVENT_ON);
                (void)sd_event_source_set_time_relative(t->tick, TICK_USEC);
                (void)set_deadline(t, t->context->config->transaction_usec);
                if (t->state == STATE_PASSWORD)
                        auth_password(t, &m);
                else if (t->state == STATE_PIN)
                        card_pin(t, &m);
                else if (t->state == STATE_PIN_CONFIRM)
                        card_confirm(t, &m);
                else if (t->state == STATE_PERSON)
                        auth_person(t, &m);
                else
                        password_answer(t, &m);
        }
        explicit_bzero(bytes, n > 0 && (size_t)n <= sizeof(bytes) ? (size_t)n : sizeof(bytes));
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        hear(userdata);
        return 0;
}

void transaction_start(Transaction *t) {
        int r;

        hear(t);
        if (t->fd < 0)
                return;
        r = sd_event_add_io(t->context->event, &t->io, t->fd, EPOLLIN, on_io, t);
        if (r >= 0)
                r = sd_event_source_set_priority(t->io, login_priority(t->peer.uid));
        if (r < 0) {
                auth_abandoned(t);
                end(t);
        }
}

int transaction_new(
        Transaction **ret, LoginContext *context, int fd, Peer *peer, transaction_fn on_end, void *userdata) {
        _cleanup_(transaction_free_p) Transaction *t = NULL;
        int r;

        t = calloc(1, sizeof(*t));
        if (!t) {
                close(fd);
                return -ENOMEM;
        }
        t->fd = fd;
        t->peer = *peer;
        *peer = (Peer){};
        t->context = context;
        t->on_end = on_end;
        t->userdata = userdata;

        r = sd_event_add_time_relative(
                context->event, &t->deadline, CLOCK_BOOTTIME, BEGIN_USEC, USEC_PER_SEC, on_deadline, t);
        if (r >= 0)
                r = sd_event_add_time_relative(
                        context->event, &t->tick, CLOCK_BOOTTIME, TICK_USEC, USEC_PER_SEC, on_tick, t);
        if (r >= 0)
                r = sd_event_source_set_enabled(t->tick, SD_EVENT_OFF);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(t);
        return 0;
}

Transaction *transaction_free(Transaction *t) {
        if (!t)
                return NULL;
        sd_event_source_disable_unref(t->io);
        sd_event_source_disable_unref(t->deadline);
        sd_event_source_disable_unref(t->tick);
        sd_event_source_disable_unref(t->hold);
        lookup_query_cancel(t->query);
        helper_cancel(t->helper);
        card_step_free(t->card);
        key_step_free(t->key);
        if (t->fd >= 0)
                close(t->fd);
        peer_done(&t->peer);
        free(t->service_name);
        free(t->user);
        free(t->ruser);
        free(t->rhost);
        free(t->tty);
        free(t->actor);
        account_unref(t->actor_nss);
        account_unref(t->user_nss);
        free(t->target);
        free(t->origin);
        free(t->reader);
        free(t->person);
        free(t->name);
        free(t->password_note.user);
        if (t->typed)
                explicit_bzero(t->typed, sizeof(*t->typed));
        free(t->typed);
        free(t);
        return NULL;
}

uid_t transaction_uid(const Transaction *t) {
        return t->peer.uid;
}
