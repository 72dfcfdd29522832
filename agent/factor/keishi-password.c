/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishi-password: one question from keishid on file descriptor 3 and one answer back (see password.h). Runs the site's
 * own PAM service; keishid holds the attempts, the delay and the deadline. */

#include <errno.h>
#include <security/pam_appl.h>
#include <shadow.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "factor/password.h"

typedef struct Question {
        const char *user, *rhost, *tty;
        char *password;
        bool given; /* the password goes to one prompt, once */
} Question;

static int converse(int n, const struct pam_message **messages, struct pam_response **ret, void *userdata) {
        struct pam_response *responses;
        Question *q = userdata;

        if (n <= 0 || n > PAM_MAX_NUM_MSG)
                return PAM_CONV_ERR;
        responses = calloc((size_t)n, sizeof(*responses));
        if (!responses)
                return PAM_BUF_ERR;
        for (int i = 0; i < n; i++) {
                if (messages[i]->msg_style == PAM_TEXT_INFO || messages[i]->msg_style == PAM_ERROR_MSG)
                        continue;
                if (messages[i]->msg_style != PAM_PROMPT_ECHO_OFF || q->given)
                        goto fail;
                responses[i].resp = strdup(q->password);
                if (!responses[i].resp)
                        goto fail;
                q->given = true;
        }
        *ret = responses;
        return PAM_SUCCESS;

fail:
        for (int i = 0; i < n; i++)
                if (responses[i].resp) {
                        explicit_bzero(responses[i].resp, strlen(responses[i].resp));
                        free(responses[i].resp);
                }
        free(responses);
        return PAM_CONV_ERR;
}

/* The delay after a failure is keishid's. */
static void no_delay(int status, unsigned usec, void *userdata) {
}

static PasswordResult ask_pam(Question *q) {
        const struct pam_conv conversation = { converse, q };
        pam_handle_t *pamh = NULL;
        int r;

        r = pam_start(PASSWORD_SERVICE, q->user, &conversation, &pamh);
        if (r != PAM_SUCCESS)
                return PASSWORD_UNAVAILABLE;
        if (*q->rhost)
                r = pam_set_item(pamh, PAM_RHOST, q->rhost);
        if (r == PAM_SUCCESS && *q->tty)
                r = pam_set_item(pamh, PAM_TTY, q->tty);
        if (r == PAM_SUCCESS)
                r = pam_set_item(pamh, PAM_FAIL_DELAY, (const void *)no_delay);
        if (r == PAM_SUCCESS)
                r = pam_authenticate(pamh, PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK);
        pam_end(pamh, r);

        switch (r) {
        case PAM_SUCCESS:
                /* A stack that let somebody in without looking at the password has proved nothing. */
                return q->given ? PASSWORD_RIGHT : PASSWORD_UNAVAILABLE;
        case PAM_AUTH_ERR:
        case PAM_USER_UNKNOWN:
        case PAM_MAXTRIES:
        case PAM_PERM_DENIED:
        case PAM_ACCT_EXPIRED:
        case PAM_CRED_INSUFFICIENT:
                return PASSWORD_WRONG;
        default:
                return PASSWORD_UNAVAILABLE;
        }
}

/* Only of an account that has its password in the file itself: of others an entry there says nothing, and what a
 * directory makes of shadow(5) is its own. */
static uint32_t last_change(const char *user) {
        _cleanup_fclose_ FILE *f = fopen("/etc/shadow", "re");
        uint32_t day = 0;

        for (struct spwd *sp; f && (sp = fgetspent(f));)
                if (strcmp(sp->sp_namp, user) == 0 && sp->sp_pwdp[0] != '\0' && !strchr("*!x", sp->sp_pwdp[0]))
                        day = sp->sp_lstchg > 0 && sp->sp_lstchg < UINT32_MAX ? (uint32_t)sp->sp_lstchg
                                                                              : PASSWORD_DAY_UNKNOWN;
        return day;
}

int main(void) {
        static const struct rlimit no_core = { 0, 0 };
        static char request[4096];
        Question q = { 0 };
        char answer[PASSWORD_REPLY_MAX] = { PASSWORD_UNAVAILABLE }, *p, *end;
        size_t size = 1;
        ssize_t n;

        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)prctl(PR_SET_DUMPABLE, 0);
        if (!helper_dies_with_agent())
                return EXIT_FAILURE;

        n = recv(HELPER_FD, request, sizeof(request) - 1, MSG_TRUNC);
        if (n <= 0 || (size_t)n > sizeof(request) - 1)
                return EXIT_FAILURE;
        end = request + n;
        p = request;
        q.user = p;
        p = memchr(p, 0, (size_t)(end - p));
        q.rhost = p ? ++p : NULL;
        p = p ? memchr(p, 0, (size_t)(end - p)) : NULL;
        q.tty = p ? ++p : NULL;
        p = p ? memchr(p, 0, (size_t)(end - p)) : NULL;
        q.password = p ? ++p : NULL;
        if (!q.password || memchr(q.password, 0, (size_t)(end - q.password)))
                return EXIT_FAILURE;

        if (*q.password && *q.user)
                answer[0] = (char)ask_pam(&q);
        else
                answer[0] = PASSWORD_WRONG;
        if (answer[0] == PASSWORD_RIGHT) {
                uint32_t day = last_change(q.user);

                memcpy(answer + 1, &day, sizeof(day));
                size = sizeof(answer);
        }
        explicit_bzero(request, sizeof(request));
        return send(HELPER_FD, answer, size, MSG_NOSIGNAL) == (ssize_t)size ? EXIT_SUCCESS : EXIT_FAILURE;
}
