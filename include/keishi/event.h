/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Kinds and fields of trail events. The names are an interface: SIEM rules are written against them. A kind has a
 * MESSAGE_ID and an entry in both catalogues (packaging/catalog). Both tables are only ever appended to: the number of
 * a kind is stored in the outbox, and the order of the fields is the canonical order of an entry. */

/* Tables, one row a line. */
/* clang-format off */
#define KEISHI_EVENT_KINDS(X)                                                                                              \
        /* kind, name, MESSAGE_ID, priority (syslog), MESSAGE */                                                           \
        X(LOGIN_GRANTED, "login-granted", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e01", 6, "access granted")                         \
        X(LOGIN_REFUSED, "login-refused", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e02", 4, "access refused")                         \
        X(LOGIN_ABANDONED, "login-abandoned", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e03", 5, "login abandoned")                    \
        X(LOGIN_LOCKED, "login-locked", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e04", 3, "too many failed attempts")                 \
        X(SESSION_OPENED, "session-opened", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e05", 6, "session opened")                       \
        X(SESSION_CLOSED, "session-closed", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e06", 6, "session closed")                       \
        X(PASSWORD_CHANGED, "password-changed", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e07", 5, "password changed")                 \
        X(DIRECTORY_CHANGED, "directory-changed", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e08", 5, "directory changed")              \
        X(CHANGE_REFUSED, "change-refused", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e09", 4, "change or request refused")            \
        X(ATTEMPTS_RELEASED, "attempts-released", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e0a", 5, "failed attempts released")       \
        X(TRAIL_READ, "trail-read", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e0b", 6, "trail read")                                   \
        X(POLICY_LOADED, "policy-loaded", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e0c", 5, "configuration loaded")                   \
        X(PAM_STACK, "pam-stack", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e0d", 5, "PAM stacks seen")                                \
        X(AGENT_STARTED, "agent-started", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e0e", 5, "agent started")                          \
        X(AGENT_STOPPED, "agent-stopped", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e0f", 5, "agent stopped")                          \
        X(AGENT_CRASHED, "agent-crashed", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e10", 2, "the agent did not stop in order last time") \
        X(BREAK_GLASS, "break-glass", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e11", 1, "break-glass account used without the agent") \
        X(CLOCK_DISTRUSTED, "clock-distrusted", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e12", 2, "the clock cannot be trusted")      \
        X(CLOCK_CONFIRMED, "clock-confirmed", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e13", 5, "the clock was confirmed")            \
        X(SETUP, "setup", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e14", 5, "terminal set up")                                        \
        X(RESERVE_IMPORTED, "reserve-imported", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e15", 4, "entries recorded while the registry could not be written were imported") \
        X(PROTOCOL_ABUSE, "protocol-abuse", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e16", 4, "malformed or forbidden request") \
        X(SESSION_ENDED, "session-ended", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e17", 4, "user ended because a right ended") \
        X(USER_HIRED, "user-hired", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e18", 5, "user hired")                                   \
        X(USER_TRANSFERRED, "user-transferred", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e19", 5, "user transferred")                 \
        X(USER_RETIRED, "user-retired", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e1a", 5, "user retired")                             \
        X(ACCESS_REVIEWED, "access-reviewed", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e1b", 5, "access right reviewed")           \
        X(DIRECTORY_IMPORTED, "directory-imported", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e30", 5, "directory imported from a file") \
        X(CONFIG_DRIFT, "config-drift", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e40", 4, "a file of the configuration changed")      \
        X(DRIFT_ACCEPTED, "drift-accepted", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e41", 5, "the configuration as it is was accepted") \
        X(SOFTWARE_CHANGED, "software-changed", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e42", 5, "installed software changed")       \
        X(HARDENED, "hardened", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e70", 5, "what the terminal rests on was closed or opened")  \
        X(SECOND_LOGIN, "second-login", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e71", 4, "a person has more than one session open") \
        X(IDENTITY_BOUND, "identity-bound", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e50", 5, "identity of the terminal bound to this machine") \
        X(IDENTITY_MISMATCH, "identity-mismatch", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e51", 1, "this is not the machine that was enrolled") \
        X(TERMINAL_RETIRED, "terminal-retired", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e52", 4, "terminal retired")                 \
        X(DIRECTORY_BACKED_UP, "directory-backed-up", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e53", 5, "directory backed up")        \
        X(DIRECTORY_RESTORED, "directory-restored", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e54", 4, "directory restored from a backup")   \
        X(ADMIN_COMMAND, "admin-command", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e43", 5, "command as administrator")               \
        X(ADMIN_LOG, "admin-log", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e44", 3, "whether the commands of administrators are recorded") \
        X(PASSWORD_ALLOWED, "password-allowed", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e80", 5, "new password accepted")            \
        X(PASSWORD_REFUSED, "password-refused", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e81", 4, "new password refused")             \
        X(PASSWORD_DUE, "password-due", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e82", 5, "the password has to be changed")           \
        X(PASSWORD_SECRET, "password-secret", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e83", 3, "the secret of password fingerprints was renewed") \
        X(CREDENTIAL_REGISTERED, "credential-registered", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e60", 5, "card or key registered") \
        X(CREDENTIAL_SUSPENDED, "credential-suspended", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e61", 4, "card or key stopped") \
        X(CREDENTIAL_RESUMED, "credential-resumed", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e62", 5, "card or key goes on") \
        X(CREDENTIAL_RETURNED, "credential-returned", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e63", 5, "card returned") \
        X(CREDENTIAL_REMOVED, "credential-removed", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e64", 5, "card or key removed") \
        X(CARD_REMOVED, "card-removed", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e65", 5, "card taken out during a session") \
        X(CARD_LEFT, "card-left", "8d1c2f5e0a7b4c1e9f36d2a45b7c8e66", 4, "card left in the reader")

