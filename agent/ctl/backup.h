/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "ctl/ctl.h"

/* What backup.c (writing) and restore.c (reading) share. The text inside the container (util/vault.h) is lines of JSON:
 *
 *   {"format":"keishi-directory","version":1,"keishi":…,"terminal":…,"terminal_uuid":…,"made_usec":…,"nouns":[…]}
 *   {"noun":"user","row":{…}}   as often as there are rows, as registry/restore.h says
 *   {"end":N}                   the number of rows */

#define BACKUP_FORMAT   "keishi-directory"
#define BACKUP_VERSION  1u
#define BACKUP_LINE_MAX 65536u

typedef struct Passphrase {
        size_t size;
        char bytes[1024];
} Passphrase;

static inline void passphrase_done(Passphrase *p) {
        explicit_bzero(p, sizeof(*p));
}

/* From the file (its first line; nobody else may be able to read it), or asked for at the terminal, `twice` to make
 * sure. Errors are told. */
ExitCode passphrase_get(const Ctl *ctl, const char *file, bool twice, Passphrase *ret);
