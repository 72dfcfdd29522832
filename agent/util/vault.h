/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/cleanup.h"

/* A file that is encrypted and authenticated by a passphrase, written and read as a stream in bounded memory.
 *
 *   header  80 bytes: magic "keishi backup\n\0\0" (16), version 1 (2, big-endian), log2 N, r and p of scrypt (1 each),
 *           1 zero, bytes of text in a chunk (4, big-endian), zeros (6), salt (16), HMAC-SHA256 of the 48 before it
 * (32) chunks  each: its number of bytes of text (4, big-endian; the highest bit in the last one), AES-256-GCM of them,
 *           tag (16); all but the last are full
 *
 * scrypt (RFC 7914) makes 64 bytes of passphrase and salt: the key of the chunks, then that of the header's HMAC. The
 * nonce of a chunk is its index (8, big-endian), three zeros, and 1 in the last one, else 0; its additional data is
 * the header and its length field. So a chunk that is changed, missing, doubled, or in another place or file does not
 * open, and a file that ends before its last chunk is known to be cut off. A key is used for one file only: the salt is
 * random. */

#define VAULT_HEADER_SIZE 80u
#define VAULT_CHUNK_SIZE  65536u
#define VAULT_TAG_SIZE    16u
#define VAULT_LOG_N       17 /* 128 MiB and some tenths of a second */
#define VAULT_LOG_N_MIN   4
#define VAULT_LOG_N_MAX   18

/* Positive conditions. */
enum {
        _VAULT_E_SUCCESS,
        VAULT_E_FOREIGN,    /* not such a file */
        VAULT_E_NEWER,      /* of a later version, or with parameters beyond what is taken here */
        VAULT_E_PASSPHRASE, /* another passphrase, or a header that was altered */
        VAULT_E_DAMAGED,    /* altered, or something stands behind its end */
        VAULT_E_CUT,        /* it ends too early */
};

/* Writes all of it, or reads as much as there is (*ret_size less than size at the end only). 0 or a negative errno. */
typedef int (*vault_write_fn)(void *userdata, const void *data, size_t size);
typedef int (*vault_read_fn)(void *userdata, void *data, size_t size, size_t *ret_size);

typedef struct VaultWriter VaultWriter;
typedef struct VaultReader VaultReader;

/* Begins: derives the key and writes the header. `log_n` is VAULT_LOG_N, less in tests. */
int vault_writer_new(VaultWriter **ret, const void *passphrase, size_t passphrase_size, unsigned log_n,
        vault_write_fn write, void *userdata);
int vault_write(VaultWriter *w, const void *data, size_t size);
/* Writes the last chunk. Without it the file is cut off. */
int vault_finish(VaultWriter *w);
VaultWriter *vault_writer_free(VaultWriter *w);
DEFINE_CLEANUP(VaultWriter *, vault_writer_free)

/* Reads the header and derives the key. FOREIGN, NEWER, PASSPHRASE, CUT. */
int vault_reader_new(
        VaultReader **ret, const void *passphrase, size_t passphrase_size, vault_read_fn read, void *userdata);
/* The text of the next chunk, which lives until the next call; *ret_size 0: that was all, and it was whole. DAMAGED,
 * CUT. After anything but 0 there is no more. */
int vault_read(VaultReader *r, const char **ret_data, size_t *ret_size);
VaultReader *vault_reader_free(VaultReader *r);
DEFINE_CLEANUP(VaultReader *, vault_reader_free)
