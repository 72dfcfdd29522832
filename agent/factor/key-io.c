/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/key-io.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "factor/helper.h"
#include "util/clock.h"

#define REPORT_SIZE      64u /* CTAPHID over USB full speed */
#define REPORT_ROOM      256u
#define REPORTS_MAX      20000u /* of one process; a key that waits for a finger sends one each 100 ms */
#define CTAPHID_CANCEL   0x91u  /* CTAP 2.1, 11.2.9.1.5, with the bit of an initialization packet */
#define CTAPHID_ERROR    0xbfu  /* 11.2.9.1.6; its code behind two bytes of length */
#define ERROR_AT         7u
#define CHANNEL_SIZE     4u
#define CANCEL_WAIT_MSEC 100

typedef enum KeyEnd {
        KEY_END_NONE,
        KEY_END_REMOVED,
        KEY_END_LATE,
        KEY_END_CANCELLED,
        KEY_END_MISBEHAVED,
} KeyEnd;

struct KeyDevice {
        fido_dev_t *dev;
        int fd, watched_fd;
        unsigned slot, n_reports;
        uint64_t until_usec; /* CLOCK_BOOTTIME */
        unsigned char channel[CHANNEL_SIZE];
        unsigned char error; /* what the transport was last told; libfido2 only says that something came */
        KeyEnd end;
        bool open;
};

/* libfido2 hands a path to its open function and no pointer: the path is the place here. */
static KeyDevice *devices[HELPER_FDS_MAX];

static bool report_write(int fd, const unsigned char *report, size_t size) {
        ssize_t n;

        do
                n = write(fd, report, size);
        while (n < 0 && errno == EINTR);
        return n >= 0 && (size_t)n == size;
}

/* So that the key stops blinking, and is not busy when somebody asks it next. */
static void key_stop(KeyDevice *d, KeyEnd end) {
        unsigned char report[1 + REPORT_SIZE] = { 0 };

        d->end = end;
        memcpy(report + 1, d->channel, CHANNEL_SIZE);
        report[1 + CHANNEL_SIZE] = CTAPHID_CANCEL;
        if (report_write(d->fd, report, sizeof(report)))
                (void)poll(&(struct pollfd){ .fd = d->fd, .events = POLLIN }, 1, CANCEL_WAIT_MSEC);
}

