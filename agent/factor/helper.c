/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "util/clock.h"

extern char **environ;

struct Helper {
        HelperPool *pool;
        Helper *next;
        helper_fn fn; /* NULL once answered or cancelled */
        helper_said_fn said;
        void *userdata;
        char *request; /* until sent, with the descriptors */
        size_t request_size;
        int fds[HELPER_FDS_MAX];
        size_t n_fds;
        uint64_t timeout_usec, grace_usec;
        pid_t pid;
        int fd;
        sd_event_source *io, *child, *timer;
};

struct HelperPool {
        sd_event *event;
        char *path;
        unsigned limit, n_running;
        uint64_t timeout_usec;
        Helper *running;
        Helper *queue;
};

static void helper_forget_request(Helper *h) {
        if (h->request)
                explicit_bzero(h->request, h->request_size);
        free(h->request);
        h->request = NULL;
        while (h->n_fds > 0)
                close(h->fds[--h->n_fds]);
}

static void helper_free(Helper *h) {
        sd_event_source_disable_unref(h->io);
        sd_event_source_disable_unref(h->child);
        sd_event_source_disable_unref(h->timer);
        if (h->fd >= 0)
                close(h->fd);
        helper_forget_request(h);
        free(h);
}

static void list_remove(Helper **list, Helper *h) {
        for (; *list; list = &(*list)->next)
                if (*list == h) {
                        *list = h->next;
                        return;
                }
}

static void pool_start_queued(HelperPool *p);

static int on_grace(sd_event_source *s, uint64_t usec, void *userdata) {
        Helper *h = userdata;

        if (h->pid > 0)
                (void)kill(h->pid, SIGKILL);
        return 0;
}

/* Tells the answer once; the process may still have to be reaped. */
static void helper_answer(Helper *h, int r, const char *reply, size_t size) {
        bool graced = r != 0 && h->grace_usec > 0;
        helper_fn fn = h->fn;

        h->fn = NULL;
        h->io = sd_event_source_disable_unref(h->io);
        h->timer = sd_event_source_disable_unref(h->timer);
        if (h->fd >= 0)
                close(TAKE_FD(h->fd));
        /* Not reaped yet, so the pid is still ours. */
        if (h->pid > 0 && (!graced || sd_event_add_time_relative(h->pool->event, &h->timer, CLOCK_MONOTONIC,
                                              h->grace_usec, 0, on_grace, h) < 0))
                (void)kill(h->pid, SIGKILL);
        if (fn)
                fn(r, reply, size, h->userdata);
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata) {
        Helper *h = userdata;
        HelperPool *p = h->pool;

        h->pid = 0;
        list_remove(&p->running, h);
        p->n_running--;
        /* The reply is read at a higher priority: what is still unanswered died without one. */
        if (h->fn)
                helper_answer(h, HELPER_E_DIED, NULL, 0);
        helper_free(h);
        pool_start_queued(p);
        return 0;
}

