#include "hub.h"

#include "proto/ground/log.h"

void mr_hub_each(struct mr_hub *hub, mr_call_cb *cb, mr_hub_make *make, const void *from)
{
	for (size_t i = 0; i < hub->n; i++)
		mr_loop_call(hub->threads[i]->loop, cb, make ? make(hub->threads[i], from) : hub->threads[i]);
}

int64_t mr_hub_count(const struct mr_hub *hub, enum mr_counter counter)
{
	int64_t sum = atomic_load_explicit(&hub->counter[counter], memory_order_relaxed);
	for (size_t i = 0; i < hub->n; i++) {
		const struct mr_fanout *f = hub->threads[i];
		bool bytes = counter == MR_C_BYTES_SENT_TOTAL;
		sum += bytes ? mr_net_bytes_sent(f->net) : atomic_load_explicit(&f->counter[counter], memory_order_relaxed);
	}
	return sum;
}

static void stop(void *arg)
{
	struct mr_fanout *f = arg;
	f->stopping = true;
	mr_net_stop(f->net);
}

void mr_hub_stop(struct mr_hub *hub)
{
	if (hub->stopping)
		return;
	hub->stopping = true;
	mr_hub_each(hub, stop, NULL, NULL);
	mr_loop_stop(hub->loop);
}
