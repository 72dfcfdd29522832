/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "ctl/ctl.h"

#define PKTTYAGENT "/usr/bin/pkttyagent"
/* How long it may take to register itself; without it polkit refuses, which is told then. */
#define READY_MSEC 5000

void polkit_agent_open(Ctl *ctl) {
        char notify[32], process[32];
        int fds[2];
        pid_t pid;

        if (!ctl->ask || ctl->polkit_agent > 0 || geteuid() == 0 || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO) ||
                access(PKTTYAGENT, X_OK) < 0 || pipe2(fds, O_CLOEXEC) < 0)
                return;
        (void)snprintf(notify, sizeof(notify), "%d", fds[1]);
        (void)snprintf(process, sizeof(process), "%d", (int)getpid());
        pid = fork();
        if (pid == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
                if (fcntl(fds[1], F_SETFD, 0) == 0)
                        (void)execl(PKTTYAGENT, PKTTYAGENT, "--notify-fd", notify, "--fallback", "--process", process,
                                (char *)NULL);
                _exit(1);
        }
        close(fds[1]);
        if (pid > 0) {
                struct pollfd p = { .fd = fds[0], .events = POLLIN };

                ctl->polkit_agent = pid;
                (void)poll(&p, 1, READY_MSEC); /* the end is closed once it is ready */
        }
        close(fds[0]);
}

void polkit_agent_close(Ctl *ctl) {
        if (ctl->polkit_agent <= 0)
                return;
        (void)kill(ctl->polkit_agent, SIGTERM);
        (void)kill(ctl->polkit_agent, SIGCONT);
        (void)waitpid(ctl->polkit_agent, NULL, 0);
        ctl->polkit_agent = 0;
}
