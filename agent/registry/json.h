/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "registry/noun.h"

/* Between rows and JSON. */

static inline void json_putp(json_object **o) {
        json_object_put(*o);
}

/* Sets the fields that `fields` has, checked one by one. Unknown ones are refused. With `change`, "version" is taken
 * into row->version as well. */
int row_from_json(Registry *r, const Noun *noun, json_object *fields, bool change, Row *row, RegistryError *e);

/* Sets one value; null or "" takes it away. */
int field_from_json(Registry *r, const Field *f, json_object *value, Value *ret, RegistryError *e);

/* uuid, origin, version, updated and all fields that have a value; of private ones that they have one. */
int row_to_json(Registry *r, const Noun *noun, const Row *row, json_object **ret);
/* Marks in the JSON of a changed row which private values are others than before. */
int row_mark_changed(const Noun *noun, const Row *before, const Row *after, json_object *after_json);
