/* What callers are told of errors. In production what Postgres and its library say stays in the log: it names tables, hosts and users that
 * are nobody's business. */
#include "worker.h"

#include <stdio.h>

/* Our own sentence for each code under which Postgres's refusals go; by some one has to ask the log for more. */
static const struct sentence {
	enum mr_code code;
	const char *text;
	bool logged;
} sentences[] = {
	{MR_UNIQUE_VIOLATION, "A row with this value exists already."},
	{MR_REFERENCE_VIOLATION, "A row that is referred to does not exist, or other rows still refer to this one."},
	{MR_CHECK_VIOLATION, "A value breaks a rule of its table."},
	{MR_BAD_VALUE, "A value does not fit its column; what the database said is in the server's log.", true},
	{MR_SQL_ERROR, "A statement failed in the database; what it said is in the server's log.", true},
	{MR_TIME_LIMIT, "A statement took too long and was stopped."},
	{MR_CONFLICT, "Other transactions kept conflicting with this one; send it again."},
	{MR_POSTGRES_UNAVAILABLE, "The database does not answer; try again in a moment."},
	{MR_DISK_FULL, "The database has no space left; its operator has to make room."},
};

static const struct sentence *sentence_of(enum mr_code code)
{
	static const struct sentence other = {MR_INTERNAL, "The database refused; what it said is in the server's log.", true};
	for (size_t i = 0; i < MR_COUNT(sentences); i++)
		if (sentences[i].code == code)
			return &sentences[i];
	return &other;
}

struct mr_log_id mr_error_id(const struct mr_job *job, struct mr_str said)
{
	struct mr_str in = job->kind == MR_JOB_RUN ? job->fn->name : job->seed;
	uint64_t hash = mr_hash_fixed(said.p, said.n, mr_hash_fixed(in.p, in.n, 0));
	struct mr_log_id id;
	snprintf(id.text, sizeof id.text, "%08x", (unsigned)hash);
	return id;
}

/* " (Channel.name, Channel.team)", from data of storage/txn_error.c. */
static void print_fields(struct mr_buf *b, const struct mr_error *err)
{
	struct mr_arena a = {0};
	struct mr_error why;
	const struct mr_node *data = err->data[0] ? mr_json_read(&a, mr_str(err->data), 8, false, &why) : NULL;
	const struct mr_node *fields = mr_node_get(data, "fields");
	struct mr_str entity = mr_node_str(data, "entity");
	for (size_t i = 0; entity.n && fields && i < fields->n; i++)
		mr_buf_printf(
			b, "%s%.*s.%.*s", i ? ", " : " (", (int)entity.n, entity.p, (int)fields->items[i].text.n, fields->items[i].text.p);
	if (entity.n && fields && fields->n)
		mr_buf_char(b, ')');
	mr_arena_fini(&a);
}

static void print_sentence(struct mr_buf *b, const struct mr_job *job, const struct mr_error *err)
{
	const struct sentence *sentence = sentence_of(err->code);
	struct mr_buf text = {0};
	mr_buf_add(&text, sentence->text, strlen(sentence->text) - 1);
	if (sentence->logged)
		mr_buf_printf(&text, " as %s", mr_error_id(job, mr_str(err->message)).text);
	print_fields(&text, err);
	mr_buf_char(&text, '.');
	mr_json_quote(b, mr_buf_view(&text));
	mr_buf_fini(&text);
}

void mr_error_print(struct mr_buf *b, const struct mr_job *job, const struct mr_error *err)
{
	mr_buf_z(b, "{\"code\":");
	mr_json_quote(b, mr_str(mr_code_name(err->code)));
	mr_buf_z(b, ",\"message\":");
	if (err->foreign && !job->w->development)
		print_sentence(b, job, err);
	else
		mr_json_quote(b, mr_str(err->message));
	if (err->data[0])
		mr_buf_printf(b, ",\"data\":%s", err->data);
	mr_buf_char(b, '}');
}

/* Conflicts are common and met by another attempt; that connections are lost is logged where they are kept. */
void mr_error_log(const struct mr_job *job, const struct mr_error *err)
{
	bool fault = err->code == MR_SQL_ERROR || err->code == MR_INTERNAL || err->code == MR_DISK_FULL;
	if (!err->foreign || job->w->development || err->code == MR_CONFLICT || err->code == MR_POSTGRES_UNAVAILABLE)
		return;
	enum mr_level level = fault ? MR_ERROR : MR_INFO;
	struct mr_log_id id = mr_error_id(job, mr_str(err->message));
	if (job->fn)
		mr_log(level, "%s (%s): Postgres refuses: %s", job->fn->name.p, id.text, err->message);
	else
		mr_log(level, "%s %s (%s): Postgres refuses: %s", job->act.n ? job->act.p : "rows of",
			job->entity ? job->entity->name.p : "?", id.text, err->message);
}
