/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* decide ROUNDS CALLS USER PASSWORD SERVICE TARGET...
 *
 * TARGET is NAME:CONFDIR:PID:CALLS, CALLS 0 for those before it. In each round each target's stack of SERVICE gets
 * CALLS complete account decisions (pam_start, pam_acct_mgmt, pam_end), one after another in this process; targets take
 * turns, so that what else this machine does falls on all of them. A target with an agent (PID not 0) authenticates
 * USER once before, by PASSWORD; its proof serves the decisions. Prints a line for each target: name, nanoseconds of
 * CPU of one decision in this process and in the agent, in the round that a quarter of the rounds were cheaper than
 * (what else runs on a machine only adds), and the longest wall time of a decision. A decision that does not grant ends
 * everything. */

#include <stdbool.h>
#include <stdio.h>

#include "answer.h"

#define TARGETS_MAX 16
#define ROUNDS_MAX  1000

typedef struct Round {
        uint64_t own, agent;
} Round;

typedef struct Target {
        const char *name, *confdir;
        unsigned calls;
        clockid_t agent;
        bool has_agent;
        Round rounds[ROUNDS_MAX];
        uint64_t wall_max;
} Target;

static const char *user, *password, *service;
static Target targets[TARGETS_MAX];

static void fail(const Target *t, const char *what, int r) {
        fprintf(stderr, "decide: %s: %s: %d\n", t->name, what, r);
        exit(1);
}

static pam_handle_t *start(const Target *t) {
        struct pam_conv conversation = { answer_converse, (void *)password };
        pam_handle_t *pamh = NULL;
        int r;

        r = pam_start_confdir(service, user, &conversation, t->confdir, &pamh);
        if (r != PAM_SUCCESS)
                fail(t, "pam_start", r);
        r = pam_set_item(pamh, PAM_TTY, "tty1");
        if (r != PAM_SUCCESS)
                fail(t, "PAM_TTY", r);
        return pamh;
}

static void authenticate(const Target *t) {
        pam_handle_t *pamh = start(t);
        int r;

        r = pam_authenticate(pamh, 0);
        if (r != PAM_SUCCESS)
                fail(t, "pam_authenticate", r);
        pam_end(pamh, r);
}

static void decide(Target *t) {
        uint64_t wall = clock_nsec(CLOCK_MONOTONIC);
        pam_handle_t *pamh = start(t);
        int r;

        r = pam_acct_mgmt(pamh, 0);
        if (r != PAM_SUCCESS)
                fail(t, "pam_acct_mgmt", r);
        pam_end(pamh, r);
        wall = clock_nsec(CLOCK_MONOTONIC) - wall;
        if (wall > t->wall_max)
                t->wall_max = wall;
}

static void measure(Target *t, Round *ret) {
        Round before = { clock_nsec(CLOCK_PROCESS_CPUTIME_ID), t->has_agent ? clock_nsec(t->agent) : 0 };

        for (unsigned i = 0; i < t->calls; i++)
                decide(t);
        ret->own = (clock_nsec(CLOCK_PROCESS_CPUTIME_ID) - before.own) / t->calls;
        ret->agent = t->has_agent ? (clock_nsec(t->agent) - before.agent) / t->calls : 0;
}

static int compare(const void *a, const void *b) {
        const Round *x = a, *y = b;
        uint64_t p = x->own + x->agent, q = y->own + y->agent;

        return (p > q) - (p < q);
}

static void parse(Target *t, char *text, unsigned calls) {
        pid_t pid;

        t->name = strsep(&text, ":");
        t->confdir = strsep(&text, ":");
        pid = text ? (pid_t)strtol(strsep(&text, ":"), NULL, 10) : 0;
        t->calls = text ? (unsigned)strtoul(text, NULL, 10) : 0;
        if (t->calls == 0)
                t->calls = calls;
        t->has_agent = pid > 0;
        if (t->has_agent && clock_getcpuclockid(pid, &t->agent) != 0)
                fail(t, "the agent's clock", pid);
}

int main(int argc, char **argv) {
        unsigned rounds, calls;
        int n;

        if (argc < 7 || argc - 6 > TARGETS_MAX)
                return 2;
        rounds = (unsigned)strtoul(argv[1], NULL, 10);
        calls = (unsigned)strtoul(argv[2], NULL, 10);
        if (rounds == 0 || rounds > ROUNDS_MAX || calls == 0)
                return 2;
        user = argv[3];
        password = argv[4];
        service = argv[5];
        n = argc - 6;

        for (int i = 0; i < n; i++) {
                parse(&targets[i], argv[6 + i], calls);
                if (targets[i].has_agent)
                        authenticate(&targets[i]);
                decide(&targets[i]); /* what happens only once is not the cost of a decision */
                targets[i].wall_max = 0;
        }
        for (unsigned round = 0; round < rounds; round++)
                for (int i = 0; i < n; i++)
                        measure(&targets[i], &targets[i].rounds[round]);
        for (int i = 0; i < n; i++) {
                Round *quartile = &targets[i].rounds[rounds / 4];

                qsort(targets[i].rounds, rounds, sizeof(Round), compare);
                printf("%s %llu %llu %llu\n", targets[i].name, (unsigned long long)quartile->own,
                        (unsigned long long)quartile->agent, (unsigned long long)targets[i].wall_max);
        }
        return 0;
}
