/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishi-admin: reads from the host's journal what sudo and pkexec say about the commands that they run, from where it
 * stopped last, and goes on as the journal grows (admin-wire.h). It gives up root first, but for the group that may
 * read the journal. */

#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>

#include "factor/helper.h"
#include "login/admin-wire.h"
#include "util/clock.h"
#include "util/io.h"
#include "util/text.h"

#define NOBODY    65534
#define MARK_USEC (UINT64_C(3600) * USEC_PER_SEC)
#define WAIT_MSEC (600 * 1000)

typedef struct Reader {
        AdminStart start;
        int acks;
        sd_journal *all;      /* every entry: where the journal ends, and whether it still has one */
        sd_journal *commands; /* those of sudo and pkexec */
        bool here;            /* of the latter, the one that it stands at is still to be read */
        uint64_t marked_usec;
} Reader;

/* ---- rights ---- */

/* The group of the journal's directory is the one that may read it: asking NSS by name could take long. */
static gid_t journal_group(const char *root) {
        static const char *const directories[] = { "/var/log/journal", "/run/log/journal" };

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                _cleanup_free_ char *path = io_prefix(root, directories[i]);
                struct stat st;

                if (path && stat(path, &st) == 0 && st.st_gid != 0)
                        return st.st_gid;
        }
        return NOBODY;
}

