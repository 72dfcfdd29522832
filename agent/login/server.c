/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "keishi/message.h"
#include "keishi/paths.h"
#include "login/transaction.h"
#include "util/budget.h"
#include "util/clock.h"
#include "util/io.h"

/* Callers other than root: how many connections together, and how often one uid, and all of them together, may call. */
#define UNPRIVILEGED_MAX        256
#define CALLS_BURST             30
#define CALLS_INTERVAL_USEC     (10 * USEC_PER_SEC)
#define CALLS_ALL_BURST         600
#define CALLS_ALL_INTERVAL_USEC (1 * USEC_PER_SEC)

/* How long no connection is taken after one could not be, for want of descriptors or memory. */
#define ACCEPT_PAUSE_USEC (100 * USEC_PER_MSEC)

typedef struct Slot {
        LoginServer *server;
        Transaction *transaction;
        struct Slot *next;
} Slot;

typedef struct Listener {
        LoginServer *server;
        sd_event_source *source, *pause;
        int fd;
        char *path;
} Listener;

struct LoginServer {
        LoginContext context;
        Listener everyone, root;
        Budget calls;
        Slot *slots;
        Slot *ended; /* dropped from the loop, never from within a transaction */
        sd_event_source *reaper;
};

static void slot_free(Slot *slot) {
        transaction_free(slot->transaction);
        free(slot);
}

/* Not from within a transaction. */
static void reap(LoginServer *s) {
        while (s->ended) {
                Slot *slot = s->ended;

                s->ended = slot->next;
                slot_free(slot);
        }
}

static int on_reap(sd_event_source *source, void *userdata) {
        reap(userdata);
        return 0;
}

static void on_end(Transaction *t, void *userdata) {
        Slot *slot = userdata;
        LoginServer *s = slot->server;

        for (Slot **p = &s->slots; *p; p = &(*p)->next)
                if (*p == slot) {
                        *p = slot->next;
                        slot->next = s->ended;
                        s->ended = slot;
                        break;
                }
        (void)sd_event_source_set_enabled(s->reaper, SD_EVENT_ONESHOT);
}

/* Why a caller other than root is not listened to now, or NULL. */
static const char *over_bounds(LoginServer *s, uid_t uid) {
        unsigned own = 0, all = 0;

        if (uid == 0)
                return NULL;
        for (Slot *slot = s->slots; slot; slot = slot->next) {
                uid_t other = transaction_uid(slot->transaction);

                own += other == uid;
                all += other != 0;
        }
        if (own >= s->context.config->connections_per_uid || all >= UNPRIVILEGED_MAX)
                return "too-many-connections";
        return budget_spend(&s->calls, uid, clock_usec(CLOCK_BOOTTIME)) ? NULL : "too-many-calls";
}

/* Tells who is not listened to, without waiting for them. */
static void turn_away(LoginServer *s, int fd, const struct ucred *cred, const char *why) {
        MessageBuilder b;

        message_init(&b, MESSAGE_RESULT);
        message_add_uint(&b, ITEM_RESULT, RESULT_PERM_DENIED);
        (void)send(fd, b.bytes, b.size, MSG_NOSIGNAL | MSG_DONTWAIT);
        abuse_record(&s->context.abuse, s->context.trail, &(Abuse){ .what = why, .uid = cred->uid, .pid = cred->pid });
}

static int on_pause_over(sd_event_source *source, uint64_t usec, void *userdata) {
        Listener *l = userdata;

        (void)sd_event_source_set_enabled(l->source, SD_EVENT_ON);
        return 0;
}

static void listener_pause(Listener *l) {
        if (sd_event_source_set_time_relative(l->pause, ACCEPT_PAUSE_USEC) >= 0 &&
                sd_event_source_set_enabled(l->pause, SD_EVENT_ONESHOT) >= 0)
                (void)sd_event_source_set_enabled(l->source, SD_EVENT_OFF);
}