static int on_reply(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        char reply[HELPER_REPLY_MAX];
        Helper *h = userdata;
        ssize_t n;

        n = recv(fd, reply, sizeof(reply), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return 0;
        if (n <= 0 || (size_t)n > sizeof(reply))
                helper_answer(h, HELPER_E_DIED, NULL, 0);
        else {
                /* Whoever hears it may cancel; the memory stays until the process is reaped. */
                if (!h->said || !h->said(reply, (size_t)n, h->userdata))
                        helper_answer(h, 0, reply, (size_t)n);
                explicit_bzero(reply, (size_t)n);
        }
        return 0;
}

static int on_timeout(sd_event_source *s, uint64_t usec, void *userdata) {
        helper_answer(userdata, HELPER_E_TIMEOUT, NULL, 0);
        return 0;
}

static int helper_spawn(Helper *h, int child_fd) {
        posix_spawn_file_actions_t actions;
        posix_spawnattr_t attributes;
        sigset_t none, all;
        char *argv[] = { h->pool->path, NULL };
        int r;

        sigemptyset(&none);
        sigfillset(&all);
        if (posix_spawn_file_actions_init(&actions) != 0)
                return -ENOMEM;
        if (posix_spawnattr_init(&attributes) != 0) {
                posix_spawn_file_actions_destroy(&actions);
                return -ENOMEM;
        }
        posix_spawnattr_setsigmask(&attributes, &none);
        posix_spawnattr_setsigdefault(&attributes, &all);
        posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
        r = posix_spawn_file_actions_adddup2(&actions, child_fd, HELPER_FD);
        if (r == 0)
                r = posix_spawn(&h->pid, h->pool->path, &actions, &attributes, argv, environ);
        posix_spawnattr_destroy(&attributes);
        posix_spawn_file_actions_destroy(&actions);
        if (r != 0)
                h->pid = 0;
        return -r;
}

static int send_request(const Helper *h) {
        union {
                char room[CMSG_SPACE(sizeof(h->fds))];
                struct cmsghdr align;
        } control = {};
        struct iovec iov = { h->request, h->request_size };
        struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (h->n_fds > 0) {
                struct cmsghdr *c = &control.align;

                m.msg_control = &control;
                m.msg_controllen = CMSG_SPACE(h->n_fds * sizeof(int));
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(h->n_fds * sizeof(int));
                memcpy(CMSG_DATA(c), h->fds, h->n_fds * sizeof(int));
        }
        return sendmsg(h->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)h->request_size ? 0 : -EIO;
}

static int helper_start(Helper *h) {
        HelperPool *p = h->pool;
        int pair[2], child_fd, r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
                return -errno;
        h->fd = pair[0];
        child_fd = pair[1];
        if (child_fd == HELPER_FD) {
                /* dup2() onto itself would keep O_CLOEXEC */
                child_fd = fcntl(pair[1], F_DUPFD_CLOEXEC, HELPER_FD + 1);
                close(pair[1]);
                if (child_fd < 0)
                        return -errno;
        }

        r = send_request(h);
        helper_forget_request(h);
        if (r == 0)
                r = helper_spawn(h, child_fd);
        close(child_fd);
        if (r < 0)
                return r;

        p->n_running++;
        h->next = p->running;
        p->running = h;
        r = sd_event_add_child(p->event, &h->child, h->pid, WEXITED, on_child, h);
        if (r >= 0)
                r = sd_event_source_set_priority(h->child, SD_EVENT_PRIORITY_NORMAL + 1);
        if (r >= 0)
                r = sd_event_add_io(p->event, &h->io, h->fd, EPOLLIN, on_reply, h);
        if (r >= 0 && h->timeout_usec < UINT64_MAX)
                r = sd_event_add_time_relative(p->event, &h->timer, CLOCK_MONOTONIC, h->timeout_usec, 0, on_timeout, h);
        if (r < 0) {
                kill(h->pid, SIGKILL);
                if (!h->child) {
                        waitpid(h->pid, NULL, 0);
                        h->pid = 0;
                        list_remove(&p->running, h);
                        p->n_running--;
                }
                return r;
        }
        return 0;
}

static int on_failed_start(sd_event_source *s, void *userdata) {
        Helper *h = userdata;
        HelperPool *p = h->pool;

        list_remove(&p->queue, h);
        helper_answer(h, HELPER_E_DIED, NULL, 0);
        helper_free(h);
        pool_start_queued(p);
        return 0;
}

/* Starts what waits, oldest first. One that cannot be started is answered from the loop, not from here. */
static void pool_start_queued(HelperPool *p) {
        while (p->queue && p->n_running < p->limit) {
                Helper *h = p->queue;

                if (h->io || h->timer)
                        return; /* waits to be told that it failed */
                p->queue = h->next;
                h->next = NULL;
                if (helper_start(h) < 0 && h->pid == 0) {
                        if (h->fd >= 0)
                                close(TAKE_FD(h->fd));
                        h->next = p->queue;
                        p->queue = h;
                        if (sd_event_add_defer(p->event, &h->io, on_failed_start, h) < 0)
                                return;
                        return;
                }
        }
}

int helper_pool_new(HelperPool **ret, sd_event *event, const char *path, unsigned limit, uint64_t timeout_usec) {
        HelperPool *p;

        p = calloc(1, sizeof(*p));
        if (!p)
                return -ENOMEM;
        p->path = strdup(path);
        if (!p->path) {
                free(p);
                return -ENOMEM;
        }
        p->event = sd_event_ref(event);
        p->limit = limit;
        p->timeout_usec = timeout_usec;
        *ret = p;
        return 0;
}

HelperPool *helper_pool_free(HelperPool *p) {
        if (!p)
                return NULL;
        while (p->queue) {
                Helper *h = p->queue;

                p->queue = h->next;
                helper_free(h);
        }
        while (p->running) {
                Helper *h = p->running;

                p->running = h->next;
                if (h->pid > 0) {
                        kill(h->pid, SIGKILL);
                        h->child = sd_event_source_disable_unref(h->child);
                        waitpid(h->pid, NULL, 0);
                }
                helper_free(h);
        }
        sd_event_unref(p->event);
        free(p->path);
        free(p);
        return NULL;
}

int helper_ask_more(HelperPool *p, const HelperQuestion *q, Helper **ret) {
        Helper *h, **tail;

        if (q->n_fds > HELPER_FDS_MAX)
                return -EINVAL;
        h = calloc(1, sizeof(*h));
        if (!h)
                return -ENOMEM;
        h->fd = -EBADF;
        h->request = malloc(q->size);
        if (!h->request) {
                free(h);
                return -ENOMEM;
        }
        memcpy(h->request, q->request, q->size);
        h->request_size = q->size;
        for (; h->n_fds < q->n_fds; h->n_fds++) {
                h->fds[h->n_fds] = fcntl(q->fds[h->n_fds], F_DUPFD_CLOEXEC, HELPER_FD + 1);
                if (h->fds[h->n_fds] < 0) {
                        int r = -errno;

                        helper_free(h);
                        return r;
                }
        }
        h->timeout_usec = q->timeout_usec > 0 ? q->timeout_usec : p->timeout_usec;
        h->grace_usec = q->grace_usec;
        h->pool = p;
        h->fn = q->fn;
        h->said = q->said;
        h->userdata = q->userdata;
        for (tail = &p->queue; *tail; tail = &(*tail)->next)
                ;
        *tail = h;
        *ret = h;
        pool_start_queued(p);
        return 0;
}

bool helper_pool_busy(const HelperPool *p) {
        return p->n_running > 0 || p->queue;
}

int helper_ask(HelperPool *p, const void *request, size_t size, helper_fn fn, void *userdata, Helper **ret) {
        return helper_ask_more(
                p, &(HelperQuestion){ .request = request, .size = size, .fn = fn, .userdata = userdata }, ret);
}

Helper *helper_cancel(Helper *h) {
        HelperPool *p;

        if (!h)
                return NULL;
        p = h->pool;
        h->fn = NULL;
        for (Helper *q = p->queue; q; q = q->next)
                if (q == h) {
                        list_remove(&p->queue, h);
                        helper_free(h);
                        pool_start_queued(p);
                        return NULL;
                }
        helper_answer(h, HELPER_E_DIED, NULL, 0); /* kills; freed when reaped */
        return NULL;
}
