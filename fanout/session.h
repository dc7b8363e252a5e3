/* Sessions: one client each - identity, subscriptions, calls, and where it is. All that a session shows is at one tick; it advances when
 * every query it shows is known at a later one (CLOCK.md rule 17), in one transition.
 */
#ifndef MR_SESSION_H
#define MR_SESSION_H

#include "calls.h"
#include "instance.h"
#include "proto/ground/due.h"
#include "storage/snapshot.h"

struct mr_batch;
struct mr_clock;
struct mr_tail_cache;

enum mr_sub_state {
	MR_SUB_QUEUED, /* waits for its turn, without an instance (session_queue.c) */
	MR_SUB_NEW,    /* not answered yet: its instance is not ready */
	MR_SUB_TAIL,   /* holds rows from before: the log since its position is being read */
	MR_SUB_ON,     /* answered; moves with the session */
	MR_SUB_MOVING, /* shows what another instance was; from tick `at` on this one serves it, and the session waits until it is known */
	MR_SUB_BEHIND, /* detached: shows an older snapshot, at `at` */
};

/* What the client holds from before. */
struct mr_have {
	char k[33], h[17];
	uint64_t number;          /* MOVING: of the instance that it shows */
	struct mr_resume *resume; /* TAIL: the log since then, once it has come */
};

struct mr_sub {
	/* What news touch lies together. */
	struct mr_session *session;
	struct mr_instance *inst;
	struct mr_list in_news; /* in s->news while its instance has become what the session has not been told yet */
	uint32_t id;
	enum mr_sub_state state;
	uint32_t place; /* in inst->subs */
	uint32_t n_query;
	struct mr_list in_session; /* in s->shown while ON or MOVING, in the queue while QUEUED, else in s->waiting */
	uint64_t at;               /* BEHIND: the tick it shows; MOVING; TAIL: the tick at which the log was asked for */
	struct mr_instance *gate;  /* that sends it on (instance_gates.h); NULL: it is served by what it asks */
	struct mr_list in_gate;
	struct mr_have *have; /* until it is answered; NULL: nothing */
	char query[];         /* what is asked for, as JSON */
};

/* A call of this session, from its coming to its end. */
struct mr_session_call {
	struct mr_list in_session;
	struct mr_session *session;
	struct mr_str id, fn, args; /* heap, one block */
	bool writes;                /* a mutation: waits for those before it */
	bool reads_now;             /* another, which runs: counts in n_reading */
	bool cancels;               /* when the socket goes */
	struct mr_call *running;    /* NULL: waits for its turn, or is over */
	bool asked;                 /* on the socket that is open now: only this one is told the end */
	bool answered;              /* its effect came with a tick before its worker's reply */
	struct mr_str effect;       /* then, its result; heap. What its worker says after that does not count */
	struct mr_written effect_written;
};

/* The end of a call, waiting for the transition that shows its effect. */
struct mr_pending_reply {
	struct mr_list in_session, in_all;
	struct mr_session *session;
	struct mr_str id, value; /* heap, one block; value is JSON */
	struct mr_written written;
	uint64_t n;      /* the tick that holds it; 0: none so far */
	int64_t late_us; /* when it goes out ahead of the screen */
};

/* Who have tokens of a user, by his userId, or of a session that the server signed, by its 16 bytes (bearers.c). */
enum mr_bearers_of { MR_BEARERS_OF_USER, MR_BEARERS_OF_SESSION, MR_BEARERS_KINDS };

/* Who the token of a session says that its caller is, for as long as it is good (session_identity.c). */
struct mr_caller {
	struct mr_session *session;
	int64_t expires;                              /* seconds; 0: never, or it has */
	int64_t issued_ms;                            /* since 1970; 0: not known */
	int64_t notice_us;                            /* wall clock, when it is told that it will; 0: it has been */
	struct mr_due due;                            /* in all->expiries by wall clock, when the next of both is; not there: none is */
	struct mr_bearers *bearers[MR_BEARERS_KINDS]; /* NULL: its token is of none */
	struct mr_list in_bearers[MR_BEARERS_KINDS];
	uint8_t auth_session[16]; /* of which it is, if has_auth_session */
	bool has_auth_session;
	bool expired; /* it is who the caller was: that is nobody until another token comes */
	size_t n;
	char auth[]; /* the identity as canonical JSON */
};