/* Milliseconds until the limit or libfido2's own, whichever is earlier, rounded up. */
static int time_left(const KeyDevice *d, int msec) {
        uint64_t now = clock_usec(CLOCK_BOOTTIME), left;

        left = now < d->until_usec ? (d->until_usec - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC : 0;
        return msec >= 0 && (uint64_t)msec < left ? msec : (int)left;
}

static bool key_wait(KeyDevice *d, short events, int msec) {
        struct pollfd p[2] = { { .fd = d->fd, .events = events }, { .fd = d->watched_fd, .events = POLLIN } };
        int n;

        do
                n = poll(p, 2, time_left(d, msec));
        while (n < 0 && errno == EINTR);
        if (p[1].revents)
                key_stop(d, KEY_END_CANCELLED);
        else if (n == 0)
                key_stop(d, KEY_END_LATE);
        else if (n < 0)
                d->end = KEY_END_REMOVED;
        return d->end == KEY_END_NONE;
}

static void *io_open(const char *path) {
        unsigned slot = (unsigned)(*path - '0');

        return slot < ELEMENTSOF(devices) ? devices[slot] : NULL;
}

static void io_close(void *handle) {
}

static int io_read(void *handle, unsigned char *buffer, size_t size, int msec) {
        unsigned char report[REPORT_ROOM];
        KeyDevice *d = handle;
        ssize_t n;

        if (d->end != KEY_END_NONE || size != REPORT_SIZE)
                return -1;
        do {
                if (!key_wait(d, POLLIN, msec))
                        return -1;
                n = read(d->fd, report, sizeof(report));
        } while (n < 0 && (errno == EAGAIN || errno == EINTR));
        if (n <= 0)
                d->end = KEY_END_REMOVED;
        else if (n != (ssize_t)REPORT_SIZE || ++d->n_reports > REPORTS_MAX)
                d->end = KEY_END_MISBEHAVED;
        if (d->end != KEY_END_NONE)
                return -1;
        if (memcmp(report, d->channel, CHANNEL_SIZE) == 0 && report[CHANNEL_SIZE] == CTAPHID_ERROR)
                d->error = report[ERROR_AT];
        memcpy(buffer, report, REPORT_SIZE);
        explicit_bzero(report, sizeof(report));
        return (int)REPORT_SIZE;
}

/* The number of the report, 0, and the report. */
static int io_write(void *handle, const unsigned char *buffer, size_t size) {
        KeyDevice *d = handle;

        if (d->end != KEY_END_NONE || size != 1 + REPORT_SIZE || !key_wait(d, POLLOUT, -1))
                return -1;
        memcpy(d->channel, buffer + 1, CHANNEL_SIZE);
        d->error = 0;
        if (!report_write(d->fd, buffer, size)) {
                d->end = KEY_END_REMOVED;
                return -1;
        }
        return (int)size;
}

fido_dev_t *key_fido(KeyDevice *d) {
        return d->dev;
}

void key_set_limit(KeyDevice *d, unsigned msec) {
        d->until_usec = clock_usec(CLOCK_BOOTTIME) + msec * USEC_PER_MSEC;
        (void)fido_dev_set_timeout(d->dev, (int)msec);
}

bool key_has_ended(const KeyDevice *d) {
        return d->end != KEY_END_NONE;
}

KeyDevice *key_close(KeyDevice *d) {
        if (!d)
                return NULL;
        if (d->open)
                (void)fido_dev_close(d->dev);
        fido_dev_free(&d->dev);
        devices[d->slot] = NULL;
        free(d);
        return NULL;
}

FactorStatus key_open(KeyDevice **ret, int fd, int watched_fd) {
        static const fido_dev_io_t io = { io_open, io_close, io_read, io_write };
        _cleanup_(key_close_p) KeyDevice *d = NULL;
        char path[] = "0";
        unsigned slot = 0;
        int r;

        while (slot < ELEMENTSOF(devices) && devices[slot])
                slot++;
        if (slot == ELEMENTSOF(devices))
                return FACTOR_INTERNAL;
        d = calloc(1, sizeof(*d));
        if (!d)
                return FACTOR_INTERNAL;
        d->fd = fd;
        d->watched_fd = watched_fd;
        d->slot = slot;
        devices[slot] = d;
        /* A key that fails to say what it is shall not be taken for one of the older kind, and be asked as such. */
        fido_init(FIDO_DISABLE_U2F_FALLBACK);
        d->dev = fido_dev_new();
        if (!d->dev || fido_dev_set_io_functions(d->dev, &io) != FIDO_OK)
                return FACTOR_INTERNAL;
        key_set_limit(d, KEY_QUICK_MSEC);
        path[0] = (char)('0' + slot);
        r = fido_dev_open(d->dev, path);
        if (r != FIDO_OK)
                return key_status(d, r);
        d->open = true;
        *ret = TAKE_PTR(d);
        return FACTOR_OK;
}

FactorStatus key_status(const KeyDevice *d, int r) {
        switch (d->end) {
        case KEY_END_REMOVED:
                return FACTOR_REMOVED;
        case KEY_END_LATE:
                return FACTOR_TIMEOUT;
        case KEY_END_CANCELLED:
                return FACTOR_CANCELLED;
        case KEY_END_MISBEHAVED:
                return FACTOR_MISBEHAVED;
        case KEY_END_NONE:
                break;
        }
        if (r == FIDO_ERR_RX && d->error != 0)
                r = d->error;
        switch (r) {
        case FIDO_OK:
                return FACTOR_OK;
        case FIDO_ERR_CHANNEL_BUSY:
        case FIDO_ERR_LOCK_REQUIRED:
        case FIDO_ERR_OPERATION_PENDING:
                return FACTOR_BUSY;
        case FIDO_ERR_TIMEOUT:
        case FIDO_ERR_USER_ACTION_TIMEOUT:
        case FIDO_ERR_ACTION_TIMEOUT:
                return FACTOR_TIMEOUT;
        case FIDO_ERR_KEEPALIVE_CANCEL:
                return FACTOR_CANCELLED;
        case FIDO_ERR_NO_CREDENTIALS:
        case FIDO_ERR_INVALID_CREDENTIAL:
                return FACTOR_NO_KEY;
        case FIDO_ERR_FP_DATABASE_FULL:
        case FIDO_ERR_KEY_STORE_FULL:
                return FACTOR_FULL;
        case FIDO_ERR_PIN_NOT_SET:
        case FIDO_ERR_PIN_REQUIRED:
        case FIDO_ERR_PIN_POLICY_VIOLATION:
                return FACTOR_PIN_NEEDED;
        case FIDO_ERR_INVALID_COMMAND:
        case FIDO_ERR_UNSUPPORTED_OPTION:
        case FIDO_ERR_INVALID_OPTION:
        case FIDO_ERR_UNSUPPORTED_ALGORITHM:
        case FIDO_ERR_UNSUPPORTED_EXTENSION:
                return FACTOR_UNSUPPORTED;
        case FIDO_ERR_INTERNAL:
                return FACTOR_INTERNAL;
        default:
                return FACTOR_MISBEHAVED;
        }
}
