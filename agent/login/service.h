/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>

#include "policy/verdict.h"

/* Law 2, the table: which PAM services there are, who acts in them and on whose behalf, what must have come before, and
 * who may call. A service without a row is refused. */

typedef struct Service {
        const char *name;
        Family family;
        bool actor_is_caller; /* PAM_USER is acted as; who acts is the caller's real uid. Else PAM_USER acts */
        bool actor_is_ruser;  /* the caller is root in full by then, and says in PAM_RUSER who called it */
        bool needs_auth;      /* account and session stages need our own auth stage before them, tied by process */
        bool root_free; /* with a caller that root itself started, nobody is in front: judged as FAMILY_UNATTENDED, no
                           auth needed */
        bool root_changes;  /* root itself changes the entry of any account, registered or not: that opens nothing */
        bool self_is_proof; /* when actor and PAM_USER are one, it is a person proving themselves: FAMILY_SELF */
        bool any_caller;    /* a caller other than root may ask, about itself only */
        bool patient;       /* prompts may stay open: a greeter waits for people */
        bool hides_errors;  /* its greeter writes a text of its own over an error message, but not over information */
        bool by_agent;      /* factors may be given to an agent of the user, in a process that is not related to the one
                               which goes on; see proof_take_from_agent() */
        bool tells_command; /* writes into the system log which command it runs; see admin-log.h */
        bool changes_password; /* can have a password that is due changed before it goes on */
        bool batch;            /* reads answers from a list: who typed them is not there to be asked again */
        bool one_text;         /* a locker that shows no prompt and answers everything with the one string typed */
        bool own_session;      /* opens sessions that are worth a row and a trail */
} Service;

const Service *service_find(const char *name);
/* All rows, ended by one without a name; for keishictl and tests. */
const Service *service_table(void);
