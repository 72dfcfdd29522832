/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trail/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "util/cleanup.h"
#include "util/text.h"

#define SPOOL_SIZE     ((off_t)KEISHI_SPOOL_SLOTS * KEISHI_SPOOL_SLOT_SIZE)
#define SLOTS_PER_READ 16u
#define NAME_MAX_BYTES 16u

static int write_all(int fd, const void *data, size_t size, off_t at) {
        while (size > 0) {
                ssize_t n = pwrite(fd, data, size, at);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -EIO;
                data = (const char *)data + n;
                size -= (size_t)n;
                at += n;
        }
        return 0;
}

/* Fills the file up to its size: written zeros, not a hole and not unwritten extents, so that a later write needs no
 * block. */
static int fill(int fd, off_t from) {
        _cleanup_free_ char *zeros = NULL;
        const size_t piece = SLOTS_PER_READ * KEISHI_SPOOL_SLOT_SIZE;
        int r;

        zeros = calloc(1, piece);
        if (!zeros)
                return -ENOMEM;
        while (from < SPOOL_SIZE) {
                size_t n = SPOOL_SIZE - from < (off_t)piece ? (size_t)(SPOOL_SIZE - from) : piece;

                r = write_all(fd, zeros, n, from);
                if (r < 0)
                        return r;
                from += (off_t)n;
        }
        return fsync(fd) < 0 ? -errno : 0;
}

/* So that a new file is still there after a power cut. */
static int sync_directory(const char *path) {
        _cleanup_free_ char *copy = strdup(path);
        _cleanup_close_ int fd = -EBADF;

        if (!copy)
                return -ENOMEM;
        fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        return fsync(fd) < 0 ? -errno : 0;
}

static int count_one(unsigned index, const void *data, void *userdata) {
        Spool *s = userdata;

        s->used++;
        return 0;
}

int spool_open(Spool *s, const char *path) {
        _cleanup_close_ int fd = -EBADF;
        Spool opened = { .fd = -EBADF };
        struct stat st;
        int r;

        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
        if (fd < 0)
                return -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 0077))
                return -EPERM;
        if (st.st_size < SPOOL_SIZE) {
                r = fill(fd, st.st_size);
                if (r == 0)
                        r = sync_directory(path);
                if (r < 0)
                        return r;
        }

        opened.path = strdup(path);
        if (!opened.path)
                return -ENOMEM;
        opened.fd = TAKE_FD(fd);
        r = spool_scan(&opened, count_one, &opened);
        if (r < 0) {
                spool_done(&opened);
                return r;
        }
        *s = opened;
        return 0;
}

void spool_done(Spool *s) {
        if (s->fd >= 0)
                close(s->fd);
        free(s->path);
        *s = (Spool){ .fd = -EBADF };
}

