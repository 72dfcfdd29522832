/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* Between credential.c and biometric.c. */

/* The fields of a card or key that people look at. */
void credential_show_row(json_object *row);

extern const OptionSpec biometric_options[];
ExitCode biometric_register(Ctl *ctl, const Verb *verb, const Args *args);
