/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <systemd/sd-login.h>

#include "util/text.h"

void peer_done(Peer *p) {
        free(p->exe);
        free(p->session);
        free(p->seat);
        *p = (Peer){};
}

static int open_proc(pid_t pid) {
        char path[32];
        int fd;

        snprintf(path, sizeof(path), "/proc/%d", pid);
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? (errno == ENOENT ? -ESRCH : -errno) : fd;
}

/* The files read here are made whole by the kernel at the first read: what is short is all there is. What does not fit
 * is cut, which is for the caller to see: then the length is size - 1. */
static int read_proc(int proc_fd, const char *name, char *text, size_t size, size_t *ret_length) {
        _cleanup_close_ int fd = -EBADF;
        ssize_t n;

        fd = openat(proc_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        if (fd < 0)
                return errno == ENOENT ? -ESRCH : -errno;
        n = read(fd, text, size - 1);
        if (n < 0)
                return -errno;
        text[n] = '\0';
        if (ret_length)
                *ret_length = (size_t)n;
        return 0;
}

/* The fields of /proc/PID/stat that are wanted; the program's name in it may hold anything, so fields are counted from
 * the last parenthesis. */
static int read_stat(int proc_fd, pid_t *ret_parent, uint64_t *ret_tty, uint64_t *ret_start) {
        enum { FIELD_PARENT = 4, FIELD_TTY = 7, FIELD_START = 22 };
        uint64_t parent = 0, tty = 0, start = 0;
        char text[2048], *p, *save = NULL;
        unsigned field = 3;
        int r;

        r = read_proc(proc_fd, "stat", text, sizeof(text), NULL);
        if (r < 0)
                return r;
        p = strrchr(text, ')');
        if (!p)
                return -EPROTO;
        for (p = strtok_r(p + 1, " \n", &save); p && field <= FIELD_START; p = strtok_r(NULL, " \n", &save), field++) {
                if (field == FIELD_PARENT && parse_uint64(p, 0, INT_MAX, &parent) < 0)
                        return -EPROTO;
                /* tty_nr is printed signed */
                if (field == FIELD_TTY && parse_uint64(p, 0, INT_MAX, &tty) < 0)
                        tty = 0;
                if (field == FIELD_START && parse_uint64(p, 0, UINT64_MAX, &start) < 0)
                        return -EPROTO;
        }
        if (field <= FIELD_START)
                return -EPROTO;
        *ret_parent = (pid_t)parent;
        *ret_tty = tty;
        *ret_start = start;
        return 0;
}

static int read_uids(int proc_fd, uid_t *ret_real, uid_t *ret_effective) {
        char text[1024]; /* Uid: is among the first lines */
        unsigned real, effective;
        const char *p;
        char *end;
        int r;

        r = read_proc(proc_fd, "status", text, sizeof(text), NULL);
        if (r < 0)
                return r;
        p = strstr(text, "\nUid:\t");
        if (!p)
                return -EPROTO;
        p += strlen("\nUid:\t");
        real = (unsigned)strtoul(p, &end, 10);
        if (end == p || *end != '\t')
                return -EPROTO;
        p = end + 1;
        effective = (unsigned)strtoul(p, &end, 10);
        if (end == p || *end != '\t')
                return -EPROTO;
        *ret_real = real;
        *ret_effective = effective;
        return 0;
}

static uid_t read_login_uid(int proc_fd) {
        char text[32];
        uint64_t uid;

        if (read_proc(proc_fd, "loginuid", text, sizeof(text), NULL) < 0 || parse_uint64(text, 0, UINT32_MAX, &uid) < 0)
                return (uid_t)-1;
        return (uid_t)uid;
}

/* Whether the process can be in a session of logind (those are in a unit session-ID.scope), or run by a user's manager
 * (user@UID.service), which belongs to no session. When in doubt, both. */
static void read_cgroup(int proc_fd, bool *ret_session, bool *ret_manager) {
        char text[4096];
        size_t length = 0;
        bool doubt;

        doubt = read_proc(proc_fd, "cgroup", text, sizeof(text), &length) < 0 || length == sizeof(text) - 1;
        *ret_session = doubt || strstr(text, "/session-");
        *ret_manager = doubt || strstr(text, "/user@");
}

/* What a user's manager runs is as far away as the farthest session of the user; with no session at all nobody is in
 * front. */
static bool manager_is_remote(pid_t pid) {
        char **sessions = NULL;
        bool remote = false;
        uid_t uid;
        int n;

        if (sd_pid_get_owner_uid(pid, &uid) < 0)
                return false;
        n = sd_uid_get_sessions(uid, 0, &sessions);
        for (int i = 0; i < n; i++) {
                remote = remote || sd_session_is_remote(sessions[i]) != 0;
                free(sessions[i]);
        }
        free(sessions);
        return remote || n <= 0;
}

static char *read_exe(int proc_fd) {
        char path[PATH_MAX];
        ssize_t n;

        n = readlinkat(proc_fd, "exe", path, sizeof(path));
        if (n <= 0 || (size_t)n >= sizeof(path))
                return NULL;
        return strndup(path, (size_t)n);
}

static bool hung_up(int fd) {
        struct pollfd p = { .fd = fd, .events = 0 };

        return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

int peer_read(Peer *ret, int fd) {
        _cleanup_(peer_done) Peer peer = { .login_uid = (uid_t)-1 };
        _cleanup_close_ int proc_fd = -EBADF;
        socklen_t length = sizeof(struct ucred);
        struct ucred cred;
        bool in_session, in_manager;
        uid_t real, effective;
        uint64_t tty;
        pid_t parent;
        int r;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0)
                return -errno;
        if (cred.pid <= 0)
                return -ESRCH;
        peer.uid = cred.uid;
        peer.process.pid = cred.pid;

        proc_fd = open_proc(cred.pid);
        if (proc_fd < 0)
                return proc_fd;
        r = read_stat(proc_fd, &parent, &tty, &peer.process.start);
        if (r < 0)
                return r;
        effective = cred.uid;
        if (cred.uid != 0) {
                r = read_uids(proc_fd, &real, &effective);
                if (r < 0)
                        return r;
        }
        if (major((dev_t)tty) == 4 && minor((dev_t)tty) >= 1 && minor((dev_t)tty) <= 63)
                peer.vt = minor((dev_t)tty);
        peer.login_uid = read_login_uid(proc_fd);
        peer.exe = read_exe(proc_fd);

        read_cgroup(proc_fd, &in_session, &in_manager);
        if (in_session && sd_pid_get_session(cred.pid, &peer.session) >= 0) {
                peer.remote = sd_session_is_remote(peer.session) != 0;
                if (sd_session_get_seat(peer.session, &peer.seat) < 0)
                        peer.seat = NULL;
        } else if (in_manager)
                peer.remote = manager_is_remote(cred.pid);

        /* The number may have passed to another process meanwhile: then the socket has hung up, or the uid differs
         * (root need not lend its socket to be somebody else). */
        if (hung_up(fd) || effective != cred.uid)
                return -ESRCH;

        *ret = peer;
        peer = (Peer){};
        return 0;
}

int peer_real_uid(const Peer *p, uid_t *ret) {
        _cleanup_close_ int proc_fd = -EBADF;
        uid_t real, effective;
        uint64_t tty, start;
        pid_t parent;
        int r;

        proc_fd = open_proc(p->process.pid);
        if (proc_fd < 0)
                return proc_fd;
        r = read_stat(proc_fd, &parent, &tty, &start);
        if (r == 0)
                r = read_uids(proc_fd, &real, &effective);
        if (r != 0)
                return r;
        if (start != p->process.start || effective != p->uid)
                return -ESRCH;
        *ret = real;
        return 0;
}

ProcessId peer_parent(const Peer *p) {
        _cleanup_close_ int proc_fd = -EBADF, parent_fd = -EBADF;
        pid_t again, grandparent;
        ProcessId parent = {};
        uint64_t tty, start;

        proc_fd = open_proc(p->process.pid);
        if (proc_fd < 0 || read_stat(proc_fd, &parent.pid, &tty, &start) < 0 || start != p->process.start ||
                parent.pid <= 0)
                return (ProcessId){};
        parent_fd = open_proc(parent.pid);
        if (parent_fd < 0 || read_stat(parent_fd, &grandparent, &tty, &parent.start) < 0)
                return (ProcessId){};
        /* Still the same: what was read in between is the parent's, not of a process that has its number now. */
        if (read_stat(proc_fd, &again, &tty, &start) < 0 || again != parent.pid)
                return (ProcessId){};
        return parent;
}

int process_open(ProcessId id) {
        _cleanup_close_ int fd = -EBADF, proc_fd = -EBADF;
        uint64_t tty, start;
        pid_t parent;
        int r;

        fd = (int)syscall(SYS_pidfd_open, id.pid, 0);
        if (fd < 0)
                return errno == EINVAL ? -ESRCH : -errno;
        proc_fd = open_proc(id.pid);
        if (proc_fd < 0)
                return proc_fd;
        r = read_stat(proc_fd, &parent, &tty, &start);
        if (r < 0)
                return r;
        return start == id.start ? TAKE_FD(fd) : -ESRCH;
}
