/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "keishi/protocol.h"

/* Writing and reading messages of protocol.h; used on both sides. No allocation, no I/O. */

typedef struct MessageBuilder {
        size_t size;
        bool overflow;
        unsigned char bytes[KEISHI_MESSAGE_MAX];
} MessageBuilder;

static inline void message_init(MessageBuilder *b, MessageType type) {
        MessageHeader h = { KEISHI_PROTOCOL_MAGIC, KEISHI_PROTOCOL_VERSION, (uint16_t)type, 0 };

        memcpy(b->bytes, &h, sizeof(h));
        b->size = sizeof(h);
        b->overflow = false;
}

static inline void message_add(MessageBuilder *b, MessageItem item, const void *value, size_t size) {
        ItemHeader h = { (uint16_t)item, (uint16_t)size };
        uint16_t length;

        if (size > KEISHI_MESSAGE_MAX || sizeof(h) + size > sizeof(b->bytes) - b->size) {
                b->overflow = true;
                return;
        }
        memcpy(b->bytes + b->size, &h, sizeof(h));
        if (size > 0)
                memcpy(b->bytes + b->size + sizeof(h), value, size);
        b->size += sizeof(h) + size;
        length = (uint16_t)(b->size - sizeof(MessageHeader));
        memcpy(b->bytes + offsetof(MessageHeader, length), &length, sizeof(length));
}

/* NULL is left out. */
static inline void message_add_text(MessageBuilder *b, MessageItem item, const char *text) {
        if (text)
                message_add(b, item, text, strlen(text));
}

static inline void message_add_uint(MessageBuilder *b, MessageItem item, uint32_t value) {
        message_add(b, item, &value, sizeof(value));
}

/* A message taken apart. Text points into the bytes that were parsed and is not terminated; absent items have NULL. */
typedef struct Message {
        MessageType type;
        uint32_t present; /* bit per MessageItem */
        uint32_t number[_ITEM_MAX];
        const char *text[_ITEM_MAX];
        size_t size[_ITEM_MAX];
} Message;

static inline bool message_has(const Message *m, MessageItem item) {
        return m->present & (UINT32_C(1) << item);
}

/* Which items a type must (first mask) and may (second) carry. */
static inline bool message_items(MessageType type, uint32_t *ret_must, uint32_t *ret_may) {
#define BIT(i) (UINT32_C(1) << (i))
        *ret_must = *ret_may = 0;
        switch (type) {
        case MESSAGE_BEGIN:
                *ret_must = BIT(ITEM_STAGE) | BIT(ITEM_FLAGS) | BIT(ITEM_SERVICE);
                *ret_may = BIT(ITEM_USER) | BIT(ITEM_USER_LENGTH) | BIT(ITEM_RUSER) | BIT(ITEM_RHOST) | BIT(ITEM_TTY) |
                           BIT(ITEM_LOCALE) | BIT(ITEM_OLD_TOKEN);
                return true;
        case MESSAGE_ANSWER:
        case MESSAGE_INFORM:
        case MESSAGE_ERROR:
                *ret_must = BIT(ITEM_TEXT);
                return true;
        case MESSAGE_PROMPT:
                *ret_must = BIT(ITEM_TEXT) | BIT(ITEM_PROMPT_STYLE);
                return true;
        case MESSAGE_CANCEL:
        case MESSAGE_WAIT:
                return true;
        case MESSAGE_RESULT:
                *ret_must = BIT(ITEM_RESULT);
                *ret_may = BIT(ITEM_SET_USER);
                return true;
        }
#undef BIT
        return false;
}

/* Takes `size` received bytes apart. -EPROTO for anything that protocol.h does not describe: nothing of *ret may be
 * used then. */
static inline int message_parse(Message *ret, const void *bytes, size_t size) {
        const unsigned char *p = bytes;
        uint32_t must, may;
        MessageHeader h;

        if (size < sizeof(h) || size > KEISHI_MESSAGE_MAX)
                return -EPROTO;
        memcpy(&h, p, sizeof(h));
        if (h.magic != KEISHI_PROTOCOL_MAGIC || h.version != KEISHI_PROTOCOL_VERSION || h.length != size - sizeof(h))
                return -EPROTO;
        if (!message_items((MessageType)h.type, &must, &may))
                return -EPROTO;

        memset(ret, 0, sizeof(*ret));
        ret->type = (MessageType)h.type;

        for (p += sizeof(h), size -= sizeof(h); size > 0;) {
                ItemHeader i;

                if (size < sizeof(i))
                        return -EPROTO;
                memcpy(&i, p, sizeof(i));
                p += sizeof(i), size -= sizeof(i);
                if (i.item == 0 || i.item >= _ITEM_MAX || i.length > size || message_has(ret, (MessageItem)i.item))
                        return -EPROTO;
                if (!((must | may) & (UINT32_C(1) << i.item)))
                        return -EPROTO;

                switch ((MessageItem)i.item) {
                case ITEM_STAGE:
                case ITEM_FLAGS:
                case ITEM_USER_LENGTH:
                case ITEM_PROMPT_STYLE:
                case ITEM_RESULT:
                        if (i.length != sizeof(uint32_t))
                                return -EPROTO;
                        memcpy(&ret->number[i.item], p, sizeof(uint32_t));
                        break;
                case ITEM_TEXT:
                case ITEM_OLD_TOKEN:
                        if (i.length > KEISHI_TEXT_MAX || memchr(p, 0, i.length))
                                return -EPROTO;
                        ret->text[i.item] = (const char *)p;
                        break;
                default:
                        if (i.length > KEISHI_NAME_MAX || memchr(p, 0, i.length))
                                return -EPROTO;
                        ret->text[i.item] = (const char *)p;
                }
                ret->size[i.item] = i.length;
                ret->present |= UINT32_C(1) << i.item;
                p += i.length, size -= i.length;
        }

        return (ret->present & must) == must ? 0 : -EPROTO;
}
