/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A card that answers anything. Byte 0: the operation (0: what is on it, else signing: bit 1 JPKI, bit 2 P-256, bit 3
 * the protocol is T=0), then answers one after the other: two bytes of length (big-endian) and the bytes. When there is
 * no more, the card has left. */

#include <string.h>

#include "factor/card.h"
#include "fuzz.h"

/* ISO 7816-3: head, Lc, 255 bytes, Le. */
#define COMMAND_MAX 261u
/* Certificates of both applications in the smallest pieces that are taken, and the rest. */
#define EXCHANGES_MAX 2000u

#define MODE_SIGN 0x01u
#define MODE_JPKI 0x02u
#define MODE_P256 0x04u
#define MODE_T0   0x08u

typedef struct Answers {
        const uint8_t *at;
        size_t size;
        unsigned exchanges, pins;
} Answers;

/* What may never be asked of a card: a PIN twice, files of the signing set. */
static void look_at_command(Answers *a, const unsigned char *command, size_t length) {
        static const unsigned char by_file[] = { 0x00, 0xa4, 0x02, 0x0c, 0x02, 0x00 };

        require(length >= 4 && length <= COMMAND_MAX);
        require(++a->exchanges <= EXCHANGES_MAX);
        if (command[1] == 0x20 && length > 5)
                require(++a->pins == 1);
        if (command[1] == 0xa4 && command[2] == 0x02)
                require(length == 7 && memcmp(command, by_file, sizeof(by_file)) == 0 &&
                        (command[6] == 0x0a || command[6] == 0x17 || command[6] == 0x18));
}

static FactorStatus transmit(
        void *userdata, const unsigned char *command, size_t length, unsigned char *reply, size_t *size) {
        Answers *a = userdata;
        size_t n;

        look_at_command(a, command, length);
        if (a->size < 2)
                return FACTOR_REMOVED;
        n = (size_t)a->at[0] << 8 | a->at[1];
        a->at += 2;
        a->size -= 2;
        if (n > a->size)
                n = a->size;
        if (n > *size)
                return FACTOR_MISBEHAVED; /* as pcscd: the room is not enough */
        memcpy(reply, a->at, n);
        a->at += n;
        a->size -= n;
        *size = n;
        return FACTOR_OK;
}

static FactorStatus reset(void *userdata) {
        return FACTOR_OK;
}

static void require_status(FactorStatus s) {
        require(factor_status_to_string(s) && s != FACTOR_PROGRESS && s != FACTOR_INTERNAL && s != FACTOR_MALFORMED);
}

static void read_card(const CardLink *link) {
        CardContents *contents = calloc(CARD_KINDS, sizeof(*contents));
        FactorStatus s;
        size_t n = 0;

        require(contents);
        s = card_read(link, contents, &n);
        require_status(s);
        require(((Answers *)link->userdata)->pins == 0);
        for (size_t i = 0; s == FACTOR_OK && i < n; i++) {
                require(card_application_to_string(contents[i].application));
                require(contents[i].size <= FACTOR_CERTIFICATE_MAX);
                require(contents[i].size == 0 ||
                        (contents[i].too_long == 0 &&
                                der_is_sequence((Bytes){ contents[i].certificate, contents[i].size })));
                require(!contents[i].has_tries || contents[i].tries <= 15);
        }
        free(contents);
}

static void sign(const CardLink *link, unsigned mode) {
        static const unsigned char digest[DIGEST_SIZE] = { 1 };
        unsigned char pin[] = "123456";
        const CardQuestion q = {
                .application = mode & MODE_JPKI ? CARD_JPKI : CARD_PIV,
                .algorithm = mode & MODE_P256 ? CARD_P256 : CARD_RSA_2048,
                .pin = pin,
                .pin_size = mode & MODE_JPKI ? 4 : 6,
                .digest = { digest, sizeof(digest) },
                .has_tries = true,
                .tries = 3,
        };
        const Answers *a = link->userdata;
        CardAnswer answer;
        FactorStatus s;

        s = card_prove(link, &q, &answer);
        require_status(s);
        require(answer.size <= sizeof(answer.signature) && (answer.size > 0) == (s == FACTOR_OK));
        require(a->pins == 1 || s == FACTOR_CHANGED || s == FACTOR_BLOCKED || s == FACTOR_REMOVED ||
                s == FACTOR_MISBEHAVED || s == FACTOR_UNSUPPORTED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        Answers answers = { data, size, 0, 0 };
        CardLink link = { transmit, reset, &answers, false };
        unsigned mode;

        if (size == 0)
                return 0;
        mode = *answers.at++;
        answers.size--;
        link.t0 = mode & MODE_T0;
        if (mode & MODE_SIGN)
                sign(&link, mode);
        else
                read_card(&link);
        return 0;
}
