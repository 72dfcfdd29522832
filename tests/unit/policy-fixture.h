/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "policy/verdict.h"
#include "util/cleanup.h"

/* A registered person at a terminal of the own unit on a Wednesday at ten; each case changes what it is about. */
static inline Facts facts(void) {
        return (Facts){
                .stage = STAGE_ACCOUNT,
                .service = "login",
                .family = FAMILY_CONSOLE,
                .authenticated = true,
                .account = "hanako",
                .known = true,
                .registered = true,
                .unit = "会計課",
                .terminal = "KEIRI-01",
                .terminal_unit = "会計課",
                .confidentiality = 2,
                .now_usec = 1000,
                .weekday = 2,
                .minute = 600,
                .clock_trusted = true,
        };
}

static inline Candidate candidate(void) {
        return (Candidate){
                .designation = "d-1",
                .scope = "s-1",
                .business = "会計事務",
                .bounds = { .terminal_kind = TERMINAL_NAME, .terminal = "KEIRI-01" },
                .scope_bounds = { .terminal_kind = TERMINAL_PATTERN, .terminal = "KEIRI-*" },
        };
}

static inline Verdict decide(const Facts *f, const Candidate *candidates, size_t n) {
        Verdict v;

        if (verdict_begin(&v, f) == VERDICT_CANDIDATES)
                for (size_t i = 0; i < n; i++)
                        if (verdict_offer(&v, f, &candidates[i]))
                                break;
        return v;
}
