/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "factor/trust.h"
#include "util/io.h"

typedef int (*add_fn)(Trust *t, Bytes file);

static int load_file(Trust *t, int dir_fd, const char *name, add_fn add) {
        _cleanup_free_ char *data = NULL;
        size_t size;
        int r;

        r = io_read_file(dir_fd, name, TRUST_FILE_MAX, &data, &size);
        if (r < 0)
                return r;
        return add(t, (Bytes){ (unsigned char *)data, size });
}

static bool ends_with_one_of(const char *name, const char *const *ends) {
        for (; *ends; ends++) {
                size_t n = strlen(name), m = strlen(*ends);

                if (n > m && strcmp(name + n - m, *ends) == 0)
                        return true;
        }
        return false;
}

static int load_directory(Trust *t, const char *path, const char *const *ends, add_fn add, char **ret_path) {
        DIR *d = opendir(path);
        size_t n = 0;
        int r = 0;

        if (!d)
                return -errno;
        while (r == 0) {
                struct dirent *entry;

                errno = 0;
                entry = readdir(d);
                if (!entry) {
                        r = -errno;
                        break;
                }
                if (entry->d_name[0] == '.' || !ends_with_one_of(entry->d_name, ends))
                        continue;
                r = load_file(t, dirfd(d), entry->d_name, add);
                n++;
                if (r < 0 && asprintf(ret_path, "%s/%s", path, entry->d_name) < 0)
                        *ret_path = NULL;
        }
        closedir(d);
        return r < 0 ? r : n > 0 ? 0 : -ENODATA;
}

static int load(Trust *t, const char *path, const char *const *ends, add_fn add, char **ret_path) {
        struct stat st;
        int r;

        if (stat(path, &st) < 0)
                r = -errno;
        else if (S_ISDIR(st.st_mode))
                r = load_directory(t, path, ends, add, ret_path);
        else
                r = load_file(t, AT_FDCWD, path, add);
        if (r < 0 && !*ret_path)
                *ret_path = strdup(path);
        return r;
}

int trust_load(Trust **ret, const char *certificates, const char *crls, char **ret_path) {
        static const char *const certificate_ends[] = { ".pem", ".crt", ".cer", NULL };
        static const char *const crl_ends[] = { ".crl", ".pem", NULL };
        _cleanup_(trust_free_p) Trust *t = NULL;
        _cleanup_free_ char *path = NULL;
        int r;

        r = trust_new(&t);
        if (r == 0)
                r = load(t, certificates, certificate_ends, trust_add_certificates, &path);
        if (r == 0 && crls)
                r = load(t, crls, crl_ends, trust_add_crls, &path);
        if (r < 0) {
                if (ret_path)
                        *ret_path = TAKE_PTR(path);
                return r;
        }
        *ret = TAKE_PTR(t);
        return 0;
}
