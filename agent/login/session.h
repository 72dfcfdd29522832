/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "login/peer.h"
#include "registry/registry.h"
#include "trail/trail.h"

/* Open sessions: a row in the local table and a trail entry in one transaction, and a watch on the process that opened
 * it, so that a session whose login program dies is closed in the trail too. Rows outlive an agent that is restarted.
 */

typedef struct SessionList SessionList;

typedef struct Session {
        char id[33];
        char *account; /* who acts */
        char *person;
        char *name;
        char *target; /* acted as, or NULL */
        char *service;
        char *tty;
        char *origin;
        char credentials[80]; /* uuids of the cards and keys that opened it, separated by blanks */
        ProcessId process;
} Session;
void session_done(Session *s);

/* Adopts what the table holds: sessions of another boot, or whose process is gone, are closed in the trail. */
int session_list_new(SessionList **ret, sd_event *event, Registry *registry, Trail *trail, const char *boot_id);
SessionList *session_list_free(SessionList *l);
DEFINE_CLEANUP(SessionList *, session_list_free)

/* Opens: gives `s` an id, writes row and `entry` durably, then watches. Anything but 0: not open. Takes what `s` owns
 * when it returns 0. */
int session_open(SessionList *l, Session *s, uint64_t now_usec, Event *entry);
/* Closes the session that this process, its parent or its child opened for the service, if there is one; recorded
 * whatever happens. Whether there was one. */
bool session_close(SessionList *l, const char *service, const Peer *peer);
size_t session_count(const SessionList *l);
/* An open session of the person, or of the account when the person is not known (NULL), at the console or from another
 * machine; NULL when there is none. Valid until the loop runs again. */
const Session *session_list_find(const SessionList *l, const char *person, const char *account);
bool session_list_has(const SessionList *l, const char *id);
/* Shows each open one. */
void session_list_each(const SessionList *l, void (*fn)(const Session *s, void *userdata), void *userdata);
