/* Policies: string expressions over `auth` and `data`, compiled with the caller's identity filled in to a predicate, so that no
 * policy is ever evaluated for each client and write.
 *
 *   expr  := or;  or := and ("||" and)*;  and := not ("&&" not)*;  not := "!" not | cmp
 *   cmp   := term (("=="|"!="|"<"|"<="|">"|">=") term | "in" list)?;  list := "[" (term ("," term)*)? "]" | auth.name(.name)*
 *   term  := "true" | "false" | "null" | number | 'string' | "string" | auth.name(.name)* | data.field | "(" expr ")" | exists
 *   exists := "exists" "(" Entity "," expr ")"
 *
 * A field or claim alone is true when it is the boolean true. `x == null` asks for absence; any other comparison with an absent claim
 * or a null field is unknown and so allows nothing, also under "!". Comparing two auth terms or literals is decided when compiled.
 * `x in list`: equal to one of them; an absent claim, or one that is no list, is an unknown list.
 *
 * exists: there is such a row of Entity. In its expression a name alone is a field of Entity, and links `name == data.field` (either way
 * round), joined to the rest by "&&", tie it to the row; data. stands in links only, and without one it is the same for all rows. It is
 * true or false, never unknown, so under "!" it holds where there is no such row, also for nobody. It becomes a member of a set
 * (MR_P_MEMBER).
 *
 * Refused with bad_policy: unknown fields and entities, types that do not compare, exists within exists, functions.
 */
#ifndef MR_POLICY_H
#define MR_POLICY_H

#include "predicate.h"

/* auth: a map { userId, ... claims } or NULL (nobody). Empty source: false. */
const struct mr_pred *mr_policy_compile(
	struct mr_arena *a, const struct mr_entity *e, struct mr_str source, const struct mr_node *auth, struct mr_error *err);
/* Whether it asks exists(...), which the row and the caller do not decide alone. */
bool mr_policy_asks_sets(const struct mr_entity *e, struct mr_str source);
/* Checks a source without an identity; for `millrace check` and when an app is loaded. */
bool mr_policy_check(const struct mr_entity *e, struct mr_str source, struct mr_error *err);

#endif
