/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "fuzz.h"
#include "policy/date.h"
#include "policy/fold.h"
#include "policy/personal.h"

/* Personal passwords: lines of account, staff number, name and birth date, then the password, of any bytes. The
 * full-width form of a password is judged as it is; nobody's data refuses nothing; the account, the staff number, the
 * name and the birth date themselves are refused. */

#define INPUT_MAX 4096u

static size_t to_full_width(const char *text, size_t size, char *out) {
        size_t n = 0;

        for (size_t i = 0; i < size; i++)
                if (text[i] > ' ' && text[i] <= '~') {
                        unsigned c = 0xff01u + (unsigned)(text[i] - '!');

                        out[n++] = (char)(0xe0 | c >> 12);
                        out[n++] = (char)(0x80 | (c >> 6 & 0x3f));
                        out[n++] = (char)(0x80 | (c & 0x3f));
                } else
                        out[n++] = text[i];
        return n;
}

static void itself_is_refused(const char *text, const Personal *p) {
        if (text[0] != '\0' && strlen(text) < PERSONAL_TEXT_MAX)
                require(password_is_personal(text, strlen(text), p));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static char text[INPUT_MAX + 1], full[3 * INPUT_MAX];
        static uint32_t folded[INPUT_MAX];
        const char *lines[4] = { "", "", "", "" };
        char *at = text;
        Personal p;
        Date date;
        size_t n;
        bool personal;

        if (size > INPUT_MAX)
                return 0;
        memcpy(text, data, size);
        text[size] = '\0';
        for (size_t i = 0; i < 4; i++) {
                char *end = memchr(at, '\n', (size_t)(text + size - at));

                if (!end)
                        return 0;
                *end = '\0';
                lines[i] = at;
                at = end + 1;
        }
        size -= (size_t)(at - text);
        p = (Personal){ .account = lines[0], .person = lines[1], .name = lines[2], .birth = lines[3] };

        personal = password_is_personal(at, size, &p);
        require(password_is_personal(at, size, &p) == personal);
        require(!password_is_personal(at, size, &(Personal){}));
        n = to_full_width(at, size, full);
        if (n <= PERSONAL_PASSWORD_MAX)
                require(password_is_personal(full, n, &p) == personal);
        require(text_fold(at, size, folded, size) <= size);

        itself_is_refused(lines[0], &p);
        itself_is_refused(lines[1], &p);
        itself_is_refused(lines[2], &p);
        if (date_parse(lines[3], &date))
                itself_is_refused(lines[3], &p);
        if (date_read(lines[3], &date)) {
                char canonical[DATE_TEXT_SIZE];
                Date again;

                require(date_parse(date_canonical(lines[3], canonical), &again));
                require(date_compare(date, again) == 0);
        }
        return 0;
}
