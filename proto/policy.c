/* A policy is compiled to two predicates at once: when it is true, and when it is false. Where neither holds it is unknown. So "!" only
 * swaps them, and unknown needs no operator of its own: what the caller gets is the first, in which anything unknown is false.
 */
#include "policy_inner.h"

#include <stdlib.h>

enum { POLICY_DEPTH = 64, POLICY_MAX = 16384, NAMES_MOST = 16 };

bool mr_policy_refuse(struct mr_policy_compiler *c, const char *why)
{
	const struct mr_entity *e = c->outer ? c->outer : c->e;
	mr_fail(c->err, MR_BAD_POLICY, "The policy of %s does not compile at character %zu: %s.", e->name.p, (size_t)(c->p - c->start),
		why);
	return false;
}

/* Tokens */

static bool is_letter(char c)
{
	char low = c | 0x20;
	return c == '_' || (low >= 'a' && low <= 'z');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static void scan_name(struct mr_policy_compiler *c)
{
	const char *from = c->p;
	while (c->p < c->end && (is_letter(*c->p) || is_digit(*c->p)))
		c->p++;
	c->token = MR_PT_NAME;
	c->text = (struct mr_str){from, (size_t)(c->p - from)};
}

static void scan_number(struct mr_policy_compiler *c)
{
	const char *from = c->p;
	struct mr_decimal d;
	c->p++;
	while (c->p < c->end &&
		(is_digit(*c->p) || *c->p == '.' || is_letter(*c->p) || ((*c->p == '-' || *c->p == '+') && (c->p[-1] | 0x20) == 'e')))
		c->p++;
	c->text = (struct mr_str){from, (size_t)(c->p - from)};
	c->token = mr_decimal_read(c->text, &d) ? MR_PT_NUMBER : MR_PT_BAD;
}

/* Quotes of either kind; a backslash stands before a quote or a backslash. */
static void scan_string(struct mr_policy_compiler *c)
{
	char quote = *c->p++;
	char *copy = mr_arena_alloc(c->a, (size_t)(c->end - c->p) + 1), *to = copy;
	while (c->p < c->end && *c->p != quote) {
		if (*c->p == '\\') {
			if (++c->p == c->end || (*c->p != '\\' && *c->p != '\'' && *c->p != '"'))
				break;
		}
		*to++ = *c->p++;
	}
	c->token = c->p < c->end && *c->p == quote ? MR_PT_STRING : MR_PT_BAD;
	c->p += c->token == MR_PT_STRING;
	c->text = (struct mr_str){copy, (size_t)(to - copy)};
}

static void scan_sign(struct mr_policy_compiler *c)
{
	static const struct {
		char text[3];
		enum mr_policy_token token;
	} signs[] = {{"&&", MR_PT_AND}, {"||", MR_PT_OR}, {"==", MR_PT_EQ}, {"!=", MR_PT_NE}, {"<=", MR_PT_LE}, {">=", MR_PT_GE},
		{"<", MR_PT_LT}, {">", MR_PT_GT}, {"!", MR_PT_NOT}, {"(", MR_PT_OPEN}, {")", MR_PT_CLOSE}, {"[", MR_PT_LIST},
		{"]", MR_PT_LIST_END}, {",", MR_PT_COMMA}, {".", MR_PT_DOT}};
	c->token = MR_PT_BAD;
	for (size_t i = 0; i < MR_COUNT(signs); i++) {
		size_t n = strlen(signs[i].text);
		if ((size_t)(c->end - c->p) >= n && memcmp(c->p, signs[i].text, n) == 0) {
			c->token = signs[i].token;
			c->p += n;
			return;
		}
	}
}

static void next(struct mr_policy_compiler *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' || *c->p == '\n' || *c->p == '\r'))
		c->p++;
	if (c->p == c->end)
		c->token = MR_PT_END;
	else if (is_letter(*c->p))
		scan_name(c);
	else if (is_digit(*c->p) || (*c->p == '-' && c->p + 1 < c->end && is_digit(c->p[1])))
		scan_number(c);
	else if (*c->p == '\'' || *c->p == '"')
		scan_string(c);
	else
		scan_sign(c);
}

static bool accept(struct mr_policy_compiler *c, enum mr_policy_token token)
{
	if (c->token != token)
		return false;
	next(c);
	return true;
}

/* Grammar */

static bool parse_or(struct mr_policy_compiler *c, struct mr_operand *o);
static bool parse_term(struct mr_policy_compiler *c, struct mr_operand *o);

static bool take_field(
	struct mr_policy_compiler *c, const struct mr_entity *e, enum mr_operand_kind kind, struct mr_str name, struct mr_operand *o)
{
	int f = mr_entity_field(e, name);
	if (f < 0)
		return mr_policy_refuse(c, mr_arena_printf(c->a, "%s has no field \"%.*s\"", e->name.p, (int)MR_MIN(name.n, 80), name.p).p);
	if (e->fields[f].type == MR_T_JSON)
		return mr_policy_refuse(c, "json fields do not compare");
	if (mr_field_computed(&e->fields[f]))
		return mr_policy_refuse(c, mr_arena_printf(c->a, "the id of %s is made of several fields: compare these", e->name.p).p);
	*o = (struct mr_operand){.kind = kind, .field = f};
	return c->token != MR_PT_DOT || mr_policy_refuse(c, "fields have no members");
}

static bool parse_field(struct mr_policy_compiler *c, struct mr_operand *o)
{
	if (!accept(c, MR_PT_DOT) || c->token != MR_PT_NAME)
		return mr_policy_refuse(c, "`data.` and a field's name were expected");
	struct mr_str name = c->text;
	next(c);
	return take_field(c, c->outer ? c->outer : c->e, c->outer ? MR_OPERAND_OUTER : MR_OPERAND_FIELD, name, o);
}

static bool parse_claim(struct mr_policy_compiler *c, struct mr_operand *o)
{
	const struct mr_node *n = c->auth;
	if (c->token != MR_PT_DOT)
		return mr_policy_refuse(c, "`auth.` and a claim's name were expected");
	for (int names = 0; accept(c, MR_PT_DOT); names++) {
		if (c->token != MR_PT_NAME || names == NAMES_MOST)
			return mr_policy_refuse(c, "a claim's name was expected");
		n = mr_node_get(n, mr_arena_z(c->a, c->text));
		next(c);
	}
	*o = (struct mr_operand){.kind = MR_OPERAND_CONSTANT, .node = n};
	return c->token != MR_PT_OPEN || mr_policy_refuse(c, "claims are no functions: a role is asked for by 'admin' in auth.roles");
}

static bool literal(struct mr_policy_compiler *c, struct mr_operand *o, enum mr_kind kind, bool t)
{
	struct mr_node *n = mr_arena_alloc(c->a, sizeof(*n));
	n->kind = kind;
	n->truth = t;
	n->text = c->text;
	*o = (struct mr_operand){.kind = MR_OPERAND_CONSTANT, .node = n, .literal = true};
	next(c);
	return true;
}

static bool open_exists(struct mr_policy_compiler *c, const struct mr_entity **set)
{
	if (c->outer)
		return mr_policy_refuse(c, "exists(...) does not stand within another one");
	next(c);
	*set = c->token == MR_PT_NAME ? mr_app_entity(c->e->app, c->text) : NULL;
	if (!*set)
		return mr_policy_refuse(
			c, c->token == MR_PT_NAME
				   ? mr_arena_printf(c->a, "there is no entity \"%.*s\"", (int)MR_MIN(c->text.n, 80), c->text.p).p
				   : "exists takes an entity and a condition, as exists(Member, team == data.team)");
	next(c);
	return accept(c, MR_PT_COMMA) || mr_policy_refuse(c, "exists takes an entity, a comma and a condition");
}

/* NULL: there are too many links. */
static const struct mr_pred *make_member(struct mr_policy_compiler *c, const struct mr_entity *set, const struct mr_operand *body)
{
	struct mr_link links[MR_LINKS_MOST];
	struct mr_members m = {.entity = set, .pred = mr_pred_normal(c->a, body->yes), .links = links};
	for (const struct mr_operand_links *l = body->links; l; l = l->next) {
		if (m.n == MR_LINKS_MOST)
			return NULL;
		links[m.n++] = l->link;
	}
	return mr_pred_member(c->a, &m);
}

static bool parse_exists(struct mr_policy_compiler *c, struct mr_operand *o)
{
	const struct mr_entity *set;
	struct mr_operand body = {0};
	if (!open_exists(c, &set))
		return false;
	c->outer = c->e;
	c->e = set;
	c->asks_sets = true;
	bool ok = parse_or(c, &body) && mr_operand_as_truth(c, &body);
	c->e = c->outer;
	c->outer = NULL;
	if (!ok)
		return false;
	if (!accept(c, MR_PT_CLOSE))
		return mr_policy_refuse(c, "a closing bracket was expected");
	const struct mr_pred *member = make_member(c, set, &body);
	if (!member)
		return mr_policy_refuse(c, "exists takes 8 links at most");
	*o = mr_operand_truth(member, mr_pred_not(c->a, member));
	return true;
}

/* What other policy languages have; NULL: nothing that we know. */
static const char *foreign(struct mr_str name)
{
	static const char *const names[][2] = {
		{"now", "time alone changes no row, so nobody would be told; let a function compare with ctx.now()"},
		{"existing", "the rows before and after an update are both \"data\", each in its turn, and both must satisfy the policy"},
		{"input", "the rows before and after an update are both \"data\", each in its turn, and both must satisfy the policy"},
	};
	for (size_t i = 0; i < MR_COUNT(names); i++)
		if (mr_str_is(name, names[i][0]))
			return names[i][1];
	return NULL;
}

static bool parse_name(struct mr_policy_compiler *c, struct mr_operand *o)
{
	struct mr_str name = c->text;
	if (mr_str_is(name, "true") || mr_str_is(name, "false"))
		return literal(c, o, MR_BOOL, name.n == 4);
	if (mr_str_is(name, "null"))
		return literal(c, o, MR_NULL, false);
	next(c);
	if (mr_str_is(name, "data"))
		return parse_field(c, o);
	if (mr_str_is(name, "auth"))
		return parse_claim(c, o);
	if (!c->outer && foreign(name))
		return mr_policy_refuse(c, foreign(name));
	if (c->token == MR_PT_OPEN)
		return mr_str_is(name, "exists") ? parse_exists(c, o) : mr_policy_refuse(c, "there are no functions but exists(...)");
	return c->outer ? take_field(c, c->e, MR_OPERAND_FIELD, name, o) : mr_policy_refuse(c, "names begin with \"auth.\" or \"data.\"");
}

static bool parse_term(struct mr_policy_compiler *c, struct mr_operand *o)
{
	switch (c->token) {
	case MR_PT_NAME:
		return parse_name(c, o);
	case MR_PT_NUMBER:
		return literal(c, o, MR_NUMBER, false);
	case MR_PT_STRING:
		return literal(c, o, MR_STRING, false);
	case MR_PT_OPEN:
		next(c);
		return parse_or(c, o) && (accept(c, MR_PT_CLOSE) || mr_policy_refuse(c, "a closing bracket was expected"));
	default:
		return mr_policy_refuse(c, "a value, auth. or data. was expected");
	}
}

struct items {
	struct mr_operand *v;
	size_t n, cap;
};

static struct mr_operand *add_item(struct mr_policy_compiler *c, struct items *items)
{
	if (items->n == items->cap) {
		items->cap = items->cap ? 2 * items->cap : 8;
		struct mr_operand *v = mr_arena_alloc(c->a, items->cap * sizeof *v);
		if (items->n)
			memcpy(v, items->v, items->n * sizeof *v);
		items->v = v;
	}
	return &items->v[items->n++];
}

static bool parse_items(struct mr_policy_compiler *c, struct items *items)
{
	if (accept(c, MR_PT_LIST_END))
		return true;
	do {
		struct mr_operand *item = add_item(c, items);
		if (!parse_term(c, item))
			return false;
		if (item->kind != MR_OPERAND_CONSTANT)
			return mr_policy_refuse(c, "a list holds values and claims");
	} while (accept(c, MR_PT_COMMA));
	return accept(c, MR_PT_LIST_END) || mr_policy_refuse(c, "the list's end was expected");
}

/* A claim that is a list. */
static bool claimed_items(struct mr_policy_compiler *c, struct items *items, bool *unknown)
{
	struct mr_operand claim = {0};
	if (c->token != MR_PT_NAME || !parse_term(c, &claim) || claim.kind != MR_OPERAND_CONSTANT || claim.literal)
		return mr_policy_refuse(c, "after in comes a list, ['a', 'b'], or a claim that is one");
	*unknown = !claim.node || claim.node->kind != MR_ARRAY;
	for (size_t i = 0; !*unknown && i < claim.node->n; i++)
		*add_item(c, items) = (struct mr_operand){.kind = MR_OPERAND_CONSTANT, .node = &claim.node->items[i]};
	return true;
}

static bool parse_in(struct mr_policy_compiler *c, struct mr_operand *o)
{
	struct items items = {0};
	bool unknown = false;
	bool ok = accept(c, MR_PT_LIST) ? parse_items(c, &items) : claimed_items(c, &items, &unknown);
	return ok && mr_operand_in(c, o, items.v, items.n, unknown);
}

static bool parse_cmp(struct mr_policy_compiler *c, struct mr_operand *o)
{
	struct mr_operand y = {0};
	if (!parse_term(c, o))
		return false;
	if (c->token == MR_PT_NAME && mr_str_is(c->text, "in")) {
		next(c);
		return parse_in(c, o);
	}
	enum mr_policy_token op = c->token;
	if (o->kind == MR_OPERAND_FIELD && (op == MR_PT_BAD || op == MR_PT_NAME))
		return mr_policy_refuse(c, "fields are compared by ==, !=, <, <=, >, >= or in");
	if (op < MR_PT_EQ || op > MR_PT_GE)
		return true;
	next(c);
	return parse_term(c, &y) && mr_operand_compare(c, op, o, &y);
}

/* A link is no condition to choose between or to deny. */
static bool stands_with_and(struct mr_policy_compiler *c, const struct mr_operand *o)
{
	return !o->links || mr_policy_refuse(c, "links to data. are joined to the rest by &&, not by || and not under !");
}

static const struct mr_operand_links *join_links(
	struct mr_policy_compiler *c, const struct mr_operand_links *x, const struct mr_operand_links *y)
{
	for (; x; x = x->next) {
		struct mr_operand_links *l = mr_arena_alloc(c->a, sizeof *l);
		*l = (struct mr_operand_links){x->link, y};
		y = l;
	}
	return y;
}

static bool parse_not(struct mr_policy_compiler *c, struct mr_operand *o)
{
	if (c->depth >= POLICY_DEPTH)
		return mr_policy_refuse(c, "it nests too deep");
	c->depth++;
	bool ok;
	if (accept(c, MR_PT_NOT)) {
		ok = parse_not(c, o) && mr_operand_as_truth(c, o) && stands_with_and(c, o);
		if (ok)
			*o = mr_operand_truth(o->no, o->yes);
	} else {
		ok = parse_cmp(c, o);
	}
	c->depth--;
	return ok;
}

static bool parse_and(struct mr_policy_compiler *c, struct mr_operand *o)
{
	struct mr_operand y = {0};
	if (!parse_not(c, o))
		return false;
	while (accept(c, MR_PT_AND)) {
		if (!mr_operand_as_truth(c, o) || !parse_not(c, &y) || !mr_operand_as_truth(c, &y))
			return false;
		const struct mr_operand_links *links = join_links(c, o->links, y.links);
		*o = mr_operand_truth(mr_pred_and(c->a, o->yes, y.yes), mr_pred_or(c->a, o->no, y.no));
		o->links = links;
	}
	return true;
}

static bool parse_or(struct mr_policy_compiler *c, struct mr_operand *o)
{
	struct mr_operand y = {0};
	if (!parse_and(c, o))
		return false;
	while (accept(c, MR_PT_OR)) {
		if (!mr_operand_as_truth(c, o) || !parse_and(c, &y) || !mr_operand_as_truth(c, &y) || !stands_with_and(c, o) ||
			!stands_with_and(c, &y))
			return false;
		*o = mr_operand_truth(mr_pred_or(c->a, o->yes, y.yes), mr_pred_and(c->a, o->no, y.no));
	}
	return true;
}

static const struct mr_pred *compile(struct mr_policy_compiler *c)
{
	struct mr_operand o = {0};
	if (c->p == c->end)
		return mr_pred_constant(c->a, false);
	if (c->end - c->p > POLICY_MAX || !mr_utf8_ok((struct mr_str){c->p, (size_t)(c->end - c->p)})) {
		mr_policy_refuse(c, "it is longer than 16 KB or not UTF-8");
		return NULL;
	}
	next(c);
	if (!parse_or(c, &o) || !mr_operand_as_truth(c, &o))
		return NULL;
	if (c->token != MR_PT_END) {
		mr_policy_refuse(c, "something follows that does not belong");
		return NULL;
	}
	return mr_pred_normal(c->a, o.yes);
}

const struct mr_pred *mr_policy_compile(
	struct mr_arena *a, const struct mr_entity *e, struct mr_str source, const struct mr_node *auth, struct mr_error *err)
{
	source = mr_str_solid(source);
	struct mr_policy_compiler c = {
		.a = a, .e = e, .auth = auth, .err = err, .start = source.p, .p = source.p, .end = source.p + source.n};
	return compile(&c);
}

bool mr_policy_asks_sets(const struct mr_entity *e, struct mr_str source)
{
	struct mr_arena a = {0};
	struct mr_error err;
	source = mr_str_solid(source);
	struct mr_policy_compiler c = {.a = &a, .e = e, .err = &err, .start = source.p, .p = source.p, .end = source.p + source.n};
	compile(&c);
	mr_arena_fini(&a);
	return c.asks_sets;
}

bool mr_policy_check(const struct mr_entity *e, struct mr_str source, struct mr_error *err)
{
	struct mr_arena a = {0};
	bool ok = mr_policy_compile(&a, e, source, NULL, err) != NULL;
	mr_arena_fini(&a);
	return ok;
}
