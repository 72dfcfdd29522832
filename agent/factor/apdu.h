/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "factor/factor-wire.h"
#include "factor/tlv.h"

/* Commands to a card and their replies (ISO 7816-3 and -4), over whatever brings bytes to it. */

typedef struct CardLink {
        /* One command, one reply into room for *size bytes; then *size is its length. FACTOR_OK, or how it failed. */
        FactorStatus (*transmit)(
                void *userdata, const unsigned char *command, size_t length, unsigned char *reply, size_t *size);
        /* Whatever was selected and presented is forgotten. */
        FactorStatus (*reset)(void *userdata);
        void *userdata;
        bool t0; /* the protocol is T=0, in which a command with data has no Le */
} CardLink;

typedef struct Command {
        unsigned char cla, ins, p1, p2;
        Bytes data;       /* longer than 255: sent by command chaining */
        bool wants;       /* data is expected */
        unsigned char le; /* how much of it; 0: as much as there is, at most 256 */
} Command;

/* Room for the largest certificate and what may be around it. */
#define REPLY_MAX (FACTOR_CERTIFICATE_MAX + 512u)

typedef struct Reply {
        unsigned sw;
        size_t size;
        bool cut; /* the card had more to say than fits */
        unsigned char bytes[REPLY_MAX + 2];
} Reply;

/* Sends a command and collects its reply: 61xx (more to get) and 6Cxx (ask for that length) are followed as far as a
 * reply can be long, and not when they do not go on; then FACTOR_MISBEHAVED. No copy of the command is left behind. */
FactorStatus command_send(const CardLink *link, const Command *c, Reply *ret);

#define SW_OK                  0x9000u
#define SW_END_OF_FILE         0x6282u
#define SW_NO_INFORMATION      0x6300u
#define SW_WRONG_LENGTH        0x6700u
#define SW_SECURITY_STATUS     0x6982u
#define SW_BLOCKED             0x6983u
#define SW_DATA_UNUSABLE       0x6984u
#define SW_CONDITIONS          0x6985u
#define SW_WRONG_DATA          0x6a80u
#define SW_UNSUPPORTED         0x6a81u
#define SW_FILE_NOT_FOUND      0x6a82u
#define SW_WRONG_P1P2          0x6a86u
#define SW_REFERENCE_NOT_FOUND 0x6a88u
#define SW_INS_UNSUPPORTED     0x6d00u

/* What VERIFY says: 63CX, X tries left; 6983, blocked. False when it says something else. */
bool sw_tries(unsigned sw, unsigned *ret);
/* The card knows what was asked and cannot do it. */
bool sw_is_unsupported(unsigned sw);
