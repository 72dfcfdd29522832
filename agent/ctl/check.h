/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* Between the files of `keishictl check`. */

/* What an identifier of verdict.h means, for people. */
const char *check_reason_text(const char *reason);
/* GRANTED, REFUSED, … */
const char *check_verdict_text(json_object *verdict);

/* Verdicts on a CSV file ("-": standard input), at a time or (NULL) now. CTL_REFUSED when one refuses. */
ExitCode check_all(Ctl *ctl, const char *path, const uint64_t *at);
