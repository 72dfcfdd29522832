/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "config/config.h"
#include "factor/lookup.h"
#include "login/service.h"
#include "policy/verdict.h"
#include "registry/registry.h"

/* From what is known of a call to a verdict: collects the facts of the registry, the clock and NSS for the pure
 * evaluator, and offers it the candidates. Used by real logins and by `keishictl check` alike, so that the explanation
 * is the decision (law 10). */

typedef struct FactsQuery {
        Stage stage;
        const char *service_name;
        const Service *service; /* its row, NULL: unknown */
        Family family;          /* of the row, or what the row says for this caller (service_family()) */
        bool authenticated;
        unsigned factors; /* verified; 0: not judged */
        bool remote;
        bool root_changes;
        const char *account; /* who acts */
        const char *person;  /* who sits there behind a shared ID, as named at login; NULL: the account's own */
        const Account *nss;  /* as NSS knows it; NULL: it does not */
        const char *target;  /* FAMILY_ADMIN: acted as; NULL: not known yet */
        const Account *target_nss;
        const char *terminal; /* NULL: this one */
        uint64_t now_usec;
        bool clock_trusted;
        bool drift_closes;    /* drift_closes(), where something is to be opened */
        bool identity_closes; /* identity_closes(), likewise */
} FactsQuery;

typedef struct FactsData {
        Facts facts; /* points into the rest, and into the query's strings */
        User user, target_user;
        Terminal terminal;
        char *restriction, *restriction_reason;
        char *target_restriction, *target_restriction_reason;
        const Account *nss;
} FactsData;
void facts_done(FactsData *d);

/* 0; REGISTRY_E_UNUSABLE or a negative errno when the registry could not be read. What is not registered is a fact, not
 * an error. */
int facts_collect(FactsData *ret, Registry *registry, const Config *config, const FactsQuery *q);
/* The verdict on collected facts. 0 (granted or not), or as above: then *ret is a refusal. */
int facts_judge(const FactsData *d, Registry *registry, Verdict *ret);

/* The family that the row means for this caller: its own, FAMILY_UNATTENDED (root_free and started by root), or
 * FAMILY_SELF (self_is_proof). */
Family service_family(const Service *s, uid_t caller_real_uid, bool actor_is_user);
