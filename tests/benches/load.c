/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* load MODULE: what loading it, as libpam does, adds to a process that has libpam: prints shared objects, KiB of
 * private dirty memory. Under callgrind, load_module() is what it counts. */

#include <dlfcn.h>
#include <link.h>
#include <security/pam_appl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int count(struct dl_phdr_info *info, size_t size, void *userdata) {
        if (info->dlpi_name && strchr(info->dlpi_name, '/'))
                (*(unsigned *)userdata)++;
        return 0;
}

static unsigned count_objects(void) {
        unsigned n = 0;

        dl_iterate_phdr(count, &n);
        return n;
}

static long private_dirty(void) {
        static char text[4096];
        static const char path[] = "/proc/self/smaps_rollup";
        FILE *f = fopen(path, "re");
        const char *at;
        size_t n;

        if (!f)
                return -1;
        n = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
        text[n] = '\0';
        at = strstr(text, "Private_Dirty:");
        return at ? strtol(at + strlen("Private_Dirty:"), NULL, 10) : -1;
}

void *load_module(const char *path);

__attribute__((noinline)) void *load_module(const char *path) {
        return dlopen(path, RTLD_NOW);
}

int main(int argc, char **argv) {
        unsigned objects;
        long dirty;
        void *module;

        if (argc != 2)
                return 2;
        /* libpam is there, as in each program that loads a module. */
        if (!pam_strerror(NULL, PAM_SUCCESS))
                return 2;
        (void)private_dirty();
        (void)count_objects();
        (void)dlsym(RTLD_DEFAULT, "pam_start");

        objects = count_objects();
        dirty = private_dirty();
        module = load_module(argv[1]);
        if (!module) {
                fprintf(stderr, "load: %s\n", dlerror());
                return 1;
        }
        dirty = private_dirty() - dirty;
        objects = count_objects() - objects;
        printf("%u %ld\n", objects, dirty);
        return 0;
}
