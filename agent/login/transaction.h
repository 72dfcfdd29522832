/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "login/server.h"

/* One PAM call from BEGIN to RESULT. */

typedef struct Transaction Transaction;
/* Called once, when the transaction has ended and its connection can be dropped. */
typedef void (*transaction_fn)(Transaction *t, void *userdata);

/* Takes `fd` and what `peer` owns, also on failure. */
int transaction_new(
        Transaction **ret, LoginContext *context, int fd, Peer *peer, transaction_fn on_end, void *userdata);
/* Hears what the caller has sent already, which may be all there is to hear, and listens from then on. May end it. */
void transaction_start(Transaction *t);
Transaction *transaction_free(Transaction *t);
DEFINE_CLEANUP(Transaction *, transaction_free)
uid_t transaction_uid(const Transaction *t);
