/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishi-factor-key with a key that answers anything: the worker's operations, key-io.c and libfido2 as they are, the
 * input in the place of the key's answers. Byte 0 is the operation, then answers one after the other: two bytes of
 * length (big-endian; with the highest bit: reports as they are, without a header of ours) and the bytes. When there is
 * no more, the key leaves. Stood in for: worker.c, whose process, time limits and filter would end the fuzzer. */

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "factor/worker-key.h"
#include "fuzz.h"

#define REPORT    64u
#define INIT      0x86u
#define CBOR      0x90u
#define RAW       0x8000u
#define BROADCAST "\xff\xff\xff\xff"

/* libcbor allocates what a head announces; the worker's own limit is RLIMIT_AS. Named by the sanitizer (its
 * asan_interface.h), and nobody's without it. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void) {
        return "allocator_may_return_null=1:max_allocation_size_mb=256";
}

bool worker_item(const WorkerRequest *q, FactorItem item, FrameItem *ret) {
        FrameReader r = q->items;
        FrameItem i;

        while (frame_next(&r, &i))
                if (i.item == item) {
                        *ret = i;
                        return true;
                }
        return false;
}

int worker_progress(Frame *f) {
        FrameReader r;

        require(!f->overflow && frame_open(&r, f->bytes, f->size) == 0);
        return 0;
}

int worker_confine(const int *calls) {
        return 0;
}

typedef struct Device {
        const uint8_t *data;
        size_t size;
        int fd;
} Device;

static bool report_send(const Device *d, const unsigned char *report) {
        return send(d->fd, report, REPORT, MSG_NOSIGNAL) == (ssize_t)REPORT;
}

static bool message_send(
        const Device *d, const unsigned char channel[4], unsigned char command, const uint8_t *data, size_t size) {
        unsigned char report[REPORT] = { 0 };
        size_t n = size < REPORT - 7 ? size : REPORT - 7;

        memcpy(report, channel, 4);
        report[4] = command;
        report[5] = (unsigned char)(size >> 8);
        report[6] = (unsigned char)size;
        if (n > 0)
                memcpy(report + 7, data, n);
        if (!report_send(d, report))
                return false;
        for (unsigned char sequence = 0; n < size; sequence++) {
                size_t piece = size - n < REPORT - 5 ? size - n : REPORT - 5;

                memset(report + 4, 0, REPORT - 4);
                report[4] = sequence & 0x7f;
                memcpy(report + 5, data + n, piece);
                n += piece;
                if (!report_send(d, report))
                        return false;
        }
        return true;
}

/* The next answer of the input; false when there is none. */
static bool answer(Device *d, const unsigned char channel[4]) {
        size_t size;
        bool raw;

        if (d->size < 2)
                return false;
        size = (size_t)d->data[0] << 8 | d->data[1];
        raw = size & RAW;
        size &= RAW - 1;
        d->data += 2;
        d->size -= 2;
        if (size > d->size)
                size = d->size;
        d->data += size;
        d->size -= size;
        if (!raw)
                return message_send(d, channel, CBOR, d->data - size, size);
        for (const uint8_t *at = d->data - size; size > 0;) {
                unsigned char report[REPORT] = { 0 };
                size_t piece = size < REPORT - 4 ? size : REPORT - 4;

                memcpy(report, channel, 4);
                memcpy(report + 4, at, piece);
                at += piece;
                size -= piece;
                if (!report_send(d, report))
                        return false;
        }
        return true;
}

static void *device_run(void *userdata) {
        static const unsigned char channel[4] = { 0, 0, 0, 1 };
        unsigned char report[1 + REPORT];
        Device *d = userdata;
        size_t wanted = 0;
        bool on = true;

        while (on && recv(d->fd, report, sizeof(report), 0) == (ssize_t)sizeof(report)) {
                const unsigned char *p = report + 1;

                if (p[4] == INIT && memcmp(p, BROADCAST, 4) == 0) {
                        unsigned char said[17] = { 0 };

                        memcpy(said, p + 7, 8);
                        memcpy(said + 8, channel, 4);
                        said[12] = 2;
                        said[16] = 0x0c; /* CBOR, and no older messages */
                        on = message_send(d, (const unsigned char *)BROADCAST, INIT, said, sizeof(said));
                        continue;
                }
                if (p[4] & 0x80) {
                        size_t size = (size_t)p[5] << 8 | p[6];

                        wanted = size > REPORT - 7 ? size - (REPORT - 7) : 0;
                } else
                        wanted -= wanted < REPORT - 5 ? wanted : REPORT - 5;
                if (wanted == 0)
                        on = answer(d, channel);
        }
        shutdown(d->fd, SHUT_RDWR);
        return NULL;
}

static const struct {
        FactorOperation operation;
        worker_fn run;
} operations[] = {
        { FACTOR_KEY_LIST, key_list },
        { FACTOR_KEY_FIND, key_find },
        { FACTOR_KEY_ASSERT, key_assert },
        { FACTOR_KEY_MAKE, key_make },
        { FACTOR_KEY_ENROLL, key_enroll },
        { FACTOR_KEY_TEMPLATES, key_templates },
        { FACTOR_KEY_REMOVE_TEMPLATE, key_remove_template },
};

static void request_make(Frame *f, FactorOperation o) {
        static const unsigned char bytes[32] = { 1 };

        frame_init(f, o);
        frame_add_text(f, FACTOR_ITEM_RP, "keishi.example.jp");
        frame_add(f, FACTOR_ITEM_DIGEST, bytes, sizeof(bytes));
        frame_add(f, FACTOR_ITEM_CREDENTIAL, bytes, sizeof(bytes));
        frame_add(f, FACTOR_ITEM_USER_ID, bytes, sizeof(bytes));
        frame_add_text(f, FACTOR_ITEM_USER_NAME, "hanako");
        frame_add_text(f, FACTOR_ITEM_PIN, "123456");
        frame_add(f, FACTOR_ITEM_TEMPLATE, bytes, 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static Frame request, reply;
        WorkerRequest q = { .n_fds = 1 };
        FactorStatus status;
        FrameReader r;
        pthread_t thread;
        int pair[2];
        Device d;
        size_t n;

        if (size == 0)
                return 0;
        n = data[0] % (sizeof(operations) / sizeof(operations[0]));
        key_agent_fd = -1;
        require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
        d = (Device){ data + 1, size - 1, pair[1] };
        require(pthread_create(&thread, NULL, device_run, &d) == 0);

        request_make(&request, operations[n].operation);
        require(frame_open(&q.items, request.bytes, request.size) == 0);
        q.operation = operations[n].operation;
        q.fds[0] = pair[0];
        frame_init(&reply, FACTOR_INTERNAL);
        status = operations[n].run(&q, &reply);

        require(status > 0 && status < _FACTOR_STATUS_MAX && status != FACTOR_PROGRESS && status != FACTOR_MALFORMED);
        require(!reply.overflow && frame_open(&r, reply.bytes, reply.size) == 0);
        close(pair[0]);
        pthread_join(thread, NULL);
        close(pair[1]);
        return 0;
}
