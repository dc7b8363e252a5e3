/* What the files of the policies' compiler share. For policy*.c only. */
#ifndef MR_POLICY_INNER_H
#define MR_POLICY_INNER_H

#include "policy.h"

enum mr_policy_token {
	MR_PT_END,
	MR_PT_NAME,
	MR_PT_NUMBER,
	MR_PT_STRING,
	MR_PT_AND,
	MR_PT_OR,
	MR_PT_NOT,
	MR_PT_EQ,
	MR_PT_NE,
	MR_PT_LT,
	MR_PT_LE,
	MR_PT_GT,
	MR_PT_GE,
	MR_PT_OPEN,
	MR_PT_CLOSE,
	MR_PT_LIST,
	MR_PT_LIST_END,
	MR_PT_COMMA,
	MR_PT_DOT,
	MR_PT_BAD
};

struct mr_policy_compiler {
	struct mr_arena *a;
	const struct mr_entity *e;
	const struct mr_entity *outer; /* within exists(e, ...): whose policy it is */
	const struct mr_node *auth;
	struct mr_error *err;
	const char *start, *p, *end;
	enum mr_policy_token token;
	struct mr_str text; /* of the token: a name, a number, or a string's content */
	int depth;
	bool asks_sets; /* some exists(...) was compiled */
};

enum mr_operand_kind { MR_OPERAND_CONSTANT, MR_OPERAND_FIELD, MR_OPERAND_OUTER, MR_OPERAND_TRUTH };

struct mr_operand_links {
	struct mr_link link;
	const struct mr_operand_links *next;
};

struct mr_operand {
	enum mr_operand_kind kind;
	const struct mr_node *node; /* MR_OPERAND_CONSTANT; NULL: an absent claim */
	bool literal;               /* written in the source, so that a wrong type is the author's mistake */
	int field;
	const struct mr_pred *yes, *no;       /* MR_OPERAND_TRUTH */
	const struct mr_operand_links *links; /* of a MR_OPERAND_TRUTH within exists: hold beside it */
};

/* policy.c: bad_policy, and where. Gives false. */
bool mr_policy_refuse(struct mr_policy_compiler *c, const char *why);

/* policy_compare.c: each leaves in its first operand what it comes to, or refuses. */
struct mr_operand mr_operand_truth(const struct mr_pred *yes, const struct mr_pred *no);
bool mr_operand_as_truth(struct mr_policy_compiler *c, struct mr_operand *o); /* one that stands alone */
bool mr_operand_compare(struct mr_policy_compiler *c, enum mr_policy_token op, struct mr_operand *x, struct mr_operand *y);
/* unknown: one of the items is, whatever the others say. */
bool mr_operand_in(struct mr_policy_compiler *c, struct mr_operand *x, const struct mr_operand *items, size_t n, bool unknown);

#endif
