/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "login/admin-log.h"
#include "login/admin-wire.h"
#include "util/budget.h"

/* Between the files of the administrators' log: admin-log.c hears and records, admin-hint.c knows who was let through
 * by PAM, admin-sudoers.c how sudo is told to write. */

/* Somebody whom PAM has let through, by a process that is sudo or pkexec then, and root in effect: what it writes from
 * then on, and until its command may run, nobody else has written. */
typedef struct Hint {
        Session session;                 /* `id` only once there is one */
        uint64_t at_usec, deadline_usec; /* CLOCK_BOOTTIME; deadline 0: no command is expected */
        uint64_t account_usec;           /* CLOCK_REALTIME of the account stage, before which it was no such process */
        uint64_t session_usec;           /* ... of its session, before which sudo writes; 0: none yet */
        char id[40];                     /* of the command that was told, for its end */
        bool logged, ended;              /* the command has been told, and its end */
        struct Hint *next;
} Hint;

typedef struct HintList {
        Hint *first; /* newest first */
        size_t n;
        sd_event_source *timer;
} HintList;

/* How sudo is told to write, as it was looked at last. */
typedef struct SudoersLook {
        sd_event_source *timer;
        Helper *helper;
        uint64_t looked_usec; /* CLOCK_BOOTTIME */
        char *state;          /* "ok", "absent", or what is wrong, a line each; NULL: not looked at yet */
} SudoersLook;

struct AdminLog {
        AdminLogContext c;
        char *root;

        Helper *helper;
        int acks;
        sd_event_source *timer; /* starts the reader, or tries again to record */
        uint64_t pause_usec;
        unsigned failures; /* of the reader, one after another */
        bool told_failing;
        uint64_t last_usec; /* CLOCK_REALTIME of the newest command */

        AdminRecord record; /* being recorded */
        bool busy;
        LookupQuery *query;
        char *login;        /* account of the uid that wrote it, or of the login that root's command came from */
        Budget unconfirmed; /* what nothing is held against may be made up: it is recorded, within bounds */
        bool told_dropped;

        HintList hints;
        SudoersLook sudoers;
};

/* admin-log.c */
/* Records an admin-log entry: whether the commands are recorded. Never fails. */
void admin_log_tell(AdminLog *l, const char *result, const char *reason, const char *detail);

/* admin-hint.c */
/* The hint that the record is confirmed by, or NULL; it stays the list's. */
Hint *hint_find(AdminLog *l, const AdminRecord *r);
/* It was recorded. */
void hint_told(Hint *h, const AdminRecord *r);
int hint_list_init(AdminLog *l);
void hint_list_done(AdminLog *l);

/* admin-sudoers.c */
int sudoers_init(AdminLog *l);
void sudoers_done(AdminLog *l);
