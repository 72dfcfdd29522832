/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/password-secret.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "login/password.h"
#include "registry/password.h"

#define META   "password-secret"
#define MAGIC  "KEISHIPW"
#define DIGEST 32u

/* The file: magic, secret, SHA-256 of both. */
typedef struct SecretFile {
        char magic[8];
        FingerprintSecret secret;
        unsigned char digest[DIGEST];
} SecretFile;

static void file_done(SecretFile *f) {
        explicit_bzero(f, sizeof(*f));
}

static int digest(const SecretFile *f, unsigned char ret[static DIGEST]) {
        size_t size = 0;

        if (!EVP_Q_digest(NULL, "SHA256", NULL, f, offsetof(SecretFile, digest), ret, &size) || size != DIGEST)
                return -EIO;
        return 0;
}

static void name_of(const SecretFile *f, char ret[static 2 * DIGEST + 1]) {
        for (size_t i = 0; i < DIGEST; i++)
                (void)snprintf(ret + 2 * i, 3, "%02x", f->digest[i]);
}

/* 0; -EBADMSG for what is not a secret of ours; -ENOENT and others. */
static int read_file(const char *path, SecretFile *ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        _cleanup_(file_done) SecretFile f = {};
        unsigned char sum[DIGEST];
        struct stat st;
        int r;

        if (fd < 0)
                return errno == ELOOP ? -EBADMSG : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0 || st.st_size != sizeof(f))
                return -EBADMSG;
        if (read(fd, &f, sizeof(f)) != (ssize_t)sizeof(f))
                return -EIO;
        r = digest(&f, sum);
        if (r < 0)
                return r;
        if (memcmp(f.magic, MAGIC, sizeof(f.magic)) != 0 || CRYPTO_memcmp(sum, f.digest, sizeof(sum)) != 0)
                return -EBADMSG;
        *ret = f;
        return 0;
}

/* Durably, under its name only when it is whole. */
static int write_file(const char *path, SecretFile *ret) {
        _cleanup_free_ char *temporary = NULL, *copy = strdup(path);
        _cleanup_close_ int fd = -EBADF, directory = -EBADF;
        _cleanup_(file_done) SecretFile f = {};
        int r;

        if (!copy || asprintf(&temporary, "%s.new", path) < 0) {
                temporary = NULL;
                return -ENOMEM;
        }
        memcpy(f.magic, MAGIC, sizeof(f.magic));
        if (getrandom(f.secret.bytes, sizeof(f.secret.bytes), 0) != (ssize_t)sizeof(f.secret.bytes))
                return -EIO;
        r = digest(&f, f.digest);
        if (r < 0)
                return r;

        if (unlink(temporary) < 0 && errno != ENOENT)
                return -errno;
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return -errno;
        if (write(fd, &f, sizeof(f)) != (ssize_t)sizeof(f) || fsync(fd) < 0) {
                (void)unlink(temporary);
                return -EIO;
        }
        directory = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (rename(temporary, path) < 0 || directory < 0 || fsync(directory) < 0)
                return -errno;
        *ret = f;
        return 0;
}

static int note(Registry *registry, const SecretFile *f) {
        char name[2 * DIGEST + 1];

        name_of(f, name);
        return registry_meta_set(registry, META, name);
}

/* The file must be the one that the registry knows. -ENOENT: it knows none; what is in the file is then worth nothing,
 * since nothing is keyed with it. */
static int read_known(Registry *registry, const char *path, SecretFile *ret) {
        _cleanup_(file_done) SecretFile f = {};
        _cleanup_free_ char *known = NULL;
        char name[2 * DIGEST + 1];
        int r;

        r = registry_meta_get(registry, META, &known);
        if (r == REGISTRY_E_NOT_FOUND)
                return -ENOENT;
        if (r != 0)
                return r < 0 ? r : -EIO;
        r = read_file(path, &f);
        if (r == -ENOENT || r == -EBADMSG)
                return PASSWORDS_E_SECRET;
        if (r < 0)
                return r;
        name_of(&f, name);
        if (!known || strcmp(name, known) != 0)
                return PASSWORDS_E_SECRET;
        *ret = f;
        return 0;
}

int password_secret_load(Registry *registry, const char *path, FingerprintSecret *ret) {
        _cleanup_(file_done) SecretFile f = {};
        int r;

        r = read_known(registry, path, &f);
        if (r == -ENOENT) {
                r = write_file(path, &f);
                if (r == 0)
                        r = note(registry, &f);
        }
        if (r != 0)
                return r == PASSWORDS_E_SECRET || r < 0 ? r : -EIO;
        *ret = f.secret;
        return 0;
}

int password_secret_check(Registry *registry, const char *path) {
        _cleanup_(file_done) SecretFile f = {};
        int r = read_known(registry, path, &f);

        return r == -ENOENT ? 0 : r;
}

int password_secret_forget(Registry *registry) {
        int r = registry_fingerprint_forget_all(registry);

        return r != 0 ? r : registry_meta_set(registry, META, NULL);
}

int password_secret_renew(Registry *registry, const char *path) {
        _cleanup_(file_done) SecretFile f = {};
        int r;

        r = registry_fingerprint_forget_all(registry);
        if (r != 0)
                return r;
        r = write_file(path, &f);
        return r < 0 ? r : note(registry, &f);
}
