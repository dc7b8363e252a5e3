#include "crew.h"

#include <signal.h>
#include <stdlib.h>

#include "proto/ground/log.h"

enum { HOPELESS_FAILURES = 3 };

void mr_crews_init(struct mr_crews *cs, struct mr_children *children, const char *worker, const char *socket, int64_t leave_us)
{
	*cs = (struct mr_crews){.children = children, .worker = worker, .socket = socket, .leave_us = leave_us};
	mr_list_init(&cs->all);
}

static void crew_delete(struct mr_crew *crew)
{
	for (int i = 0; i < crew->n; i++)
		mr_child_delete(&crew->workers[i]);
	free(crew->workers);
	mr_timer_delete(&crew->patience);
	mr_app_build_fini(&crew->build);
	mr_list_del(&crew->in_all);
	free(crew);
}

static void delete_if_empty(struct mr_crew *crew)
{
	for (int i = 0; i < crew->n; i++)
		if (mr_child_pid(crew->workers[i]))
			return;
	crew_delete(crew);
}

static void on_end(struct mr_child *c, int status, bool again, void *arg)
{
	struct mr_crew *crew = arg;
	if (crew->state == MR_CREW_LEAVING)
		delete_if_empty(crew);
	else if (again && crew->state == MR_CREW_STARTING && mr_child_failures(c) >= HOPELESS_FAILURES)
		crew->crews->on_hopeless(crew, crew->crews->arg);
}

static void out_of_patience(void *arg)
{
	struct mr_crew *crew = arg;
	for (int i = 0; i < crew->n; i++)
		mr_child_retire(crew->workers[i], SIGKILL);
}

struct mr_crew *mr_crew_new(struct mr_crews *cs, struct mr_app_build *build, int n)
{
	struct mr_crew *crew = mr_alloc(sizeof *crew);
	crew->crews = cs;
	crew->build = *build;
	*build = (struct mr_app_build){0};
	crew->n = n;
	crew->workers = mr_alloc((size_t)n * sizeof *crew->workers);
	crew->patience = mr_timer_new(cs->children->loop, out_of_patience, crew);
	mr_list_add_tail(&cs->all, &crew->in_all);
	for (int i = 0; i < n; i++) {
		const char *argv[] = {cs->worker, "--build", crew->build.dir, "--fanout", cs->socket, NULL};
		char *name = mr_printf("worker %d", i + 1);
		crew->workers[i] = mr_child_new(cs->children, name, argv, on_end, crew);
		free(name);
		mr_child_start(crew->workers[i]);
	}
	return crew;
}

void mr_crew_leave(struct mr_crew *crew, bool at_once)
{
	crew->state = MR_CREW_LEAVING;
	for (int i = 0; i < crew->n; i++)
		mr_child_retire(crew->workers[i], at_once ? SIGTERM : 0);
	mr_timer_start(crew->patience, crew->crews->leave_us);
	delete_if_empty(crew);
}