static int drop_root(const char *root) {
        gid_t group = journal_group(root);

        if (geteuid() == 0 && (setgroups(1, &group) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                                      setresuid(NOBODY, NOBODY, NOBODY) < 0))
                return -errno;
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* ---- the agent ---- */

static int hear_start(Reader *r) {
        union {
                char room[CMSG_SPACE(sizeof(int))];
                struct cmsghdr align;
        } control;
        struct iovec iov = { &r->start, sizeof(r->start) };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        struct cmsghdr *c;

        if (recvmsg(HELPER_FD, &m, MSG_CMSG_CLOEXEC) != (ssize_t)sizeof(r->start) ||
                r->start.version != ADMIN_WIRE_VERSION)
                return -EBADMSG;
        c = CMSG_FIRSTHDR(&m);
        if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
                return -EBADMSG;
        memcpy(&r->acks, CMSG_DATA(c), sizeof(int));
        r->start.root[sizeof(r->start.root) - 1] = '\0';
        r->start.cursor[sizeof(r->start.cursor) - 1] = '\0';
        return 0;
}

/* Until the agent has recorded it. -EPIPE: it is gone. */
static int tell(const Reader *r, const AdminRecord *record) {
        struct pollfd fds[] = { { .fd = r->acks, .events = POLLIN }, { .fd = HELPER_FD } };
        uint64_t n;

        if (send(HELPER_FD, record, sizeof(*record), MSG_NOSIGNAL) != (ssize_t)sizeof(*record))
                return -EPIPE;
        while (!(fds[0].revents & POLLIN)) {
                if (poll(fds, ELEMENTSOF(fds), -1) < 0 && errno != EINTR)
                        return -errno;
                if (fds[1].revents & (POLLHUP | POLLERR))
                        return -EPIPE;
        }
        return read(r->acks, &n, sizeof(n)) == (ssize_t)sizeof(n) ? 0 : -EPIPE;
}

/* ---- the journal ---- */

static int open_journal(const Reader *r, sd_journal **ret) {
        int rc = *r->start.root ? sd_journal_open_directory(ret, r->start.root, SD_JOURNAL_OS_ROOT)
                                : sd_journal_open(ret, SD_JOURNAL_LOCAL_ONLY);

        return rc < 0 ? rc : sd_journal_set_data_threshold(*ret, 2 * ADMIN_MESSAGE_MAX);
}

/* sudo and pkexec write with the real uid of whoever called them, so anybody can write under their names. What the
 * kernel says about the writer is passed on, and held by the agent against what it knows of PAM calls. */
static int open_commands(Reader *r) {
        int rc = open_journal(r, &r->commands);

        if (rc >= 0)
                rc = sd_journal_add_match(r->commands, "SYSLOG_IDENTIFIER=sudo", 0);
        if (rc >= 0)
                rc = sd_journal_add_match(r->commands, "SYSLOG_IDENTIFIER=pkexec", 0);
        return rc;
}

/* -ENOENT: there is no such field. */
static int get(sd_journal *j, const char *field, const char **ret, size_t *ret_size) {
        size_t n = strlen(field) + 1, size;
        const void *data;
        int rc = sd_journal_get_data(j, field, &data, &size);

        if (rc < 0)
                return rc;
        if (size < n)
                return -EBADMSG;
        *ret = (const char *)data + n;
        *ret_size = size - n;
        return 0;
}

static uint64_t get_number(sd_journal *j, const char *field, uint64_t max, uint64_t otherwise) {
        const char *text;
        char copy[24];
        uint64_t value;
        size_t size;

        if (get(j, field, &text, &size) < 0 || size >= sizeof(copy))
                return otherwise;
        memcpy(copy, text, size);
        copy[size] = '\0';
        return parse_uint64(copy, 0, max, &value) < 0 ? otherwise : value;
}

/* What is another program at the time when journald looks is not sudo. What is gone by then has no _EXE. */
static bool is_program(sd_journal *j, const char *path) {
        const char *text;
        size_t size;

        return get(j, "_EXE", &text, &size) < 0 || (size == strlen(path) && memcmp(text, path, size) == 0);
}

static int place(sd_journal *j, AdminRecord *record) {
        _cleanup_free_ char *cursor = NULL;
        sd_id128_t boot;
        uint64_t usec;
        int rc = sd_journal_get_cursor(j, &cursor);

        if (rc < 0)
                return rc;
        if (strlen(cursor) >= sizeof(record->cursor))
                return -E2BIG;
        memcpy(record->cursor, cursor, strlen(cursor) + 1);
        if (record->realtime_usec == 0 && sd_journal_get_realtime_usec(j, &record->realtime_usec) < 0)
                record->realtime_usec = 0;
        if (sd_journal_get_monotonic_usec(j, &usec, &boot) >= 0)
                sd_id128_to_string(boot, record->boot_id);
        return 0;
}

/* 0: a command; -ENOMSG: none. */
static int read_command(sd_journal *j, AdminRecord *record) {
        const char *name, *message;
        size_t name_size, size;
        bool sudo;
        int rc;

        rc = get(j, "SYSLOG_IDENTIFIER", &name, &name_size);
        if (rc < 0)
                return -ENOMSG;
        sudo = name_size == 4;
        record->uid = (uint32_t)get_number(j, "_UID", UINT32_MAX, UINT32_MAX);
        record->login_uid = (uint32_t)get_number(j, "_AUDIT_LOGINUID", UINT32_MAX, UINT32_MAX);
        record->pid = (uint32_t)get_number(j, "_PID", UINT32_MAX, 0);
        record->realtime_usec = get_number(j, "_SOURCE_REALTIME_TIMESTAMP", INT64_MAX, 0);
        if (sudo && !is_program(j, "/usr/bin/sudo"))
                return -ENOMSG;
        rc = get(j, "MESSAGE", &message, &size);
        if (rc == -ENOENT)
                return -ENOMSG;
        if (rc < 0)
                return rc;
        return sudo ? admin_parse_sudo(message, size, &record->command)
                    : admin_parse_pkexec(message, size, &record->command);
}

/* A damaged entry is passed over: what it was about is not known, and the ones behind it are. */
static bool is_damage(int rc) {
        return rc == -EBADMSG || rc == -EIO || rc == -EPROTO || rc == -ENODATA || rc == -EADDRNOTAVAIL;
}

static int next(Reader *r) {
        if (!r->here)
                return sd_journal_next(r->commands);
        r->here = false;
        return 1;
}

/* Returns how many there were, at most one. */
static int read_commands(Reader *r) {
        bool any = false;
        int rc;

        while ((rc = next(r)) > 0) {
                AdminRecord record = { .version = ADMIN_WIRE_VERSION, .what = ADMIN_WHAT_COMMAND };

                rc = read_command(r->commands, &record);
                if (rc == -ENOMSG)
                        continue;
                if (is_damage(rc))
                        record = (AdminRecord){ .version = ADMIN_WIRE_VERSION, .what = ADMIN_WHAT_GAP };
                else if (rc < 0)
                        return rc;
                rc = place(r->commands, &record);
                if (rc == 0)
                        rc = tell(r, &record);
                if (rc < 0)
                        return rc;
                any = true;
        }
        return rc < 0 ? rc : any;
}

/* Where the journal ends now; an empty record when it has no entry. */
static int find_end(Reader *r, AdminRecord *ret) {
        AdminRecord record = { .version = ADMIN_WIRE_VERSION, .what = ADMIN_WHAT_MARK };
        int rc = sd_journal_seek_tail(r->all);

        if (rc >= 0)
                rc = sd_journal_previous(r->all);
        if (rc > 0)
                rc = place(r->all, &record);
        if (rc < 0)
                return rc;
        *ret = record;
        return 0;
}

/* Says how far it has read, so that a journal whose old entries go is not taken for one with a gap. */
static int mark(Reader *r, const AdminRecord *end) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME);
        int rc;

        if (!*end->cursor || (r->marked_usec > 0 && now - r->marked_usec < MARK_USEC))
                return 0;
        rc = tell(r, end);
        if (rc == 0)
                r->marked_usec = now;
        return rc;
}

