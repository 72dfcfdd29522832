/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Preloaded into keishid: a CLOCK_REALTIME that is off by as many seconds as the file named by CLOCK_DOUBLE says, now.
 * Stands for a clock that somebody sets. Every other clock stays the kernel's; what it cannot show is a kernel whose
 * timers follow the change. */

#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
        const char *path = getenv("CLOCK_DOUBLE");
        char text[32] = "";
        int fd;

        fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (fd < 0)
                return 0;
        if (read(fd, text, sizeof(text) - 1) < 0)
                text[0] = '\0';
        close(fd);
        return strtol(text, NULL, 10);
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *ts) {
        long r = syscall(SYS_clock_gettime, id, ts);

        if (r == 0 && id == CLOCK_REALTIME)
                ts->tv_sec += offset();
        return (int)r;
}
