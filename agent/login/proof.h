/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "login/peer.h"
#include "util/cleanup.h"

/* What ties the stages of one login together (law 2): not the PAM handle, which does not cross sshd's fork, but the
 * processes. A proof is what a stage established: it serves a later stage of the same service when that one is called
 * by the same process, by its parent (sshd: auth in a child, session in the monitor) or by its child. Kept in memory
 * only: an agent that was restarted in the middle of a login refuses the rest of it. */

#define PROOF_LIFETIME_USEC (10 * UINT64_C(60) * 1000000)

/* Why the password that was verified has to be changed before it opens a session. */
typedef enum PasswordDue {
        PASSWORD_NOT_DUE,
        PASSWORD_DUE_AGE,
        PASSWORD_DUE_MEMBER_LEFT, /* of a shared ID (R1) */
} PasswordDue;

typedef struct Proof {
        char *service;
        char *account; /* whose factors were verified; NULL when none (nobody in front) */
        char *target;  /* whom the account stage let through; NULL before it */
        char *person;  /* staff number of who sits there: for a shared ID the person named at login */
        char *name;
        unsigned factors;
        PasswordDue due;
        char *reader;         /* where the card that was used lies, or NULL */
        char credentials[80]; /* uuids of the cards and keys among them, separated by blanks */
        ProcessId process, parent;
        uint64_t at_usec; /* CLOCK_BOOTTIME */
        bool by_agent;    /* made by a user's authentication agent, for a program that waits elsewhere */
        uid_t uid;        /* then: whose agent, and where it runs */
        char *session;
        bool remote;
        struct Proof *next;
} Proof;

typedef struct ProofList {
        Proof *first;
        size_t n;
} ProofList;
void proof_list_done(ProofList *l);

/* The proof that a call by `peer` to `service` can stand on, or NULL. */
Proof *proof_find(ProofList *l, const char *service, const Peer *peer, uint64_t now_boottime_usec);
/* How long after the agent's proof the program that waited for it goes on. */
#define PROOF_AGENT_USEC (10 * UINT64_C(1000000))

/* polkit's graphical agent asks for the password in a process of its own (polkit-agent-helper-1), which nothing relates
 * to the program that polkit then lets go on (pkexec). What ties them: the agent is that of the user who called the
 * program, in the same session of logind where both are in one, neither of them from another machine; the program was
 * there before the agent's process was, as one that waits is; it goes on right after; and one proof serves one program.
 * `uid`: who called it. The proof is of `peer` from then on. NULL: there is none. */
Proof *proof_take_from_agent(
        ProofList *l, const char *service, const Peer *peer, uid_t uid, uint64_t now_boottime_usec);
/* Marks a proof as made by the agent of a user. */
int proof_set_agent(Proof *p, uid_t uid, const Peer *peer);
/* A new proof in place of what the same process had for the service. Strings are copied; NULL when out of memory. */
Proof *proof_add(ProofList *l, const char *service, const char *account, const Peer *peer, uint64_t now_boottime_usec);
/* Sets who sits there, and whom the account stage let through. Copies. */
int proof_set_person(Proof *p, const char *person, const char *name);
int proof_set_target(Proof *p, const char *target);
void proof_remove(ProofList *l, Proof *p);
