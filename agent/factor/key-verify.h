/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "factor/public-key.h"
#include "factor/trust.h"

/* What keishid itself checks of a FIDO2 key's answers (WebAuthn Level 2, 7.1 and 7.2; CTAP 2.1): the worker that brings
 * them is not believed. Pure: no I/O, no clock, no randomness of its own. */

#define KEY_CHALLENGE_SIZE 32u
#define KEY_CREDENTIAL_MAX 1024u
#define KEY_AAGUID_SIZE    16u
#define KEY_AUTH_DATA_MAX  4096u
#define KEY_CHAIN_MAX      TRUST_CHAIN_MAX

typedef enum KeyCondition {
        _KEY_E_SUCCESS,
        KEY_E_MALFORMED,    /* authenticator data that no specification allows */
        KEY_E_RP,           /* made for another relying party */
        KEY_E_NOT_PRESENT,  /* nobody touched it */
        KEY_E_NOT_VERIFIED, /* the key says itself that it verified nobody */
        KEY_E_BACKUP,       /* a credential that may be copied to other devices */
        KEY_E_CREDENTIAL,   /* another credential than was asked for */
        KEY_E_KEY_TYPE,     /* a public key of a kind that is not known */
        KEY_E_SIGNATURE,    /* not made by the enrolled key over this challenge */
        KEY_E_COUNTER,      /* the signature counter did not advance: a replay, or a copy of the key */

        KEY_E_FORMAT,             /* an attestation format other than packed */
        KEY_E_UNATTESTED,         /* the key says nothing about who made it, and policy wants that */
        KEY_E_CERTIFICATE,        /* the attestation certificate is not what WebAuthn 8.2.1 demands */
        KEY_E_AAGUID,             /* the attestation certificate is of another model */
        KEY_E_ATTESTATION,        /* the attestation signature is wrong */
        KEY_E_CHAIN,              /* the attestation does not lead to a configured root */
        KEY_E_CHAIN_NOT_IN_FORCE, /* expired, not yet valid, revoked, or no list in force */
        _KEY_E_MAX,
} KeyCondition;
/* Stable names ("not-verified", "counter"), for trails and --json; NULL for what is none. */
const char *key_condition_to_string(int c);

/* What a key has to sign, in the place of WebAuthn's client data hash: SHA-256 over a label, the challenge (random,
 * used once), and what it is for ("login hanako desk1"). 0 or -ENOMEM. */
int key_client_data_hash(
        const unsigned char challenge[KEY_CHALLENGE_SIZE], const char *purpose, unsigned char ret_hash[32]);

typedef struct KeyAssertion {
        const char *rp;                        /* the site's RP id, a DNS name */
        const unsigned char *client_data_hash; /* 32 bytes */
        Bytes credential;                      /* the enrolled credential's id */
        Bytes spki;                            /* its public key */
        uint32_t counter;                      /* as last stored */

        Bytes answered_credential; /* what the worker says that answered; empty: the only one that was asked for */
        Bytes auth_data, signature;
} KeyAssertion;

/* Checks a login's assertion. *ret_counter is to be stored before anybody is let in. Counters (WebAuthn 6.1.1): a key
 * that has none always says 0; otherwise each must be greater than the one before. 0, KEY_E_…, -ENOMEM. */
int key_assertion_verify(const KeyAssertion *a, uint32_t *ret_counter);

typedef struct KeyRegistration {
        const char *rp;
        const unsigned char *client_data_hash; /* 32 bytes */
        Bytes credential;                      /* as the worker says; must be the one in auth_data */
        Bytes auth_data;
        const char *format; /* attestation statement format */
        Bytes signature;    /* empty for format "none" */
        const Bytes *certificates;
        size_t n_certificates; /* leaf first; 0: self attestation */
} KeyRegistration;

/* What is enrolled. */
typedef struct KeyCredential {
        unsigned char id[KEY_CREDENTIAL_MAX];
        size_t id_size;
        unsigned char aaguid[KEY_AAGUID_SIZE]; /* the model; to be believed only when attested */
        PublicKeyKind kind;
        unsigned char spki[PUBLIC_KEY_MAX];
        size_t spki_size;
        uint32_t counter;
        bool user_verified; /* by PIN or finger */
        bool attested;      /* a configured root stands behind it */
        int unattested;     /* if not: the KEY_E_… because of which, to be recorded with the opt-out */
} KeyCredential;

/* Checks a registration made with attestation "direct". With `roots` the attestation must be packed, by a certificate
 * that leads to one of them and is of the AAGUID's model. Without (NULL: policy opts out, to be recorded) formats none,
 * packed and packed by itself are taken; signatures that are there must be right all the same. `now`: seconds since
 * 1970. 0, KEY_E_…, -ENOMEM. */
int key_registration_verify(KeyCredential *ret, const KeyRegistration *r, const Trust *roots, int64_t now);

/* "ee882879-721c-4913-9775-3dfcce97072a": 36 characters and a NUL. */
void key_aaguid_to_string(const unsigned char aaguid[KEY_AAGUID_SIZE], char ret[37]);
/* The other way, in lower or upper case; false when it is none. */
bool key_aaguid_from_string(const char *text, unsigned char ret[KEY_AAGUID_SIZE]);