struct mr_session {
	/* What a transition touches lies together, up to MR_SESSION_HOT: after a system call little is left in the cache. */
	struct mr_sessions *all;
	struct mr_ws *ws; /* this or `live`, or neither while calls outlive the socket */
	uint64_t at;
	struct mr_queue *queue; /* subscriptions that wait for their turn; NULL: none */
	uint32_t look;          /* place in all->looks[looks_in] and 1; 0: it is in neither */
	uint8_t encoding;
	bool positions : 1; /* wants each */
	bool stalled : 1;   /* its socket is full: it is not looked at until it has read */
	bool aligning : 1;
	bool looks_in : 1;
	bool busy : 1;       /* for a moment: mr_sessions_busy */
	bool early_over : 1; /* it has waited: nothing of it waits any more */
	bool counted : 1;    /* in `speaks` */
	/* Subscriptions: those that are shown (ON); of these, those with news; those that are NEW, TAIL or BEHIND, how many. */
	uint32_t n_waiting;
	uint32_t n_held; /* shown ones whose instance is not known now: they hold the session back */
	struct mr_list news, waiting, replies, in_lagging;
	int64_t position_us;   /* when it last got a position */
	int64_t blocked_since; /* 0: not blocked */
	/* The rest. */
	struct mr_live *live;
	struct mr_str id;         /* heap; empty until hello */
	uint32_t n_subs, n_asked; /* n_asked: NEW or TAIL */
	struct mr_list shown;
	struct mr_map *subs_by_id;       /* NULL while they are few */
	uint64_t arrival;                /* its place among all that came to the process */
	struct mr_caller *caller;        /* NULL: nobody */
	struct mr_list calls;            /* struct mr_session_call, in the order sent */
	struct mr_list in_all;           /* in all->anonymous until hello, then in all->early while messages wait */
	struct mr_buf *early;            /* messages that wait for the app: length (size_t) and payload of each; NULL: none */
	struct mr_position *resume_from; /* NULL: it begins anew */
	size_t n_calls, n_reading;
};

enum { MR_SESSION_HOT = offsetof(struct mr_session, live) };

/* Those that may have something new, in order, from `from` on; a place is empty when the session is gone. */
struct mr_looks {
	struct mr_session **v;
	size_t from, n, cap;
};

struct mr_sessions {
	struct mr_fanout *f;
	struct mr_map by_id;
	struct mr_map bearers[MR_BEARERS_KINDS];
	struct mr_list anonymous; /* sockets without hello */
	struct mr_looks looks[2]; /* those that came up now, and a crowd that stands aside (session_look.c) */
	bool now;                 /* which of them is the former */
	struct mr_share *share;
	struct mr_list lagging;
	struct mr_list replies;  /* that wait, by late_us */
	struct mr_dues expiries; /* callers, by when something is to be said of their tokens: the others cost nothing */
	struct mr_list hungry;   /* sessions whose queues may be taken from, at the next turn */
	struct mr_timer *next_turn;
	struct mr_timer *janitor;
	struct mr_list resumes; /* logs read since some position, for a while */
	uint64_t trimmed;       /* the tick at which histories were trimmed last: once for each, since it looks at all who lag */
	uint64_t told;          /* the last tick at which all were told what they can be told */
	char *build_error;      /* development: the app does not build; told to all who come */
	uint64_t last_serial;   /* of transitions */
	struct mr_list early;   /* sessions with messages that wait for the first app */
	int64_t early_until;    /* none waits longer, monotonic microseconds */
	bool following;         /* what the clients were told last */
	bool advancing;
	bool unsettled; /* messages were handled since, and nobody has advanced for them */
};

