/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"
#include "ctl/precondition.h"

/* The audit report (R35): for every row of the requirements whether it is in force on this terminal, since when, and
 * what shows it. A row never says more than was looked at: what could not be looked at counts as lacking. */

typedef enum AuditState {
        AUDIT_YES,    /* in force */
        AUDIT_PARTLY, /* in force, but for what is lacking */
        AUDIT_NO,     /* not in force */
        AUDIT_ABSENT, /* not in this version */
        _AUDIT_STATE_MAX,
} AuditState;
/* "yes", "partly", "no", "absent" */
const char *audit_state_to_string(AuditState s);

#define AUDIT_PRECONDITIONS_MAX 32u

/* What the rows are judged by. */
typedef struct AuditFacts {
        json_object *status; /* the agent's Status */
        json_object *agent;  /* its Audit */
        unsigned profile_stages;
        bool judges_passwords; /* pam_keishi stands in common-password */
        PreconditionState preconditions[AUDIT_PRECONDITIONS_MAX];
        char *details[AUDIT_PRECONDITIONS_MAX];
        size_t n_preconditions;
        bool trail_viewers_known;
        size_t n_trail_viewers; /* members of the role's NSS group */
} AuditFacts;
void audit_facts_done(AuditFacts *f);

/* A row as it was found. */
typedef struct AuditFinding {
        AuditState state;
        uint64_t since_usec; /* 0: not known */
        bool since_unknown;
        bool oom;
        json_object *evidence, *lacking; /* arrays of texts, in the language of the locale */
} AuditFinding;
void audit_finding_done(AuditFinding *f);

typedef struct AuditRow {
        const char *id;                                         /* "R13"; NULL ends the table */
        const char *title;                                      /* N_() */
        void (*look)(const AuditFacts *facts, AuditFinding *f); /* NULL: not in this version */
} AuditRow;
extern const AuditRow audit_rows[];

/* Looks at one row. -ENOMEM. */
int audit_look(const AuditRow *row, const AuditFacts *facts, AuditFinding *ret);

/* The whole report as a JSON object: what the texts are made of, too. -ENOMEM. */
int audit_report(const Ctl *ctl, const AuditFacts *facts, json_object **ret);
/* Whether everything in the report that this version covers is in force, and every precondition held. */
bool audit_all_in_force(json_object *report);

/* audit-print.c: a report for people, and as a page that needs nothing but itself. -EIO. */
int audit_print_text(json_object *report, FILE *f);
int audit_print_html(json_object *report, FILE *f);
