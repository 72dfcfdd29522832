/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* keishi-quality: one new password from keishid on file descriptor 3 (quality.h), one byte back. Without root, and
 * without anything to keep: what it could betray is what it was just asked. */

#include <pwquality.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "factor/helper.h"
#include "factor/quality.h"

#define REQUEST_MAX 4096

/* libpwquality passes libcrack's own words on, which are all that tells a missing dictionary from a word in it. */
#define NO_DICTIONARY "error loading dictionary"

static QualityReply meaning(int r, const void *detail) {
        switch (r) {
        case PWQ_ERROR_SAME_PASSWORD:
                return QUALITY_SAME;
        case PWQ_ERROR_CASE_CHANGES_ONLY:
        case PWQ_ERROR_TOO_SIMILAR:
        case PWQ_ERROR_ROTATED:
                return QUALITY_SIMILAR;
        case PWQ_ERROR_MIN_LENGTH:
                return QUALITY_SHORT;
        case PWQ_ERROR_MIN_DIGITS:
        case PWQ_ERROR_MIN_UPPERS:
        case PWQ_ERROR_MIN_LOWERS:
        case PWQ_ERROR_MIN_OTHERS:
        case PWQ_ERROR_MIN_CLASSES:
                return QUALITY_CLASSES;
        case PWQ_ERROR_CRACKLIB_CHECK:
                return detail && strcmp(detail, NO_DICTIONARY) == 0 ? QUALITY_UNAVAILABLE : QUALITY_EASY;
        case PWQ_ERROR_PALINDROME:
        case PWQ_ERROR_USER_CHECK:
        case PWQ_ERROR_GECOS_CHECK:
        case PWQ_ERROR_BAD_WORDS:
        case PWQ_ERROR_MAX_CONSECUTIVE:
        case PWQ_ERROR_MAX_CLASS_REPEAT:
        case PWQ_ERROR_MAX_SEQUENCE:
                return QUALITY_EASY;
        default:
                return r >= 0 ? QUALITY_GOOD : QUALITY_UNAVAILABLE;
        }
}

static QualityReply look(const char *user, const char *current, const char *new_password) {
        pwquality_settings_t *settings = pwquality_default_settings();
        QualityReply reply = QUALITY_UNAVAILABLE;
        void *detail = NULL;
        int difference = 0;

        if (!settings)
                return QUALITY_UNAVAILABLE;
        if (pwquality_read_config(settings, NULL, &detail) == 0 &&
                pwquality_get_int_value(settings, PWQ_SETTING_DIFF_OK, &difference) == 0 &&
                (difference >= QUALITY_DIFFERENCE ||
                        pwquality_set_int_value(settings, PWQ_SETTING_DIFF_OK, QUALITY_DIFFERENCE) == 0)) {
                int r = pwquality_check(settings, new_password, *current ? current : NULL, user, &detail);

                reply = meaning(r, detail);
        }
        pwquality_free_settings(settings);
        return reply;
}

int main(void) {
        static const struct rlimit none = { 0, 0 };
        static char request[REQUEST_MAX];
        const char *current, *new_password, *end;
        char reply;
        ssize_t n;

        (void)setrlimit(RLIMIT_CORE, &none);
        (void)setrlimit(RLIMIT_FSIZE, &none);
        if (helper_become(QUALITY_USER) < 0 || prctl(PR_SET_DUMPABLE, 0) < 0 || !helper_dies_with_agent())
                return EXIT_FAILURE;
        n = recv(HELPER_FD, request, sizeof(request) - 1, MSG_TRUNC);
        if (n <= 0 || (size_t)n > sizeof(request) - 1)
                return EXIT_FAILURE;
        end = request + n;
        current = memchr(request, 0, (size_t)n);
        new_password = current ? memchr(current + 1, 0, (size_t)(end - current - 1)) : NULL;
        if (!new_password || memchr(new_password + 1, 0, (size_t)(end - new_password - 1)))
                return EXIT_FAILURE;

        reply = (char)look(request, current + 1, new_password + 1);
        explicit_bzero(request, sizeof(request));
        return send(HELPER_FD, &reply, 1, MSG_NOSIGNAL) == 1 ? EXIT_SUCCESS : EXIT_FAILURE;
}
