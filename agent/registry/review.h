/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/registry.h"

/* The review of access rights (R3): each designation with what a reviewer wants to know about it. */

typedef enum ReviewOnly {
        REVIEW_ALL,
        REVIEW_DUE,     /* the review date is near, or over */
        REVIEW_OVERDUE, /* it is over */
        REVIEW_UNUSED,  /* not used since ReviewQuery.unused_since, or never */
        REVIEW_OUTSIDE, /* no longer fits its scope */
        _REVIEW_MAX,
        _REVIEW_INVALID = -1,
} ReviewOnly;
ReviewOnly review_only_from_string(const char *s);

typedef struct ReviewQuery {
        uint64_t now_usec;
        int64_t after;     /* last designation looked at before; 0: from the beginning */
        unsigned limit;    /* designations looked at, so that one call does not take long */
        const char *unit;  /* of the scope; NULL: all */
        const char *scope; /* name or uuid; NULL: all */
        ReviewOnly only;
        uint64_t unused_since;
} ReviewQuery;

/* Live designations after `after` as a JSON array of objects: uuid, version, scope, business, unit (the scope's),
 * subject, name (of a user), until, review, reviewed, reviewed_by, last_used (at this terminal), outside (why it does
 * not fit its scope), and state, an array of "due", "overdue", "never-used", "outside", "ended". What has no value is
 * left out. A designation that has ended lets nobody in, and is not due. *ret_last is the last one looked at, or
 * `after` when there is none any more. */
int registry_review(Registry *r, const ReviewQuery *q, json_object **ret, int64_t *ret_last);

/* Marks a designation as reviewed by a person, within a transaction; the next review is at `next_usec`. As
 * registry_row_change() otherwise. */
int registry_reviewed(Registry *r, const char *id, const char *person, uint64_t now_usec, uint64_t next_usec,
        json_object **ret_before, json_object **ret_after, RegistryError *ret_error);
/* Makes the review of a designation due now, and takes the mark away. */
int registry_review_reset(Registry *r, const char *id, uint64_t now_usec, json_object **ret_before,
        json_object **ret_after, RegistryError *ret_error);

/* Shared IDs whose password is due since somebody left: an array of account, since and person. */
int registry_shared_passwords_due(Registry *r, json_object **ret);
