/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "config/config.h"
#include "factor/helper.h"
#include "factor/lookup.h"
#include "factor/trust-file.h"
#include "login/abuse.h"
#include "login/admin-log.h"
#include "login/drift.h"
#include "login/enforce.h"
#include "login/identity.h"
#include "login/password.h"
#include "login/presence.h"
#include "login/proof.h"
#include "login/session.h"
#include "login/trusted-clock.h"
#include "registry/registry.h"
#include "trail/trail.h"

/* pam.sock and root.sock: take connections, keep callers other than root within bounds, and give each to a transaction.
 * Root's callers have a socket of their own, that the kernel keeps others away from, and are served first. */

typedef struct LoginServer LoginServer;

/* What transactions work with; borrowed, and outlives the server. */
typedef struct LoginContext {
        sd_event *event;
        Registry *registry;
        Trail *trail;
        Lookup *lookup;
        HelperPool *password;
        Passwords *passwords;
        HelperPool *card;      /* keishi-factor */
        HelperPool *key;       /* keishi-factor-key */
        const char *root;      /* prefix of files and devices */
        TrustFile *card_trust; /* the authorities of cards */
        const Config *config;
        TrustedClock *clock;
        SessionList *sessions;
        Enforcer *enforcer;
        Presence *presence;
        Drift *drift;
        const Identity *identity;
        AdminLog *admin_log;
        /* owned by the server */
        ProofList proofs;
        AbuseLog abuse;
} LoginContext;

/* What root's callers wait for goes first. */
static inline int64_t login_priority(uid_t uid) {
        return uid == 0 ? SD_EVENT_PRIORITY_NORMAL : SD_EVENT_PRIORITY_NORMAL + 10;
}

/* Binds both sockets under the prefix `root`; pam.sock has mode 0666: who may call what is decided per message. */
int login_server_new(LoginServer **ret, const LoginContext *context, const char *root);
LoginServer *login_server_free(LoginServer *s);
DEFINE_CLEANUP(LoginServer *, login_server_free)
