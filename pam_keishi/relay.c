/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "relay.h"

#include <errno.h>
#include <poll.h>
#include <security/pam_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "keishi/message.h"
#include "keishi/paths.h"

/* How long one call may take in all, whatever the agent says; the time that people take to answer is theirs. */
#define RELAY_TOTAL_SEC 3600

#define CONNECT_PAUSE_USEC 250000

typedef struct Relay {
        pam_handle_t *pamh;
        int flags;
        int fd;
        time_t deadline;
        bool heard;     /* the agent has said something */
        char *password; /* the answer to the last PROMPT_PASSWORD or PROMPT_NEW_PASSWORD, ours to wipe */
        char *current;  /* the answer to the last PROMPT_CURRENT_PASSWORD, ours to wipe */
        unsigned asked; /* bit per PromptStyle that has come before */
        bool given;     /* the new password came from a module before us */
} Relay;

static void wipe(char *s) {
        if (s)
                explicit_bzero(s, strlen(s));
        free(s);
}

static time_t seconds(void) {
        struct timespec ts = { 0 };

        clock_gettime(CLOCK_BOOTTIME, &ts);
        return ts.tv_sec;
}

/* The socket blocks, with limits: waiting in recv() costs half of what poll() before it does. */
static int relay_socket(void) {
        static const struct timeval send_limit = { .tv_usec = CONNECT_PAUSE_USEC };
        static const struct timeval receive_limit = { .tv_sec = KEISHI_PATIENCE_SEC };
        int fd;

        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        /* The first one is for connect(); nothing is sent without MSG_DONTWAIT. */
        if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &send_limit, sizeof(send_limit)) < 0 ||
                setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &receive_limit, sizeof(receive_limit)) < 0) {
                int e = errno;

                close(fd);
                return -e;
        }
        return fd;
}

static int relay_connect(const char *root) {
        static const struct timespec pause = { .tv_nsec = CONNECT_PAUSE_USEC * 1000 };
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        int n, fd;

        n = snprintf(sa.sun_path, sizeof(sa.sun_path), "%s%s", root,
                geteuid() == 0 ? KEISHI_ROOT_SOCKET : KEISHI_PAM_SOCKET);
        if (n < 0 || (size_t)n >= sizeof(sa.sun_path))
                return -ENAMETOOLONG;

        /* An agent that is being restarted is worth a short wait. */
        for (unsigned tries = 0;; tries++) {
                int e;

                fd = relay_socket();
                if (fd < 0)
                        return fd;
                if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0)
                        return fd;
                e = errno;
                close(fd);
                if ((e != ENOENT && e != ECONNREFUSED && e != EAGAIN && e != EINTR) || tries >= KEISHI_CONNECT_SEC * 4)
                        return -e;
                if (e != EAGAIN) /* has waited already */
                        nanosleep(&pause, NULL);
        }
}

static time_t relay_end(const Relay *r) {
        time_t end = seconds() + KEISHI_PATIENCE_SEC;

        return end < r->deadline ? end : r->deadline;
}

static int relay_wait(Relay *r, short events, time_t end) {
        for (;;) {
                struct pollfd p = { .fd = r->fd, .events = events };
                time_t left = end - seconds();
                int k;

                if (left <= 0)
                        return -ETIMEDOUT;
                k = poll(&p, 1, (int)left * 1000);
                if (k > 0)
                        return 0;
                if (k < 0 && errno != EINTR)
                        return -errno;
        }
}

static int relay_send(Relay *r, const MessageBuilder *b) {
        time_t end = relay_end(r);

        if (b->overflow)
                return -EMSGSIZE;
        for (;;) {
                int k;

                if (send(r->fd, b->bytes, b->size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)b->size)
                        return 0;
                if (errno != EAGAIN && errno != EINTR)
                        return -errno;
                k = relay_wait(r, POLLOUT, end);
                if (k < 0)
                        return k;
        }
}

