/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A spool is a preallocated file of fixed-size slots, so that writing one needs neither a free block nor a lock
 * manager. Two files have this form: the break-glass spool (written by pam_keishi, imported by keishid) and the reserve
 * (written and imported by keishid, for what closes while the registry cannot be written).
 *
 * File: KEISHI_SPOOL_SLOTS slots of KEISHI_SPOOL_SLOT_SIZE bytes, created full of zeros by keishid (mode 0600, root).
 * Slot: SpoolSlotHeader, then `length` bytes of text: lines NAME=value, UTF-8, no control characters, each ended by
 * '\n'. Reserve: a line EVENT= (name of the kind), BOOT= (boot id), CUT=1 when not all fields fitted, and lines with
 * names of the fields of keishi/event.h, whose values are in their canonical, escaped form. Break-glass: lines
 * SERVICE=, ACCOUNT=, TTY=, STAGE=, PID=, whose values are plain text. A slot is free when its magic is zero. The
 * writer takes an exclusive flock on the file, finds the first free slot, writes the text first, fdatasync()s, then the
 * header with its magic, fdatasync()s: a slot cut by a power loss reads as free. The importer copies a slot into the
 * outbox, commits, then zeroes the magic and fdatasync()s. Numbers are in host byte order: the file never leaves the
 * machine. */

#define KEISHI_SPOOL_MAGIC     0x3176504bu /* "KPv1" */
#define KEISHI_SPOOL_SLOT_SIZE 1024u
#define KEISHI_SPOOL_SLOTS     1024u

typedef struct SpoolSlotHeader {
        uint32_t magic;
        uint32_t length;        /* bytes of text, at most KEISHI_SPOOL_TEXT_MAX */
        uint64_t realtime_usec; /* CLOCK_REALTIME at writing */
        uint64_t boottime_usec; /* CLOCK_BOOTTIME at writing */
        uint32_t crc;           /* CRC-32 (IEEE 802.3, as zlib's crc32()) of the text */
        uint32_t reserved;      /* zero */
} SpoolSlotHeader;

#define KEISHI_SPOOL_TEXT_MAX (KEISHI_SPOOL_SLOT_SIZE - sizeof(SpoolSlotHeader))

/* CRC-32 of IEEE 802.3 (reflected, polynomial 0xEDB88320, initial and final complement). */
static inline uint32_t spool_crc32(const void *bytes, size_t size) {
        const unsigned char *p = bytes;
        uint32_t crc = 0xffffffffu;

        for (size_t i = 0; i < size; i++) {
                crc ^= p[i];
                for (unsigned bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
        }
        return ~crc;
}
