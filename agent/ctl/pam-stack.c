/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "ctl/pam-stack.h"
#include "util/io.h"

#define DEPTH_MAX 16u
#define FILE_MAX  (64u * 1024u)

static const char *const directories[] = { "/etc/pam.d", "/usr/lib/pam.d" };

char **strings_free(char **list) {
        for (char **s = list; s && *s; s++)
                free(*s);
        free(list);
        return NULL;
}

static int read_service(const char *root, const char *service, char **ret) {
        int r = -ENOENT;

        if (!*service || strchr(service, '/'))
                return -EINVAL;
        for (size_t i = 0; i < ELEMENTSOF(directories) && r == -ENOENT; i++) {
                _cleanup_free_ char *directory = io_prefix(root, directories[i]), *path = NULL;

                if (!directory || asprintf(&path, "%s/%s", directory, service) < 0) {
                        path = NULL;
                        return -ENOMEM;
                }
                r = io_read_file(AT_FDCWD, path, FILE_MAX, ret, NULL);
        }
        return r;
}

/* Cuts the next word off, a [bracketed control] being one. NULL at the end. */
static char *next_word(char **p) {
        char *start, *end;

        *p += strspn(*p, " \t");
        if (**p == '\0')
                return NULL;
        start = *p;
        end = *start == '[' ? strchr(start, ']') : NULL;
        end = end ? end + 1 : start + strcspn(start, " \t");
        *p = *end ? end + 1 : end;
        *end = '\0';
        return start;
}

/* Takes one line off the text, "\" at its end going on with the next one, the comment cut. NULL at the end. */
static char *next_line(char **text) {
        char *start = *text, *p = start;

        if (!start || *start == '\0')
                return NULL;
        for (; *p && *p != '\n'; p++)
                if (p[0] == '\\' && p[1] == '\n')
                        p[0] = p[1] = ' ';
        *text = *p ? p + 1 : p;
        *p = '\0';
        start[strcspn(start, "#")] = '\0';
        return start;
}

/* 1: fn wants no more. `only`: lines of this type (of `TYPE include FILE`), or NULL. */
static int read_stack(
        const char *root, const char *service, const char *only, unsigned depth, pam_line_fn fn, void *userdata) {
        _cleanup_free_ char *text = NULL;
        char *rest, *line;
        int r;

        if (depth > DEPTH_MAX)
                return -ELOOP;
        r = read_service(root, service, &text);
        if (r < 0)
                return r;
        rest = text;
        while ((line = next_line(&rest))) {
                char *type = next_word(&line), *control, *module, *slash;

                if (!type)
                        continue;
                if (strcmp(type, "@include") == 0) {
                        module = next_word(&line);
                        r = module ? read_stack(root, module, only, depth + 1, fn, userdata) : 0;
                        if (r == 1 || (r < 0 && r != -ENOENT))
                                return r;
                        continue;
                }
                if (*type == '-')
                        type++;
                control = next_word(&line);
                module = next_word(&line);
                if (!control || !module || (only && strcmp(type, only) != 0))
                        continue;
                if (strcmp(control, "include") == 0 || strcmp(control, "substack") == 0) {
                        r = read_stack(root, module, type, depth + 1, fn, userdata);
                        if (r == 1 || (r < 0 && r != -ENOENT))
                                return r;
                        continue;
                }
                slash = strrchr(module, '/');
                if (fn(&(PamLine){ type, control, slash ? slash + 1 : module, line, service }, userdata))
                        return 1;
        }
        return 0;
}

int pam_stack_read(const char *root, const char *service, pam_line_fn fn, void *userdata) {
        int r = read_stack(root, service, NULL, 0, fn, userdata);

        return r == 1 ? 0 : r;
}

static bool is_service_name(const char *name) {
        size_t size = strlen(name);

        return name[0] != '.' && !strchr(name, '~') && !strstr(name, ".dpkg-") && !strstr(name, ".ucf-") &&
               !(size > 4 && strcmp(name + size - 4, ".bak") == 0);
}

static int compare(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int pam_services(const char *root, char ***ret) {
        _cleanup_(strings_free_p) char **list = NULL;
        size_t n = 0;

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                _cleanup_free_ char *directory = io_prefix(root, directories[i]);
                struct dirent *entry;
                DIR *d;

                if (!directory)
                        return -ENOMEM;
                d = opendir(directory);
                if (!d) {
                        if (errno == ENOENT)
                                continue;
                        return -errno;
                }
                while ((entry = readdir(d))) {
                        bool known = false;
                        char **grown;

                        for (size_t j = 0; j < n; j++)
                                known |= strcmp(list[j], entry->d_name) == 0;
                        if (known || !is_service_name(entry->d_name))
                                continue;
                        grown = reallocarray(list, n + 2, sizeof(*list));
                        if (grown) {
                                list = grown;
                                list[n + 1] = NULL;
                                list[n] = strdup(entry->d_name);
                        }
                        if (!grown || !list[n]) {
                                closedir(d);
                                return -ENOMEM;
                        }
                        n++;
                }
                closedir(d);
        }
        if (!list) {
                list = calloc(1, sizeof(*list));
                if (!list)
                        return -ENOMEM;
        }
        qsort(list, n, sizeof(*list), compare);
        *ret = TAKE_PTR(list);
        return 0;
}