static int relay_receive(Relay *r, unsigned char *bytes, Message *ret) {
        time_t end = relay_end(r);

        for (bool reset = false;;) {
                ssize_t n;

                /* MSG_TRUNC: the packet's real length, so that one that is too long is refused, not cut. */
                n = recv(r->fd, bytes, KEISHI_MESSAGE_MAX, MSG_TRUNC);
                if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
                        int k = relay_wait(r, POLLIN, end);

                        if (k < 0)
                                return k;
                        continue;
                }
                /* Said once when the agent ended without reading what we sent last; what it sent before is still there.
                 */
                if (n < 0 && errno == ECONNRESET && !reset) {
                        reset = true;
                        continue;
                }
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ECONNRESET;
                return message_parse(ret, bytes, (size_t)n);
        }
}

static void add_item(MessageBuilder *b, pam_handle_t *pamh, int pam_item, MessageItem item) {
        const void *value = NULL;

        /* What is too long to be true is left out, but for the service and the user, which are dealt with by the
         * caller. */
        if (pam_get_item(pamh, pam_item, &value) == PAM_SUCCESS && value && strlen(value) > 0 &&
                strlen(value) <= KEISHI_NAME_MAX)
                message_add_text(b, item, value);
}

static const char *caller_locale(void) {
        static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                const char *v = secure_getenv(names[i]);

                if (v && *v)
                        return strlen(v) <= KEISHI_NAME_MAX ? v : NULL;
        }
        return NULL;
}

/* What the call is about. PAM_USER may have to be asked for, which takes as long as a person takes: nobody waits for it
 * at the other end. */
static int relay_describe(Relay *r, Stage stage, MessageBuilder *ret) {
        const void *service = NULL, *rhost = NULL, *token = NULL;
        const char *user = NULL;
        uint32_t flags = 0;
        int k;

        k = pam_get_item(r->pamh, PAM_SERVICE, &service);
        if (k != PAM_SUCCESS || !service || strlen(service) > KEISHI_NAME_MAX)
                return -EINVAL;
        /* A remote host that cannot be told must not become a local login. */
        k = pam_get_item(r->pamh, PAM_RHOST, &rhost);
        if (k != PAM_SUCCESS || (rhost && strlen(rhost) > KEISHI_NAME_MAX))
                return -EINVAL;

        k = pam_get_user(r->pamh, &user, NULL);
        if (k != PAM_SUCCESS || !user)
                return -ECANCELED;

        if (r->flags & PAM_SILENT)
                flags |= FLAG_SILENT;
        if (r->flags & PAM_DISALLOW_NULL_AUTHTOK)
                flags |= FLAG_DISALLOW_NULL;
        if (r->flags & PAM_CHANGE_EXPIRED_AUTHTOK)
                flags |= FLAG_CHANGE_EXPIRED;

        message_init(ret, MESSAGE_BEGIN);
        message_add_uint(ret, ITEM_STAGE, stage);
        message_add_uint(ret, ITEM_FLAGS, flags);
        message_add_text(ret, ITEM_SERVICE, service);
        if (strlen(user) <= KEISHI_NAME_MAX)
                message_add_text(ret, ITEM_USER, user);
        else
                message_add_uint(
                        ret, ITEM_USER_LENGTH, strlen(user) > UINT32_MAX ? UINT32_MAX : (uint32_t)strlen(user));
        add_item(ret, r->pamh, PAM_RUSER, ITEM_RUSER);
        add_item(ret, r->pamh, PAM_RHOST, ITEM_RHOST);
        add_item(ret, r->pamh, PAM_TTY, ITEM_TTY);
        message_add_text(ret, ITEM_LOCALE, caller_locale());
        if (stage == STAGE_PASSWORD_UPDATE && pam_get_item(r->pamh, PAM_OLDAUTHTOK, &token) == PAM_SUCCESS && token &&
                strlen(token) > 0 && strlen(token) <= KEISHI_TEXT_MAX)
                message_add_text(ret, ITEM_OLD_TOKEN, token);
        return 0;
}

