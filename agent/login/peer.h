/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "util/cleanup.h"

/* Who is at the other end of pam.sock, as the kernel says (law 4). */

/* A process that can be told from a later one with the same number. */
typedef struct ProcessId {
        pid_t pid;
        uint64_t start; /* clock ticks since boot, proc(5) starttime */
} ProcessId;

static inline bool process_id_equal(ProcessId a, ProcessId b) {
        return a.pid == b.pid && a.start == b.start && a.pid > 0;
}

typedef struct Peer {
        uid_t uid;       /* effective, SO_PEERCRED */
        uid_t login_uid; /* audit login uid, (uid_t)-1 when none */
        ProcessId process;
        unsigned vt;   /* controlling virtual terminal, 0: none */
        char *exe;     /* program, may be NULL */
        char *session; /* logind session, NULL: none */
        bool remote;   /* in a session from another machine, or one that logind cannot tell; or run by the manager of a
                          user who has such a session, or none */
        char *seat;    /* of that session, NULL: none */
} Peer;
void peer_done(Peer *p);

/* Reads the peer of a connected socket. -ESRCH: it is gone already, or is not the process that connected. */
int peer_read(Peer *ret, int fd);
/* What is asked of a caller only now and then; it waits for our answer meanwhile, and what is found is held against the
 * process that connected. Who started a set-uid program; -ESRCH: the caller is gone. */
int peer_real_uid(const Peer *p, uid_t *ret);
/* The process that started the caller; no process when either is gone. */
ProcessId peer_parent(const Peer *p);
/* The same process's pidfd, or -ESRCH when it is gone. */
int process_open(ProcessId id);
