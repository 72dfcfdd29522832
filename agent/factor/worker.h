/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>

#include "factor/factor-wire.h"
#include "factor/helper.h"

/* What the workers share (factor-wire.h): who they are, what confines them, one request, one reply, a deadline. A
 * worker program is a table of operations and worker_main(). */

#define WORKER_USER "keishi-factor"

/* Sanitizers need more memory and more of the system than a worker leaves itself. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define WORKER_SANITIZED 1
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define WORKER_SANITIZED 1
#endif

#define WORKER_ITEMS_MAX 8

/* A request that its operation takes: no other items, and of each as many as it may have. */
typedef struct WorkerRequest {
        FactorOperation operation;
        FrameReader items; /* to be copied for each walk */
        int fds[HELPER_FDS_MAX];
        size_t n_fds;
} WorkerRequest;

/* Adds the reply's items and says how it ended. It calls worker_confine() before it reads a byte from a device. */
typedef FactorStatus (*worker_fn)(const WorkerRequest *q, Frame *reply);

typedef struct WorkerOperation {
        FactorOperation operation;
        worker_fn run;
        struct {
                FactorItem item; /* 0: no more */
                unsigned min, max;
        } items[WORKER_ITEMS_MAX];
        unsigned fds_min, fds_max;
        unsigned deadline_sec; /* 0: none, it stays */
        FactorStatus late;     /* what is answered at the deadline, unless worker_set_late() said otherwise */
} WorkerOperation;

/* The rest of main(): becomes WORKER_USER, bounds memory, time and descriptors, takes the request, runs its operation
 * and answers. Ends the process, threads that hang and all. */
_Noreturn void worker_main(const WorkerOperation *operations, size_t n);

/* The first item of a kind; false when there is none. */
bool worker_item(const WorkerRequest *q, FactorItem item, FrameItem *ret);

/* One frame of FACTOR_PROGRESS, which stays as it was. -errno when keishid has gone. */
int worker_progress(Frame *f);

/* What the deadline means from here on: it may come while another program holds the device, or while the device is
 * silent. */
void worker_set_late(FactorStatus late);

/* From here on the process opens no file (landlock, where the kernel has it; open and its kin answer EACCES) and makes
 * only the system calls named here and those of memory, threads, time, and descriptors that are already open; others
 * kill it. `calls`: numbers of SYS_…, ended by -1, or NULL. */
int worker_confine(const int *calls);

/* ---- operations: worker-card.c ---- */

FactorStatus card_find(const WorkerRequest *q, Frame *reply);
FactorStatus card_sign(const WorkerRequest *q, Frame *reply);
FactorStatus card_watch(const WorkerRequest *q, Frame *reply);