/* What modules before us in the stack have asked for; only once, so that a refused one is not given again. */
static char *relay_given(Relay *r, PromptStyle style) {
        const void *token = NULL;
        bool first = !(r->asked & (1u << style));

        r->asked |= 1u << style;
        switch (style) {
        case PROMPT_CURRENT_PASSWORD:
                if (!first || pam_get_item(r->pamh, PAM_OLDAUTHTOK, &token) != PAM_SUCCESS)
                        return NULL;
                break;
        case PROMPT_NEW_PASSWORD:
                if (first && pam_get_item(r->pamh, PAM_AUTHTOK, &token) != PAM_SUCCESS)
                        token = NULL;
                r->given = token != NULL;
                break;
        case PROMPT_NEW_AGAIN:
                token = r->given ? r->password : NULL;
                break;
        default:
                break;
        }
        return token ? strdup(token) : NULL;
}

static int relay_prompt(Relay *r, const Message *m) {
        uint32_t style = m->number[ITEM_PROMPT_STYLE];
        time_t asked = seconds();
        MessageBuilder b;
        char *answer;
        int k = PAM_SUCCESS;

        if (style < PROMPT_ECHO_ON || style >= _PROMPT_MAX)
                return -EPROTO;

        answer = relay_given(r, (PromptStyle)style);
        if (!answer)
                k = pam_prompt(r->pamh, style == PROMPT_ECHO_ON ? PAM_PROMPT_ECHO_ON : PAM_PROMPT_ECHO_OFF, &answer,
                        "%.*s", (int)m->size[ITEM_TEXT], m->text[ITEM_TEXT]);
        r->deadline += seconds() - asked;
        if (k != PAM_SUCCESS || !answer || strlen(answer) > KEISHI_ANSWER_MAX) {
                wipe(answer);
                message_init(&b, MESSAGE_CANCEL);
                return relay_send(r, &b);
        }

        message_init(&b, MESSAGE_ANSWER);
        message_add_text(&b, ITEM_TEXT, answer);
        k = relay_send(r, &b);
        explicit_bzero(&b, sizeof(b));
        switch ((PromptStyle)style) {
        case PROMPT_PASSWORD:
        case PROMPT_NEW_PASSWORD:
                wipe(r->password);
                r->password = answer;
                break;
        case PROMPT_CURRENT_PASSWORD:
                wipe(r->current);
                r->current = answer;
                break;
        default:
                wipe(answer);
        }
        return k;
}

void relay_show(pam_handle_t *pamh, int flags, int style, const char *text, size_t size) {
        if (!(flags & PAM_SILENT))
                (void)pam_prompt(pamh, style, NULL, "%.*s", (int)size, text);
}

static int relay_result(Relay *r, uint32_t result, bool *ret_absent) {
        switch ((Result)result) {
        case RESULT_SUCCESS:
                if (r->password && pam_set_item(r->pamh, PAM_AUTHTOK, r->password) != PAM_SUCCESS)
                        return PAM_SYSTEM_ERR;
                if (r->current && pam_set_item(r->pamh, PAM_OLDAUTHTOK, r->current) != PAM_SUCCESS)
                        return PAM_SYSTEM_ERR;
                return PAM_SUCCESS;
        case RESULT_AUTH_ERR:
                return PAM_AUTH_ERR;
        case RESULT_PERM_DENIED:
                return PAM_PERM_DENIED;
        case RESULT_MAXTRIES:
                return PAM_MAXTRIES;
        case RESULT_ACCT_EXPIRED:
                return PAM_ACCT_EXPIRED;
        case RESULT_AUTHTOK_ERR:
                return PAM_AUTHTOK_ERR;
        case RESULT_SESSION_ERR:
                return PAM_SESSION_ERR;
        case RESULT_CONV_ERR:
                return PAM_CONV_ERR;
        case RESULT_UNAVAILABLE:
                *ret_absent = true;
                return PAM_AUTHINFO_UNAVAIL;
        case RESULT_NEW_AUTHTOK_REQD:
                return PAM_NEW_AUTHTOK_REQD;
        case RESULT_TRY_AGAIN:
                return PAM_TRY_AGAIN;
        case RESULT_SYSTEM_ERR:
        case _RESULT_MAX:
                break;
        }
        return PAM_SYSTEM_ERR;
}

