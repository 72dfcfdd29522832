/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <libintl.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <stdbool.h>
#include <string.h>
#include <syslog.h>

#include "break-glass.h"
#include "keishi/protocol.h"
#include "relay.h"

#define EXPORT __attribute__((visibility("default")))

/* `root=DIR`, from root's own /etc/pam.d, is put in front of every path; for tests. Anything else is refused. */
static int parse_arguments(pam_handle_t *pamh, int argc, const char **argv, const char **ret_root) {
        *ret_root = "";
        for (int i = 0; i < argc; i++) {
                if (strncmp(argv[i], "root=", 5) == 0)
                        *ret_root = argv[i] + 5;
                else {
                        pam_syslog(pamh, LOG_ERR, "unknown argument: %s", argv[i]);
                        return PAM_SYSTEM_ERR;
                }
        }
        return PAM_SUCCESS;
}

static int call(pam_handle_t *pamh, Stage stage, int flags, int argc, const char **argv) {
        const char *root, *text;
        bool absent = false, heard = false;
        int r;

        r = parse_arguments(pamh, argc, argv, &root);
        if (r != PAM_SUCCESS)
                return r;

        r = relay_call(pamh, stage, flags, root, &absent, &heard);
        if (!absent)
                return r;

        /* The only PAM_IGNORE: break-glass (law 1). */
        if (break_glass_allowed(pamh, stage, root))
                return PAM_IGNORE;

        /* An agent that could not decide has said why. */
        if (!heard && (stage == STAGE_AUTH || stage == STAGE_ACCOUNT)) {
                text = dgettext(GETTEXT_DOMAIN,
                        "The security agent (keishid) is not running, so nobody can log in. Tell your system manager.");
                relay_show(pamh, flags, PAM_ERROR_MSG, text, strlen(text));
        }
        return r;
}

EXPORT int pam_sm_authenticate(pam_handle_t *pamh, int flags, int argc, const char **argv) {
        return call(pamh, STAGE_AUTH, flags, argc, argv);
}

/* keishi gives no credentials: who may act was decided in auth, account and session, and libpam replays the frozen auth
 * chain here. */
EXPORT int pam_sm_setcred(pam_handle_t *pamh, int flags, int argc, const char **argv) {
        const char *root;

        return parse_arguments(pamh, argc, argv, &root);
}

EXPORT int pam_sm_acct_mgmt(pam_handle_t *pamh, int flags, int argc, const char **argv) {
        return call(pamh, STAGE_ACCOUNT, flags, argc, argv);
}

EXPORT int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv) {
        return call(pamh, STAGE_SESSION_OPEN, flags, argc, argv);
}

EXPORT int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv) {
        return call(pamh, STAGE_SESSION_CLOSE, flags, argc, argv);
}

EXPORT int pam_sm_chauthtok(pam_handle_t *pamh, int flags, int argc, const char **argv) {
        return call(pamh, flags & PAM_PRELIM_CHECK ? STAGE_PASSWORD_PRELIM : STAGE_PASSWORD_UPDATE, flags, argc, argv);
}
