/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f)   __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))

#define TAKE_PTR(p)                                                                                                    \
        ({                                                                                                             \
                typeof(p) *_pp = &(p);                                                                                 \
                typeof(p) _p = *_pp;                                                                                   \
                *_pp = NULL;                                                                                           \
                _p;                                                                                                    \
        })
#define TAKE_FD(fd)                                                                                                    \
        ({                                                                                                             \
                int *_pf = &(fd);                                                                                      \
                int _f = *_pf;                                                                                         \
                *_pf = -EBADF;                                                                                         \
                _f;                                                                                                    \
        })

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))

/* static inline void TYPE_p(TYPE *p) for _cleanup_(), from a function that accepts NULL */
#define DEFINE_CLEANUP(type, func)                                                                                     \
        static inline void func##_p(type *p) {                                                                         \
                if (*p)                                                                                                \
                        func(*p);                                                                                      \
        }

static inline void free_p(void *p) {
        free(*(void **)p);
}

static inline void close_p(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

static inline void fclose_p(FILE **f) {
        if (*f)
                fclose(*f);
}

#define _cleanup_free_   _cleanup_(free_p)
#define _cleanup_close_  _cleanup_(close_p)
#define _cleanup_fclose_ _cleanup_(fclose_p)
