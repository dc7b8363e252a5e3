/* Atomics on shared 64-bit words; the order is in the name, so that a reader and the thread sanitizer both see it. Counts of one writer. */
#ifndef MR_GROUND_ATOMIC_H
#define MR_GROUND_ATOMIC_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t mr_word;
_Static_assert(sizeof(mr_word) == 8 && ATOMIC_LLONG_LOCK_FREE == 2, "words in shared memory must be plain and lock-free");

static inline uint64_t mr_load_relaxed(const mr_word *w)
{
	return atomic_load_explicit(w, memory_order_relaxed);
}
/* Nothing that follows is done before this load; sees all that came before the store it reads. */
static inline uint64_t mr_load_acquire(const mr_word *w)
{
	return atomic_load_explicit(w, memory_order_acquire);
}
static inline void mr_store_relaxed(mr_word *w, uint64_t v)
{
	atomic_store_explicit(w, v, memory_order_relaxed);
}
/* All that came before is visible to whoever loads this (acquire). */
static inline void mr_store_release(mr_word *w, uint64_t v)
{
	atomic_store_explicit(w, v, memory_order_release);
}

/* Adds to a count that no other thread writes, though others may look: no locked instruction is needed. */
static inline void mr_count_own(_Atomic int64_t *count, int64_t n)
{
	int64_t before = atomic_load_explicit(count, memory_order_relaxed);
	atomic_store_explicit(count, before + n, memory_order_relaxed);
}

#endif
