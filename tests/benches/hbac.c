/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* hbac RULES CALLS: the evaluator of SSSD's access rules. RULES rules with the mix of ours (70 % name a user, 20 % a
 * group, 10 % are for everybody of another service); the user is in 30 groups, and the last rule is the one that
 * grants. Prints nanoseconds of CPU of one evaluation. */

#include <ipa_hbac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *name(const char *format, unsigned long i) {
        char text[32];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(text, sizeof(text), format, i);
#pragma GCC diagnostic pop
        return strdup(text);
}

static const char **list(char *one) {
        const char **l = calloc(2, sizeof(*l));

        l[0] = one;
        return l;
}

static struct hbac_rule_element *element(char *one, char *group) {
        struct hbac_rule_element *e = calloc(1, sizeof(*e));

        if (one)
                e->names = list(one);
        if (group)
                e->groups = list(group);
        if (!one && !group)
                e->category = HBAC_CATEGORY_ALL;
        return e;
}

static struct hbac_request_element *requester(const char *one, unsigned long groups) {
        struct hbac_request_element *e = calloc(1, sizeof(*e));

        e->name = one;
        e->groups = calloc(groups + 1, sizeof(*e->groups));
        for (unsigned long i = 0; i < groups; i++)
                e->groups[i] = name("member%lu", i);
        return e;
}

static unsigned long long cpu_nsec(void) {
        struct timespec ts;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
        return (unsigned long long)ts.tv_sec * 1000000000 + (unsigned long long)ts.tv_nsec;
}

int main(int argc, char **argv) {
        struct hbac_eval_req request = {};
        struct hbac_rule **rules;
        unsigned long n, calls;
        unsigned long long begun;

        if (argc != 3)
                return 2;
        n = strtoul(argv[1], NULL, 10);
        calls = strtoul(argv[2], NULL, 10);
        if (n == 0 || calls == 0)
                return 2;

        rules = calloc(n + 1, sizeof(*rules));
        for (unsigned long i = 0; i < n; i++) {
                struct hbac_rule *r = rules[i] = calloc(1, sizeof(*r));

                r->name = name("rule%lu", i);
                r->enabled = true;
                if (i == n - 1)
                        r->users = element(strdup("u00000"), NULL);
                else if (i % 10 < 7)
                        r->users = element(name("u%05lu", i + 1), NULL);
                else
                        r->users = element(NULL, i % 10 < 9 ? name("group%lu", i) : NULL);
                r->services = element(strdup(i % 10 == 9 && i < n - 1 ? "sshd" : "login"), NULL);
                r->targethosts = element(strdup("T00000"), NULL);
                r->srchosts = element(NULL, NULL);
        }
        request.user = requester("u00000", 30);
        request.service = requester("login", 0);
        request.targethost = requester("T00000", 0);
        request.srchost = requester("T00000", 0);
        request.request_time = time(NULL);

        begun = cpu_nsec();
        for (unsigned long i = 0; i < calls; i++) {
                struct hbac_info *info = NULL;

                if (hbac_evaluate(rules, &request, &info) != HBAC_EVAL_ALLOW) {
                        fprintf(stderr, "hbac: not allowed\n");
                        return 1;
                }
                hbac_free_info(info);
        }
        printf("%llu\n", (cpu_nsec() - begun) / calls);
        return 0;
}
