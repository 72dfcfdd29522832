/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "login/text.h"

#include <libintl.h>
#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* gettext caches what it found until this counter moves (GNU gettext manual, "Being a gettext grok"). */
extern int _nl_msg_cat_cntr;

void text_init(void) {
        /* C.UTF-8 is always there, and unlike C it lets LANGUAGE choose the catalogue, so that no locale needs to be
         * generated. */
        setlocale(LC_MESSAGES, "C.UTF-8");
        bindtextdomain(GETTEXT_DOMAIN, LOCALEDIR);
        bind_textdomain_codeset(GETTEXT_DOMAIN, "UTF-8");
}

static bool is_virtual_terminal(const char *tty) {
        if (strncmp(tty, "/dev/", 5) == 0)
                tty += 5;
        return strncmp(tty, "tty", 3) == 0 && tty[3] >= '0' && tty[3] <= '9';
}

Language text_language(const char *caller_locale, const char *site_locale, const char *tty) {
        const char *locale = caller_locale;

        if (tty && is_virtual_terminal(tty))
                return LANGUAGE_EN;
        if (!locale || !*locale || strcmp(locale, "C") == 0 || strcmp(locale, "POSIX") == 0 ||
                strncmp(locale, "C.", 2) == 0)
                locale = site_locale;
        return locale && strncmp(locale, "ja", 2) == 0 ? LANGUAGE_JA : LANGUAGE_EN;
}

const char *text_in(Language l, const char *marked) {
        static Language current = LANGUAGE_EN;
        static bool chosen;

        if (!chosen || current != l) {
                if (setenv("LANGUAGE", l == LANGUAGE_JA ? "ja" : "en", 1) < 0)
                        return marked;
                _nl_msg_cat_cntr++;
                current = l;
                chosen = true;
        }
        return dgettext(GETTEXT_DOMAIN, marked);
}
