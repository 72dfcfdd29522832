/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishi-end: a uid from keishid on file descriptor 3; kills every process that runs under it, as that uid and with one
 * kill(-1) a round, which nothing can outrun by forking, until none is left. Answers '0' when none is left, '1' when
 * some could not be killed in time. Processes that a set-uid program made root are systemd's part: it kills the user's
 * slice. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "factor/helper.h"
#include "util/io.h"
#include "util/text.h"

/* From 20 ms on, each pause is longer than the one before by a half, up to a fifth of a second: 5 s in all. */
#define ROUNDS         30
#define PAUSE_NSEC     (20 * 1000 * 1000)
#define PAUSE_NSEC_MAX (200 * 1000 * 1000)

/* Whether this process's real uid is the one asked for, and it is not dead already. */
static bool runs_as(const char *pid, uid_t uid) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        const char *state, *real;
        char *end;

        if (asprintf(&path, "/proc/%s/status", pid) < 0) {
                path = NULL;
                return true;
        }
        if (io_read_file(AT_FDCWD, path, 65536, &text, NULL) < 0)
                return false;
        state = strstr(text, "\nState:\t");
        real = strstr(text, "\nUid:\t");
        if (!state || !real)
                return true;
        if (state[strlen("\nState:\t")] == 'Z')
                return false;
        real += strlen("\nUid:\t");
        return strtoul(real, &end, 10) == uid && end != real;
}

static bool any_left(uid_t uid) {
        struct dirent *d;
        bool left = false;
        DIR *dir;

        dir = opendir("/proc");
        if (!dir)
                return true;
        while (!left && (d = readdir(dir)))
                left = d->d_name[0] >= '1' && d->d_name[0] <= '9' && runs_as(d->d_name, uid);
        closedir(dir);
        return left;
}

/* In a child that has become the user: whoever the kernel lets that user signal, all at once. */
static void kill_round(uid_t uid) {
        pid_t pid = fork();

        if (pid == 0) {
                if (setgroups(0, NULL) < 0 || setresgid(65534, 65534, 65534) < 0 || setresuid(uid, uid, uid) < 0)
                        _exit(1);
                (void)kill(-1, SIGKILL);
                _exit(0);
        }
        if (pid > 0)
                while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        ;
}

int main(void) {
        struct timespec pause = { .tv_nsec = PAUSE_NSEC };
        char request[16], answer = '1';
        uint64_t uid;
        ssize_t n;

        if (!helper_dies_with_agent())
                return EXIT_FAILURE;
        n = recv(HELPER_FD, request, sizeof(request) - 1, MSG_TRUNC);
        if (n <= 0 || (size_t)n > sizeof(request) - 1)
                return EXIT_FAILURE;
        request[n] = '\0';
        /* Never root, never nobody (65534), which the helpers fall back to. */
        if (parse_uint64(request, 1, UINT32_MAX - 1, &uid) < 0 || uid == 65534)
                return EXIT_FAILURE;

        for (unsigned i = 0; i < ROUNDS; i++) {
                kill_round((uid_t)uid);
                if (!any_left((uid_t)uid)) {
                        answer = '0';
                        break;
                }
                nanosleep(&pause, NULL);
                if (pause.tv_nsec < PAUSE_NSEC_MAX)
                        pause.tv_nsec += pause.tv_nsec / 2;
        }
        return send(HELPER_FD, &answer, 1, MSG_NOSIGNAL) == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
