/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* burst CONFDIR SERVICE PASSWORD N
 *
 * N processes, one for each of the users u00001…, start together: auth with the right password, then account. Prints
 * for each: user, result of auth, result of account (-1: not reached), milliseconds. One that has not ended within two
 * minutes is killed and has no line. */

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "answer.h"

#define N_MAX       1000
#define SECONDS_MAX 120

static void login(const char *confdir, const char *service, const char *password, unsigned number) {
        struct pam_conv conversation = { answer_converse, (void *)password };
        int authenticated, account = -1;
        pam_handle_t *pamh = NULL;
        uint64_t begun;
        char user[16];

        snprintf(user, sizeof(user), "u%05u", number);
        begun = clock_nsec(CLOCK_MONOTONIC);
        authenticated = pam_start_confdir(service, user, &conversation, confdir, &pamh);
        if (authenticated == PAM_SUCCESS) {
                pam_set_item(pamh, PAM_TTY, "tty1");
                authenticated = pam_authenticate(pamh, 0);
                if (authenticated == PAM_SUCCESS)
                        account = pam_acct_mgmt(pamh, 0);
                pam_end(pamh, authenticated);
        }
        /* One write, so that lines of several processes do not mix. */
        dprintf(STDOUT_FILENO, "%s %d %d %llu\n", user, authenticated, account,
                (unsigned long long)((clock_nsec(CLOCK_MONOTONIC) - begun) / 1000000));
}

int main(int argc, char **argv) {
        pid_t children[N_MAX];
        unsigned n;
        int gate[2];

        if (argc != 5)
                return 2;
        n = (unsigned)strtoul(argv[4], NULL, 10);
        if (n == 0 || n > N_MAX || pipe(gate) < 0)
                return 2;

        for (unsigned i = 0; i < n; i++) {
                children[i] = fork();
                if (children[i] < 0)
                        return 2;
                if (children[i] == 0) {
                        char byte;

                        close(gate[1]);
                        (void)!read(gate[0], &byte, 1); /* until the gate opens */
                        alarm(SECONDS_MAX);
                        login(argv[1], argv[2], argv[3], i + 1);
                        _exit(0);
                }
        }
        close(gate[0]);
        sleep(1); /* all have reached the gate */
        close(gate[1]);
        for (unsigned i = 0; i < n; i++)
                waitpid(children[i], NULL, 0);
        return 0;
}
