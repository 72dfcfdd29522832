/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "config/key.h"
#include "util/clock.h"
#include "util/ini-line.h"

#define FILE_MAX 65536u

const char *role_to_string(Role r) {
        static const char *const names[_ROLE_MAX] = {
                [ROLE_SYSTEM_MANAGER] = "system-manager",
                [ROLE_UNIT_HEAD] = "unit-head",
                [ROLE_DUTY_OFFICER] = "duty-officer",
                [ROLE_SYSTEM_OWNER] = "system-owner",
                [ROLE_TRAIL_VIEWER] = "trail-viewer",
                [ROLE_REGISTRAR] = "registrar",
        };

        return r >= 0 && r < _ROLE_MAX ? names[r] : NULL;
}

const FactorSet *config_factors(const Config *c, Family family, unsigned confidentiality) {
        static const FactorSet none;

        if (family < 0 || family >= _FAMILY_MAX)
                return &none;
        if (confidentiality < CONFIG_CLASSES && c->factors[confidentiality][family].n > 0)
                return &c->factors[confidentiality][family];
        return &c->factors[0][family];
}

bool config_observes(const Config *c, uint64_t now_usec, bool clock_trusted) {
        time_t now = (time_t)(now_usec / USEC_PER_SEC);
        struct tm tm;

        if (!c->observe || !clock_trusted)
                return false;
        tzset();
        if (!localtime_r(&now, &tm))
                return false;
        return ((uint64_t)(tm.tm_year + 1900) * 100 + (uint64_t)(tm.tm_mon + 1)) * 100 + (uint64_t)tm.tm_mday <=
               c->observe_until;
}

void config_observe_day(const Config *c, char ret[static CONFIG_DAY_TEXT_MAX]) {
        unsigned day = (unsigned)c->observe_until;

        (void)snprintf(ret, CONFIG_DAY_TEXT_MAX, "%04u-%02u-%02u", day / 10000 % 10000, day / 100 % 100, day % 100);
}

Config *config_free(Config *c) {
        if (!c)
                return NULL;
        free(c->locale);
        for (Role r = 0; r < _ROLE_MAX; r++)
                free(c->role_groups[r]);
        free(c->rp_id);
        free(c->attestation_roots);
        free(c->card_ca);
        free(c->card_crl);
        free(c->hash);
        free(c);
        return NULL;
}

/* The file while it is read. */
typedef struct Source {
        const char *path;
        const char *at; /* what inih has not asked for yet */
        unsigned line;
        uint64_t seen; /* keys given, by their place in the table */
        Config *config;
        char *error; /* the first one */
        int r;
} Source;

/* Notes the first error, with the line that is being read (none before the first). */
_printf_(3, 4) static int fail(Source *s, int r, const char *format, ...) {
        char *text, *error;
        va_list ap;
        int n;

        if (s->r < 0)
                return s->r;
        s->r = -ENOMEM;
        va_start(ap, format);
        n = vasprintf(&text, format, ap);
        va_end(ap);
        if (n < 0)
                return s->r;
        if (s->line > 0)
                n = asprintf(&error, "%s:%u: %s", s->path, s->line, text);
        else
                n = asprintf(&error, "%s: %s", s->path, text);
        free(text);
        if (n < 0)
                return s->r;
        s->error = error;
        s->r = r;
        return s->r;
}

/* ---- lines ---- */

static int check_section(Source *s, const char *line, size_t size) {
        char name[32] = "";

        if (size - 2 < sizeof(name))
                memcpy(name, line + 1, size - 2);
        if (!config_section_exists(name))
                return fail(s, -EINVAL, "there is no section %.*s", (int)size, line);
        return 0;
}

static int check_line(Source *s, const char *line, size_t size) {
        const char *why;

        switch (ini_line_look(line, &size, ";#", &why)) {
        case INI_LINE_WRONG:
                return fail(s, -EINVAL, "%s", why);
        case INI_LINE_SECTION:
                return check_section(s, line, size);
        default:
                return 0;
        }
}

