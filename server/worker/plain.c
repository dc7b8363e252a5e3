/* What callers are told of errors. In production what Postgres and its library say stays in the log: it names tables, hosts and users that
 * are nobody's business. */
#include "worker.h"

/* Our own sentence for each code under which Postgres's refusals go. */
static const struct {
	enum mr_code code;
	const char *sentence;
} sentences[] = {
	{MR_UNIQUE_VIOLATION, "A row with this value exists already."},
	{MR_REFERENCE_VIOLATION, "A row that is referred to does not exist, or other rows still refer to this one."},
	{MR_CHECK_VIOLATION, "A value breaks a rule of its table."},
	{MR_BAD_VALUE, "A value does not fit its column; what the database said is in the server's log."},
	{MR_SQL_ERROR, "A statement failed in the database; what it said is in the server's log."},
	{MR_TIME_LIMIT, "A statement took too long and was stopped."},
	{MR_CONFLICT, "Other transactions kept conflicting with this one; send it again."},
	{MR_POSTGRES_UNAVAILABLE, "The database does not answer; try again in a moment."},
	{MR_DISK_FULL, "The database has no space left; its operator has to make room."},
};

static const char *sentence_of(enum mr_code code)
{
	for (size_t i = 0; i < MR_COUNT(sentences); i++)
		if (sentences[i].code == code)
			return sentences[i].sentence;
	return "The database refused; what it said is in the server's log.";
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

static void print_sentence(struct mr_buf *b, const struct mr_error *err)
{
	struct mr_str sentence = mr_str(sentence_of(err->code));
	struct mr_buf text = {0};
	size_t n = sentence.n - 1;
	mr_buf_add(&text, sentence.p, n);
	print_fields(&text, err);
	mr_buf_z(&text, sentence.p + n);
	mr_json_quote(b, mr_buf_view(&text));
	mr_buf_fini(&text);
}

void mr_error_print(struct mr_buf *b, const struct mr_worker *w, const struct mr_error *err)
{
	mr_buf_z(b, "{\"code\":");
	mr_json_quote(b, mr_str(mr_code_name(err->code)));
	mr_buf_z(b, ",\"message\":");
	if (err->foreign && !w->development)
		print_sentence(b, err);
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
	if (job->fn)
		mr_log(level, "%s: Postgres refuses: %s", job->fn->name.p, err->message);
	else
		mr_log(level, "%s %s: Postgres refuses: %s", job->act.n ? job->act.p : "rows of", job->entity ? job->entity->name.p : "?",
			err->message);
}
