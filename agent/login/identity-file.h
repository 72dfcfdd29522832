/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* What tells one machine from another, and the agent's key. */

#define IDENTITY_DIGEST_SIZE 33 /* 32 hexadecimal digits */
#define IDENTITY_KEY_SIZE    32 /* RFC 8032, both halves */

typedef enum HardwareItem {
        HARDWARE_PRODUCT_UUID,
        HARDWARE_BOARD_SERIAL,
        HARDWARE_PRODUCT_SERIAL,
        _HARDWARE_MAX,
} HardwareItem;
const char *hardware_item_to_string(HardwareItem i);

/* A machine as it is seen: digests, which tell nothing else about it. Empty: not known. */
typedef struct Machine {
        char id[IDENTITY_DIGEST_SIZE]; /* of /etc/machine-id, as machine-id(5) asks for: HMAC-SHA256 by an id of ours */
        char hardware[_HARDWARE_MAX][IDENTITY_DIGEST_SIZE]; /* of what the firmware says (SMBIOS) */
} Machine;

/* Looks at this machine; `root` is put in front of the paths. What cannot be read, or is what makers leave in when they
 * have filled in nothing, is not known. -ENOMEM. */
int machine_look(const char *root, Machine *ret);

/* ---- the key file: root's alone, 0600, of a fixed size and overwritten in place, so that an old key does not stay
 * behind; never in SQLite, whose log keeps what was in it ---- */

/* Makes an Ed25519 key pair beside the present one, durably; its public half in ret. */
int key_make(const char *root, unsigned char ret[static IDENTITY_KEY_SIZE]);
/* Brings the files in line with what the registry says: the new key takes the place of the old one, which is
 * overwritten, when it is the expected one; else it is thrown away. 0; KEY_E_LOST: neither is the expected one, and
 * nothing is thrown away but an unfinished file. To be called after the commit, and at each start. */
enum { _IDENTITY_KEY_E_SUCCESS, KEY_E_LOST };
int key_settle(const char *root, const unsigned char expected[static IDENTITY_KEY_SIZE]);
/* Throws away a key that was made and is not going to be used. */
void key_abandon(const char *root);
/* Overwrites and removes both. 0 also when there is none. */
int key_erase(const char *root);
