/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What keishid and keishi-factor say to each other over the helper's socketpair (factor/helper.h). One frame is one
 * packet: a FrameHeader and items, each an ItemHead and `length` bytes. Numbers are in host byte order. keishid sends
 * one frame, with descriptors where the operation says so; the worker answers with frames of status FACTOR_PROGRESS, if
 * the operation has such, and one other. `watch` answers with progress for as long as it runs.
 *
 * The worker transports: what it says about a card or a key is a claim until keishid has verified a signature. An item
 * that is unknown, given more often than its operation allows, or too long makes the whole frame malformed, on both
 * sides.
 *
 * Order has a meaning: items after a FACTOR_ITEM_READER, or after a FACTOR_ITEM_APPLICATION, belong to it. */

#define FACTOR_WIRE_MAGIC   0x4b46u
#define FACTOR_WIRE_VERSION 1u
#define FACTOR_FRAME_MAX    60000u /* header and items; below HELPER_REPLY_MAX */

#define FACTOR_READER_MAX      255u   /* bytes of a reader's name */
#define FACTOR_READERS_MAX     16u    /* readers in a reply */
#define FACTOR_CERTIFICATE_MAX 20480u /* bytes of a certificate; a longer one is "too long", not cut */
#define FACTOR_PIN_MAX         64u
#define FACTOR_CREDENTIAL_MAX  1024u /* bytes of a FIDO credential id */

/* The programs, in libexecdir. Two, since what keys need (libfido2, libcrypto) more than doubles the start of what
 * cards need, and since neither needs the other's way out: cards reach pcscd's socket, keys only their descriptors. */
#define FACTOR_PROGRAM_CARD "keishi-factor"     /* FACTOR_CARD_…, FACTOR_WATCH */
#define FACTOR_PROGRAM_KEY  "keishi-factor-key" /* FACTOR_KEY_… */

/* When a worker at the latest has answered by itself; keishid's own time limit is somewhat longer. */
#define FACTOR_CARD_FIND_SEC  8u
#define FACTOR_CARD_SIGN_SEC  12u
#define FACTOR_KEY_LIST_SEC   14u /* and FIND */
#define FACTOR_KEY_TOUCH_SEC  35u /* the others, of which the person has 30 */
#define FACTOR_KEY_ENROLL_SEC 180u

/* What a key worker that is given up needs to stop its key (HelperQuestion.grace_usec): one that still blinks is busy
 * for whoever asks it next. */
#define FACTOR_KEY_GRACE_USEC UINT64_C(500000)

typedef struct FrameHeader {
        uint16_t magic;
        uint16_t version;
        uint16_t what;   /* request: FactorOperation; reply: FactorStatus */
        uint16_t length; /* of the items */
} FrameHeader;

typedef struct ItemHead {
        uint16_t item;
        uint16_t length;
} ItemHead;

