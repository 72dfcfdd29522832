/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/drift-files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "keishi/paths.h"
#include "util/cleanup.h"
#include "util/io.h"
#include "util/json.h"
#include "util/text.h"

#define FILES_MAX      512u /* in one directory */
#define FILE_MAX_BYTES (1024u * 1024u)
#define TEXT_MAX_BYTES (64u * 1024u)
#define LINES_MAX      12u /* shown of a difference */
#define LINE_MAX_BYTES 120u

static const char *const etc_names[] = { "pam.conf", "sudo.conf", "sudoers", NULL };
static const char *const module_names[] = { "pam_keishi.so", NULL };

const WatchedPlace watched_places[] = {
        { "/etc", etc_names, "pam.d sudoers.d keishi", true, true },
        { KEISHI_CONFIG_DIR, NULL, NULL, true, false },
        { KEISHI_PAM_DIR, NULL, NULL, true, true },
        { "/etc/sudoers.d", NULL, NULL, true, false },
        { KEISHI_PAM_MODULE_DIR, module_names, NULL, false, false },
};
const size_t n_watched_places = ELEMENTSOF(watched_places);

static bool listed(const char *const *names, const char *name) {
        for (; *names; names++)
                if (strcmp(*names, name) == 0)
                        return true;
        return false;
}

bool watched_place_concerns(const WatchedPlace *p, const char *name) {
        size_t size = strlen(name);

        for (const char *at = p->listen_for; at && *at; at += strcspn(at, " "), at += strspn(at, " "))
                if (strcspn(at, " ") == size && memcmp(at, name, size) == 0)
                        return true;
        return p->names ? listed(p->names, name) : name[0] != '.';
}

void file_list_done(FileList *l) {
        for (size_t i = 0; i < l->n; i++) {
                free(l->files[i].path);
                free(l->files[i].state);
                free(l->files[i].text);
        }
        free(l->files);
        *l = (FileList){};
}

/* Takes over `state` and `text` in every case. */
static int list_add(FileList *l, const char *directory, const char *name, char *state, char *text) {
        WatchedFile *grown;
        char *path = NULL;

        if (!state || asprintf(&path, "%s%s%s", directory, name ? "/" : "", name ? name : "") < 0) {
                free(state);
                free(text);
                return -ENOMEM;
        }
        grown = reallocarray(l->files, l->n + 1, sizeof(*grown));
        if (!grown) {
                free(path);
                free(state);
                free(text);
                return -ENOMEM;
        }
        l->files = grown;
        l->files[l->n++] = (WatchedFile){ path, state, text };
        return 0;
}

_printf_(1, 2) static char *format(const char *text, ...) {
        char *s = NULL;
        va_list ap;
        int n;

        va_start(ap, text);
        n = vasprintf(&s, text, ap);
        va_end(ap);
        return n < 0 ? NULL : s;
}

/* ---- text ---- */

static bool names_secret(const char *name, size_t size) {
        static const char *const words[] = { "pass", "pw", "secret", "token", "key" };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                for (size_t at = 0; at + strlen(words[i]) <= size; at++)
                        if (strncasecmp(name + at, words[i], strlen(words[i])) == 0)
                                return true;
        return false;
}

/* Takes out, in place, the rest of each line behind NAME= where NAME is that of a secret. */
static void leave_secrets_out(char *text) {
        char *to = text, *word = text;

        for (char *from = text; *from;) {
                char c = *from++;

                *to++ = c;
                if (c == '=' && names_secret(word, (size_t)(to - 1 - word)))
                        from += strcspn(from, "\n");
                if (c == '=' || isspace((unsigned char)c) || c == '[')
                        word = to;
        }
        *to = '\0';
}

static char *text_keep(const WatchedPlace *p, const char *content, size_t size) {
        char *text;

        if (!p->text || size > TEXT_MAX_BYTES || memchr(content, '\0', size) || !utf8_valid(content, size))
                return NULL;
        text = strndup(content, size);
        if (text && p->secrets)
                leave_secrets_out(text);
        return text;
}

static size_t line_size(const char *at) {
        size_t n = strcspn(at, "\n");

        return at[n] ? n + 1 : n;
}

/* Where the last line of text[begin…end] begins. */
static size_t last_line(const char *text, size_t begin, size_t end) {
        for (end--; end > begin && text[end - 1] != '\n'; end--)
                ;
        return end;
}

/* The lines of `text` between the beginning and the end that it has in common with `other`. */
static json_object *lines_json(const char *text, const char *other) {
        json_object *array = json_object_new_array();
        size_t size = strlen(text), other_size = strlen(other), begin = 0, end;
        unsigned n = 0;

        if (!array)
                return NULL;
        for (size_t l; (l = line_size(text + begin)) > 0; begin += l)
                if (line_size(other + begin) != l || memcmp(text + begin, other + begin, l) != 0)
                        break;
        for (end = size; end > begin && other_size > begin;) {
                size_t last = last_line(text, begin, end), other_last = last_line(other, begin, other_size);

                if (end - last != other_size - other_last || memcmp(text + last, other + other_last, end - last) != 0)
                        break;
                end = last;
                other_size = other_last;
        }

        for (size_t at = begin; at < end && n <= LINES_MAX; n++) {
                size_t l = strcspn(text + at, "\n");
                _cleanup_free_ char *line = n < LINES_MAX ? text_escape(text + at, l, LINE_MAX_BYTES) : strdup("…");
                json_object *o = line ? json_object_new_string(line) : NULL;

                if (!o || json_object_array_add(array, o) < 0) {
                        json_object_put(o);
                        json_object_put(array);
                        return NULL;
                }
                at += line_size(text + at);
        }
        return array;
}

