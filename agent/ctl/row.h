/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

#define ROW_OPTIONS_MAX 20u

/* The fields of a verb's noun as options, from the noun's own table; none for a verb without a noun or one that takes
 * no fields. `ret` has ROW_OPTIONS_MAX places and is zeroed. */
void row_options(const Verb *verb, OptionSpec *ret);