/* A card has named the user, where the application had no name: only root's applications are told whom they let in. */
static int relay_set_user(Relay *r, const Message *m) {
        const void *user = NULL;
        char name[KEISHI_NAME_MAX + 1];

        if (!message_has(m, ITEM_SET_USER))
                return 0;
        if (getuid() != 0 || geteuid() != 0 || m->number[ITEM_RESULT] != RESULT_SUCCESS ||
                m->size[ITEM_SET_USER] == 0 || pam_get_item(r->pamh, PAM_USER, &user) != PAM_SUCCESS ||
                (user && *(const char *)user))
                return -EPROTO;
        memcpy(name, m->text[ITEM_SET_USER], m->size[ITEM_SET_USER]);
        name[m->size[ITEM_SET_USER]] = '\0';
        return pam_set_item(r->pamh, PAM_USER, name) == PAM_SUCCESS ? 0 : -ENOMEM;
}

static int relay_loop(Relay *r, bool *ret_absent) {
        unsigned char bytes[KEISHI_MESSAGE_MAX];
        Message m;

        for (;;) {
                int k = relay_receive(r, bytes, &m);

                if (k == 0) {
                        r->heard = true;
                        switch (m.type) {
                        case MESSAGE_PROMPT:
                                k = relay_prompt(r, &m);
                                break;
                        case MESSAGE_INFORM:
                                relay_show(r->pamh, r->flags, PAM_TEXT_INFO, m.text[ITEM_TEXT], m.size[ITEM_TEXT]);
                                break;
                        case MESSAGE_ERROR:
                                relay_show(r->pamh, r->flags, PAM_ERROR_MSG, m.text[ITEM_TEXT], m.size[ITEM_TEXT]);
                                break;
                        case MESSAGE_WAIT:
                                break;
                        case MESSAGE_RESULT:
                                k = relay_set_user(r, &m);
                                if (k == 0)
                                        return relay_result(r, m.number[ITEM_RESULT], ret_absent);
                                break;
                        default:
                                k = -EPROTO;
                        }
                }
                /* An answer that could not be sent may still be followed by the result that the agent had sent before.
                 */
                if (k == -EPIPE)
                        continue;
                if (k < 0) {
                        pam_syslog(r->pamh, LOG_ERR, "keishid: %s", strerror(-k));
                        *ret_absent = !r->heard;
                        return r->heard ? PAM_SYSTEM_ERR : PAM_AUTHINFO_UNAVAIL;
                }
        }
}

int relay_call(pam_handle_t *pamh, Stage stage, int flags, const char *root, bool *ret_absent, bool *ret_heard) {
        Relay r = { .pamh = pamh, .flags = flags };
        int result = PAM_SYSTEM_ERR, k;
        MessageBuilder b;

        *ret_absent = *ret_heard = false;
        k = relay_describe(&r, stage, &b);
        if (k == -ECANCELED)
                return PAM_CONV_ERR;
        if (k < 0) {
                pam_syslog(pamh, LOG_ERR, "the call cannot be carried: %s", strerror(-k));
                return PAM_SYSTEM_ERR;
        }

        r.fd = relay_connect(root);
        if (r.fd < 0) {
                pam_syslog(pamh, LOG_ALERT, "the agent does not run: %s", strerror(-r.fd));
                *ret_absent = true;
                return PAM_AUTHINFO_UNAVAIL;
        }

        r.deadline = seconds() + RELAY_TOTAL_SEC;
        k = relay_send(&r, &b);
        if (k == 0 || k == -EPIPE)
                result = relay_loop(&r, ret_absent);
        else
                pam_syslog(pamh, LOG_ERR, "the call cannot be carried: %s", strerror(-k));

        *ret_heard = r.heard;
        close(r.fd);
        if (stage == STAGE_PASSWORD_UPDATE)
                explicit_bzero(&b, sizeof(b)); /* BEGIN held the current password */
        wipe(r.password);
        wipe(r.current);
        return result;
}
