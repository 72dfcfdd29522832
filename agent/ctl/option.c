/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "ctl/option.h"
#include "util/i18n.h"

static const OptionSpec *find(const OptionSpec *const *tables, const char *name, size_t size) {
        for (; *tables; tables++)
                for (const OptionSpec *o = *tables; o->name; o++)
                        if (strlen(o->name) == size && strncmp(o->name, name, size) == 0)
                                return o;
        return NULL;
}

bool args_parse(Args *ret, char *const *argv, size_t n, const OptionSpec *const *tables, const char **ret_error,
        const char **ret_what) {
        bool options_end = false;
        Args a = {};

        for (size_t i = 0; i < n; i++) {
                const char *arg = argv[i], *equals, *value;
                const OptionSpec *spec;
                size_t size;

                *ret_what = arg;
                if (options_end || arg[0] != '-' || arg[1] == '\0') {
                        if (a.n_positional == ARGS_MAX) {
                                *ret_error = N_("too many arguments at \"%s\"");
                                return false;
                        }
                        a.positional[a.n_positional++] = arg;
                        continue;
                }
                if (strcmp(arg, "--") == 0) {
                        options_end = true;
                        continue;
                }
                equals = strchr(arg, '=');
                size = equals ? (size_t)(equals - arg) : strlen(arg);
                spec = size > 2 && arg[1] == '-' ? find(tables, arg + 2, size - 2) : NULL;
                if (!spec) {
                        *ret_error = N_("unknown option \"%s\"");
                        return false;
                }
                if (args_has(&a, spec->name) || a.n_options == ARGS_MAX) {
                        *ret_error = N_("option \"%s\" is given twice");
                        return false;
                }
                if (!spec->value) {
                        if (equals) {
                                *ret_error = N_("option \"%s\" takes no value");
                                return false;
                        }
                        value = "";
                } else if (equals)
                        value = equals + 1;
                else if (i + 1 < n)
                        value = argv[++i];
                else {
                        *ret_error = N_("option \"%s\" needs a value");
                        return false;
                }
                a.options[a.n_options].spec = spec;
                a.options[a.n_options++].value = value;
        }
        *ret = a;
        return true;
}

const char *args_get(const Args *a, const char *name) {
        for (size_t i = 0; i < a->n_options; i++)
                if (strcmp(a->options[i].spec->name, name) == 0)
                        return a->options[i].value;
        return NULL;
}
