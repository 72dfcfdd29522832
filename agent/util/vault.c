/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/vault.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <string.h>
#include <sys/random.h>

#define MAGIC      "keishi backup\n\0" /* and the literal's own zero */
#define MAGIC_SIZE 16u
#define VERSION    1u
#define SALT_SIZE  16u
#define MAC_SIZE   32u
#define SIGNED     (VAULT_HEADER_SIZE - MAC_SIZE)
#define SCRYPT_R   8u
#define SCRYPT_P   1u
#define LAST       UINT32_C(0x80000000)

_Static_assert(sizeof(MAGIC) == MAGIC_SIZE, "the magic fills its place");

enum {
        AT_VERSION = MAGIC_SIZE,
        AT_LOG_N = AT_VERSION + 2,
        AT_R,
        AT_P,
        AT_ZERO,
        AT_CHUNK,
        AT_ZEROS = AT_CHUNK + 4,
        AT_SALT = AT_ZEROS + 6,
};

_Static_assert(AT_SALT + SALT_SIZE == SIGNED, "the header has no hole");

typedef struct Cipher {
        unsigned char header[VAULT_HEADER_SIZE];
        unsigned char keys[64]; /* of the chunks, then of the header's HMAC */
        EVP_CIPHER_CTX *context;
        uint64_t index;
        bool over;
} Cipher;

struct VaultWriter {
        Cipher cipher;
        vault_write_fn write;
        void *userdata;
        size_t used;
        unsigned char text[VAULT_CHUNK_SIZE];
        unsigned char out[4 + VAULT_CHUNK_SIZE + VAULT_TAG_SIZE];
};

struct VaultReader {
        Cipher cipher;
        vault_read_fn read;
        void *userdata;
        unsigned char in[VAULT_CHUNK_SIZE + VAULT_TAG_SIZE];
        char text[VAULT_CHUNK_SIZE];
};

static void put32(unsigned char *at, uint32_t n) {
        for (unsigned i = 0; i < 4; i++)
                at[i] = (unsigned char)(n >> (24 - 8 * i));
}

