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
        free(p->reader);
        free(p->name);
        free(p->session);
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

int proof_set_agent(Proof *p, uid_t uid, const Peer *peer) {
        int r = replace(&p->session, peer->session);

        if (r < 0)
                return r;
        p->by_agent = true;
        p->uid = uid;
        p->remote = peer->remote;
        return 0;
}

/* What a user's manager runs is in no session; that it is not remote was seen by its user's sessions (peer.c). */
static bool same_session(const Proof *p, const Peer *peer) {
        if (p->remote || peer->remote)
                return false;
        return !p->session || !peer->session || strcmp(p->session, peer->session) == 0;
}

Proof *proof_take_from_agent(ProofList *l, const char *service, const Peer *peer, uid_t uid, uint64_t now) {
        drop_old(l, now);
        for (Proof *p = l->first; p; p = p->next) {
                if (!p->by_agent || p->uid != uid || strcmp(p->service, service) != 0 || !same_session(p, peer) ||
                        peer->process.start > p->process.start || now - p->at_usec > PROOF_AGENT_USEC)
                        continue;
                p->by_agent = false;
                p->process = peer->process;
                p->parent = peer_parent(peer);
                return p;
        }
        return NULL;
}
