/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-event.h>

#include "trail/outbox.h"
#include "trail/pause.h"

/* Hands entries from the outbox to journald, in order, by the native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one
 * datagram an entry, or a sealed memfd when it is too large for one. Never waits; what journald does not take now is
 * tried again after a pause. The place reached is stored with the next entry, so after a crash some entries are handed
 * twice, with the same KEISHI_SEQ; none is left out. */

typedef struct Journal {
        Outbox *outbox;
        int fd;
        struct sockaddr_un address;
        socklen_t address_size;
        Pause pause;
} Journal;

/* -ENAMETOOLONG: the path does not fit into a socket address. */
int journal_init(Journal *j, sd_event *event, uint64_t pause_min_usec, Outbox *outbox, const char *path);
void journal_done(Journal *j);

/* Hands over what is committed and not yet handed over, a bounded number of entries now and the rest in later turns of
 * the loop. Does nothing while a pause lasts or a transaction is open. */
void journal_kick(Journal *j);
