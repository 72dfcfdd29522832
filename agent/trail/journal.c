/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trail/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "util/cleanup.h"

#define ENTRIES_PER_TURN 32u

static int send_message(Journal *j, struct msghdr *message) {
        message->msg_name = &j->address;
        message->msg_namelen = j->address_size;
        return sendmsg(j->fd, message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* journald accepts a memfd that is sealed against every change, alone in an empty datagram. */
static int send_memfd(Journal *j, const char *data, size_t size) {
        union {
                struct cmsghdr header;
                char space[CMSG_SPACE(sizeof(int))];
        } control = {};
        struct msghdr message = { .msg_control = &control, .msg_controllen = sizeof(control) };
        _cleanup_close_ int fd = -EBADF;

        fd = memfd_create("keishi-trail", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (fd < 0)
                return -errno;
        while (size > 0) {
                ssize_t n = write(fd, data, size);

                if (n < 0)
                        return -errno;
                data += n;
                size -= (size_t)n;
        }
        if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
                return -errno;

        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
        return send_message(j, &message);
}

static int send_entry(Journal *j, const char *data, size_t size) {
        struct iovec iov = { .iov_base = (void *)data, .iov_len = size };
        struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
        int r;

        r = send_message(j, &message);
        if (r == -EMSGSIZE || r == -ENOBUFS)
                r = send_memfd(j, data, size);
        return r;
}

typedef struct Turn {
        Journal *journal;
        unsigned sent;
} Turn;

static int hand_over(const OutboxRow *row, void *userdata) {
        Turn *turn = userdata;
        const char *entry;
        size_t size;
        int r;

        if (turn->sent == ENTRIES_PER_TURN)
                return -EINPROGRESS;
        entry = outbox_row_entry(row, &size);
        if (!entry)
                return -ENODATA;
        r = send_entry(turn->journal, entry, size);
        if (r < 0)
                return r;
        turn->journal->outbox->handed = row->seq;
        turn->sent++;
        return 0;
}

/* The usual case: one entry, just committed. */
static bool hand_over_newest(Journal *j) {
        const char *entry;
        size_t size;

        if (j->outbox->handed + 1 != j->outbox->last_seq)
                return false;
        entry = outbox_kept(j->outbox, &size);
        if (!entry || send_entry(j, entry, size) < 0)
                return false;
        j->outbox->handed = j->outbox->last_seq;
        outbox_forget(j->outbox);
        pause_reset(&j->pause);
        return true;
}

void journal_kick(Journal *j) {
        Turn turn = { .journal = j };
        int r;

        if (j->pause.armed || !j->outbox->loaded || j->outbox->handed >= j->outbox->last_seq ||
                registry_in_transaction(j->outbox->registry))
                return;

        if (hand_over_newest(j))
                return;
        r = outbox_scan(j->outbox, j->outbox->handed, hand_over, &turn);
        if (turn.sent > 0)
                pause_reset(&j->pause);
        if (r == 0)
                pause_reset(&j->pause);
        else if (r == -EINPROGRESS)
                pause_arm_now(&j->pause);
        else
                pause_arm(&j->pause);
}

static int on_pause(sd_event_source *source, uint64_t usec, void *userdata) {
        Journal *j = userdata;

        pause_fired(&j->pause);
        journal_kick(j);
        return 0;
}

int journal_init(Journal *j, sd_event *event, uint64_t pause_min_usec, Outbox *outbox, const char *path) {
        size_t size = strlen(path);
        int fd;

        if (size >= sizeof(j->address.sun_path))
                return -ENAMETOOLONG;
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;

        *j = (Journal){ .outbox = outbox, .fd = fd, .address = { .sun_family = AF_UNIX } };
        memcpy(j->address.sun_path, path, size + 1);
        j->address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + 1);
        pause_init(&j->pause, event, pause_min_usec, on_pause, j);
        return 0;
}

void journal_done(Journal *j) {
        pause_done(&j->pause);
        if (j->fd >= 0)
                close(j->fd);
        *j = (Journal){ .fd = -EBADF };
}
