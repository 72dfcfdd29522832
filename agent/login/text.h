/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What people in front of a prompt read, in Japanese or English. Sources are marked N_() and translated by gettext
 * (packaging/po). */

#define N_(s) s

typedef enum Language { LANGUAGE_EN, LANGUAGE_JA } Language;

/* Call once at start, before the first text. */
void text_init(void);
/* The language that a locale name means ("ja_JP.UTF-8"); the site's when the caller brings none or C; English on a text
 * console, which has no glyphs. */
Language text_language(const char *caller_locale, const char *site_locale, const char *tty);
/* A marked text in the language; valid until the process ends. */
const char *text_in(Language l, const char *marked);
