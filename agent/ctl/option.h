/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The command line after noun and verb: --name VALUE, --name=VALUE, --flag, and positional arguments; "--" ends the
 * options. An unknown option, one given twice, one without its value or with a value it does not take is an error:
 * nothing on a command line is ignored. */

#define ARGS_MAX 64u

typedef struct OptionSpec {
        const char *name;  /* without the dashes; NULL ends a table */
        const char *value; /* what is shown for the value; NULL: a flag */
        const char *help;  /* N_() */
} OptionSpec;

typedef struct Args {
        const char *positional[ARGS_MAX];
        size_t n_positional;
        struct {
                const OptionSpec *spec;
                const char *value;
        } options[ARGS_MAX];
        size_t n_options;
} Args;

/* Parses argv[0..n-1] against tables of options (a NULL-terminated array of them). False: *ret_error says what (a
 * static English format with one %s, translatable) and *ret_what about which argument. */
bool args_parse(Args *ret, char *const *argv, size_t n, const OptionSpec *const *tables, const char **ret_error,
        const char **ret_what);
/* Value of an option; NULL when it was not given. A flag that was given has the value "". */
const char *args_get(const Args *a, const char *name);
static inline bool args_has(const Args *a, const char *name) {
        return args_get(a, name) != NULL;
}