struct mr_sessions *mr_sessions_new(struct mr_fanout *f);
void mr_sessions_delete(struct mr_sessions **all);

/* Callbacks of the network. */
void *mr_session_open(struct mr_ws *ws, enum mr_encoding encoding, void *fanout);
void mr_session_message(void *session, struct mr_str payload); /* what it leads to is told when all that has come is handled: */
bool mr_sessions_settle(struct mr_sessions *all);              /* true: some wait for their turn */
void mr_session_drained(void *session);
void mr_session_closed(void *session, const char *reason);

/* A session that is served as server-sent events. Begins with hello done, as this identity (token may be empty). NULL and *err when
 * refused. */
struct mr_session *mr_session_live(
	struct mr_sessions *all, struct mr_live *live, struct mr_str token, const struct mr_position *from, struct mr_error *err);
bool mr_session_subscribe(struct mr_session *s, const struct mr_node *message, struct mr_error *err);
void mr_session_close(struct mr_session *s, int code, const char *reason); /* ours to close, for this reason */

/* It may have something new: looked at when the tick (or turn) is over; where they are many, when it has its turn. */
void mr_session_look(struct mr_session *s);
void mr_session_unlook(struct mr_session *s);
void mr_sessions_advance(struct mr_sessions *all);
void mr_looks_fini(struct mr_sessions *all);
void mr_sessions_effects(struct mr_sessions *all, const struct mr_batch *batch, bool durable);
/* The instance serves nobody any more; its subscriptions look for the one that serves them now. */
void mr_sessions_reattach(struct mr_sessions *all, struct mr_instance *inst);
void mr_sessions_reattach_all(struct mr_sessions *all);
/* Whether a session of the instance that waits for alignment has another query under way: said between mr_sessions_busy(clock, true) and
 * (clock, false), as of the first. */
bool mr_sessions_misaligned(const struct mr_instance *inst);
void mr_sessions_busy(const struct mr_clock *clock, bool busy);
void mr_sessions_console(struct mr_sessions *all, struct mr_str session, const struct mr_node *line);
void mr_sessions_dev(struct mr_sessions *all, const struct mr_node *dev);

/* For the files of sessions. */
static inline struct mr_sub *mr_sub_of(struct mr_list *in_session)
{
	return MR_CONTAINER(in_session, struct mr_sub, in_session);
}
void mr_session_send(struct mr_session *s, struct mr_str payload);
void mr_session_error(struct mr_session *s, const struct mr_error *err, int64_t re, bool fatal);
void mr_session_advance(struct mr_session *s);
void mr_session_has_read(struct mr_session *s); /* perhaps: if there is room again, it is looked at */
void mr_session_lag(struct mr_session *s, bool lags);
/* Whether its socket is full; counted. */
void mr_session_set_stalled(struct mr_session *s, bool stalled);
void mr_session_call(struct mr_session *s, const struct mr_node *message);
void mr_session_drop_calls(struct mr_session *s);
void mr_session_lose_calls(struct mr_session *s); /* at the end of the process; the session may go with them */
void mr_session_next_call(struct mr_session *s);
void mr_session_move_call(struct mr_session_call *c, struct mr_session *to);
void mr_sessions_late_replies(struct mr_sessions *all, int64_t now);
void mr_session_free_reply(struct mr_pending_reply *r);
void mr_session_maybe_free(struct mr_session *s);                                      /* gone when it has neither socket nor calls */
const struct mr_node *mr_session_auth(const struct mr_session *s, struct mr_arena *a); /* its identity, read anew; NULL: nobody */
struct mr_str mr_session_identity(const struct mr_session *s);                         /* the same as text; empty: nobody */
struct mr_str mr_session_whose(const struct mr_session *s);                            /* the same, also once its token has expired */
void mr_sessions_expire(struct mr_sessions *all);                                      /* tokens that end, or soon will */
void mr_sessions_revoke(struct mr_sessions *all);                                      /* more is revoked than before */
void mr_sessions_revoke_user(struct mr_sessions *all, struct mr_str user);             /* and of nobody else */
void mr_sessions_revoke_session(struct mr_sessions *all, const uint8_t session[16]);
const uint8_t *mr_session_auth_session(const struct mr_session *s); /* 16 bytes; NULL: its token is of no session of ours */
void mr_session_unsubscribe(struct mr_session *s, const struct mr_node *message);
void mr_session_reattach(struct mr_session *s);   /* the app is another */
void mr_session_reidentify(struct mr_session *s); /* its identity is another; what serves it all the same stays */
bool mr_session_take_identity(struct mr_session *s, struct mr_str token, struct mr_error *err); /* of a token; false leaves the old one */
void mr_session_drop_identity(struct mr_session *s);
void mr_session_change_identity(struct mr_session *s, const struct mr_node *message);
void mr_session_welcome(struct mr_session *s);
void mr_sub_free(struct mr_sub *sub);
void mr_sub_begin(struct mr_sub *sub); /* NEW: finds what serves it; who cannot be served is told so, and it is gone */
/* Of a gate: another instance serves it as of tick n. */
void mr_sub_move(struct mr_sub *sub, struct mr_instance *to, uint64_t n);
void mr_sub_have_nothing(struct mr_sub *sub); /* rows from before are of no use any more */
void mr_sub_state(struct mr_sub *sub, enum mr_sub_state state);

