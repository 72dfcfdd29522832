/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/identity-file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>

#include "keishi/paths.h"
#include "util/cleanup.h"
#include "util/io.h"

/* Of this application alone (machine-id(5)): digests made by it are of no use elsewhere. */
static const unsigned char application_id[16] = { 0x5c, 0x1e, 0x84, 0x3b, 0x0f, 0x6d, 0x4a, 0x92, 0xb7, 0x21, 0xe0,
        0x9d, 0x55, 0xaf, 0x38, 0xc6 };

#define KEY_MAGIC     "keishi ed25519 1"
#define KEY_FILE_SIZE (sizeof(KEY_MAGIC) - 1 + IDENTITY_KEY_SIZE)
#define ITEM_MAX      256u

static const char *const item_names[_HARDWARE_MAX] = {
        [HARDWARE_PRODUCT_UUID] = "product_uuid",
        [HARDWARE_BOARD_SERIAL] = "board_serial",
        [HARDWARE_PRODUCT_SERIAL] = "product_serial",
};

const char *hardware_item_to_string(HardwareItem i) {
        return i >= 0 && i < _HARDWARE_MAX ? item_names[i] : NULL;
}

/* ---- the machine ---- */

/* HMAC-SHA256 of our id (and, of hardware, which item it is), keyed by what is hidden; the first half of it. */
static int digest(const void *secret, size_t size, const char *what, char ret[static IDENTITY_DIGEST_SIZE]) {
        unsigned char message[sizeof(application_id) + 32], out[EVP_MAX_MD_SIZE];
        size_t n = strlen(what);
        unsigned out_size = 0;

        memcpy(message, application_id, sizeof(application_id));
        memcpy(message + sizeof(application_id), what, n);
        if (!HMAC(EVP_sha256(), secret, (int)size, message, sizeof(application_id) + n, out, &out_size))
                return -ENOMEM;
        for (size_t i = 0; i < (IDENTITY_DIGEST_SIZE - 1) / 2; i++)
                snprintf(ret + 2 * i, 3, "%02x", out[i]);
        return 0;
}

/* Reads a small file without what surrounds its one line. NULL: there is none, or nothing in it. */
static char *read_line(const char *root, const char *directory, const char *name) {
        _cleanup_free_ char *path = NULL, *text = NULL;
        char *end;

        if (asprintf(&path, "%s%s%s%s", root, directory, *name ? "/" : "", name) < 0) {
                path = NULL;
                return NULL;
        }
        if (io_read_file(AT_FDCWD, path, ITEM_MAX, &text, NULL) < 0)
                return NULL;
        end = text + strlen(text);
        while (end > text && isspace((unsigned char)end[-1]))
                *--end = '\0';
        return *text ? TAKE_PTR(text) : NULL;
}

/* What makers and virtual machines leave in when nothing was filled in, which many machines have in common. */
static bool says_nothing(const char *text) {
        static const char *const phrases[] = { "none", "default string", "not specified", "not applicable", "n/a",
                "unknown", "system serial number", "base board serial number", "to be filled by o.e.m.", "invalid",
                "03000200-0400-0500-0006-000700080009", "123456789", "1234567890", "0123456789" };
        bool zeros = true, efs = true;

        for (size_t i = 0; i < ELEMENTSOF(phrases); i++)
                if (strcasecmp(text, phrases[i]) == 0)
                        return true;
        for (; *text; text++) {
                if (!isalnum((unsigned char)*text))
                        continue;
                zeros = zeros && *text == '0';
                efs = efs && (*text == 'f' || *text == 'F');
        }
        return zeros || efs;
}

int machine_look(const char *root, Machine *ret) {
        _cleanup_free_ char *id = read_line(root, KEISHI_MACHINE_ID, "");
        Machine m = {};
        sd_id128_t bytes;
        int r;

        if (id && sd_id128_from_string(id, &bytes) >= 0 && !sd_id128_is_null(bytes)) {
                r = digest(&bytes, sizeof(bytes), "", m.id);
                if (r < 0)
                        return r;
        }
        for (HardwareItem i = 0; i < _HARDWARE_MAX; i++) {
                _cleanup_free_ char *text = read_line(root, KEISHI_DMI_DIR, item_names[i]);

                if (!text || says_nothing(text))
                        continue;
                r = digest(text, strlen(text), item_names[i], m.hardware[i]);
                if (r < 0)
                        return r;
        }
        *ret = m;
        return 0;
}

/* ---- the key ---- */

static int sync_directory(const char *root) {
        _cleanup_free_ char *path = io_prefix(root, KEISHI_STATE_DIR);
        _cleanup_close_ int fd = -EBADF;

        if (!path)
                return -ENOMEM;
        fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) < 0)
                return -errno;
        return 0;
}

static int write_all(int fd, const unsigned char *data, size_t size) {
        for (size_t at = 0; at < size;) {
                ssize_t n = pwrite(fd, data + at, size - at, (off_t)at);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return n < 0 ? -errno : -EIO;
                at += (size_t)n;
        }
        return fsync(fd) < 0 ? -errno : 0;
}

/* Opens a key file that is ours alone. -EPERM when it is somebody else's. */
static int open_key(const char *path, int flags) {
        _cleanup_close_ int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid())
                return -EPERM;
        if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0)
                return -errno;
        return TAKE_FD(fd);
}

