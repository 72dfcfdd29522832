/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>

#include "login/identity-file.h"
#include "registry/registry.h"
#include "trail/trail.h"
#include "util/cleanup.h"

/* Whether this machine is the one that the terminal was enrolled as (R1's counterpart for machines). At setup the
 * terminal is bound: the registry (meta "identity") keeps digests of the machine-id and of what the firmware tells
 * apart, and the public half of a key that is made then and kept in a file of its own. At each start they are compared.
 * A copied disk finds another machine-id, other hardware, or no key, and then lets no staff in until it is enrolled.
 * What cannot be told here: a copy that finds the same machine-id and the same hardware, or hardware that says nothing;
 * its trail forks from the original's, which the archive sees.
 *
 * With each binding, and when a copy is noticed, a new epoch of the trail begins (meta "epoch": a number that grows,
 * and a random id, "2-9f3a…"): entries of two histories never have terminal, epoch and number in common. */

typedef enum IdentityState {
        IDENTITY_UNBOUND, /* not set up */
        IDENTITY_RIGHT,
        IDENTITY_OTHER_MACHINE_ID,
        IDENTITY_OTHER_HARDWARE,
        IDENTITY_NO_MACHINE_ID, /* /etc/machine-id cannot be read, or is not one */
        IDENTITY_NO_KEY,        /* the key file is missing, or holds another key */
        IDENTITY_RETIRED,
        _IDENTITY_STATE_MAX,
        _IDENTITY_STATE_INVALID = -1,
} IdentityState;
const char *identity_state_to_string(IdentityState s);

/* PURE. What a machine is to a terminal that was bound to another look of it. An item of hardware counts when both
 * know it: one that differs is other hardware, and so is hardware of which nothing is left, or of which nothing was
 * known. */
IdentityState identity_compare(const Machine *bound, const Machine *seen, bool key_there);

#define EPOCH_TEXT_MAX 40u /* "NUMBER-16 hexadecimal digits" */
/* Takes the number out of an epoch; 0 when it is none. */
unsigned epoch_number(const char *text);

typedef struct Identity Identity;

/* Before the trail is opened, so that nothing is recorded in an epoch that may be another machine's: reads what is
 * known, finishes what a crash has interrupted, looks at the machine, and when it is not the right one for the first
 * time begins a new epoch. 0, REGISTRY_E_UNUSABLE or a negative errno. */
int identity_new(Identity **ret, Registry *registry, const char *root);
Identity *identity_free(Identity *i);
DEFINE_CLEANUP(Identity *, identity_free)

/* At the start, with the trail: records a machine that is not the right one; binds a terminal that was set up before
 * there were identities. 0 or as registry_commit(). */
int identity_start(Identity *i, Trail *trail);

/* Both accept NULL: unbound. Cost nothing. */
IdentityState identity_state(const Identity *i);
/* Whether logins of staff are refused for it; a retired terminal is told by its row. */
bool identity_closes(const Identity *i);

/* Object for Status. */
int identity_json(const Identity *i, json_object **ret);

/* Binding. prepare makes a new key and looks at the machine; then, within a transaction that the caller opened,
 * identity_write() makes the terminal with this uuid this one, and appends `e`, in the new epoch; and afterwards
 * identity_written() in every case. Without a key (adopting another row after a restore) prepare is left out. */
enum { _IDENTITY_E_SUCCESS, IDENTITY_E_NO_MACHINE = 64 };
int identity_prepare(Identity *i);
int identity_write(Identity *i, Trail *trail, const char *uuid, Event *e, RegistryError *error);
void identity_written(Identity *i, Trail *trail, bool committed);

/* The terminal is retired, and that is committed: the key goes. 0 or a negative errno; what could not be done is done
 * at the next start. */
int identity_retire(Identity *i);