/* For instances: it has become something else, or may be told now; it is known no more, or again. */
void mr_subs_news(struct mr_instance *inst);
void mr_subs_held(struct mr_instance *inst, bool held);

/* Subscriptions that wait for their turn (session_queue.c). */
bool mr_session_is_full(const struct mr_session *s);       /* the next one has to wait */
void mr_queue_add(struct mr_sub *sub);                     /* last */
void mr_queue_left(struct mr_session *s);                  /* one has left the list */
struct mr_list *mr_queue_subs(const struct mr_session *s); /* NULL: none */
void mr_queue_feed(struct mr_session *s);                  /* there may be room: at the next turn some begin */
void mr_queues_init(struct mr_sessions *all);
void mr_queues_fini(struct mr_sessions *all);

/* On other threads (session_elsewhere.c): tells them that it is here now. */
void mr_session_arrives(struct mr_session *s);
void mr_session_refuse(struct mr_session *s); /* it belongs to another identity */

/* Messages before the first app (session_early.c). keep: true when the message waits; else those before it are done now.
 * A ping is no message in this sense, it is answered at once. */
bool mr_session_keep_early(struct mr_session *s, struct mr_str payload);
void mr_session_do_early(struct mr_session *s);
void mr_session_drop_early(struct mr_session *s);
void mr_sessions_do_early(struct mr_sessions *all);
void mr_sessions_early_init(struct mr_sessions *all);
void mr_sessions_early_check(struct mr_sessions *all, int64_t now);
void mr_session_handle(struct mr_session *s, struct mr_str payload); /* one message, now */

/* Resumes: the log since a position, read once for all who come from there. */
struct mr_resume;
struct mr_transition;
void mr_resume_ask(struct mr_sub *sub); /* sub is TAIL from now on; it is looked at again when the log has come */
void mr_resume_leave(struct mr_sub *sub);
bool mr_resume_come(const struct mr_sub *sub); /* the log has come */
/* Adds the body that brings rows held at the position to the instance's state now; false: the log does not tell, it must be sent whole. */
bool mr_resume_tell(struct mr_sub *sub, struct mr_transition *t);
uint64_t mr_resumes_since(const struct mr_sessions *all); /* oldest tick whose later batches are needed; UINT64_MAX: none */
void mr_resumes_spoil(struct mr_sessions *all);           /* changes were not told, or the declarations are others */
void mr_resumes_tidy(struct mr_sessions *all);            /* now and then: what was read long ago serves nobody any more */
void mr_resumes_delete(struct mr_sessions *all);

#endif