/* Overwrites in place, then removes. */
static int erase(const char *path) {
        static const unsigned char zeros[KEY_FILE_SIZE];
        _cleanup_close_ int fd = open_key(path, O_RDWR);
        struct stat st;
        int r;

        if (fd == -ENOENT)
                return 0;
        if (fd < 0)
                return fd;
        if (fstat(fd, &st) < 0)
                return -errno;
        /* Not more than there is: a full disk has no room for that. */
        r = write_all(fd, zeros, st.st_size < (off_t)sizeof(zeros) ? (size_t)st.st_size : sizeof(zeros));
        if (r < 0)
                return r;
        return unlink(path) < 0 ? -errno : 0;
}

/* Whether the file holds the private half of this key. 0, KEY_E_LOST or a negative errno. */
static int holds(const char *path, const unsigned char expected[static IDENTITY_KEY_SIZE]) {
        unsigned char bytes[KEY_FILE_SIZE + 1], public[IDENTITY_KEY_SIZE] = {};
        _cleanup_close_ int fd = open_key(path, O_RDONLY);
        size_t size = sizeof(public);
        EVP_PKEY *key = NULL;
        int r = KEY_E_LOST;
        ssize_t n;

        if (fd < 0)
                return fd == -ENOENT || fd == -EPERM || fd == -ELOOP ? KEY_E_LOST : fd;
        n = pread(fd, bytes, sizeof(bytes), 0);
        if (n == (ssize_t)KEY_FILE_SIZE && memcmp(bytes, KEY_MAGIC, sizeof(KEY_MAGIC) - 1) == 0)
                key = EVP_PKEY_new_raw_private_key(
                        EVP_PKEY_ED25519, NULL, bytes + sizeof(KEY_MAGIC) - 1, IDENTITY_KEY_SIZE);
        explicit_bzero(bytes, sizeof(bytes));
        if (key && EVP_PKEY_get_raw_public_key(key, public, &size) == 1 && size == sizeof(public) &&
                memcmp(public, expected, sizeof(public)) == 0)
                r = 0;
        EVP_PKEY_free(key);
        return n < 0 ? -EIO : r;
}

static EVP_PKEY *generate(void) {
        EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_ED25519, NULL);
        EVP_PKEY *key = NULL;

        if (!c || EVP_PKEY_keygen_init(c) != 1 || EVP_PKEY_keygen(c, &key) != 1)
                key = NULL;
        EVP_PKEY_CTX_free(c);
        return key;
}

int key_make(const char *root, unsigned char ret[static IDENTITY_KEY_SIZE]) {
        _cleanup_free_ char *path = io_prefix(root, KEISHI_KEY_FILE_NEW);
        unsigned char bytes[KEY_FILE_SIZE] = KEY_MAGIC, public[IDENTITY_KEY_SIZE];
        size_t private_size = IDENTITY_KEY_SIZE, public_size = sizeof(public);
        _cleanup_close_ int fd = -EBADF;
        EVP_PKEY *key;
        int r;

        if (!path)
                return -ENOMEM;
        r = erase(path);
        if (r < 0)
                return r;
        key = generate();
        if (!key)
                return -ENOMEM;
        r = EVP_PKEY_get_raw_private_key(key, bytes + sizeof(KEY_MAGIC) - 1, &private_size) == 1 &&
                            EVP_PKEY_get_raw_public_key(key, public, &public_size) == 1
                    ? 0
                    : -EIO;
        EVP_PKEY_free(key);
        if (r == 0) {
                fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
                r = fd < 0 ? -errno : write_all(fd, bytes, sizeof(bytes));
        }
        explicit_bzero(bytes, sizeof(bytes));
        if (r == 0)
                r = sync_directory(root);
        if (r < 0) {
                key_abandon(root);
                return r;
        }
        memcpy(ret, public, sizeof(public));
        return 0;
}

int key_settle(const char *root, const unsigned char expected[static IDENTITY_KEY_SIZE]) {
        _cleanup_free_ char *path = io_prefix(root, KEISHI_KEY_FILE), *fresh = io_prefix(root, KEISHI_KEY_FILE_NEW);
        int r;

        if (!path || !fresh)
                return -ENOMEM;
        r = holds(path, expected);
        if (r == 0) {
                (void)erase(fresh); /* made for something that was never committed */
                return 0;
        }
        if (r < 0)
                return r;
        r = holds(fresh, expected);
        if (r != 0)
                return r;
        r = erase(path);
        if (r == 0 && rename(fresh, path) < 0)
                r = -errno;
        return r == 0 ? sync_directory(root) : r;
}

void key_abandon(const char *root) {
        _cleanup_free_ char *fresh = io_prefix(root, KEISHI_KEY_FILE_NEW);

        if (fresh)
                (void)erase(fresh);
}

int key_erase(const char *root) {
        _cleanup_free_ char *path = io_prefix(root, KEISHI_KEY_FILE), *fresh = io_prefix(root, KEISHI_KEY_FILE_NEW);
        int r, q;

        if (!path || !fresh)
                return -ENOMEM;
        r = erase(path);
        q = erase(fresh);
        if (r == 0)
                r = q;
        return r == 0 ? sync_directory(root) : r;
}
