/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A PAM application for tests: runs the calls named on the command line on one handle, answers prompts from a list, and
 * prints what happened, one line each.
 *
 *   drive [OPTIONS] SERVICE USER CALL...
 *
 * Calls:
 *   auth setcred account open close password
 *   expired       changes the password because the account stage asked for it
 *   user=NAME     sets PAM_USER
 *   kill=PID      kills a process
 *   name          prints PAM_USER
 *   authtok       prints what modules after ours find
 *   fork … join   what lies between is done by a child, what follows by its parent
 *   line          goes on after a line on standard input
 *   wait          goes on after the end of standard input
 *
 * Options:
 *   -a TEXT                       the next answer
 *   -n                            answers NULL
 *   -N                            answers with no array at all
 *   -g SIZE                       answers with that many bytes of what no keyboard gives
 *   -f                            the conversation fails
 *   -h                            the conversation never returns
 *   -t TTY -r RHOST -u RUSER      PAM items
 *   -i                            answers come as lines on standard input
 *   -U UID                        becomes this uid first
 *   -R UID                        becomes a set-uid program that this uid started
 */

#include <security/pam_appl.h>
#include <security/pam_ext.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWERS_MAX 32

static const char *answers[ANSWERS_MAX];
static size_t n_answers, next_answer;
static bool answer_null, answer_nothing, fail_conversation, hang_conversation;
static bool read_answers;
static size_t garbage_size;

static char *read_line(void) {
        char *line = NULL;
        size_t room = 0;
        ssize_t n = getline(&line, &room, stdin);

        if (n > 0 && line[n - 1] == '\n')
                line[n - 1] = '\0';
        return line;
}

static char *next_response(void) {
        char *s;

        if (answer_null)
                return NULL;
        if (read_answers)
                return read_line();
        if (garbage_size == 0)
                return strdup(answers[next_answer++]);
        s = calloc(1, garbage_size + 1);
        for (size_t i = 0; s && i < garbage_size; i++)
                s[i] = (char)(1 + i * 37 % 255);
        return s;
}

static int converse(int n, const struct pam_message **messages, struct pam_response **ret, void *userdata) {
        struct pam_response *r = calloc((size_t)n, sizeof(*r));

        for (int i = 0; i < n; i++) {
                const struct pam_message *m = messages[i];

                switch (m->msg_style) {
                case PAM_PROMPT_ECHO_OFF:
                case PAM_PROMPT_ECHO_ON:
                        printf("%s: %s\n", m->msg_style == PAM_PROMPT_ECHO_ON ? "ask" : "secret", m->msg);
                        fflush(stdout);
                        while (hang_conversation)
                                pause();
                        if (answer_nothing) {
                                free(r);
                                *ret = NULL;
                                return PAM_SUCCESS;
                        }
                        if (fail_conversation ||
                                (!answer_null && !read_answers && garbage_size == 0 && next_answer >= n_answers)) {
                                free(r);
                                return PAM_CONV_ERR;
                        }
                        r[i].resp = next_response();
                        break;
                default:
                        printf("%s: %s\n", m->msg_style == PAM_ERROR_MSG ? "error" : "info", m->msg);
                        fflush(stdout);
                }
        }
        *ret = r;
        return PAM_SUCCESS;
}

