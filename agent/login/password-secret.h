/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "factor/fingerprint.h"
#include "registry/registry.h"

/* The secret that fingerprints of passwords are keyed with: a file of its own, 0600 root, because what lies in SQLite
 * stays readable in its log. The registry remembers which secret it was (its SHA-256, in meta), so that another one, or
 * none, is noticed: fingerprints made with two secrets cannot be compared, and passing everything would be the opposite
 * of what they are for. It leaves this terminal only to be handed to keishi-fingerprint. */

/* Reads the secret; makes it, and notes it, when there has never been one. 0; PASSWORDS_E_SECRET (login/password.h):
 * there was one, and it is lost or damaged, or belongs to somebody else; REGISTRY_E_… as -EIO; a negative errno. */
int password_secret_load(Registry *registry, const char *path, FingerprintSecret *ret);
/* The same without making one. */
int password_secret_check(Registry *registry, const char *path);
/* Forgets it and all fingerprints, within the caller's transaction: the next use makes another one. */
int password_secret_forget(Registry *registry);
/* Makes another one and forgets all fingerprints, within the caller's transaction: for `keishid --new-password-secret`.
 */
int password_secret_renew(Registry *registry, const char *path);
