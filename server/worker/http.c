/* An action that answers a request of a route: the rest of the request's body, and what it says of its answer before its end, piece by
 * piece (docs/manifest.md). Each asks for one piece at a time and has its answer when the fanout has room for the next: so neither side
 * keeps more than a piece or two. */
#include <inttypes.h>
#include <stdlib.h>

#include "worker.h"

static void answer(struct mr_op **op, struct mr_str json)
{
	struct mr_op *one = *op;
	*op = NULL;
	one->drop = NULL;
	one->ok = true;
	mr_buf_reset(&one->json);
	mr_buf_str(&one->json, json);
	mr_run_op_answered(one);
}

static void tell(const struct mr_job *job, const char *member, struct mr_str value)
{
	struct mr_buf b = {0};
	if (!job->w->link)
		return;
	mr_buf_printf(&b, "{\"t\":\"part\",\"n\":%" PRIu64 ",\"%s\":", job->n, member);
	mr_buf_str(&b, value);
	mr_buf_char(&b, '}');
	mr_link_send(job->w->link, mr_buf_view(&b));
	mr_buf_fini(&b);
}

static void drop(struct mr_op *op)
{
	struct mr_http *h = &op->job->http;
	struct mr_op **slots[] = {&h->reader, &h->writer, &h->leaver};
	for (size_t i = 0; i < MR_COUNT(slots); i++)
		if (*slots[i] == op)
			*slots[i] = NULL;
}

/* One at a time: the slot holds the operation until it is answered. */
static bool take(struct mr_op **slot, struct mr_op *op, struct mr_error *err)
{
	if (!op->job->fn->http || op->job->inner)
		return mr_fail(err, MR_INTERNAL, "The app's runtime answers a request where there is none.");
	if (*slot)
		return mr_fail(err, MR_INTERNAL, "The app's runtime asked for the next piece of a body before it had this one.");
	*slot = op;
	op->drop = drop;
	return true;
}

bool mr_http_body(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_http *h = &op->job->http;
	if (!take(&h->reader, op, err))
		return false;
	if (h->gone)
		answer(&h->reader, MR_STR("false"));
	else
		tell(op->job, "want", MR_STR("true"));
	return true;
}

bool mr_http_respond(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_op *one = op;
	if (!op->job->fn->http || op->job->inner)
		return mr_fail(err, MR_INTERNAL, "The app's runtime answers a request where there is none.");
	tell(op->job, "head", in->raw);
	answer(&one, MR_STR("null"));
	return true;
}

bool mr_http_write(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_http *h = &op->job->http;
	const struct mr_node *bytes = mr_node_get(in, "bytes");
	if (!bytes || bytes->kind != MR_BYTES)
		return mr_fail(err, MR_INTERNAL, "The app's runtime wrote what are no bytes.");
	if (!take(&h->writer, op, err))
		return false;
	if (h->gone)
		answer(&h->writer, MR_STR("false"));
	else
		tell(op->job, "bytes", bytes->raw);
	return true;
}

bool mr_http_gone(struct mr_op *op, const struct mr_node *in, struct mr_error *err)
{
	struct mr_http *h = &op->job->http;
	if (!take(&h->leaver, op, err))
		return false;
	if (h->gone)
		answer(&h->leaver, MR_STR("true"));
	return true;
}

void mr_http_message(struct mr_job *job, const struct mr_node *m)
{
	struct mr_http *h = &job->http;
	const struct mr_node *bytes = mr_node_get(m, "bytes");
	if (mr_node_truth(m, "gone")) {
		h->gone = true;
		if (h->reader)
			answer(&h->reader, MR_STR("false"));
		if (h->writer)
			answer(&h->writer, MR_STR("false"));
		if (h->leaver)
			answer(&h->leaver, MR_STR("true"));
	}
	if (mr_node_truth(m, "taken") && h->writer)
		answer(&h->writer, MR_STR("true"));
	if (bytes && h->reader)
		answer(&h->reader, bytes->raw);
}
