/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/verdict.h"
#include "util/cleanup.h"

/* /etc/keishi/keishid.conf, strict INI (inih): an unknown section or key, a key given twice, a value out of range, a
 * line that is too long, an indented line, a file not owned by root or writable by others is an error with file:line,
 * and the file is refused as a whole. A missing file is an error too: the package ships one with every key commented
 * out. */

typedef enum Role {
        ROLE_SYSTEM_MANAGER, /* システム管理者 */
        ROLE_UNIT_HEAD,      /* 所属長・運用管理者 */
        ROLE_DUTY_OFFICER,   /* 当直責任者 */
        ROLE_SYSTEM_OWNER,   /* 総括責任者 */
        ROLE_TRAIL_VIEWER,   /* 閲覧を指名された職員・監査 */
        ROLE_REGISTRAR,      /* 生体情報登録担当者 */
        _ROLE_MAX,
        _ROLE_INVALID = -1,
} Role;
const char *role_to_string(Role r); /* "system-manager" */

/* What a change of configuration, PAM stacks or sudoers does until a person accepts it. */
typedef enum OnDrift {
        ON_DRIFT_RECORD,
        ON_DRIFT_CLOSE, /* logins, su and sudo of those who may not accept it are refused */
} OnDrift;

/* What a second session of a person on this terminal does (R6). */
typedef enum OnSecondLogin {
        ON_SECOND_LOGIN_ALLOW,
        ON_SECOND_LOGIN_RECORD,
        ON_SECOND_LOGIN_REFUSE,
        _ON_SECOND_LOGIN_MAX,
} OnSecondLogin;
/* Classes of confidentiality (機密性 1..3) that can have factors of their own; 0 stands for all without. */
#define CONFIG_CLASSES 4u

/* Combinations of factors, in order of preference. */
typedef struct FactorSet {
        unsigned alternatives[FACTOR_ALTERNATIVES_MAX]; /* FACTOR_… masks */
        unsigned order[FACTOR_ALTERNATIVES_MAX]
                      [FACTORS_ASKED_MAX]; /* the factors of each, as they are asked for; 0 ends */
        size_t n;
} FactorSet;

/* What becomes of the card while its holder works (R8). */
typedef enum CardPresence {
        CARD_DURING_SESSION,     /* it stays in the reader; taking it out locks the screen */
        CARD_REMOVE_AFTER_LOGIN, /* it is taken out; one left behind is reminded of, and recorded */
} CardPresence;

typedef struct Config {
        char *locale;                 /* [Agent] Locale=ja_JP.UTF-8: for callers that bring none */
        uint64_t transaction_usec;    /* [Agent] TransactionTimeoutSec=120: one PAM call, from BEGIN to RESULT */
        uint64_t password_usec;       /* [Agent] PasswordTimeoutSec=30: the keishi-password helper */
        uint64_t lookup_usec;         /* [Agent] LookupTimeoutSec=10: the keishi-lookup helper */
        uint64_t lookup_cache_usec;   /* [Agent] LookupCacheSec=60: how long an NSS answer serves */
        unsigned connections_per_uid; /* [Agent] ConnectionsPerUser=16: for uids other than 0 */

        unsigned attempts_max;          /* [Attempts] Max=3 */
        uint64_t attempts_window_usec;  /* [Attempts] WindowSec=900 */
        uint64_t attempts_delay_usec;   /* [Attempts] DelaySec=2: before the answer to a failure; doubles with each
                                           further one */
        uint64_t attempts_release_usec; /* [Attempts] ReleaseSec=0: a lock ends by itself after this; 0: only by release
                                         */

        uint64_t clock_back_usec; /* [Clock] BackMaxSec=120: now before the last trail by more: not trusted */
        uint64_t clock_jump_usec; /* [Clock] JumpMaxSec=600: CLOCK_REALTIME against CLOCK_BOOTTIME while running */
        uint64_t clock_off_usec;  /* [Clock] OffMaxSec=7776000: ahead of the last trail at start */

        uint64_t staff_uid_min;        /* [Policy] StaffUidMin=1000: accounts below are system accounts */
        uint64_t observe;              /* [Policy] Mode=enforce: 1 for observe */
        uint64_t observe_until;        /* [Policy] ObserveUntil=1970-01-01: the last day of it, as 19700101 */
        OnDrift on_drift;              /* [Policy] OnDrift=record|close */
        OnSecondLogin on_second_login; /* [Sessions] OnSecondLogin=allow|record|refuse */
        uint64_t notice_usec;          /* [Sessions] NoticeSec=250ms: between telling a user and ending them */
        unsigned password_max_days;    /* [Password] MaxDays=90: how old one may become; 0: any age */
        unsigned password_warn_days;   /* [Password] WarnDays=14: how long before that it is said */
        unsigned password_min_length;  /* [Password] MinLength=10: characters */
        unsigned password_min_classes; /* [Password] MinClasses=3: of lower-case, upper-case, digits, others */
        unsigned password_history;     /* [Password] History=5: former ones that may not come again */

        char *role_groups[_ROLE_MAX]; /* [Roles] SystemManager=keishi-system-manager … NSS groups */

        /* [Factors] Default=password; Console=, Locker=, Admin=, Remote=, Self=: per family; alternatives separated by
         * commas, factors of one by spaces. [FactorsClass2], [FactorsClass3]: the same for terminals of that class of
         * confidentiality; config_factors() knows which counts. */
        FactorSet factors[CONFIG_CLASSES][_FAMILY_MAX];

        char *rp_id;                /* [Biometric] RpId=none */
        char *attestation_roots;    /* [Biometric] AttestationRoots=none: path of a PEM file */
        uint64_t key_usec;          /* [Biometric] TouchTimeoutSec=30: how long a key is waited for, and a touch */
        char *card_ca, *card_crl;   /* [Card] Authority=none, RevocationList=none: paths of PEM files */
        uint64_t card_usec;         /* [Card] TimeoutSec=60: how long a card is waited for */
        uint64_t card_left_usec;    /* [Card] LeftSec=30: after which a card counts as left behind */
        CardPresence card_presence; /* [Card] Presence=during-session|remove-after-login */

        char *hash; /* SHA-256 of the file, hexadecimal: recorded when it is loaded (R31) */
} Config;

/* Whether this terminal only observes at that time. A clock that is not trusted does not prolong it. */
bool config_observes(const Config *c, uint64_t now_usec, bool clock_trusted);
#define CONFIG_DAY_TEXT_MAX 16u
/* The last day on which this terminal observes, "2026-12-31". */
void config_observe_day(const Config *c, char ret[static CONFIG_DAY_TEXT_MAX]);

/* The combinations that a family of services asks for on a terminal of that class of confidentiality (0: not known). */
const FactorSet *config_factors(const Config *c, Family family, unsigned confidentiality);

/* Reads `path`. On -EINVAL (content), -EPERM (owner or mode) and others *ret_error is a line for people, "path:line:
 * what", owned by the caller. */
int config_load(Config **ret, const char *path, char **ret_error);
Config *config_free(Config *c);
DEFINE_CLEANUP(Config *, config_free)
