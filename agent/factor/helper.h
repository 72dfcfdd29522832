/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "util/cleanup.h"

/* Helper processes: exec'd per operation, one request and one reply over a SOCK_SEQPACKET socketpair that the helper
 * finds as file descriptor HELPER_FD, killed at the deadline. A pool runs at most `limit` at once; further ones queue.
 * The reply is foreign: whoever asked checks it. */

#define HELPER_FD        3
#define HELPER_REPLY_MAX 65536u

typedef struct HelperPool HelperPool;
typedef struct Helper Helper;

enum {
        _HELPER_E_SUCCESS,
        HELPER_E_TIMEOUT,
        HELPER_E_DIED, /* ended, or could not be started, without a reply */
};

/* r: 0, HELPER_E_…. `reply` lives during the call and is wiped after it. The helper is gone when this is called. */
typedef void (*helper_fn)(int r, const char *reply, size_t size, void *userdata);

int helper_pool_new(HelperPool **ret, sd_event *event, const char *path, unsigned limit, uint64_t timeout_usec);
/* Kills what runs; nobody is called. */
HelperPool *helper_pool_free(HelperPool *p);
DEFINE_CLEANUP(HelperPool *, helper_pool_free)

/* Whether any of its helpers runs or waits to run. */
bool helper_pool_busy(const HelperPool *p);

/* Asks. The request is copied, and wiped once sent. `fn` is called exactly once from the loop, unless cancelled. */
int helper_ask(HelperPool *p, const void *request, size_t size, helper_fn fn, void *userdata, Helper **ret);

/* Hears a packet of a helper that says more than one thing, as `reply` of helper_fn. True: more follows. False: this
 * one is the reply, and helper_fn hears it next. It may cancel the helper, and then returns true. */
typedef bool (*helper_said_fn)(const char *packet, size_t size, void *userdata);

typedef struct HelperQuestion {
        const void *request;
        size_t size;
        const int *fds; /* go along with the request, at most HELPER_FDS_MAX; duplicated, so the caller keeps its own */
        size_t n_fds;
        uint64_t
                timeout_usec; /* for all of it, from the start of the process; 0: the pool's; UINT64_MAX: without end */
        helper_said_fn said;  /* or NULL: the first packet is the reply */
        uint64_t grace_usec;  /* when it is cancelled or late: so long after its socket has closed it is killed; 0: at
                                 once.  For those that have something to stop first, a key that blinks */
        helper_fn fn;
        void *userdata;
} HelperQuestion;
#define HELPER_FDS_MAX 8u

/* helper_ask() with descriptors, several packets, or a time limit of its own. */
int helper_ask_more(HelperPool *p, const HelperQuestion *q, Helper **ret);
Helper *helper_cancel(Helper *h);

/* For the helper programs: from here on it dies with the agent. False when the agent is gone already. To be called once
 * the helper has become who it is: the kernel forgets it when ids change (prctl(2)). */
bool helper_dies_with_agent(void);
/* For the helper programs that are started as root: from here on it is that system user (or nobody, where there is
 * none), without further groups, and gains nothing by exec. Reads /etc/passwd itself: NSS modules are other people's
 * code. */
int helper_become(const char *user);
