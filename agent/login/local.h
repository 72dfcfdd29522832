/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "login/peer.h"
#include "login/service.h"

/* Law 3: cards and keys serve people at the terminal itself, and that has to be proved. */

/* What is known of a caller, for the decision. */
typedef struct LocalFacts {
        bool remote;         /* the call says or shows that it comes from elsewhere (rhost, sshd, a remote session) */
        bool root;           /* the caller is root */
        bool on_vt;          /* its controlling terminal is a virtual terminal of this machine (from the kernel) */
        bool in_session;     /* it is in a session of logind */
        bool active_seat;    /* …which is the active one of a seat */
        bool in_manager;     /* it is run by a user's manager, */
        bool user_on_seat;   /* …whose user has a session that is the active one of a seat */
        bool user_remote;    /* the session's or manager's user has a session from another machine as well */
        bool greeter;        /* it is run by a display manager's unit */
        bool console_family; /* it is a service that starts sessions at the console */
} LocalFacts;

/* PURE. A program on a terminal that is not a virtual one may be shown anywhere that its user is logged in (tmux): it
 * is as far away as the farthest session. */
bool local_decide(const LocalFacts *f);

/* Whether the caller is proved to be at this terminal. `remote`: as the transaction has found it. */
bool local_proved(const Peer *peer, const Service *service, bool remote);