static uint32_t get32(const unsigned char *at) {
        return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void cipher_done(Cipher *c) {
        EVP_CIPHER_CTX_free(c->context);
        OPENSSL_cleanse(c->keys, sizeof(c->keys));
}

/* Both keys from the passphrase and what the header says. */
static int cipher_derive(Cipher *c, const void *passphrase, size_t size) {
        const unsigned char *h = c->header;
        uint64_t n = UINT64_C(1) << h[AT_LOG_N];

        c->context = EVP_CIPHER_CTX_new();
        if (!c->context || EVP_PBE_scrypt(passphrase, size, h + AT_SALT, SALT_SIZE, n, h[AT_R], h[AT_P],
                                   (n + 64) * 128 * h[AT_R], c->keys, sizeof(c->keys)) != 1)
                return -ENOMEM;
        return 0;
}

static int header_mac(const Cipher *c, unsigned char ret[static MAC_SIZE]) {
        unsigned size = MAC_SIZE;

        return HMAC(EVP_sha256(), c->keys + 32, 32, c->header, SIGNED, ret, &size) && size == MAC_SIZE ? 0 : -ENOMEM;
}

/* Sets the context up for the next chunk, whose length field is `length`. */
static bool chunk_begin(Cipher *c, const unsigned char *length, bool last, bool encrypt) {
        unsigned char nonce[12] = {};
        int n;

        for (unsigned i = 0; i < 8; i++)
                nonce[i] = (unsigned char)(c->index >> (56 - 8 * i));
        nonce[11] = last;
        c->index++;
        return EVP_CipherInit_ex(c->context, EVP_aes_256_gcm(), NULL, c->keys, nonce, encrypt) == 1 &&
               EVP_CipherUpdate(c->context, NULL, &n, c->header, VAULT_HEADER_SIZE) == 1 &&
               EVP_CipherUpdate(c->context, NULL, &n, length, 4) == 1;
}

/* ---- writing ---- */

int vault_writer_new(VaultWriter **ret, const void *passphrase, size_t passphrase_size, unsigned log_n,
        vault_write_fn write, void *userdata) {
        _cleanup_(vault_writer_free_p) VaultWriter *w = NULL;
        unsigned char *h;
        int r;

        if (log_n < VAULT_LOG_N_MIN || log_n > VAULT_LOG_N_MAX)
                return -EINVAL;
        w = calloc(1, sizeof(*w));
        if (!w)
                return -ENOMEM;
        w->write = write;
        w->userdata = userdata;
        h = w->cipher.header;
        memcpy(h, MAGIC, MAGIC_SIZE);
        h[AT_VERSION + 1] = VERSION;
        h[AT_LOG_N] = (unsigned char)log_n;
        h[AT_R] = SCRYPT_R;
        h[AT_P] = SCRYPT_P;
        put32(h + AT_CHUNK, VAULT_CHUNK_SIZE);
        if (getrandom(h + AT_SALT, SALT_SIZE, 0) != SALT_SIZE)
                return -EIO;
        r = cipher_derive(&w->cipher, passphrase, passphrase_size);
        if (r == 0)
                r = header_mac(&w->cipher, h + SIGNED);
        if (r == 0)
                r = write(userdata, h, VAULT_HEADER_SIZE);
        if (r < 0)
                return r;
        *ret = TAKE_PTR(w);
        return 0;
}

static int write_chunk(VaultWriter *w, bool last) {
        uint32_t size = (uint32_t)w->used;
        int n = 0, end = 0;

        put32(w->out, last ? size | LAST : size);
        if (!chunk_begin(&w->cipher, w->out, last, true) ||
                EVP_CipherUpdate(w->cipher.context, w->out + 4, &n, w->text, (int)size) != 1 || n != (int)size ||
                EVP_CipherFinal_ex(w->cipher.context, w->out + 4 + n, &end) != 1 ||
                EVP_CIPHER_CTX_ctrl(w->cipher.context, EVP_CTRL_GCM_GET_TAG, VAULT_TAG_SIZE, w->out + 4 + size) != 1)
                return -EIO;
        w->used = 0;
        return w->write(w->userdata, w->out, 4 + (size_t)size + VAULT_TAG_SIZE);
}

int vault_write(VaultWriter *w, const void *data, size_t size) {
        const unsigned char *from = data;

        if (w->cipher.over)
                return -EPIPE;
        while (size > 0) {
                size_t n = VAULT_CHUNK_SIZE - w->used;
                int r;

                if (n == 0) { /* only now is it known not to be the last one */
                        r = write_chunk(w, false);
                        if (r < 0)
                                return r;
                        continue;
                }
                if (n > size)
                        n = size;
                memcpy(w->text + w->used, from, n);
                w->used += n;
                from += n;
                size -= n;
        }
        return 0;
}

int vault_finish(VaultWriter *w) {
        if (w->cipher.over)
                return -EPIPE;
        w->cipher.over = true;
        return write_chunk(w, true);
}

VaultWriter *vault_writer_free(VaultWriter *w) {
        if (!w)
                return NULL;
        cipher_done(&w->cipher);
        OPENSSL_cleanse(w->text, sizeof(w->text));
        free(w);
        return NULL;
}

/* ---- reading ---- */

/* Reads exactly so much. VAULT_E_CUT. */
static int read_all(VaultReader *r, void *data, size_t size) {
        size_t n = 0;
        int q = r->read(r->userdata, data, size, &n);

        return q < 0 ? q : n == size ? 0 : VAULT_E_CUT;
}

/* Whether the header is one that this program takes: what it says bounds the memory that scrypt takes. */
static int header_check(const unsigned char *h) {
        static const unsigned char zeros[6];

        if (h[AT_VERSION] != 0 || h[AT_VERSION + 1] != VERSION)
                return h[AT_VERSION] == 0 && h[AT_VERSION + 1] == 0 ? VAULT_E_FOREIGN : VAULT_E_NEWER;
        if (h[AT_LOG_N] < VAULT_LOG_N_MIN || h[AT_LOG_N] > VAULT_LOG_N_MAX || h[AT_R] != SCRYPT_R ||
                h[AT_P] != SCRYPT_P || h[AT_ZERO] != 0 || memcmp(h + AT_ZEROS, zeros, sizeof(zeros)) != 0 ||
                get32(h + AT_CHUNK) != VAULT_CHUNK_SIZE)
                return VAULT_E_NEWER;
        return 0;
}

int vault_reader_new(
        VaultReader **ret, const void *passphrase, size_t passphrase_size, vault_read_fn read, void *userdata) {
        _cleanup_(vault_reader_free_p) VaultReader *r = NULL;
        unsigned char mac[MAC_SIZE];
        int q;

        r = calloc(1, sizeof(*r));
        if (!r)
                return -ENOMEM;
        r->read = read;
        r->userdata = userdata;
        q = read_all(r, r->cipher.header, VAULT_HEADER_SIZE);
        if (q < 0)
                return q;
        if (memcmp(r->cipher.header, MAGIC, MAGIC_SIZE) != 0)
                return VAULT_E_FOREIGN;
        if (q == 0)
                q = header_check(r->cipher.header);
        if (q == 0)
                q = cipher_derive(&r->cipher, passphrase, passphrase_size);
        if (q == 0)
                q = header_mac(&r->cipher, mac);
        if (q != 0)
                return q;
        if (CRYPTO_memcmp(mac, r->cipher.header + SIGNED, MAC_SIZE) != 0)
                return VAULT_E_PASSPHRASE;
        *ret = TAKE_PTR(r);
        return 0;
}

/* Nothing stands behind the last chunk. */
static int check_end(VaultReader *r) {
        size_t n = 0;
        int q = r->read(r->userdata, r->in, 1, &n);

        return q < 0 ? q : n == 0 ? 0 : VAULT_E_DAMAGED;
}

static int read_chunk(VaultReader *r, size_t *ret_size) {
        unsigned char length[4];
        uint32_t size;
        int n = 0, end = 0, q;
        bool last;

        q = read_all(r, length, sizeof(length));
        if (q != 0)
                return q;
        size = get32(length) & ~LAST;
        last = get32(length) & LAST;
        if (size > VAULT_CHUNK_SIZE || (!last && size < VAULT_CHUNK_SIZE))
                return VAULT_E_DAMAGED;
        q = read_all(r, r->in, size + VAULT_TAG_SIZE);
        if (q != 0)
                return q;
        if (!chunk_begin(&r->cipher, length, last, false) ||
                EVP_CipherUpdate(r->cipher.context, (unsigned char *)r->text, &n, r->in, (int)size) != 1 ||
                EVP_CIPHER_CTX_ctrl(r->cipher.context, EVP_CTRL_GCM_SET_TAG, VAULT_TAG_SIZE, r->in + size) != 1 ||
                EVP_CipherFinal_ex(r->cipher.context, (unsigned char *)r->text + n, &end) != 1)
                return VAULT_E_DAMAGED;
        if (last) {
                r->cipher.over = true;
                q = check_end(r);
                if (q != 0)
                        return q;
        }
        *ret_size = size;
        return 0;
}

int vault_read(VaultReader *r, const char **ret_data, size_t *ret_size) {
        int q;

        *ret_data = r->text;
        *ret_size = 0;
        if (r->cipher.over)
                return 0;
        q = read_chunk(r, ret_size);
        if (q != 0) {
                r->cipher.over = true;
                *ret_size = 0;
                OPENSSL_cleanse(r->text, sizeof(r->text)); /* what did not prove itself is given to nobody */
        }
        return q;
}

VaultReader *vault_reader_free(VaultReader *r) {
        if (!r)
                return NULL;
        cipher_done(&r->cipher);
        OPENSSL_cleanse(r->text, sizeof(r->text));
        free(r);
        return NULL;
}
