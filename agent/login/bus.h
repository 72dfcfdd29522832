/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "config/config.h"
#include "factor/helper.h"
#include "factor/lookup.h"
#include "factor/trust-file.h"
#include "login/admin-log.h"
#include "login/drift.h"
#include "login/identity.h"
#include "login/password.h"
#include "registry/registry.h"
#include "trail/trail.h"

/* The system bus: org.keishi1 at /org/keishi1, interface org.keishi1.Manager. It serves administration only. Logins do
 * not need it: when the bus is missing or goes away, keishid keeps deciding and tries to connect again, more and more
 * seldom. */

typedef struct Bus Bus;

/* What the bus surface works with; copied by bus_new(), everything in it is borrowed and outlives the bus. */
typedef struct BusContext {
        sd_event *event;
        Registry *registry;
        Trail *trail;
        Lookup *lookup;
        HelperPool *card;      /* keishi-factor */
        HelperPool *key;       /* keishi-factor-key */
        TrustFile *key_trust;  /* attestation roots */
        TrustFile *card_trust; /* authorities of cards */
        const Config *config;
        const char *root; /* prefix of files; NULL: none */
        Drift *drift;
        Identity *identity;
        AdminLog *admin_log;
        Passwords *passwords;

        /* Whether time-bound rules may be applied. */
        bool (*clock_trusted)(void *userdata);
        /* An administrator says that the clock is right: within the open transaction that records it, 0 or as
         * registry_commit(); and once that is committed. */
        int (*clock_confirm)(void *userdata);
        void (*clock_confirmed)(void *userdata);
        /* Directory rows changed and are committed: `noun` says which kind, _NOUN_INVALID that all did. */
        void (*directory_changed)(NounId noun, void *userdata);
        void *userdata;
} BusContext;

/* Starts connecting to `address` (NULL: DBUS_SYSTEM_BUS_ADDRESS, else the system's) and returns at once. */
int bus_new(Bus **ret, const BusContext *context, const char *address);
Bus *bus_free(Bus *b);
DEFINE_CLEANUP(Bus *, bus_free)

/* The connection, for calls to logind and systemd; NULL while there is none. */
sd_bus *bus_connection(const Bus *b);
/* Whether the name org.keishi1 is ours at present. */
bool bus_ready(const Bus *b);
