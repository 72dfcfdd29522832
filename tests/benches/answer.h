/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <security/pam_appl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the drivers here share: an application that answers each prompt with its password, and shows nothing. */

static int answer_converse(int n, const struct pam_message **messages, struct pam_response **ret, void *userdata) {
        struct pam_response *r = calloc((size_t)n, sizeof(*r));

        if (!r)
                return PAM_BUF_ERR;
        for (int i = 0; i < n; i++)
                if (messages[i]->msg_style == PAM_PROMPT_ECHO_OFF || messages[i]->msg_style == PAM_PROMPT_ECHO_ON)
                        r[i].resp = strdup(userdata);
        *ret = r;
        return PAM_SUCCESS;
}

static inline uint64_t clock_nsec(clockid_t clock) {
        struct timespec ts = { 0 };

        clock_gettime(clock, &ts);
        return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}
