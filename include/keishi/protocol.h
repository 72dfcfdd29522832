/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdint.h>

/* What pam_keishi and keishid say to each other on /run/keishi/pam.sock or, for callers that are root, root.sock
 * (AF_UNIX, SOCK_SEQPACKET: one message, one packet).
 *
 * A message is a MessageHeader and `length` bytes of items; an item is an ItemHeader and `length` bytes of value.
 * Numbers are in host byte order (the socket never leaves the machine). Strings carry no terminating zero and may hold
 * none. A message with a wrong magic, version, length, an unknown type or item, or an item given twice, ends the
 * connection.
 *
 * One connection is one PAM call:
 *   module → BEGIN      what is called, by which service, for whom
 *   agent  → PROMPT     ask; the module answers with ANSWER, or with CANCEL when the application would not
 *   agent  → INFORM     tell (PAM_TEXT_INFO); no answer
 *   agent  → ERROR      tell (PAM_ERROR_MSG); no answer
 *   agent  → WAIT       nothing to say, still working: resets the module's patience
 *   agent  → RESULT     ends the call
 * The module sends nothing else; a connection that ends without RESULT is a failure of the agent. */

#define KEISHI_PROTOCOL_MAGIC   0x4b50u /* "PK" in memory on little endian */
#define KEISHI_PROTOCOL_VERSION 1u
#define KEISHI_MESSAGE_MAX      8192u /* header and items */

/* Caps on single items; the module says how long an over-long user name was instead of sending it. */
#define KEISHI_TEXT_MAX   1024u
#define KEISHI_NAME_MAX   255u
#define KEISHI_ANSWER_MAX 1024u

/* Seconds the module waits for the agent: for the socket to appear, and for any next message. */
#define KEISHI_CONNECT_SEC  3
#define KEISHI_PATIENCE_SEC 30

typedef struct MessageHeader {
        uint16_t magic;
        uint16_t version;
        uint16_t type;
        uint16_t length;
} MessageHeader;

typedef struct ItemHeader {
        uint16_t item;
        uint16_t length;
} ItemHeader;

typedef enum MessageType {
        MESSAGE_BEGIN = 1,
        MESSAGE_ANSWER,
        MESSAGE_CANCEL,
        MESSAGE_PROMPT = 16,
        MESSAGE_INFORM,
        MESSAGE_ERROR,
        MESSAGE_WAIT,
        MESSAGE_RESULT,
} MessageType;

typedef enum MessageItem {
        ITEM_STAGE = 1,    /* BEGIN: uint32, Stage */
        ITEM_FLAGS,        /* BEGIN: uint32, FLAG_… */
        ITEM_SERVICE,      /* BEGIN: PAM_SERVICE */
        ITEM_USER,         /* BEGIN: PAM_USER */
        ITEM_USER_LENGTH,  /* BEGIN: uint32, instead of ITEM_USER when the name is longer than KEISHI_NAME_MAX */
        ITEM_RUSER,        /* BEGIN: PAM_RUSER */
        ITEM_RHOST,        /* BEGIN: PAM_RHOST */
        ITEM_TTY,          /* BEGIN: PAM_TTY */
        ITEM_LOCALE,       /* BEGIN: the caller's message locale, as in LC_MESSAGES; absent when it has none */
        ITEM_TEXT,         /* PROMPT, INFORM, ERROR: what to show; ANSWER: what was typed */
        ITEM_PROMPT_STYLE, /* PROMPT: uint32, PromptStyle */
        ITEM_RESULT,       /* RESULT: uint32, Result */
        ITEM_OLD_TOKEN,    /* BEGIN, STAGE_PASSWORD_UPDATE: PAM_OLDAUTHTOK; absent when it is not set */
        ITEM_SET_USER,     /* RESULT of a success, to root only: PAM_USER was empty, and a card named the user */
        _ITEM_MAX,
} MessageItem;

/* The PAM function that was called; PRELIM and UPDATE are the two phases of pam_sm_chauthtok. pam_sm_setcred does not
 * ask: keishi gives no credentials. */
typedef enum Stage {
        STAGE_AUTH = 1,
        STAGE_ACCOUNT,
        STAGE_SESSION_OPEN,
        STAGE_SESSION_CLOSE,
        STAGE_PASSWORD_PRELIM,
        STAGE_PASSWORD_UPDATE,
        _STAGE_MAX,
} Stage;

#define FLAG_SILENT         (1u << 0) /* PAM_SILENT: no INFORM or ERROR is shown */
#define FLAG_DISALLOW_NULL  (1u << 1) /* PAM_DISALLOW_NULL_AUTHTOK; recorded only, an empty password is never one */
#define FLAG_CHANGE_EXPIRED (1u << 2) /* PAM_CHANGE_EXPIRED_AUTHTOK */

typedef enum PromptStyle {
        PROMPT_ECHO_ON = 1,
        PROMPT_ECHO_OFF,
        PROMPT_PASSWORD, /* as ECHO_OFF; on success the module sets PAM_AUTHTOK to the answer for the modules after it
                          */
        /* Of a change of the password. What modules before it in the stack have asked for already is the answer to the
         * first of each, and nobody is asked. */
        PROMPT_CURRENT_PASSWORD, /* as ECHO_OFF; on success the module sets PAM_OLDAUTHTOK */
        PROMPT_NEW_PASSWORD,     /* as ECHO_OFF; on success the module sets PAM_AUTHTOK */
        PROMPT_NEW_AGAIN,        /* as ECHO_OFF; the new password once more */
        _PROMPT_MAX,
} PromptStyle;

/* How a call ended, and what the module returns for it. Anything else is PAM_SYSTEM_ERR. None of them is PAM_IGNORE. */
typedef enum Result {
        RESULT_SUCCESS = 1,      /* PAM_SUCCESS */
        RESULT_AUTH_ERR,         /* PAM_AUTH_ERR */
        RESULT_PERM_DENIED,      /* PAM_PERM_DENIED */
        RESULT_MAXTRIES,         /* PAM_MAXTRIES */
        RESULT_ACCT_EXPIRED,     /* PAM_ACCT_EXPIRED */
        RESULT_AUTHTOK_ERR,      /* PAM_AUTHTOK_ERR */
        RESULT_SESSION_ERR,      /* PAM_SESSION_ERR */
        RESULT_CONV_ERR,         /* PAM_CONV_ERR */
        RESULT_SYSTEM_ERR,       /* PAM_SYSTEM_ERR */
        RESULT_UNAVAILABLE,      /* the agent runs but cannot decide (registry unusable): as if there were no agent */
        RESULT_NEW_AUTHTOK_REQD, /* PAM_NEW_AUTHTOK_REQD: let in, once the password is changed */
        RESULT_TRY_AGAIN,        /* PAM_TRY_AGAIN: a password cannot be changed now (STAGE_PASSWORD_PRELIM) */
        _RESULT_MAX,
} Result;
