/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <security/pam_appl.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/setup.h"
#include "ctl/table.h"

/* A login in a stack of our own (pam_start_confdir): the module is tried before anything of the machine's PAM is
 * touched. */

#define SERVICE "login"

typedef struct Talk {
        const char *password;
        TryResult *result;
} Talk;

static void keep_text(TryResult *result, const char *text) {
        _cleanup_free_ char *safe = text_safe(text);

        (void)snprintf(result->text, sizeof(result->text), "%s", safe ? safe : "");
}

static int talk(int n, const struct pam_message **messages, struct pam_response **ret, void *userdata) {
        struct pam_response *answers;
        Talk *t = userdata;

        if (n <= 0 || n > PAM_MAX_NUM_MSG)
                return PAM_CONV_ERR;
        answers = calloc((size_t)n, sizeof(*answers));
        if (!answers)
                return PAM_BUF_ERR;
        for (int i = 0; i < n; i++) {
                switch (messages[i]->msg_style) {
                case PAM_PROMPT_ECHO_OFF:
                        answers[i].resp = strdup(t->password ? t->password : "");
                        if (answers[i].resp)
                                break;
                        for (; i >= 0; i--)
                                free(answers[i].resp);
                        free(answers);
                        return PAM_BUF_ERR;
                case PAM_ERROR_MSG:
                case PAM_TEXT_INFO:
                        keep_text(t->result, messages[i]->msg);
                        break;
                default: /* who a shared ID is used by cannot be answered here */
                        for (; i >= 0; i--)
                                free(answers[i].resp);
                        free(answers);
                        return PAM_CONV_ERR;
                }
        }
        *ret = answers;
        return PAM_SUCCESS;
}

static int write_stack(const char *directory, const char *root, const char *module, char **ret_path) {
        static const char *const types[] = { "auth", "account" };
        _cleanup_fclose_ FILE *f = NULL;
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/" SERVICE, directory) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        f = fopen(path, "wxe");
        if (!f)
                return -errno;
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                (void)fprintf(f, "%s required %s%s%s\n", types[i], module, root ? " root=" : "", root ? root : "");
        if (fflush(f) != 0)
                return -EIO;
        *ret_path = TAKE_PTR(path);
        return 0;
}

static int run_stack(const char *directory, const char *user, const char *password, TryResult *ret) {
        Talk t = { password, ret };
        struct pam_conv conversation = { talk, &t };
        const char *tty = ttyname(STDIN_FILENO);
        pam_handle_t *handle = NULL;

        if (pam_start_confdir(SERVICE, user, &conversation, directory, &handle) != PAM_SUCCESS)
                return -EIO;
        if (tty)
                (void)pam_set_item(handle, PAM_TTY, tty);
        ret->auth = pam_authenticate(handle, 0);
        ret->account = ret->auth == PAM_SUCCESS ? pam_acct_mgmt(handle, 0) : ret->auth;
        if (ret->account != PAM_SUCCESS && !*ret->text)
                keep_text(ret, pam_strerror(handle, ret->account));
        (void)pam_end(handle, ret->account);
        return 0;
}

int setup_try(const char *root, const char *module, const char *user, const char *password, TryResult *ret) {
        char directory[] = "/tmp/keishi-setup-XXXXXX"; /* 0700 */
        _cleanup_free_ char *path = NULL;
        TryResult result = {};
        int r;

        if (!mkdtemp(directory))
                return -errno;
        r = write_stack(directory, root, module, &path);
        if (r == 0)
                r = run_stack(directory, user, password, &result);
        if (path)
                (void)unlink(path);
        (void)rmdir(directory);
        if (r == 0)
                *ret = result;
        return r;
}
