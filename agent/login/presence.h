/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "config/config.h"
#include "factor/helper.h"
#include "login/session.h"
#include "trail/trail.h"

/* The cards that opened sessions here, while they work (R8, [Card] Presence=). during-session: one that is taken out
 * locks its holder's sessions, by logind. remove-after-login: one that is still in the reader after LeftSec= is
 * recorded. keishi-factor watches the readers while such a session is open; a watch that ends is begun anew, and what
 * is not there then counts as taken out. */

typedef struct Presence Presence;

typedef struct PresenceContext {
        sd_event *event;
        Trail *trail;
        const Config *config;
        HelperPool *watch; /* keishi-factor */
        SessionList *sessions;
        sd_bus *(*bus)(void *userdata); /* the system bus at this moment, or NULL */
        void *userdata;
} PresenceContext;

int presence_new(Presence **ret, const PresenceContext *context);
Presence *presence_free(Presence *p);
DEFINE_CLEANUP(Presence *, presence_free)

/* A session of the user was opened by the card in this reader. Everything is copied. */
typedef struct PresentCard {
        const char *session, *account, *person, *credential, *reader;
        uid_t uid;
} PresentCard;
int presence_opened(Presence *p, const PresentCard *card);
