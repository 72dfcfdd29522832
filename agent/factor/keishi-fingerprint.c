/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishi-fingerprint: a secret and a password from keishid on file descriptor 3, the fingerprint back (fingerprint.h).
 * A process of its own because it takes long; without root. */

#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "factor/fingerprint.h"
#include "factor/helper.h"
#include "factor/quality.h"

#define MEMORY_MAX (64u * 1024 * 1024)

int main(void) {
        static const struct rlimit none = { 0, 0 };
        static unsigned char request[FINGERPRINT_SECRET_SIZE + KEISHI_ANSWER_MAX + 1];
        Fingerprint fingerprint;
        ssize_t n;
        int ok;

        (void)setrlimit(RLIMIT_CORE, &none);
        (void)setrlimit(RLIMIT_FSIZE, &none);
        if (helper_become(QUALITY_USER) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 || !helper_dies_with_agent())
                return EXIT_FAILURE;
        n = recv(HELPER_FD, request, sizeof(request), MSG_TRUNC);
        if (n < (ssize_t)FINGERPRINT_SECRET_SIZE || (size_t)n > sizeof(request) - 1)
                return EXIT_FAILURE;

        ok = EVP_PBE_scrypt((const char *)request + FINGERPRINT_SECRET_SIZE, (size_t)n - FINGERPRINT_SECRET_SIZE,
                request, FINGERPRINT_SECRET_SIZE, FINGERPRINT_N, FINGERPRINT_R, FINGERPRINT_P, MEMORY_MAX,
                fingerprint.bytes, sizeof(fingerprint.bytes));
        explicit_bzero(request, sizeof(request));
        if (ok != 1)
                return EXIT_FAILURE;
        return send(HELPER_FD, fingerprint.bytes, sizeof(fingerprint.bytes), MSG_NOSIGNAL) ==
                               (ssize_t)sizeof(fingerprint.bytes)
                       ? EXIT_SUCCESS
                       : EXIT_FAILURE;
}