/* Goes to where the agent was. */
static int seek(Reader *r) {
        AdminRecord record = { .version = ADMIN_WIRE_VERSION, .what = ADMIN_WHAT_GAP };
        int rc;

        rc = sd_journal_seek_cursor(r->all, r->start.cursor);
        if (rc >= 0)
                rc = sd_journal_next(r->all);
        if (rc > 0 && sd_journal_test_cursor(r->all, r->start.cursor) <= 0) {
                rc = place(r->all, &record);
                if (rc == 0)
                        rc = tell(r, &record);
        }
        if (rc >= 0)
                rc = sd_journal_seek_cursor(r->commands, r->start.cursor);
        if (rc >= 0)
                rc = sd_journal_next(r->commands);
        /* Where it stands is the next one already, unless it is the one that the agent has. */
        r->here = rc > 0 && sd_journal_test_cursor(r->commands, r->start.cursor) <= 0;
        return rc < 0 ? rc : 0;
}

/* Until the journal has grown; -EPIPE: the agent is gone. */
static int wait_for_more(Reader *r) {
        struct pollfd fds[] = {
                { .fd = sd_journal_get_fd(r->commands), .events = POLLIN },
                { .fd = sd_journal_get_fd(r->all), .events = POLLIN },
                { .fd = HELPER_FD },
        };
        uint64_t until = UINT64_MAX, now = clock_usec(CLOCK_MONOTONIC);
        int timeout = WAIT_MSEC, rc;

        if (fds[0].fd < 0 || fds[1].fd < 0)
                return fds[0].fd < 0 ? fds[0].fd : fds[1].fd;
        if (sd_journal_get_timeout(r->commands, &until) >= 0 && until != UINT64_MAX)
                timeout = until <= now                       ? 0
                          : (until - now) / 1000 < WAIT_MSEC ? (int)((until - now) / 1000) + 1
                                                             : WAIT_MSEC;
        if (poll(fds, ELEMENTSOF(fds), timeout) < 0 && errno != EINTR)
                return -errno;
        if (fds[2].revents & (POLLHUP | POLLERR))
                return -EPIPE;
        rc = sd_journal_process(r->commands);
        if (rc >= 0)
                rc = sd_journal_process(r->all);
        return rc;
}

static int follow(Reader *r) {
        int rc = 0;

        if (*r->start.cursor)
                rc = seek(r);
        else {
                AdminRecord end;

                rc = find_end(r, &end);
                if (rc == 0 && *end.cursor) {
                        memcpy(r->start.cursor, end.cursor, sizeof(end.cursor));
                        rc = mark(r, &end);
                        if (rc == 0)
                                rc = seek(r);
                }
        }
        while (rc >= 0) {
                AdminRecord end;

                /* In this order: whatever is before that end has been read when it is told; and only when nothing
                 * came behind it. */
                rc = find_end(r, &end);
                if (rc >= 0)
                        rc = read_commands(r);
                if (rc == 0)
                        rc = mark(r, &end);
                if (rc >= 0)
                        rc = wait_for_more(r);
        }
        return rc;
}

int main(void) {
        Reader r = { .acks = -EBADF };
        int rc;

        if (hear_start(&r) < 0 || drop_root(r.start.root) < 0 || !helper_dies_with_agent())
                return EXIT_FAILURE;
        rc = open_journal(&r, &r.all);
        if (rc >= 0)
                rc = open_commands(&r);
        if (rc >= 0)
                rc = follow(&r);
        sd_journal_close(r.commands);
        sd_journal_close(r.all);
        return rc == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE;
}