typedef enum EventKind {
#define X(kind, name, id, priority, message) EVENT_##kind,
        KEISHI_EVENT_KINDS(X)
#undef X
        _EVENT_MAX,
        _EVENT_INVALID = -1,
} EventKind;

#define KEISHI_EVENT_FIELDS(X)                                                                          \
        /* field, journal name, cap in bytes of the value */                                            \
        X(ACCOUNT, "KEISHI_ACCOUNT", 256)           /* who: the account that acts */                    \
        X(UID, "KEISHI_UID", 16)                    /* its uid on this host */                          \
        X(PERSON, "KEISHI_PERSON", 64)              /* staff number */                                  \
        X(NAME, "KEISHI_NAME", 256)                 /* 氏名 */                                          \
        X(USER_UNIT, "KEISHI_USER_UNIT", 128)       /* 所属 of the person */                            \
        X(TARGET, "KEISHI_TARGET", 256)             /* whom: the account acted as or changed */         \
        X(SERVICE, "KEISHI_SERVICE", 64)            /* PAM service */                                   \
        X(STAGE, "KEISHI_STAGE", 32)                /* auth, account, session, password */              \
        X(TTY, "KEISHI_TTY", 64)                                                                        \
        X(SEAT, "KEISHI_SEAT", 64)                                                                      \
        X(ORIGIN, "KEISHI_ORIGIN", 256)             /* local, or the remote host as the service says */ \
        X(BUSINESS, "KEISHI_BUSINESS", 256)         /* 対象業務 */                                      \
        X(RULE, "KEISHI_RULE", 128)                 /* the rule that decided, or default */             \
        X(REASON, "KEISHI_REASON", 64)                                                                  \
        X(FACTORS, "KEISHI_FACTORS", 64)            /* factors verified, space-separated */             \
        X(RESULT, "KEISHI_RESULT", 32)              /* granted, refused, done, failed, … */             \
        X(SESSION, "KEISHI_SESSION", 64)            /* our session id */                                \
        X(PID, "KEISHI_PEER_PID", 16)                                                                   \
        X(PEER, "KEISHI_PEER_EXE", 256)             /* program that asked */                            \
        X(NOUN, "KEISHI_NOUN", 32)                  /* kind of directory row */                         \
        X(OBJECT, "KEISHI_OBJECT", 128)             /* its uuid */                                      \
        X(BEFORE, "KEISHI_BEFORE", 4096)            /* JSON */                                          \
        X(AFTER, "KEISHI_AFTER", 4096)              /* JSON */                                          \
        X(HASH, "KEISHI_HASH", 128)                 /* SHA-256 of what was loaded */                    \
        X(PATH, "KEISHI_PATH", 256)                                                                     \
        X(COUNT, "KEISHI_COUNT", 32)                                                                    \
        X(DETAIL, "KEISHI_DETAIL", 1024)                                                                \
        X(VIA, "KEISHI_VIA", 32)                    /* how it came here when not directly: reserve, reserve-cut, break-glass; or unconfirmed */ \
        X(DEPUTY, "KEISHI_DEPUTY", 64)              /* uuid of the row by which the account acted for another */           \
        X(COMMAND, "KEISHI_COMMAND", 4096)          /* as a shell would take it; what is cut off is counted at the end */ \
        X(CWD, "KEISHI_CWD", 1024)                  /* where it was called */                           \
        X(EXIT, "KEISHI_EXIT", 32)                  /* its exit status, or the signal that ended it */  \
        X(HAPPENED, "KEISHI_HAPPENED", 32)          /* when, in microseconds, where that was before the entry */ \
        X(REQUESTED_BY, "KEISHI_REQUESTED_BY", 256) /* who asked for it, as a program claims */ \
        X(CREDENTIAL, "KEISHI_CREDENTIAL", 128) /* uuids of the cards and keys used, space-separated */

typedef enum EventField {
#define X(field, name, cap) FIELD_##field,
        KEISHI_EVENT_FIELDS(X)
#undef X
        _FIELD_MAX,
        _FIELD_INVALID = -1,
} EventField;
/* clang-format on */
