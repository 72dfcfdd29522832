/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "break-glass.h"

#include <errno.h>
#include <fcntl.h>
#include <security/pam_ext.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "keishi/paths.h"
#include "keishi/spool.h"

#define LIST_MAX   4096u
#define LOCK_TRIES 50u

/* Services with a person in front who starts a session on this machine's own screen. */
static const char *const services[] = { "login", "gdm-password", "lightdm", "sddm" };

static int open_prefixed(const char *root, const char *path, int flags) {
        char full[4096];
        int n, fd;

        n = snprintf(full, sizeof(full), "%s%s", root, path);
        if (n < 0 || (size_t)n >= sizeof(full))
                return -ENAMETOOLONG;
        fd = open(full, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

/* A regular file that only root can have written. */
static bool is_roots(int fd) {
        struct stat st;

        return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static ssize_t read_all(int fd, char *buffer, size_t size) {
        size_t done = 0;

        while (done < size) {
                ssize_t n = read(fd, buffer + done, size - done);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                done += (size_t)n;
        }
        return (ssize_t)done;
}

/* Whether a line of `list` (up to '#', blanks stripped) is the account. */
static bool list_names(char *list, const char *account) {
        char *save = NULL;

        for (char *line = strtok_r(list, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
                size_t n;

                line += strspn(line, " \t");
                n = strcspn(line, " \t\r#");
                if (n > 0 && strlen(account) == n && memcmp(line, account, n) == 0)
                        return true;
        }
        return false;
}

static bool account_is_named(const char *root, const char *account) {
        char list[LIST_MAX + 1];
        bool named = false;
        ssize_t n;
        int fd;

        fd = open_prefixed(root, KEISHI_BREAK_GLASS_FILE, O_RDONLY);
        if (fd < 0)
                return false;
        if (is_roots(fd)) {
                n = read_all(fd, list, sizeof(list));
                /* A list that is too long is not half believed. */
                if (n >= 0 && n <= (ssize_t)LIST_MAX && !memchr(list, 0, (size_t)n)) {
                        list[n] = '\0';
                        named = list_names(list, account);
                }
        }
        close(fd);
        return named;
}

/* The account stands in /etc/passwd itself; NSS is not asked, since it may hang with the agent gone. */
static bool account_is_local(const char *root, const char *account) {
        char *line = NULL;
        size_t room = 0, length = strlen(account);
        bool local = false;
        FILE *f;
        int fd;

        fd = open_prefixed(root, "/etc/passwd", O_RDONLY);
        if (fd < 0)
                return false;
        f = fdopen(fd, "r");
        if (!f) {
                close(fd);
                return false;
        }
        while (!local && getline(&line, &room, f) > 0)
                local = strncmp(line, account, length) == 0 && line[length] == ':';
        free(line);
        fclose(f);
        return local;
}

/* The number of the virtual terminal that controls this process (proc(5), /proc/PID/stat, tty_nr; devices(4): major 4,
 * minors 1 to 63); 0 when there is none. All virtual terminals belong to seat0. */
static unsigned controlling_vt(void) {
        char text[1024], *p, *end;
        long number;
        ssize_t n;
        int fd;

        fd = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return 0;
        n = read_all(fd, text, sizeof(text) - 1);
        close(fd);
        if (n <= 0)
                return 0;
        text[n] = '\0';

        /* The program's name, in parentheses, may hold anything; after it: state ppid pgrp session tty_nr. */
        p = strrchr(text, ')');
        for (unsigned field = 0; p && field < 5; field++) {
                p = strchr(p, ' ');
                if (p)
                        p++;
        }
        if (!p)
                return 0;
        errno = 0;
        number = strtol(p, &end, 10);
        if (errno != 0 || end == p || *end != ' ' || number <= 0)
                return 0;
        if (major((dev_t)number) != 4 || minor((dev_t)number) < 1 || minor((dev_t)number) > 63)
                return 0;
        return minor((dev_t)number);
}

static bool name_is_plain(const char *s) {
        for (; *s; s++)
                if (*s <= ' ' || *s > '~')
                        return false;
        return true;
}

static uint64_t usec(clockid_t id) {
        struct timespec ts = { 0 };

        clock_gettime(id, &ts);
        return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The agent holds the lock while it imports; one that was stopped just then must not stop us too. */
static int lock_for_a_while(int fd) {
        const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };

        for (unsigned tries = 0;; tries++) {
                if (flock(fd, LOCK_EX | LOCK_NB) == 0)
                        return 0;
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return -errno;
                if (tries >= LOCK_TRIES)
                        return -EBUSY;
                nanosleep(&pause, NULL);
        }
}

/* Writes one slot as spool.h says. The file was preallocated by keishid; it is never created or grown here. */
static int spool_write(const char *root, const char *text) {
        SpoolSlotHeader h = { .magic = KEISHI_SPOOL_MAGIC, .length = (uint32_t)strlen(text) };
        struct stat st;
        int fd, r = -ENOSPC;

        if (h.length > KEISHI_SPOOL_TEXT_MAX)
                return -EMSGSIZE;
        h.crc = spool_crc32(text, h.length);
        h.realtime_usec = usec(CLOCK_REALTIME);
        h.boottime_usec = usec(CLOCK_BOOTTIME);

        fd = open_prefixed(root, KEISHI_BREAK_GLASS_SPOOL, O_RDWR);
        if (fd < 0)
                return fd;
        if (!is_roots(fd) || fstat(fd, &st) < 0 || st.st_size != (off_t)KEISHI_SPOOL_SLOTS * KEISHI_SPOOL_SLOT_SIZE) {
                r = -EBADMSG;
                goto finish;
        }
        r = lock_for_a_while(fd);
        if (r < 0)
                goto finish;
        r = -ENOSPC;

        for (unsigned i = 0; i < KEISHI_SPOOL_SLOTS; i++) {
                off_t at = (off_t)i * KEISHI_SPOOL_SLOT_SIZE;
                uint32_t magic;

                if (pread(fd, &magic, sizeof(magic), at) != (ssize_t)sizeof(magic)) {
                        r = -EIO;
                        break;
                }
                if (magic != 0)
                        continue;
                if (pwrite(fd, text, h.length, at + (off_t)sizeof(h)) != (ssize_t)h.length || fdatasync(fd) < 0 ||
                        pwrite(fd, &h, sizeof(h), at) != (ssize_t)sizeof(h) || fdatasync(fd) < 0)
                        r = -EIO;
                else
                        r = 0;
                break;
        }

finish:
        close(fd);
        return r;
}

static bool service_is_listed(const char *service) {
        for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
                if (strcmp(service, services[i]) == 0)
                        return true;
        return false;
}

bool break_glass_allowed(pam_handle_t *pamh, Stage stage, const char *root) {
        static const char *const stages[_STAGE_MAX] = {
                [STAGE_AUTH] = "auth",
                [STAGE_ACCOUNT] = "account",
                [STAGE_SESSION_OPEN] = "session-open",
                [STAGE_SESSION_CLOSE] = "session-close",
        };
        const void *service = NULL, *user = NULL, *rhost = NULL;
        char text[512];
        unsigned vt;
        int n, r;

        if (stage < 0 || stage >= _STAGE_MAX || !stages[stage])
                return false;
        if (pam_get_item(pamh, PAM_SERVICE, &service) != PAM_SUCCESS || !service || !service_is_listed(service))
                return false;
        if (pam_get_item(pamh, PAM_RHOST, &rhost) != PAM_SUCCESS || (rhost && *(const char *)rhost))
                return false;
        if (pam_get_item(pamh, PAM_USER, &user) != PAM_SUCCESS || !user || !*(const char *)user || !name_is_plain(user))
                return false;
        if (getuid() != 0 || geteuid() != 0)
                return false;
        vt = controlling_vt();
        if (vt == 0)
                return false;
        if (!account_is_named(root, user) || !account_is_local(root, user))
                return false;

        pam_syslog(pamh, LOG_ALERT, "break-glass: %s by %s on tty%u without the agent (%s)", (const char *)user,
                (const char *)service, vt, stages[stage]);
        if (stage == STAGE_SESSION_CLOSE)
                return true;

        n = snprintf(text, sizeof(text), "SERVICE=%s\nACCOUNT=%s\nTTY=tty%u\nSTAGE=%s\nPID=%d\n", (const char *)service,
                (const char *)user, vt, stages[stage], (int)getpid());
        if (n < 0 || (size_t)n >= sizeof(text))
                return false;
        r = spool_write(root, text);
        if (r < 0) {
                pam_syslog(pamh, LOG_ALERT, "break-glass refused: the spool cannot be written: %s", strerror(-r));
                return false;
        }
        return true;
}