json_object *file_state_json(const char *state, const char *text, const char *other) {
        _cleanup_json_ json_object *o = json_object_new_object();
        _cleanup_free_ char *hash = NULL;
        size_t n = strcspn(state, " ");
        int r;

        if (!o)
                return NULL;
        if (n == 64) {
                hash = strndup(state, n);
                r = hash ? json_set_string(o, "hash", hash) : -ENOMEM;
                if (r == 0)
                        r = json_set_string(o, "access", state + n + 1);
        } else
                r = json_set_string(o, "state", state);
        if (r == 0 && text && strcmp(text, other ? other : "") != 0)
                r = json_set(o, "lines", lines_json(text, other ? other : ""));
        return r == 0 ? TAKE_PTR(o) : NULL;
}

/* ---- files ---- */

static char *hash_state(const char *content, size_t size, const struct stat *st) {
        unsigned char digest[32];
        size_t digest_size = 0;
        char hex[65];

        if (!EVP_Q_digest(NULL, "SHA256", NULL, content, size, digest, &digest_size) || digest_size != sizeof(digest))
                return NULL;
        for (size_t i = 0; i < sizeof(digest); i++)
                snprintf(hex + 2 * i, 3, "%02x", digest[i]);
        return format("%s %04o %u:%u", hex, st->st_mode & 07777, st->st_uid, st->st_gid);
}

static int add_file(FileList *l, const WatchedPlace *p, int fd, const char *name) {
        _cleanup_free_ char *content = NULL;
        size_t size = 0;
        struct stat st;
        int r;

        if (fstatat(fd, name, &st, 0) < 0) {
                if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
                        return errno == ENOENT ? 0
                                               : list_add(l, p->directory, name,
                                                         format("unreadable: %s", strerror(errno)), NULL);
                return list_add(l, p->directory, name, strdup("a link to nothing"), NULL);
        }
        /* Opening anything else could wait, or act on a device. */
        if (!S_ISREG(st.st_mode))
                return list_add(l, p->directory, name, format("not a file, mode %o", st.st_mode), NULL);
        if (st.st_size > FILE_MAX_BYTES)
                return list_add(l, p->directory, name,
                        format("too large to read, %llu bytes, written %lld.%09ld", (unsigned long long)st.st_size,
                                (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec),
                        NULL);
        r = io_read_file(fd, name, FILE_MAX_BYTES, &content, &size);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return list_add(l, p->directory, name, format("unreadable: %s", strerror(-r)), NULL);
        return list_add(l, p->directory, name, hash_state(content, size, &st), text_keep(p, content, size));
}

static int is_visible(const struct dirent *d) {
        return d->d_name[0] != '.';
}

static int add_directory(FileList *l, const WatchedPlace *p, int fd) {
        struct dirent **entries;
        struct stat st;
        int n, r;

        if (fstat(fd, &st) < 0)
                return list_add(l, p->directory, NULL, format("unreadable: %s", strerror(errno)), NULL);
        n = scandirat(fd, ".", &entries, is_visible, alphasort);
        if (n < 0)
                return errno == ENOMEM
                               ? -ENOMEM
                               : list_add(l, p->directory, NULL, format("unreadable: %s", strerror(errno)), NULL);
        r = list_add(l, p->directory, NULL,
                (unsigned)n > FILES_MAX ? format("more than %u files", FILES_MAX)
                                        : format("directory %04o %u:%u", st.st_mode & 07777, st.st_uid, st.st_gid),
                NULL);
        for (int i = 0; i < n; i++) {
                if (r == 0 && (unsigned)i < FILES_MAX)
                        r = add_file(l, p, fd, entries[i]->d_name);
                free(entries[i]);
        }
        free(entries);
        return r;
}

static int by_path(const void *a, const void *b) {
        return strcmp(((const WatchedFile *)a)->path, ((const WatchedFile *)b)->path);
}

int files_scan(const char *root, FileList *ret) {
        _cleanup_(file_list_done) FileList l = {};
        int r = 0;

        for (size_t i = 0; r == 0 && i < n_watched_places; i++) {
                const WatchedPlace *p = &watched_places[i];
                _cleanup_free_ char *path = io_prefix(root, p->directory);
                _cleanup_close_ int fd = -EBADF;

                if (!path)
                        return -ENOMEM;
                fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
                if (fd < 0) {
                        if (errno != ENOENT)
                                r = list_add(&l, p->directory, NULL, format("unreadable: %s", strerror(errno)), NULL);
                        continue;
                }
                if (!p->names)
                        r = add_directory(&l, p, fd);
                for (const char *const *name = p->names; r == 0 && name && *name; name++)
                        r = add_file(&l, p, fd, *name);
        }
        if (r < 0)
                return r;
        if (l.n > 0)
                qsort(l.files, l.n, sizeof(*l.files), by_path);
        *ret = l;
        l = (FileList){};
        return 0;
}
