/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "factor/trust-file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* What tells one state of a file from another. */
typedef struct Stamp {
        dev_t device;
        ino_t inode;
        off_t size;
        struct timespec modified, changed;
} Stamp;

struct TrustFile {
        char *certificates, *crls;
        Stamp seen[2];
        Trust *trust;
        char *error;
};

static void stamp_take(Stamp *ret, const char *path) {
        struct stat st;

        memset(ret, 0, sizeof(*ret)); /* compared as bytes */
        if (!path || stat(path, &st) < 0)
                return;
        ret->device = st.st_dev;
        ret->inode = st.st_ino;
        ret->size = st.st_size;
        ret->modified = st.st_mtim;
        ret->changed = st.st_ctim;
}

int trust_file_new(TrustFile **ret, const char *certificates, const char *crls) {
        _cleanup_(trust_file_free_p) TrustFile *f = calloc(1, sizeof(*f));

        if (!f)
                return -ENOMEM;
        f->certificates = certificates ? strdup(certificates) : NULL;
        f->crls = crls ? strdup(crls) : NULL;
        if ((certificates && !f->certificates) || (crls && !f->crls))
                return -ENOMEM;
        *ret = TAKE_PTR(f);
        return 0;
}

TrustFile *trust_file_free(TrustFile *f) {
        if (!f)
                return NULL;
        trust_free(f->trust);
        free(f->certificates);
        free(f->crls);
        free(f->error);
        free(f);
        return NULL;
}

const Trust *trust_file_get(TrustFile *f) {
        Stamp now[2];

        if (!f || !f->certificates)
                return NULL;
        stamp_take(&now[0], f->certificates);
        stamp_take(&now[1], f->crls);
        if (f->trust && memcmp(now, f->seen, sizeof(now)) == 0)
                return f->trust;
        f->trust = trust_free(f->trust);
        free(TAKE_PTR(f->error));
        memcpy(f->seen, now, sizeof(now));
        if (trust_load(&f->trust, f->certificates, f->crls, &f->error) < 0)
                f->trust = NULL;
        return f->trust;
}

const char *trust_file_error(const TrustFile *f) {
        return f->error;
}
