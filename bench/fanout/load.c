/* The load generator: many clients, some writers, and the control connection of the floor, in one thread. Commands come as lines on
 * standard input, words of name=value (texts in hex); each is answered by a line of JSON when it is done. What goes wrong ends it with a
 * sentence. bench/fanout/rig.mjs is who speaks to it.
 *
 *   open framing=ws|nats|mqtt port= n= atOnce= request= say=... ready= want= binary=1 resumes=1 tls=1 tokens=FILE
 *        patience=
 *   again (the same) later= expect=     end patience=     close
 *   writers via=http|nats|mqtt|floor port= n= greeting=     unwriters
 *   write text= underWay= rate= count= seconds= expect= values= firstValue= patience=
 *   control port=     warm n=     replay frames=1 patience=     uncontrol
 *   pace us=     dump file=     words     report
 */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "bench/latency/line.h"
#include "clients.h"
#include "loop.h"
#include "marks.h"
#include "proto/ground/hash.h"
#include "record.h"
#include "writes.h"

enum { WORDS = 128 };

static struct {
	struct watched watched;
	struct mr_buf in;
	size_t taken;
	bool ended;
	char *words[WORDS];
	int n;
} input;

/* ---- words ---- */

static const char *word(const char *name)
{
	size_t n = strlen(name);
	for (int i = 1; i < input.n; i++)
		if (strncmp(input.words[i], name, n) == 0 && input.words[i][n] == '=')
			return input.words[i] + n + 1;
	return NULL;
}

static double number(const char *name, double otherwise)
{
	const char *w = word(name);
	return w ? strtod(w, NULL) : otherwise;
}

static unsigned whole(const char *name)
{
	return (unsigned)number(name, 0);
}

static bool is(const char *name, const char *value)
{
	const char *w = word(name);
	return w && strcmp(w, value) == 0;
}

static void read_hex(struct mr_buf *out, const char *hex)
{
	for (unsigned byte; hex && sscanf(hex, "%2x", &byte) == 1; hex += 2)
		mr_buf_char(out, (char)byte);
}

static void read_file(struct mr_buf *out, const char *path)
{
	FILE *f = fopen(path, "re");
	if (!f)
		mr_bench_die("%s cannot be read", path);
	for (size_t n = 1; n; out->n += n)
		n = fread(mr_buf_room(out, 1 << 16), 1, 1 << 16, f);
	mr_buf_char(out, 0);
	fclose(f);
}

/* ---- commands ---- */

static void read_plan(struct client_plan *plan)
{
	*plan = (struct client_plan){.framing = is("framing", "nats")   ? FRAMING_NATS
						: is("framing", "mqtt") ? FRAMING_MQTT
									: FRAMING_WS,
		.port = (int)whole("port"),
		.n = whole("n"),
		.at_once = (unsigned)number("atOnce", 200),
		.want = whole("want"),
		.tls = whole("tls"),
		.binary = whole("binary"),
		.resumes = whole("resumes")};
	read_hex(&plan->request, word("request"));
	read_hex(&plan->ready, word("ready"));
	if (word("tokens"))
		read_file(&plan->tokens, word("tokens"));
	for (int i = 1; i < input.n; i++)
		if (strncmp(input.words[i], "say=", 4) == 0 && plan->n_say < SAY_MOST)
			read_hex(&plan->say[plan->n_say++], input.words[i] + 4);
}

static void write_now(void)
{
	struct writing w = {.under_way = whole("underWay"),
		.rate = number("rate", 0),
		.count = whole("count"),
		.seconds = number("seconds", 0),
		.expect = whole("expect"),
		.values = whole("values"),
		.first_value = whole("firstValue")};
	read_hex(&w.text, word("text"));
	mr_write_all(&w, number("patience", 60));
}

static void open_writers(void)
{
	struct mr_buf greeting = {0};
	read_hex(&greeting, word("greeting"));
	enum via via = is("via", "nats") ? VIA_NATS : is("via", "mqtt") ? VIA_MQTT : is("via", "floor") ? VIA_FLOOR : VIA_HTTP;
	mr_writers_open(via, (int)whole("port"), whole("n"), mr_buf_view(&greeting));
	mr_buf_fini(&greeting);
}

