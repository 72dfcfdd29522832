/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* keishid ↔ keishi-lookup. Everything is a sequence of strings, each ended by a zero byte.
 *
 * Request: "n" or "u" (by name or by uid), the name or the decimal uid, then names of netgroups.
 * Reply:   "ok", name, uid, gid, gecos, number of groups, groups (the primary one first), number of netgroups,
 * netgroups or "unknown". Anything else, more than LOOKUP_GROUPS_MAX groups or bytes after the end is no answer. */

#define LOOKUP_GROUPS_MAX 4096u
#define LOOKUP_USER       "keishi-lookup" /* the account that the helper runs as; nobody's ids when it does not exist */