/* fgets() for inih, one whole line a time. */
static char *read_line(char *buffer, int room, void *stream) {
        Source *s = stream;

        if (s->r < 0 || !*s->at)
                return NULL;
        s->line++;
        if (check_line(s, s->at, strcspn(s->at, "\n")) < 0)
                return NULL;
        buffer = ini_line_give(buffer, (size_t)room, &s->at);
        if (!buffer)
                fail(s, -EINVAL, "the line is longer than the parser can take");
        return buffer;
}

static int take_value(void *userdata, const char *section, const char *name, const char *value) {
        _cleanup_free_ char *error = NULL;
        Source *s = userdata;
        const ConfigKey *key;
        size_t i, n;
        int r;

        if (s->r < 0)
                return 0;
        if (!*section) {
                fail(s, -EINVAL, "%s= stands before the first section", name);
                return 0;
        }
        key = config_key_find(section, name);
        if (!key) {
                fail(s, -EINVAL, "there is no key %s= in [%s]", name, section);
                return 0;
        }
        i = (size_t)(key - config_keys(&n));
        if (s->seen & (UINT64_C(1) << i)) {
                fail(s, -EINVAL, "%s= is given twice", name);
                return 0;
        }
        s->seen |= UINT64_C(1) << i;
        r = config_key_set(key, value, s->config, &error);
        if (r < 0)
                fail(s, r, "%s", error ? error : strerror(-r));
        return r == 0;
}

