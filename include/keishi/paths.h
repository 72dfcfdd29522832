/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where things are on an installed terminal. Every program of ours takes a root prefix (--root=DIR, or root=DIR for the
 * PAM module, from root's own /etc/pam.d) that is put in front of these, so that tests run on private directories. */

/* pam.sock is for everyone, root.sock says the same to root alone: a crowd at the one is not in the way at the other.
 */
#define KEISHI_RUN_DIR           "/run/keishi"
#define KEISHI_PAM_SOCKET        "/run/keishi/pam.sock"
#define KEISHI_ROOT_SOCKET       "/run/keishi/root.sock"
#define KEISHI_CONFIG_DIR        "/etc/keishi"
#define KEISHI_CONFIG_FILE       "/etc/keishi/keishid.conf"
#define KEISHI_BREAK_GLASS_FILE  "/etc/keishi/break-glass"
#define KEISHI_STATE_DIR         "/var/lib/keishi"
#define KEISHI_REGISTRY_FILE     "/var/lib/keishi/registry.db"
#define KEISHI_PASSWORD_SECRET   "/var/lib/keishi/password-secret"
#define KEISHI_RESERVE_FILE      "/var/lib/keishi/reserve"
#define KEISHI_BREAK_GLASS_SPOOL "/var/lib/keishi/break-glass.spool"
#define KEISHI_KEY_FILE          "/var/lib/keishi/identity.key"
#define KEISHI_KEY_FILE_NEW      "/var/lib/keishi/identity.key.new"
#define KEISHI_MACHINE_ID        "/etc/machine-id"
#define KEISHI_DMI_DIR           "/sys/class/dmi/id"
#define KEISHI_JOURNAL_SOCKET    "/run/systemd/journal.keishi/socket"
#define KEISHI_USERS_DIR         "/run/systemd/users" /* logind: a file per uid that has sessions or lingers */
#define KEISHI_NOTICE_DIR        "/run/keishi/notice" /* a file per uid: what its terminals are told */
#define KEISHI_LIBEXEC_DIR       "/usr/libexec/keishi"
#define KEISHI_PAM_DIR           "/etc/pam.d"

#define KEISHI_BUS_NAME "org.keishi1"
#define KEISHI_BUS_PATH "/org/keishi1"