typedef enum FactorOperation {
        /* Readers, what lies in each, and what can be read of it without a PIN: in one go, since a login waits for it.
         * READER (optional): only that one. Reply: READER, CARD (a CardState), for each application on it APPLICATION,
         * TRIES (absent: the card does not say), CERTIFICATE (one DER object of definite length; absent: none, or
         * longer than FACTOR_CERTIFICATE_MAX, then TOO_LONG). FACTOR_OK as soon as there is a reader. */
        FACTOR_CARD_FIND = 1,
        /* READER, APPLICATION, ALGORITHM (of the enrolled key), PIN, DIGEST (SHA-256, 32 bytes) → SIGNATURE (raw; ECDSA
         * as DER). The worker reads the tries left before it presents the PIN and presents it once. Reply of a wrong
         * PIN: TRIES. TRIES in the request: how many keishid told the person there were; fewer on the card now, or a
         * card that does not say: FACTOR_CHANGED, with the TRIES now; nothing was tried. A card without that
         * application: FACTOR_CHANGED too. However it ends, the card is reset: no PIN stays presented. */
        FACTOR_CARD_SIGN,

        /* Keys: one descriptor per hidraw node, opened for reading and writing; CTAPHID reports of 64 bytes.
         * Reply: KEY (index), AAGUID (absent: not FIDO2, or silent), KEY_FLAGS, TRIES (of built-in user verification),
         * PIN_TRIES (of a key with a PIN). A key that has left meanwhile is not told. */
        FACTOR_KEY_LIST,
        /* Which of the keys knows a credential, without a touch: RP, CREDENTIAL (up to 8) → for each found KEY,
         * CREDENTIAL */
        FACTOR_KEY_FIND,
        /* One descriptor. RP, DIGEST (client data hash), CREDENTIAL → AUTH_DATA, SIGNATURE, CREDENTIAL (absent: the one
         * that was asked for). Built-in user verification is asked for, a PIN never; a key that has none, or no finger
         * enrolled: FACTOR_UNSUPPORTED. Wrong finger: TRIES. */
        FACTOR_KEY_ASSERT,
        /* One descriptor. RP, USER_ID (random bytes), USER_NAME, DIGEST, PIN → CREDENTIAL, AUTH_DATA, FORMAT,
         * SIGNATURE, CERTIFICATE (attestation chain, leaf first; none: attested by itself). Formats other than packed
         * bring neither.
         * Wrong PIN, here and below: PIN_TRIES. FACTOR_BLOCKED with PIN_TRIES above 0: after three wrong ones the key
         * wants to be taken out and put in again. PIN_TRIES in the request: how many keishid told the person there
         * were; fewer now: FACTOR_CHANGED, with the PIN_TRIES now; nothing was tried. */
        FACTOR_KEY_MAKE,
        /* One descriptor. PIN → progress: REMAINING (samples, before the first; not of every key), then for each touch
         * SAMPLE (a SampleHint), REMAINING; at last TEMPLATE (id). */
        FACTOR_KEY_ENROLL,
        /* One descriptor. PIN → TEMPLATE, for each finger. The right PIN also gives a key that has blocked after wrong
         * fingers its tries back. */
        FACTOR_KEY_TEMPLATES,
        /* One descriptor. PIN, TEMPLATE → nothing */
        FACTOR_KEY_REMOVE_TEMPLATE,

        /* Stays. Progress: READER and CARD for each change, and for each reader at the start; a READER without CARD has
         * gone. CARD_BUSY is not told. FACTOR_NO_SERVICE when pcscd has gone: keishid starts it again. */
        FACTOR_WATCH,
        _FACTOR_OPERATION_MAX,
} FactorOperation;

/* How an operation ended. Each is something that a person can be told about. */
typedef enum FactorStatus {
        FACTOR_OK = 1,
        FACTOR_PROGRESS,
        FACTOR_NO_SERVICE, /* pcscd does not answer */
        FACTOR_NO_READER,
        FACTOR_NO_CARD,
        FACTOR_NO_KEY,  /* none of the keys has the credential, or there is none */
        FACTOR_REMOVED, /* card, reader or key left midway */
        FACTOR_WRONG,   /* PIN or finger; TRIES says how many are left: 0, this was the last */
        FACTOR_BLOCKED, /* by its own counter, before anything was tried */
        FACTOR_CHANGED, /* not what keishid was told before: nothing was tried */
        FACTOR_BUSY,    /* somebody else holds it */
        FACTOR_TIMEOUT, /* nobody touched it */
        FACTOR_CANCELLED,
        FACTOR_UNSUPPORTED, /* the card or key cannot do what is asked */
        FACTOR_PIN_NEEDED,  /* the key has no PIN yet, or wants one for what is asked (enrolment only) */
        FACTOR_PIN_LENGTH,  /* no PIN of that form: nothing was tried */
        FACTOR_FULL,        /* no room for another finger or credential */
        FACTOR_MISBEHAVED,  /* answers that no specification allows */
        FACTOR_MALFORMED,   /* the request itself */
        FACTOR_INTERNAL,    /* the worker lacks memory, a library, a right */
        FACTOR_MUTE,        /* something lies in the reader and does not answer: upside down, dirty, no chip */
        _FACTOR_STATUS_MAX,
} FactorStatus;

/* Stable lower-case names ("no-reader"), for trails and --json; NULL for what is none. */
const char *factor_operation_to_string(FactorOperation o);
const char *factor_status_to_string(FactorStatus s);