static void dump(void)
{
	FILE *f = fopen(word("file"), "we");
	if (!f)
		mr_bench_die("%s cannot be written", word("file"));
	mr_marks_dump(f);
	fclose(f);
}

static void print_hex(const char *name, struct mr_str bytes)
{
	struct mr_buf hex = {0};
	mr_hex(&hex, bytes);
	printf("\"%s\":\"%s\",", name, hex.n ? hex.p : "");
	mr_buf_fini(&hex);
}

static void run(const char *command)
{
	struct client_plan plan;
	if (strcmp(command, "open") == 0) {
		read_plan(&plan);
		mr_clients_open(&plan, number("patience", 60));
	} else if (strcmp(command, "again") == 0) {
		read_plan(&plan);
		mr_marks_begin(whole("expect"), false);
		for (unsigned i = whole("later"); i; i--)
			mr_marks_send(mr_bench_now());
		mr_clients_again(&plan, number("patience", 60));
	} else if (strcmp(command, "end") == 0) {
		mr_clients_await_end(number("patience", 60));
	} else if (strcmp(command, "close") == 0) {
		mr_clients_close();
	} else if (strcmp(command, "writers") == 0) {
		open_writers();
	} else if (strcmp(command, "unwriters") == 0) {
		mr_writers_close();
	} else if (strcmp(command, "write") == 0) {
		write_now();
	} else if (strcmp(command, "control") == 0) {
		mr_control_open((int)whole("port"));
	} else if (strcmp(command, "uncontrol") == 0) {
		mr_control_close();
	} else if (strcmp(command, "warm") == 0) {
		mr_warm(whole("n"));
	} else if (strcmp(command, "replay") == 0) {
		mr_replay(whole("frames"), number("patience", 60));
	} else if (strcmp(command, "pace") == 0) {
		mr_loop_pace(number("us", 0));
	} else if (strcmp(command, "dump") == 0) {
		dump();
	} else if (strcmp(command, "words") != 0 && strcmp(command, "report") != 0) {
		mr_bench_die("no such command: %s", command);
	}
}

/* Microseconds that the time of day is ahead of the clock that all else is told by. */
static double wall_clock_ahead(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3 - mr_bench_now();
}

static void report(const char *command)
{
	bool measured = strcmp(command, "write") == 0 || strcmp(command, "replay") == 0 || strcmp(command, "again") == 0;
	printf("{");
	if (strcmp(command, "words") == 0) {
		print_hex("upgrade", mr_clients_upgrade());
		print_hex("words", mr_clients_first_words());
	}
	if (measured) {
		mr_marks_report(stdout);
		printf(",");
		mr_record_report(stdout);
		printf(",");
	}
	mr_clients_report(stdout);
	printf(",\"ahead\":%.1f}\n", wall_clock_ahead());
	fflush(stdout);
}

/* ---- input ---- */

static void on_input(struct watched *w, uint32_t events)
{
	ssize_t n = read(STDIN_FILENO, mr_buf_room(&input.in, 1 << 16), 1 << 16);
	input.ended = n <= 0;
	input.in.n += n > 0 ? (size_t)n : 0;
}

static bool has_line(void)
{
	return input.ended || (input.in.n && memchr(input.in.p, '\n', input.in.n));
}

int main(void)
{
	mr_loop_init();
	input.watched.ready = on_input;
	mr_loop_add(STDIN_FILENO, EPOLLIN, &input.watched);
	for (;;) {
		while (!mr_loop_until(has_line, NULL, 3600))
			;
		char *end = input.in.n ? memchr(input.in.p, '\n', input.in.n) : NULL;
		if (!end)
			return 0;
		*end = 0;
		char *line = mr_strndup(input.in.p, (size_t)(end - input.in.p)), *rest = line;
		input.in.n -= (size_t)(end + 1 - input.in.p);
		memmove(input.in.p, end + 1, input.in.n);
		for (input.n = 0; input.n < WORDS && (input.words[input.n] = strsep(&rest, " "));)
			input.n++;
		run(input.words[0]);
		report(input.words[0]);
		free(line);
	}
}