static int call(pam_handle_t *pamh, const char *name) {
        if (strcmp(name, "auth") == 0)
                return pam_authenticate(pamh, 0);
        if (strcmp(name, "setcred") == 0)
                return pam_setcred(pamh, PAM_ESTABLISH_CRED);
        if (strcmp(name, "account") == 0)
                return pam_acct_mgmt(pamh, 0);
        if (strcmp(name, "open") == 0)
                return pam_open_session(pamh, 0);
        if (strcmp(name, "close") == 0)
                return pam_close_session(pamh, 0);
        if (strcmp(name, "password") == 0)
                return pam_chauthtok(pamh, 0);
        if (strcmp(name, "expired") == 0)
                return pam_chauthtok(pamh, PAM_CHANGE_EXPIRED_AUTHTOK);
        if (strncmp(name, "user=", 5) == 0)
                return pam_set_item(pamh, PAM_USER, name + 5);
        if (strncmp(name, "kill=", 5) == 0)
                return kill((pid_t)strtol(name + 5, NULL, 10), SIGKILL);
        if (strcmp(name, "wait") == 0) {
                while (getchar() != EOF)
                        ;
                return PAM_SUCCESS;
        }
        if (strcmp(name, "line") == 0) {
                free(read_line());
                return PAM_SUCCESS;
        }
        if (strcmp(name, "name") == 0) {
                const void *user = NULL;

                (void)pam_get_item(pamh, PAM_USER, &user);
                printf("name: %s\n", user ? (const char *)user : "(none)");
                return PAM_SUCCESS;
        }
        if (strcmp(name, "authtok") == 0) {
                const char *token = pam_getenv(pamh, "PAM_AUTHTOK"); /* left by pam_wrapper's pam_get_items */

                printf("token: %s\n", token ? token : "(none)");
                return PAM_SUCCESS;
        }
        if (strcmp(name, "fork") == 0) {
                pid_t pid;
                int status;

                fflush(stdout);
                pid = fork();
                if (pid == 0)
                        return PAM_SUCCESS;
                if (pid < 0 || waitpid(pid, &status, 0) != pid)
                        return PAM_SYSTEM_ERR;
                /* The parent goes on with what follows `join`. */
                return -1;
        }
        fprintf(stderr, "drive: unknown call %s\n", name);
        exit(2);
}

int main(int argc, char **argv) {
        const struct pam_conv conversation = { converse, NULL };
        const char *tty = NULL, *rhost = NULL, *ruser = NULL;
        pam_handle_t *pamh = NULL;
        bool child = false;
        long uid = -1, real_uid = -1;
        int c, r;

        setvbuf(stdout, NULL, _IOLBF, 0);
        while ((c = getopt(argc, argv, "+a:nNg:fhit:r:u:U:R:")) >= 0)
                switch (c) {
                case 'a':
                        if (n_answers < ANSWERS_MAX)
                                answers[n_answers++] = optarg;
                        break;
                case 'n':
                        answer_null = true;
                        break;
                case 'N':
                        answer_nothing = true;
                        break;
                case 'g':
                        garbage_size = strtoul(optarg, NULL, 10);
                        break;
                case 'h':
                        hang_conversation = true;
                        break;
                case 'i':
                        read_answers = true;
                        break;
                case 'R':
                        real_uid = strtol(optarg, NULL, 10);
                        break;
                case 'f':
                        fail_conversation = true;
                        break;
                case 't':
                        tty = optarg;
                        break;
                case 'r':
                        rhost = optarg;
                        break;
                case 'u':
                        ruser = optarg;
                        break;
                case 'U':
                        uid = strtol(optarg, NULL, 10);
                        break;
                default:
                        return 2;
                }
        if (argc - optind < 3)
                return 2;
        /* Begins anew as that uid: pam_wrapper has made its copies as root by now, and since 1.1.7 nobody else may read
         * them. */
        if (uid >= 0 && getuid() != (uid_t)uid) {
                if (setresgid((gid_t)uid, (gid_t)uid, (gid_t)uid) < 0 ||
                        setresuid((uid_t)uid, (uid_t)uid, (uid_t)uid) < 0 || execv("/proc/self/exe", argv) < 0)
                        perror("drive: -U");
                return 2;
        }

        if (real_uid >= 0 && setresuid((uid_t)real_uid, 0, 0) < 0) {
                perror("drive: setresuid");
                return 2;
        }

        r = pam_start(argv[optind], argv[optind + 1], &conversation, &pamh);
        if (r != PAM_SUCCESS)
                return 2;
        if (tty)
                pam_set_item(pamh, PAM_TTY, tty);
        if (rhost)
                pam_set_item(pamh, PAM_RHOST, rhost);
        if (ruser)
                pam_set_item(pamh, PAM_RUSER, ruser);

        for (int i = optind + 2; i < argc; i++) {
                if (strcmp(argv[i], "join") == 0) {
                        if (child) {
                                fflush(stdout);
                                _exit(0);
                        }
                        continue;
                }
                r = call(pamh, argv[i]);
                if (r == -1) {
                        while (i < argc && strcmp(argv[i], "join") != 0)
                                i++;
                        continue;
                }
                if (strcmp(argv[i], "fork") == 0) {
                        child = true;
                        continue;
                }
                printf("%s=%d\n", argv[i], r);
        }
        fflush(stdout);
        pam_end(pamh, r);
        return 0;
}
