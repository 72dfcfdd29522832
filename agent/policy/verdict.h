/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keishi/protocol.h"

/* PURE. The evaluator: facts in, verdict and the rule that gave it out. It does no I/O, reads no clock and logs
 * nothing; every string belongs to the caller. The registry selects candidates (designations whose subject is this
 * user, one of the groups, netgroups or the unit, and whose terminal selector can match), and offers them one by one; a
 * candidate only grants when everything in it and in its scope matches the facts. */

typedef enum Family {
        FAMILY_CONSOLE,    /* login, display managers: a person in front who starts a session */
        FAMILY_LOCKER,     /* swaylock, i3lock, vlock: the person of an open session proves to be still there */
        FAMILY_ADMIN,      /* su, sudo, polkit-1: an actor acts as a target */
        FAMILY_REMOTE,     /* sshd, cockpit: from another machine; closed by default (R11) */
        FAMILY_UNATTENDED, /* cron, atd, systemd-user, runuser: nobody in front, started by root */
        FAMILY_GREETER,    /* a display manager's own account */
        FAMILY_SELF,       /* passwd, chfn, chsh: a person changes something of their own */
        _FAMILY_MAX,
        _FAMILY_INVALID = -1,
} Family;

/* Lower-case name of a family, as used in designations (`@console`) and trails; NULL for an invalid one. */
const char *family_to_string(Family f);
/* _FAMILY_INVALID when there is no such family. */
Family family_from_string(const char *s);

#define FACTOR_PASSWORD         (1u << 0)
#define FACTOR_CARD             (1u << 1)
#define FACTOR_BIOMETRIC        (1u << 2)
#define FACTOR_KEY              (1u << 3) /* an ssh key that sshd has verified; never by our own asking */
#define FACTORS_ASKED           (FACTOR_PASSWORD | FACTOR_CARD | FACTOR_BIOMETRIC)
#define FACTORS_ASKED_MAX       3
#define FACTOR_ALTERNATIVES_MAX 8

typedef enum Reason {
        REASON_GRANTED,
        REASON_DEFAULT,          /* no designation matched */
        REASON_SERVICE_UNKNOWN,  /* the service table has no row */
        REASON_TERMINAL_UNKNOWN, /* this terminal has no identity or is not registered */
        REASON_UNREGISTERED,     /* the account is not registered (R1) */
        REASON_RETIRED,
        REASON_RESTRICTED,        /* 利用制限 (R4) */
        REASON_REMOTE_CLOSED,     /* remote, and no designation opens remote logins */
        REASON_NOT_AUTHENTICATED, /* account or session without the stage before it (law 2) */
        REASON_CLOCK,             /* only time-bound designations matched, and the clock cannot be trusted */
        REASON_HOURS,             /* would match, but not at this day or hour */
        REASON_EXPIRED,           /* would match, but is over or has not begun */
        REASON_TARGET,            /* the target of su, sudo or polkit may not be acted as */
        REASON_CLASS,             /* the terminal's class or external line forbids this business (R12) */
        REASON_DRIFT,             /* configuration or PAM stack changed, and the policy closes until that is accepted */
        REASON_SECOND_LOGIN,      /* the person has a session open here already, and the policy refuses a second (R6) */
        REASON_CREDENTIAL,        /* the card or key that was used is stopped, returned or removed */
        REASON_FACTORS,           /* the factors that were verified are none of the combinations asked for here */
        REASON_CLONED,            /* this is not the machine that the terminal was enrolled as */
        REASON_TERMINAL_RETIRED,
        _REASON_MAX,
} Reason;

/* Stable lower-case identifier ("remote-closed"), used in trails and --json. */
const char *reason_to_string(Reason r);

typedef struct Facts {
        /* the call */
        Stage stage;
        const char *service;
        Family family;      /* from the service table; _FAMILY_INVALID when the service is unknown */
        bool authenticated; /* the earlier stage that the service table asks for has been seen, or none is asked for */
        bool remote;
        bool root_changes; /* root changes an account's entry (password, shell): whose it is does not matter */

        /* the person who acts (subject of designations) */
        const char *account;
        bool known;          /* NSS knows it */
        bool system_account; /* NSS knows it with a uid below the first staff uid, and it is not registered */
        bool registered;
        bool retired;
        const char *restriction; /* uuid of the restriction in force, else NULL */
        const char *unit;        /* 所属; NULL when not registered */
        bool second_login;       /* the person has a session open here, and the policy refuses another */

        /* FAMILY_ADMIN: the account acted as; NULL otherwise, and in the auth stage of services that tell it later only
         * (sudo) */
        const char *target;
        bool target_system;
        bool target_registered;
        bool target_retired;
        const char *target_restriction;

        /* this terminal */
        const char *terminal; /* NULL: no identity */
        const char *terminal_unit;
        unsigned confidentiality; /* 機密性 1..3 */
        bool external_line;
        bool drift;  /* its configuration changed unaccepted, the policy closes for that, and the person may not accept
                      */
        bool cloned; /* the machine is not the one that was enrolled, and the person may not enrol it */
        bool terminal_retired; /* the terminal is, and the person may not enrol it anew */

        /* now, in the terminal's own time zone */
        uint64_t now_usec; /* CLOCK_REALTIME */
        unsigned weekday;  /* 0 = Monday … 6 = Sunday */
        unsigned minute;   /* minute of the day, 0..1439 */
        bool clock_trusted;

        /* factor combinations that the configuration accepts for this service and class, in order of preference; each
         * is a FACTOR_… mask */
        unsigned alternatives[FACTOR_ALTERNATIVES_MAX];
        size_t n_alternatives;
        const char *stopped_credential; /* uuid of a card or key that was used and is not active any more, else NULL */
        unsigned factors; /* verified; 0: not to be judged, because it is asked in advance or nobody is asked */
} Facts;