int spool_lock(Spool *s) {
        if (flock(s->fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? SPOOL_E_BUSY : -errno;
        return 0;
}

void spool_unlock(Spool *s) {
        (void)flock(s->fd, LOCK_UN);
}

static off_t slot_offset(unsigned index) {
        return (off_t)index * KEISHI_SPOOL_SLOT_SIZE;
}

/* The first free slot at or after s->next, else from the beginning. */
static int find_free(Spool *s, unsigned *ret) {
        for (unsigned i = 0; i < KEISHI_SPOOL_SLOTS; i++) {
                unsigned index = (s->next + i) % KEISHI_SPOOL_SLOTS;
                uint32_t magic;
                ssize_t n;

                n = pread(s->fd, &magic, sizeof(magic), slot_offset(index));
                if (n < 0)
                        return -errno;
                if (n != sizeof(magic))
                        return -EIO;
                if (magic == 0) {
                        *ret = index;
                        return 0;
                }
        }
        return SPOOL_E_FULL;
}

static int write_slot(Spool *s, const char *text, SpoolSlotHeader *header) {
        unsigned index = 0;
        int r;

        r = find_free(s, &index);
        if (r != 0)
                return r;
        r = write_all(s->fd, text, header->length, slot_offset(index) + (off_t)sizeof(*header));
        if (r < 0)
                return r;
        if (fdatasync(s->fd) < 0)
                return -errno;
        r = write_all(s->fd, header, sizeof(*header), slot_offset(index));
        if (r < 0)
                return r;
        if (fdatasync(s->fd) < 0)
                return -errno;

        s->used++;
        s->next = (index + 1) % KEISHI_SPOOL_SLOTS;
        return 0;
}

int spool_write(Spool *s, const char *text, size_t size, uint64_t realtime_usec, uint64_t boottime_usec) {
        SpoolSlotHeader header = {
                .magic = KEISHI_SPOOL_MAGIC,
                .length = (uint32_t)size,
                .realtime_usec = realtime_usec,
                .boottime_usec = boottime_usec,
        };
        int r;

        if (size > KEISHI_SPOOL_TEXT_MAX)
                return -EMSGSIZE;
        header.crc = spool_crc32(text, size);

        r = spool_lock(s);
        if (r != 0)
                return r;
        r = write_slot(s, text, &header);
        spool_unlock(s);
        return r;
}

bool spool_slot_next(SpoolSlot *slot, SpoolLine *ret) {
        const char *end, *equals;

        end = slot->size > 0 ? memchr(slot->text, '\n', slot->size) : NULL;
        equals = end ? memchr(slot->text, '=', (size_t)(end - slot->text)) : NULL;
        if (!equals)
                return false;

        *ret = (SpoolLine){
                .name = slot->text,
                .name_size = (size_t)(equals - slot->text),
                .value = equals + 1,
                .value_size = (size_t)(end - equals - 1),
        };
        slot->size -= (size_t)(end + 1 - slot->text);
        slot->text = end + 1;
        return true;
}

static bool line_valid(const SpoolLine *line) {
        const char *value = line->value;
        size_t size = line->value_size;
        uint32_t c;

        if (line->name_size == 0 || line->name_size > NAME_MAX_BYTES)
                return false;
        for (size_t i = 0; i < line->name_size; i++)
                if ((line->name[i] < 'A' || line->name[i] > 'Z') && line->name[i] != '_')
                        return false;
        for (size_t n; size > 0; value += n, size -= n) {
                n = utf8_decode(value, size, &c);
                if (n == 0 || !code_point_is_plain(c))
                        return false;
        }
        return true;
}

int spool_slot_parse(const void *data, SpoolSlot *ret) {
        SpoolSlotHeader header;
        SpoolSlot slot, rest;
        SpoolLine line;

        memcpy(&header, data, sizeof(header));
        if (header.magic == 0)
                return SPOOL_E_FREE;
        if (header.magic != KEISHI_SPOOL_MAGIC || header.length > KEISHI_SPOOL_TEXT_MAX || header.reserved != 0 ||
                header.realtime_usec > INT64_MAX || header.boottime_usec > INT64_MAX)
                return SPOOL_E_UNREADABLE;

        slot = (SpoolSlot){
                .realtime_usec = header.realtime_usec,
                .boottime_usec = header.boottime_usec,
                .text = (const char *)data + sizeof(header),
                .size = header.length,
        };
        if (spool_crc32(slot.text, slot.size) != header.crc)
                return SPOOL_E_UNREADABLE;

        rest = slot;
        while (spool_slot_next(&rest, &line))
                if (!line_valid(&line))
                        return SPOOL_E_UNREADABLE;
        if (rest.size > 0)
                return SPOOL_E_UNREADABLE;

        *ret = slot;
        return 0;
}

int spool_scan(Spool *s, spool_fn fn, void *userdata) {
        const size_t piece = SLOTS_PER_READ * KEISHI_SPOOL_SLOT_SIZE;
        _cleanup_free_ char *buffer = NULL;

        buffer = malloc(piece);
        if (!buffer)
                return -ENOMEM;
        for (unsigned first = 0; first < KEISHI_SPOOL_SLOTS; first += SLOTS_PER_READ) {
                ssize_t n = pread(s->fd, buffer, piece, slot_offset(first));

                if (n < 0)
                        return -errno;
                if ((size_t)n != piece)
                        return -EIO;
                for (unsigned i = 0; i < SLOTS_PER_READ; i++) {
                        const char *slot = buffer + i * KEISHI_SPOOL_SLOT_SIZE;
                        uint32_t magic;
                        int r;

                        memcpy(&magic, slot, sizeof(magic));
                        r = magic == 0 ? 0 : fn(first + i, slot, userdata);
                        if (r != 0)
                                return r;
                }
        }
        return 0;
}

int spool_release(Spool *s, const uint8_t taken[static KEISHI_SPOOL_SLOTS / 8]) {
        static const uint32_t zero = 0;
        unsigned released = 0;

        for (unsigned i = 0; i < KEISHI_SPOOL_SLOTS; i++) {
                int r;

                if (!(taken[i / 8] & (1u << i % 8)))
                        continue;
                r = write_all(s->fd, &zero, sizeof(zero), slot_offset(i));
                if (r < 0)
                        return r;
                released++;
        }
        if (fdatasync(s->fd) < 0)
                return -errno;

        s->used = s->used > released ? s->used - released : 0;
        s->next = 0;
        return 0;
}