static int on_connection(sd_event_source *source, int listen_fd, uint32_t revents, void *userdata) {
        _cleanup_(peer_done) Peer peer = {};
        _cleanup_close_ int fd = -EBADF;
        socklen_t length = sizeof(struct ucred);
        Listener *l = userdata;
        LoginServer *s = l->server;
        struct ucred cred;
        const char *why;
        Slot *slot;

        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                        listener_pause(l);
                return 0;
        }
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0)
                return 0;
        why = over_bounds(s, cred.uid);
        if (why) {
                turn_away(s, fd, &cred, why);
                return 0;
        }
        if (peer_read(&peer, fd) < 0)
                return 0; /* gone */

        slot = calloc(1, sizeof(*slot));
        if (!slot)
                return 0;
        slot->server = s;
        if (transaction_new(&slot->transaction, &s->context, TAKE_FD(fd), &peer, on_end, slot) < 0) {
                free(slot);
                return 0;
        }
        slot->next = s->slots;
        s->slots = slot;
        transaction_start(slot->transaction);
        reap(s);
        (void)sd_event_source_set_enabled(s->reaper, SD_EVENT_OFF);
        return 0;
}

static int bind_socket(const char *path, mode_t mode) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;

        if (strlen(path) >= sizeof(sa.sun_path))
                return -ENAMETOOLONG;
        memcpy(sa.sun_path, path, strlen(path) + 1);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        /* Nobody but us until the mode is set: keishid's umask is 0077. */
        if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
                return -errno;
        if (chmod(path, mode) < 0)
                return -errno;
        if (listen(fd, 1024) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int listener_init(
        Listener *l, LoginServer *s, const char *root, const char *path, mode_t mode, int64_t priority) {
        sd_event *event = s->context.event;
        int r;

        l->server = s;
        l->path = io_prefix(root, path);
        if (!l->path)
                return -ENOMEM;
        l->fd = bind_socket(l->path, mode);
        if (l->fd < 0)
                return l->fd;
        r = sd_event_add_time_relative(event, &l->pause, CLOCK_BOOTTIME, 0, 0, on_pause_over, l);
        if (r >= 0)
                r = sd_event_source_set_enabled(l->pause, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_io(event, &l->source, l->fd, EPOLLIN, on_connection, l);
        if (r >= 0)
                r = sd_event_source_set_priority(l->source, priority);
        return r;
}

static void listener_done(Listener *l) {
        sd_event_source_disable_unref(l->source);
        sd_event_source_disable_unref(l->pause);
        if (l->fd >= 0) {
                close(l->fd);
                unlink(l->path);
        }
        free(l->path);
}

int login_server_new(LoginServer **ret, const LoginContext *context, const char *root) {
        _cleanup_(login_server_free_p) LoginServer *s = NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->everyone.fd = s->root.fd = -EBADF;
        s->context = *context;
        s->context.proofs = (ProofList){};
        abuse_log_init(&s->context.abuse);
        s->calls = (Budget){
                .each = { CALLS_BURST, CALLS_INTERVAL_USEC },
                .all = { CALLS_ALL_BURST, CALLS_ALL_INTERVAL_USEC },
        };

        r = sd_event_add_defer(context->event, &s->reaper, on_reap, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->reaper, SD_EVENT_OFF);
        if (r >= 0)
                r = listener_init(&s->root, s, root, KEISHI_ROOT_SOCKET, 0600, login_priority(0));
        if (r >= 0)
                r = listener_init(&s->everyone, s, root, KEISHI_PAM_SOCKET, 0666, login_priority((uid_t)-1));
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

LoginServer *login_server_free(LoginServer *s) {
        if (!s)
                return NULL;
        listener_done(&s->everyone);
        listener_done(&s->root);
        sd_event_source_disable_unref(s->reaper);
        while (s->slots) {
                Slot *slot = s->slots;

                s->slots = slot->next;
                slot_free(slot);
        }
        reap(s);
        proof_list_done(&s->context.proofs);
        free(s);
        return NULL;
}
