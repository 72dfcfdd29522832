/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "util/vault.h"

/* The container of backups. Whatever the bytes, reading ends, gives text only of chunks that prove themselves, and says
 * one of its conditions. And of a file that was made here, one that differs in whatever way gives no more than what
 * stands before the difference, and not 0. */

#define PASSPHRASE "fuzz"
#define LOG_N_AT   18u

typedef struct Bytes {
        uint8_t data[1 << 18];
        size_t size, at;
} Bytes;

static int put(void *userdata, const void *data, size_t size) {
        Bytes *b = userdata;

        require(size <= sizeof(b->data) - b->size);
        memcpy(b->data + b->size, data, size);
        b->size += size;
        return 0;
}

static int get(void *userdata, void *data, size_t size, size_t *ret_size) {
        Bytes *b = userdata;
        size_t n = b->size - b->at < size ? b->size - b->at : size;

        memcpy(data, b->data + b->at, n);
        b->at += n;
        *ret_size = n;
        return 0;
}

/* Reads to the end; what is read has to be the beginning of `text` (NULL: anything). */
static int read_through(Bytes *b, const uint8_t *text, size_t text_size, size_t *ret_size) {
        VaultReader *reader = NULL;
        size_t size = 0;
        int r;

        b->at = 0;
        r = vault_reader_new(&reader, PASSPHRASE, strlen(PASSPHRASE), get, b);
        require((r == 0) == (reader != NULL));
        while (r == 0) {
                const char *data;
                size_t n;

                r = vault_read(reader, &data, &n);
                require(n <= VAULT_CHUNK_SIZE && (r == 0 || n == 0));
                if (n == 0)
                        break;
                require(!text || (size + n <= text_size && memcmp(text + size, data, n) == 0));
                size += n;
        }
        require(r >= 0 && r <= VAULT_E_CUT);
        vault_reader_free(reader);
        *ret_size = size;
        return r;
}

static void read_as_it_is(const uint8_t *data, size_t size) {
        static Bytes b;
        size_t n;

        if (size > sizeof(b.data))
                return;
        memcpy(b.data, data, size);
        b.size = size;
        if (size > LOG_N_AT && b.data[LOG_N_AT] <= VAULT_LOG_N_MAX && b.data[LOG_N_AT] > VAULT_LOG_N_MIN)
                b.data[LOG_N_AT] = VAULT_LOG_N_MIN; /* what scrypt costs is not what is looked for */
        (void)read_through(&b, NULL, 0, &n);
}

/* Three bytes say where, and one how it is changed; the rest is the text. */
static void change_one_that_was_made(const uint8_t *data, size_t size) {
        static Bytes made, changed;
        VaultWriter *w = NULL;
        size_t at, n;
        uint8_t how;

        if (size < 4 || size > sizeof(made.data) / 2)
                return;
        at = (size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2];
        how = data[3];
        data += 4;
        size -= 4;

        made.size = 0;
        require(vault_writer_new(&w, PASSPHRASE, strlen(PASSPHRASE), VAULT_LOG_N_MIN, put, &made) == 0);
        require(vault_write(w, data, size) == 0 && vault_finish(w) == 0);
        vault_writer_free(w);
        require(read_through(&made, data, size, &n) == 0 && n == size);

        changed = made;
        at %= made.size;
        if (how == 0)
                changed.size = at;
        else if (how == 1)
                changed.data[changed.size++] = 0;
        else
                changed.data[at] ^= how;
        require(read_through(&changed, data, size, &n) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size == 0)
                return 0;
        if (data[0] & 1)
                change_one_that_was_made(data + 1, size - 1);
        else
                read_as_it_is(data + 1, size - 1);
        return 0;
}