typedef enum SubjectKind {
        SUBJECT_USER,
        SUBJECT_GROUP,
        SUBJECT_NETGROUP,
        SUBJECT_UNIT,
        _SUBJECT_MAX,
        _SUBJECT_INVALID = -1
} SubjectKind;
const char *subject_kind_to_string(SubjectKind k);
SubjectKind subject_kind_from_string(const char *s);

/* Which terminals: "name" exactly, a pattern with * and ?, or every terminal of a unit. */
typedef enum TerminalKind {
        TERMINAL_NAME,
        TERMINAL_PATTERN,
        TERMINAL_UNIT,
        _TERMINAL_KIND_MAX,
        _TERMINAL_KIND_INVALID = -1
} TerminalKind;
const char *terminal_kind_to_string(TerminalKind k);
TerminalKind terminal_kind_from_string(const char *s);

/* What a designation and its scope both have; both must match. NULL strings, zero times and all-day hours mean "any".
 */
typedef struct Bounds {
        TerminalKind terminal_kind;
        const char *terminal;
        const char *services; /* space-separated names, @families, or "*" (every service but remote ones); NULL as
                                 "@console @locker @self" */
        const char *hours;    /* "mon-fri 08:30-17:15, sat 09:00-12:00"; see hours.h; NULL: always */
        uint64_t from_usec;
        uint64_t until_usec; /* 0: without end */
} Bounds;

typedef struct Candidate {
        const char *designation;      /* uuid */
        const char *scope;            /* uuid */
        const char *business;         /* 対象業務 */
        bool remote;                  /* opens remote logins; both designation and scope say so */
        unsigned confidentiality_max; /* highest class of information of the scope's business; 0: any. A terminal of a
                                         lower class refuses (R12) */
        bool external_ok;             /* the scope allows terminals on an external line */
        Bounds bounds;                /* the designation's */
        Bounds scope_bounds;
} Candidate;

typedef struct Verdict {
        bool granted;
        Reason reason;
        char rule[64]; /* "designation:UUID", "restriction:UUID", "service:cron", "policy:OnDrift" or "default"; of a
                        * refusal by class, period, hours or clock, the designation that came closest */
        bool observed; /* granted only because the terminal observes: reason and rule are those of the refusal */
        char business[128];   /* of that designation, or empty */
        char designation[40]; /* its uuid, or empty */
} Verdict;

typedef enum Next {
        VERDICT_DONE,      /* *ret is final */
        VERDICT_CANDIDATES /* offer candidates until one grants; when none does, *v stands as the refusal */
} Next;

/* Whether `text` matches a pattern of * (any run) and ? (one UTF-8 character); everything else stands for itself. */
bool pattern_match(const char *pattern, const char *text);
/* Whether a terminal of that name and unit is one that the selector means. */
bool terminal_match(TerminalKind kind, const char *selector, const char *name, const char *unit);

/* Starts an evaluation: decides what needs no designation. *v is always filled in (as a refusal when VERDICT_CANDIDATES
 * is returned). */
Next verdict_begin(Verdict *v, const Facts *f);
/* Offers one candidate. true: it grants, *v is final, no more are needed. false: *v keeps the most telling reason so
 * far. A refusal that was final already stays one, whatever is offered.
 *
 * What must match, in the designation and in its scope, by family:
 *   console, admin, remote: terminal, service, remote, class, from/until, hours
 *   self, locker:           the same, any service
 *   unattended:             terminal, class, from/until: nobody is in front, so neither hours nor the way in count
 * `remote` asks for Candidate.remote and a list that names the service or @remote, beside the service itself being
 * listed. While the clock is not trusted, what has hours, from or until does not match. */
bool verdict_offer(Verdict *v, const Facts *f, const Candidate *c);

/* What a terminal that only observes (試行) makes of a verdict: a refusal becomes a grant that says what would have
 * been refused and why. It stays a refusal for who is retired or restricted, or acts as such an account, whatever the
 * reason was before; for a name that NSS does not know; and on a terminal that is retired, or not the machine that was
 * enrolled. A grant is left as it is. */
void verdict_observe(Verdict *v, const Facts *f);