static int take_defaults(Source *s) {
        const ConfigKey *keys;
        size_t n;

        keys = config_keys(&n);
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *error = NULL;
                int r;

                if ((s->seen & (UINT64_C(1) << i)) || !*keys[i].default_text)
                        continue;
                r = config_key_set(&keys[i], keys[i].default_text, s->config, &error);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_given(const Source *s, const char *section, const char *name) {
        const ConfigKey *keys, *key = config_key_find(section, name);
        size_t n;

        keys = config_keys(&n);
        return key && (s->seen & (UINT64_C(1) << (size_t)(key - keys)));
}

/* What factors need besides being named. */
static int check_factors(Source *s) {
        const Config *c = s->config;

        for (size_t class = 0; class < CONFIG_CLASSES; class ++)
                for (Family f = 0; f < _FAMILY_MAX; f++)
                        for (size_t i = 0; i < c->factors[class][f].n; i++)
                                if ((c->factors[class][f].alternatives[i] & FACTOR_BIOMETRIC) && !c->rp_id)
                                        return fail(s, -EINVAL,
                                                "the factor 'biometric' needs [Biometric] RpId=, the DNS name that "
                                                "this site registers keys for");
        if (c->card_crl && !c->card_ca)
                return fail(s, -EINVAL, "[Card] RevocationList= needs Authority=, whose list it is");
        return 0;
}

static int parse(Source *s, const char *text, size_t size) {
        int r;

        if (memchr(text, '\0', size))
                return fail(s, -EINVAL, "the file holds a zero byte");
        s->at = text;
        r = ini_parse_stream(read_line, s, take_value, s);
        if (s->r == 0 && r != 0)
                return fail(s, r == -2 ? -ENOMEM : -EINVAL, "the line cannot be read");
        if (s->r < 0)
                return s->r;
        r = take_defaults(s);
        if (r < 0)
                return r;
        s->line = 0;
        if (s->config->observe && !is_given(s, "Policy", "ObserveUntil"))
                return fail(s, -EINVAL, "[Policy] Mode=observe needs ObserveUntil=, the last day of it");
        return check_factors(s);
}

/* ---- the file ---- */

static bool owner_trusted(const struct stat *st) {
        return (st->st_uid == 0 || st->st_uid == geteuid()) && (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static int open_directory(Source *s) {
        _cleanup_free_ char *copy = strdup(s->path);
        _cleanup_close_ int fd = -EBADF;
        const char *name;
        struct stat st;

        if (!copy)
                return -ENOMEM;
        name = dirname(copy);
        fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fail(s, -errno, "cannot open the directory: %s", strerror(errno));
        if (fstat(fd, &st) < 0)
                return fail(s, -errno, "cannot look at the directory: %s", strerror(errno));
        if (!owner_trusted(&st))
                return fail(s, -EPERM, "the directory must belong to root and be writable by root only");
        return TAKE_FD(fd);
}

static int open_file(Source *s, int directory) {
        _cleanup_free_ char *copy = strdup(s->path);
        _cleanup_close_ int fd = -EBADF;
        struct stat st;

        if (!copy)
                return -ENOMEM;
        fd = openat(directory, basename(copy), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
        if (fd < 0 && errno == ELOOP)
                return fail(s, -EPERM, "the file must not be a symbolic link");
        if (fd < 0)
                return fail(s, -errno, "cannot open the file: %s", strerror(errno));
        if (fstat(fd, &st) < 0)
                return fail(s, -errno, "cannot look at the file: %s", strerror(errno));
        if (!S_ISREG(st.st_mode))
                return fail(s, -EPERM, "not a regular file");
        if (!owner_trusted(&st))
                return fail(s, -EPERM, "the file must belong to root and be writable by root only");
        if (st.st_size > FILE_MAX)
                return fail(s, -EFBIG, "the file is larger than %u bytes", FILE_MAX);
        return TAKE_FD(fd);
}

/* The whole file, with a zero byte behind it; NULL when the error is noted. */
static char *read_all(Source *s, int fd, size_t *ret_size) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;

        text = malloc(FILE_MAX + 2);
        if (!text) {
                fail(s, -ENOMEM, "%s", strerror(ENOMEM));
                return NULL;
        }
        while (size <= FILE_MAX) {
                ssize_t n = read(fd, text + size, FILE_MAX + 1 - size);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) {
                        fail(s, -errno, "cannot read the file: %s", strerror(errno));
                        return NULL;
                }
                if (n == 0)
                        break;
                size += (size_t)n;
        }
        if (size > FILE_MAX) {
                fail(s, -EFBIG, "the file is larger than %u bytes", FILE_MAX);
                return NULL;
        }
        text[size] = '\0';
        *ret_size = size;
        return TAKE_PTR(text);
}

static int hash(const char *text, size_t size, char **ret) {
        unsigned char digest[32];
        size_t digest_size = 0;
        char *hex;

        if (!EVP_Q_digest(NULL, "SHA256", NULL, text, size, digest, &digest_size) || digest_size != sizeof(digest))
                return -EIO;
        hex = malloc(2 * sizeof(digest) + 1);
        if (!hex)
                return -ENOMEM;
        for (size_t i = 0; i < sizeof(digest); i++)
                snprintf(hex + 2 * i, 3, "%02x", digest[i]);
        *ret = hex;
        return 0;
}

/* Parses what was read, and takes its hash. */
static int finish(Source *s, const char *text, size_t size) {
        int r;

        r = parse(s, text, size);
        return r == 0 ? hash(text, size, &s->config->hash) : r;
}

static int load(Source *s) {
        _cleanup_close_ int directory = -EBADF, file = -EBADF;
        _cleanup_free_ char *text = NULL;
        size_t size = 0;

        directory = open_directory(s);
        if (directory < 0)
                return directory;
        file = open_file(s, directory);
        if (file < 0)
                return file;
        text = read_all(s, file, &size);
        return text ? finish(s, text, size) : s->r;
}

static int config_new(Config **ret, Source *s, const char *text, size_t size, char **ret_error) {
        _cleanup_(config_free_p) Config *c = NULL;
        int r;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        s->config = c;
        r = text ? finish(s, text, size) : load(s);
        if (r < 0) {
                if (!s->error && asprintf(&s->error, "%s: %s", s->path, strerror(-r)) < 0)
                        s->error = NULL;
                if (ret_error)
                        *ret_error = TAKE_PTR(s->error);
                free(s->error);
                return r;
        }
        *ret = TAKE_PTR(c);
        return 0;
}

int config_load(Config **ret, const char *path, char **ret_error) {
        return config_new(ret, &(Source){ .path = path }, NULL, 0, ret_error);
}

int config_parse(Config **ret, const char *path, const char *text, size_t size, char **ret_error) {
        return config_new(ret, &(Source){ .path = path }, text, size, ret_error);
}
