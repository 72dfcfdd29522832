/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* pam_keishi with an agent that says anything: relay.c itself is run on one end of a socketpair, the input is what the
 * agent sends. libpam is stood in for by the functions below: a PAM application that answers every prompt. */

#include "../../pam_keishi/relay.c"

#include "packets.h"

int pam_get_item(const pam_handle_t *pamh, int item, const void **value) {
        *value = item == PAM_SERVICE ? "login" : item == PAM_OLDAUTHTOK ? "answer" : NULL;
        return PAM_SUCCESS;
}

int pam_set_item(pam_handle_t *pamh, int item, const void *value) {
        require((item == PAM_AUTHTOK || item == PAM_OLDAUTHTOK) && strcmp(value, "answer") == 0);
        return PAM_SUCCESS;
}

int pam_get_user(pam_handle_t *pamh, const char **user, const char *prompt) {
        *user = "hanako";
        return PAM_SUCCESS;
}

int pam_prompt(pam_handle_t *pamh, int style, char **response, const char *format, ...) {
        char text[KEISHI_TEXT_MAX + 1];
        va_list ap;
        int n;

        require(style == PAM_PROMPT_ECHO_ON || style == PAM_PROMPT_ECHO_OFF || style == PAM_TEXT_INFO ||
                style == PAM_ERROR_MSG);
        va_start(ap, format);
        n = vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        require(n >= 0 && (size_t)n < sizeof(text));
        if (response)
                *response = strdup("answer");
        return PAM_SUCCESS;
}

void pam_syslog(const pam_handle_t *pamh, int priority, const char *format, ...) {
}

typedef struct Said {
        bool success, unavailable, anything;
} Said;

static void listen_for_result(const uint8_t *packet, size_t n, void *userdata) {
        Said *said = userdata;
        Message m;

        if (message_parse(&m, packet, n) != 0)
                return;
        said->anything = true;
        said->success = said->success || (m.type == MESSAGE_RESULT && m.number[ITEM_RESULT] == RESULT_SUCCESS);
        said->unavailable =
                said->unavailable || (m.type == MESSAGE_RESULT && m.number[ITEM_RESULT] == RESULT_UNAVAILABLE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static int handle;
        Relay r = { .pamh = (pam_handle_t *)&handle, .deadline = seconds() + 60 };
        bool absent = false;
        Said said = {};
        int pair[2], result;

        require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
        r.fd = pair[0];
        packets_each(data, size, packet_send, &pair[1]);
        packets_each(data, size, listen_for_result, &said);
        require(shutdown(pair[1], SHUT_WR) == 0);

        result = relay_loop(&r, &absent);

        require(result != PAM_IGNORE);
        require(result != PAM_SUCCESS || said.success);
        require(!absent || said.unavailable || result == PAM_AUTHINFO_UNAVAIL);
        close(pair[0]);
        close(pair[1]);
        wipe(r.password);
        wipe(r.current);
        return 0;
}
