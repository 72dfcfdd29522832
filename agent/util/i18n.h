/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <libintl.h>

/* _() translates where it stands; N_() marks a text that is translated where it is shown. */
#define _(s)  gettext(s)
#define N_(s) s