typedef enum FactorItem {
        FACTOR_ITEM_READER = 1,  /* text */
        FACTOR_ITEM_CARD,        /* uint32, CardState */
        FACTOR_ITEM_APPLICATION, /* uint32, CardApplication */
        FACTOR_ITEM_TRIES,       /* uint32 */
        FACTOR_ITEM_CERTIFICATE, /* bytes */
        FACTOR_ITEM_TOO_LONG,    /* uint32: bytes that it would have had, as far as known */
        FACTOR_ITEM_PIN,         /* bytes */
        FACTOR_ITEM_DIGEST,      /* 32 bytes */
        FACTOR_ITEM_SIGNATURE,   /* bytes */
        FACTOR_ITEM_KEY,         /* uint32: which of the descriptors, from 0 */
        FACTOR_ITEM_AAGUID,      /* 16 bytes */
        FACTOR_ITEM_KEY_FLAGS,   /* uint32, KEY_FLAG_… */
        FACTOR_ITEM_RP,          /* text, a DNS name */
        FACTOR_ITEM_CREDENTIAL,  /* bytes */
        FACTOR_ITEM_USER_ID,     /* bytes, at most 64 */
        FACTOR_ITEM_USER_NAME,   /* text */
        FACTOR_ITEM_AUTH_DATA,   /* bytes: authenticator data, WebAuthn 6.1, without CBOR around it */
        FACTOR_ITEM_FORMAT,      /* text: attestation statement format */
        FACTOR_ITEM_SAMPLE,      /* uint32, SampleHint */
        FACTOR_ITEM_REMAINING,   /* uint32: samples */
        FACTOR_ITEM_TEMPLATE,    /* bytes */
        FACTOR_ITEM_ALGORITHM,   /* uint32, CardAlgorithm */
        FACTOR_ITEM_PIN_TRIES,   /* uint32: as TRIES, of a key's PIN */
        _FACTOR_ITEM_MAX,
} FactorItem;

typedef enum CardState {
        CARD_ABSENT = 1,
        CARD_PRESENT,    /* applications follow; none: not a card of a kind we know */
        CARD_MUTE,       /* does not answer, is upside down */
        CARD_BUSY,       /* held by another program */
        CARD_MISBEHAVED, /* answers what no specification allows, or too slowly; nothing of it is told */
        _CARD_STATE_MAX,
} CardState;

typedef enum CardApplication {
        CARD_PIV = 1, /* SP 800-73-4, key 9A */
        CARD_JPKI,    /* 個人番号カード, 利用者証明用 */
        _CARD_APPLICATION_MAX,
} CardApplication;
const char *card_application_to_string(CardApplication a);

typedef enum CardAlgorithm {
        CARD_RSA_2048 = 1, /* PKCS#1 v1.5 with SHA-256 */
        CARD_P256,         /* PIV only */
        _CARD_ALGORITHM_MAX,
} CardAlgorithm;

#define KEY_FLAG_UV          (1u << 0) /* built-in user verification is there and set up */
#define KEY_FLAG_BIO         (1u << 1) /* bioEnroll, by either command */
#define KEY_FLAG_BIO_PREVIEW (1u << 2) /* only by the preview command 0x40 */
#define KEY_FLAG_PIN         (1u << 3) /* a PIN is set */
#define KEY_FLAG_FIDO2       (1u << 4)

/* What an authenticator says about a sample (CTAP 2.1, 6.7.4). */
typedef enum SampleHint {
        SAMPLE_GOOD = 1,
        SAMPLE_TOO_HIGH,
        SAMPLE_TOO_LOW,
        SAMPLE_TOO_LEFT,
        SAMPLE_TOO_RIGHT,
        SAMPLE_TOO_FAST,
        SAMPLE_TOO_SLOW,
        SAMPLE_POOR,
        SAMPLE_TOO_SKEWED,
        SAMPLE_TOO_SHORT,
        SAMPLE_MERGE_FAILURE,
        SAMPLE_EXISTS,
        SAMPLE_NO_TOUCH,
        SAMPLE_NO_TRANSITION,
        _SAMPLE_MAX,
} SampleHint;

/* ---- building and taking apart; no allocation, no I/O ---- */

typedef struct Frame {
        size_t size;
        bool overflow;
        unsigned char bytes[FACTOR_FRAME_MAX];
} Frame;

void frame_init(Frame *f, unsigned what);
void frame_add(Frame *f, FactorItem item, const void *value, size_t size);
void frame_add_text(Frame *f, FactorItem item, const char *text);
void frame_add_uint(Frame *f, FactorItem item, uint32_t value);
/* How many more bytes of items fit, their heads counted. */
size_t frame_room(const Frame *f);
/* What a frame is, when that is known only after its items: replaces what frame_init() was told. */
void frame_set(Frame *f, unsigned what);
/* Wipes it: a request may hold a PIN. */
void frame_done(Frame *f);

typedef struct FrameReader {
        unsigned what;
        const unsigned char *at, *end;
} FrameReader;

typedef struct FrameItem {
        FactorItem item;
        uint32_t number; /* of a uint32 item */
        const unsigned char *bytes;
        size_t size;
} FrameItem;

/* Checks the whole of `size` received bytes: header, each item's length, number range and text (UTF-8 without control
 * characters). -EPROTO when there is anything that this file does not describe; then nothing of it may be used. */
int frame_open(FrameReader *ret, const void *bytes, size_t size);
/* The next item, pointing into the bytes; false at the end. */
bool frame_next(FrameReader *r, FrameItem *ret);
