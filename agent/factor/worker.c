/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/worker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>

#define MEMORY_MAX      ((rlim_t)256 << 20)
#define CPU_SEC_MAX     5u
#define DESCRIPTORS_MAX 64u

static volatile sig_atomic_t late_status = FACTOR_TIMEOUT;

static bool frame_send(const Frame *f) {
        return send(HELPER_FD, f->bytes, f->size, MSG_NOSIGNAL) == (ssize_t)f->size;
}

/* Only what signal-safety(7) allows. */
static void on_deadline(int signal_number) {
        FrameHeader h = { FACTOR_WIRE_MAGIC, FACTOR_WIRE_VERSION, (uint16_t)late_status, 0 };

        (void)!send(HELPER_FD, &h, sizeof(h), MSG_NOSIGNAL);
        _exit(EXIT_FAILURE);
}

void worker_set_late(FactorStatus late) {
        late_status = late;
}

int worker_progress(Frame *f) {
        frame_set(f, FACTOR_PROGRESS);
        return frame_send(f) ? 0 : -errno;
}

bool worker_item(const WorkerRequest *q, FactorItem item, FrameItem *ret) {
        FrameReader r = q->items;
        FrameItem i;

        while (frame_next(&r, &i))
                if (i.item == item) {
                        *ret = i;
                        return true;
                }
        return false;
}

static int limits_set(void) {
        static const struct {
                int resource;
                rlim_t max;
        } limits[] = {
                { RLIMIT_CORE, 0 },
                { RLIMIT_FSIZE, 0 },
                { RLIMIT_NOFILE, DESCRIPTORS_MAX },
#ifndef WORKER_SANITIZED
                { RLIMIT_AS, MEMORY_MAX },
#endif
        };

        for (size_t i = 0; i < ELEMENTSOF(limits); i++)
                if (setrlimit((__rlimit_resource_t)limits[i].resource,
                            &(struct rlimit){ limits[i].max, limits[i].max }) < 0)
                        return -errno;
        return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
}

static int deadline_set(const WorkerOperation *o) {
        const struct itimerval timer = { .it_value.tv_sec = (time_t)o->deadline_sec };
        const struct sigaction action = { .sa_handler = on_deadline };

        if (o->deadline_sec == 0)
                return 0;
        late_status = o->late;
        if (setrlimit(RLIMIT_CPU, &(struct rlimit){ CPU_SEC_MAX, CPU_SEC_MAX }) < 0 ||
                sigaction(SIGALRM, &action, NULL) < 0 || setitimer(ITIMER_REAL, &timer, NULL) < 0)
                return -errno;
        return 0;
}

/* One packet with its descriptors. -EPROTO when it is longer than a frame, or brings more of them than there may be. */
static int request_receive(void *bytes, size_t room, size_t *ret_size, int *fds, size_t *ret_n_fds) {
        union {
                char room[CMSG_SPACE(HELPER_FDS_MAX * sizeof(int))];
                struct cmsghdr align;
        } control;
        struct iovec iov = { bytes, room };
        struct msghdr m = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)
        };
        size_t n_fds = 0;
        ssize_t n;

        n = recvmsg(HELPER_FD, &m, MSG_CMSG_CLOEXEC);
        if (n < 0)
                return -errno;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
                if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
                        n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                        memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
                }
        if (n == 0 || (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
                return -EPROTO;
        *ret_size = (size_t)n;
        *ret_n_fds = n_fds;
        return 0;
}

static bool request_fits(const WorkerOperation *o, const WorkerRequest *q) {
        unsigned counts[WORKER_ITEMS_MAX] = { 0 };
        FrameReader r = q->items;
        FrameItem item;

        while (frame_next(&r, &item)) {
                size_t i = 0;

                while (i < WORKER_ITEMS_MAX && o->items[i].item != item.item)
                        i++;
                if (i == WORKER_ITEMS_MAX || ++counts[i] > o->items[i].max)
                        return false;
        }
        for (size_t i = 0; i < WORKER_ITEMS_MAX; i++)
                if (counts[i] < o->items[i].min)
                        return false;
        return q->n_fds >= o->fds_min && q->n_fds <= o->fds_max;
}

static FactorStatus request_run(const WorkerOperation *operations, size_t n, WorkerRequest *q, Frame *reply) {
        for (size_t i = 0; i < n; i++) {
                if (operations[i].operation != q->items.what)
                        continue;
                q->operation = operations[i].operation;
                if (!request_fits(&operations[i], q))
                        return FACTOR_MALFORMED;
                return deadline_set(&operations[i]) < 0 ? FACTOR_INTERNAL : operations[i].run(q, reply);
        }
        return FACTOR_MALFORMED;
}

void worker_main(const WorkerOperation *operations, size_t n) {
        static unsigned char request[FACTOR_FRAME_MAX];
        static Frame reply;
        WorkerRequest q = { 0 };
        FactorStatus status;
        size_t size = 0;
        bool sent;

        if (helper_become(WORKER_USER) < 0 || limits_set() < 0 || !helper_dies_with_agent())
                _exit(EXIT_FAILURE);
        frame_init(&reply, FACTOR_INTERNAL);
        if (request_receive(request, sizeof(request), &size, q.fds, &q.n_fds) < 0 ||
                frame_open(&q.items, request, size) < 0)
                status = FACTOR_MALFORMED;
        else
                status = request_run(operations, n, &q, &reply);
        explicit_bzero(request, sizeof(request));
        if (reply.overflow) {
                frame_init(&reply, FACTOR_INTERNAL);
                status = FACTOR_INTERNAL;
        }
        frame_set(&reply, status);
        sent = frame_send(&reply);
        frame_done(&reply);
        _exit(sent ? EXIT_SUCCESS : EXIT_FAILURE);
}
