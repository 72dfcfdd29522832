/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* key-check: what key-verify.c says of answers of the test key, for test_key.py. Lines on standard input, words between
 * spaces, bytes in hexadecimal digits, "-" for none:
 *
 *   make RP HASH CREDENTIAL AUTH_DATA FORMAT SIGNATURE ROOTS NOW [CERTIFICATE...]   ROOTS: a path
 *   assert RP HASH CREDENTIAL SPKI COUNTER ANSWERED AUTH_DATA SIGNATURE
 *
 * A line each on standard output: "ok SPKI COUNTER ATTESTED", "ok COUNTER", or the condition. */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "factor/key-verify.h"
#include "util/text.h"

#define WORDS_MAX 24

/* In the place of its digits. */
static Bytes bytes_of(char *word) {
        size_t n = strcmp(word, "-") == 0 ? 0 : strlen(word) / 2;

        for (size_t i = 0; i < n; i++) {
                char digits[3] = { word[2 * i], word[2 * i + 1], 0 };

                word[i] = (char)strtoul(digits, NULL, 16);
        }
        return (Bytes){ (unsigned char *)word, n };
}

static void make(char **w, int n) {
        _cleanup_(trust_free_p) Trust *roots = NULL;
        Bytes certificates[WORDS_MAX];
        static KeyCredential c;
        KeyRegistration r = {
                .rp = w[1],
                .client_data_hash = bytes_of(w[2]).at,
                .credential = bytes_of(w[3]),
                .auth_data = bytes_of(w[4]),
                .format = w[5],
                .signature = bytes_of(w[6]),
                .certificates = certificates,
        };
        int q;

        for (int i = 9; i < n; i++)
                certificates[r.n_certificates++] = bytes_of(w[i]);
        if (strcmp(w[7], "-") != 0 && trust_load(&roots, w[7], NULL, NULL) < 0)
                abort();
        q = key_registration_verify(&c, &r, roots, strtoll(w[8], NULL, 10));
        if (q != 0) {
                printf("%s\n", key_condition_to_string(q));
                return;
        }
        printf("ok ");
        for (size_t i = 0; i < c.spki_size; i++)
                printf("%02x", c.spki[i]);
        printf(" %" PRIu32 " %s\n", c.counter, c.attested ? "attested" : key_condition_to_string(c.unattested));
}

static void check(char **w) {
        uint32_t counter;
        KeyAssertion a = {
                .rp = w[1],
                .client_data_hash = bytes_of(w[2]).at,
                .credential = bytes_of(w[3]),
                .spki = bytes_of(w[4]),
                .counter = (uint32_t)strtoul(w[5], NULL, 10),
                .answered_credential = bytes_of(w[6]),
                .auth_data = bytes_of(w[7]),
                .signature = bytes_of(w[8]),
        };
        int q = key_assertion_verify(&a, &counter);

        if (q == 0)
                printf("ok %" PRIu32 "\n", counter);
        else
                printf("%s\n", key_condition_to_string(q));
}

int main(void) {
        static char line[1 << 17];

        while (fgets(line, sizeof(line), stdin)) {
                char *words[WORDS_MAX], *save = NULL;
                int n = 0;

                for (char *p = strtok_r(line, " \n", &save); p && n < WORDS_MAX; p = strtok_r(NULL, " \n", &save))
                        words[n++] = p;
                if (n >= 9 && strcmp(words[0], "make") == 0)
                        make(words, n);
                else if (n == 9 && strcmp(words[0], "assert") == 0)
                        check(words);
                else
                        return EXIT_FAILURE;
                fflush(stdout);
        }
        return EXIT_SUCCESS;
}
