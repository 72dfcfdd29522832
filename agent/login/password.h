/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "config/config.h"
#include "factor/fingerprint.h"
#include "factor/helper.h"
#include "login/trusted-clock.h"
#include "registry/password.h"
#include "trail/trail.h"
#include "util/secret.h"

/* The passwords of this terminal: judges new ones by its helpers, keeps the secret that fingerprints are keyed with,
 * takes the fingerprint of passwords that it sees used, and finds out whether a new one was really written.
 *
 * The module is asked before pam_unix, pam_sss or whatever keeps the password has written it, and nobody tells it what
 * came of that. So what was accepted is pending, until the new password is right for keishi-password: it is tried a
 * moment later, and otherwise known at the next login. Only then is a change a change. */

typedef struct Passwords Passwords;

/* Borrowed, and outlives it; `secret_path` is copied. */
typedef struct PasswordsContext {
        sd_event *event;
        Registry *registry;
        Trail *trail;
        const Config *config;
        TrustedClock *clock;
        HelperPool *password;    /* keishi-password */
        HelperPool *quality;     /* keishi-quality */
        HelperPool *fingerprint; /* keishi-fingerprint, for people who wait */
        HelperPool *background;  /* keishi-fingerprint, when nobody does */
        const char *secret_path;
} PasswordsContext;

/* Positive conditions. */
enum {
        _PASSWORDS_E_SUCCESS,
        PASSWORDS_E_SECRET, /* the secret is lost or damaged, while fingerprints keyed with it exist */
};

int passwords_new(Passwords **ret, const PasswordsContext *context);
Passwords *passwords_free(Passwords *p);
DEFINE_CLEANUP(Passwords *, passwords_free)

/* Whether the secret can be used: 0, also when none is needed yet; PASSWORDS_E_SECRET; as the registry. */
int passwords_check_secret(Passwords *p);

/* Asks keishi-quality (answer: quality_reply()). 0 or a negative errno. */
int passwords_ask_quality(Passwords *p, const char *account, const Secret *current, const Secret *new_password,
        helper_fn fn, void *userdata, Helper **ret);
/* Asks keishi-fingerprint (answer: fingerprint_reply()). 0, PASSWORDS_E_SECRET, as the registry (negative for its
 * REGISTRY_E_UNUSABLE too: -EIO), or a negative errno. The secret is made at the first use. */
int passwords_ask_fingerprint(Passwords *p, const Secret *password, helper_fn fn, void *userdata, Helper **ret);

/* A password was right for the account whose row of users is `user`: its fingerprint is taken a moment later, when
 * nobody logs in. Best effort: nothing happens while too many wait. */
void passwords_seen(Passwords *p, const char *user, const char *account, const Secret *password);
/* A new password was accepted, and is pending: finds out whether it was written. `user` NULL: not registered. `changed`
 * is the entry to record then; it is taken. */
void passwords_settle(Passwords *p, const char *user, const char *account, const Secret *password,
        const Fingerprint *fingerprint, Event *changed);
