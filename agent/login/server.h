/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "config/config.h"
#include "factor/helper.h"
#include "factor/lookup.h"
#include "login/proof.h"
#include "login/session.h"
#include "login/trusted-clock.h"
#include "registry/registry.h"
#include "trail/trail.h"

/* pam.sock: takes connections, keeps quotas per uid, and gives each to a transaction. */

typedef struct LoginServer LoginServer;

/* What transactions work with; borrowed, and outlives the server. */
typedef struct LoginContext {
        sd_event *event;
        Registry *registry;
        Trail *trail;
        Lookup *lookup;
        HelperPool *password;
        const Config *config;
        TrustedClock *clock;
        SessionList *sessions;
        /* owned by the server */
        ProofList proofs;
        uint64_t abuse_since_usec; /* start of the minute that is being counted, CLOCK_BOOTTIME */
        unsigned abuse_count;
} LoginContext;

/* Binds the socket, mode 0666: who may call what is decided per message. */
int login_server_new(LoginServer **ret, const LoginContext *context, const char *socket_path);
LoginServer *login_server_free(LoginServer *s);
DEFINE_CLEANUP(LoginServer *, login_server_free)
