/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <fcntl.h>

#include "fuzz.h"
#include "util/cleanup.h"
#include "util/io.h"

/* replay DIRECTORY...: runs the files of a corpus through a fuzzer, in builds without libFuzzer. A corpus without files
 * is an error. Prints TAP. */

static int replay(int directory, const char *name) {
        _cleanup_free_ char *data = NULL, *exact = NULL;
        size_t size = 0;

        if (io_read_file(directory, name, 1 << 20, &data, &size) < 0)
                return -1;
        /* A copy of exactly that size, so that a sanitizer sees a read past its end. */
        exact = malloc(size > 0 ? size : 1);
        if (!exact)
                return -1;
        for (size_t i = 0; i < size; i++)
                exact[i] = data[i];
        return LLVMFuzzerTestOneInput((const uint8_t *)exact, size);
}

int main(int argc, char **argv) {
        unsigned n = 0;
        int failed = 0;

        for (int i = 1; i < argc; i++) {
                DIR *d = opendir(argv[i]);
                struct dirent *entry;

                if (!d) {
                        perror(argv[i]);
                        return EXIT_FAILURE;
                }
                while ((entry = readdir(d))) {
                        if (entry->d_name[0] == '.')
                                continue;
                        if (replay(dirfd(d), entry->d_name) < 0) {
                                printf("not ");
                                failed = 1;
                        }
                        printf("ok %u - %s\n", ++n, entry->d_name);
                        fflush(stdout);
                }
                closedir(d);
        }
        printf("1..%u\n", n);
        return n > 0 && !failed ? EXIT_SUCCESS : EXIT_FAILURE;
}
