/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/proof.h"

#include <errno.h>
#include <string.h>

#define PROOFS_MAX 4096

static void proof_free(Proof *p) {
        free(p->service);
        free(p->account);
        free(p->target);
        free(p->person);
        free(p->name);
        free(p);
}

void proof_list_done(ProofList *l) {
        while (l->first)
                proof_remove(l, l->first);
}

void proof_remove(ProofList *l, Proof *p) {
        for (Proof **q = &l->first; *q; q = &(*q)->next)
                if (*q == p) {
                        *q = p->next;
                        l->n--;
                        proof_free(p);
                        return;
                }
}

static void drop_old(ProofList *l, uint64_t now) {
        for (Proof **q = &l->first; *q;) {
                Proof *p = *q;

                if (now - p->at_usec > PROOF_LIFETIME_USEC) {
                        *q = p->next;
                        l->n--;
                        proof_free(p);
                } else
                        q = &p->next;
        }
}

Proof *proof_find(ProofList *l, const char *service, const Peer *peer, uint64_t now) {
        ProcessId parent = {};
        Proof *p;

        drop_old(l, now);
        for (p = l->first; p; p = p->next)
                if (strcmp(p->service, service) == 0 &&
                        (process_id_equal(p->process, peer->process) || process_id_equal(p->parent, peer->process)))
                        return p;
        if (l->first)
                parent = peer_parent(peer);
        for (p = l->first; p; p = p->next)
                if (strcmp(p->service, service) == 0 && process_id_equal(p->process, parent))
                        return p;
        return NULL;
}

Proof *proof_add(ProofList *l, const char *service, const char *account, const Peer *peer, uint64_t now) {
        Proof *p;

        drop_old(l, now);
        for (p = l->first; p; p = p->next)
                if (strcmp(p->service, service) == 0 && process_id_equal(p->process, peer->process)) {
                        proof_remove(l, p);
                        break;
                }
        if (l->n >= PROOFS_MAX)
                return NULL;

        p = calloc(1, sizeof(*p));
        if (!p)
                return NULL;
        p->service = strdup(service);
        p->account = account ? strdup(account) : NULL;
        if (!p->service || (account && !p->account)) {
                proof_free(p);
                return NULL;
        }
        p->process = peer->process;
        p->parent = peer_parent(peer);
        p->at_usec = now;
        p->next = l->first;
        l->first = p;
        l->n++;
        return p;
}

static int replace(char **place, const char *value) {
        char *copy = NULL;

        if (value) {
                copy = strdup(value);
                if (!copy)
                        return -ENOMEM;
        }
        free(*place);
        *place = copy;
        return 0;
}

int proof_set_person(Proof *p, const char *person, const char *name) {
        int r = replace(&p->person, person);

        return r < 0 ? r : replace(&p->name, name);
}

int proof_set_target(Proof *p, const char *target) {
        return replace(&p->target, target);
}
