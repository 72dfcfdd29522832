/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "login/transaction.h"
#include "util/clock.h"

/* All callers other than root together; root's own login programs are not counted. */
#define UNPRIVILEGED_MAX 256

typedef struct Slot {
        LoginServer *server;
        Transaction *transaction;
        struct Slot *next;
} Slot;

struct LoginServer {
        LoginContext context;
        sd_event_source *source;
        int fd;
        char *path;
        Slot *slots;
        Slot *ended; /* dropped from the loop, never from within a transaction */
        sd_event_source *reaper;
};

static void slot_free(Slot *slot) {
        transaction_free(slot->transaction);
        free(slot);
}

static int on_reap(sd_event_source *source, void *userdata) {
        LoginServer *s = userdata;

        while (s->ended) {
                Slot *slot = s->ended;

                s->ended = slot->next;
                slot_free(slot);
        }
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

static bool over_quota(LoginServer *s, uid_t uid) {
        unsigned own = 0, all = 0;

        if (uid == 0)
                return false;
        for (Slot *slot = s->slots; slot; slot = slot->next) {
                uid_t other = transaction_uid(slot->transaction);

                own += other == uid;
                all += other != 0;
        }
        return own >= s->context.config->connections_per_uid || all >= UNPRIVILEGED_MAX;
}

static int on_connection(sd_event_source *source, int listen_fd, uint32_t revents, void *userdata) {
        _cleanup_(peer_done) Peer peer = {};
        _cleanup_close_ int fd = -EBADF;
        LoginServer *s = userdata;
        Slot *slot;

        fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                return 0;
        /* Who is gone, or over the quota, sees the connection end. */
        if (peer_read(&peer, fd) < 0 || over_quota(s, peer.uid))
                return 0;

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
        return 0;
}

static int bind_socket(const char *path) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };
        _cleanup_close_ int fd = -EBADF;

        if (strlen(path) >= sizeof(sa.sun_path))
                return -ENAMETOOLONG;
        strcpy(sa.sun_path, path);
        fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return -errno;
        if (unlink(path) < 0 && errno != ENOENT)
                return -errno;
        if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
                return -errno;
        if (chmod(path, 0666) < 0)
                return -errno;
        if (listen(fd, 1024) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int login_server_new(LoginServer **ret, const LoginContext *context, const char *socket_path) {
        _cleanup_(login_server_free_p) LoginServer *s = NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->fd = -EBADF;
        s->context = *context;
        s->context.proofs = (ProofList){};
        s->path = strdup(socket_path);
        if (!s->path)
                return -ENOMEM;
        s->fd = bind_socket(socket_path);
        if (s->fd < 0)
                return s->fd;
        r = sd_event_add_defer(context->event, &s->reaper, on_reap, s);
        if (r >= 0)
                r = sd_event_source_set_enabled(s->reaper, SD_EVENT_OFF);
        if (r >= 0)
                r = sd_event_add_io(context->event, &s->source, s->fd, EPOLLIN, on_connection, s);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(s);
        return 0;
}

LoginServer *login_server_free(LoginServer *s) {
        if (!s)
                return NULL;
        sd_event_source_disable_unref(s->source);
        sd_event_source_disable_unref(s->reaper);
        if (s->fd >= 0) {
                close(s->fd);
                unlink(s->path);
        }
        while (s->slots) {
                Slot *slot = s->slots;

                s->slots = slot->next;
                slot_free(slot);
        }
        while (s->ended) {
                Slot *slot = s->ended;

                s->ended = slot->next;
                slot_free(slot);
        }
        proof_list_done(&s->context.proofs);
        free(s->path);
        free(s);
        return NULL;
}
