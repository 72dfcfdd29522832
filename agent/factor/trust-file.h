/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "factor/trust.h"

/* The files of authorities and revocation lists as they are now: read again whenever they have changed, so that a new
 * list counts from the next login on. */

typedef struct TrustFile TrustFile;

/* Either path may be NULL. Nothing is read yet. */
int trust_file_new(TrustFile **ret, const char *certificates, const char *crls);
TrustFile *trust_file_free(TrustFile *f);
DEFINE_CLEANUP(TrustFile *, trust_file_free)
/* NULL: there is no file, or it cannot be taken; *ret_path of trust_load() is in trust_file_error(). */
const Trust *trust_file_get(TrustFile *f);
/* Which file could not be taken last; NULL: none. */
const char *trust_file_error(const TrustFile *f);
