/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"
#include "registry/registry.h"

#define ROW_OPTIONS_MAX 20u

/* The fields of a verb's noun as options, from the noun's own table; none for a verb without a noun or one that takes
 * no fields. `ret` has ROW_OPTIONS_MAX places and is zeroed. */
void row_options(const Verb *verb, OptionSpec *ret);

/* --fields FILE: a JSON object, "-" for stdin. */
ExitCode row_fields_from_file(const Ctl *ctl, const char *path, json_object **ret);
/* Shows one row of a noun, field by field, or as JSON. */
ExitCode row_show(const Ctl *ctl, NounId noun, json_object *row);
/* Whether --version, when given, is a number. */
ExitCode row_version_valid(const Ctl *ctl, const Args *args);

/* Lists the designations that no longer lie inside a scope; nothing when all do (access.c). */
ExitCode access_show_outside(Ctl *ctl, const char *scope);
