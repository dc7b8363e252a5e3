/* The ring's protocol (ring.c), word by word, for spin: every interleaving of a writer, who may die between any two stores, of the reader
 * and of a second writer who gets the lane after it. tests/unit/ring_model.py checks it whole, and that each mutation below is found wrong.
 *
 * What stands for what: a lane of SIZE words; a record is its length, state, token (one word for the two) and no or one word of payload;
 * positions count words. Next to each word stands whose it is, which the real one does not know: what the reader takes for a record is
 * compared with that.
 *
 * Why interleaving is enough for C11's release and acquire: at any time one thread stores to a lane (the writer; in a reset the fanout,
 * after the writer's end and before the next one's welcome, both of which pass through the kernel and synchronise), each store is a
 * release and each load of the reader an acquire, and the reader stores nothing that the writer's loads depend on but the epoch. Number
 * the stores. A load that takes store m synchronises with all of 1..m; let p be the greatest number that the reader has met so far,
 * this one included. Then what it loaded is the last store to that word among 1..p: either p is m itself, or m is the last one at or
 * below p, since nothing older may be read. p never falls. So each execution equals one in which the reader does each load just after
 * store p: an interleaving, in which the reader is merely late. The epoch, the one word that goes the other way, may be read late as
 * well, which is the interleaving in which the writer looked earlier. Where a store or load could be moved if its order were weaker, a
 * mutation does so.
 *
 * Mutations, each of them wrong:
 *   INTENT_LATE      intent is stored after the bytes that it announces
 *   TAIL_EARLY       tail is stored before the last bytes of its record
 *   NO_RECHECK       the reader does not look at intent again after it copied
 *   STATE_UNCHECKED  neither does it after it looked at a state
 *   FLIP_BLIND       the writer flips a record that it has itself overwritten
 *   RESET_AT_TAIL    a new life of the lane begins at tail, so that intent goes back over what a dead writer had begun
 *   GIVEN_EARLY      the lane is given away while its writer lives, whatever it does at the moment
 * STOPPED is right: the lane is given away while its writer lives, but does not publish, flip or attach; it wakes up later and finds
 * another epoch. NO_EPOCH, without that look, is wrong then. GIVEN_EARLY shows that the epoch alone protects nobody: between the look and
 * the last store anything may happen. Hence the fanout gives a lane away when its writer is known to be dead (fanout/workers.c).
 */
#define SIZE	8 /* words in the lane */
#define LIVES	2
/* Records of the first writer and of the second. The lane is overtaken once by the first and a second time by the second. */
#ifndef RECORDS
#define RECORDS	 3
#define RECORDS2 2
#endif
#define ALL	      (RECORDS + RECORDS2)
#define FIRST_OF(who) ((who) == 0 -> 0 : ((who) == 1 -> RECORDS : ALL))
#define PENDING	  1
#define COMMITTED 2
#define ABORTED	  3
#define LENGTH	0
#define STATE	1
#define TOKEN	2
#define PAYLOAD 3
#define NOBODY	255

#if defined(STOPPED) || defined(GIVEN_EARLY)
#define OUTLIVES
#endif

/* Shared words. */
byte intent = SIZE, tail = SIZE, epoch = 0;
byte data[SIZE];

byte lengths; /* of payloads, drawn at the start; bit 0: in records of even number, bit 1: of odd */

/* What the real ones cannot see: whose a word is, and the truth about each record. */
byte owner[SIZE] = NOBODY;
typedef truth {
	byte at, length;
	byte state; /* that its writer has stored */
	bit made;   /* published */
	bit got;    /* given to the reader */
	bit missed; /* a lap was told that passed over it */
};
truth record[ALL];

bit outside[LIVES], over[LIVES], gone[LIVES]; /* the writer is attached and calls nothing; has ended; was killed */
byte life = 0;				      /* whose lane it is: a writer begins when it is his turn */

#define WORD(position) ((position) % SIZE)
#define FINAL(number)  (COMMITTED + (number) % 2)

/* Each d_step is one store or load of shared words, with what is done to private ones and to the truth around it. */

inline ring_store(whose, position, value)
{
	d_step {
		data[WORD(position)] = value;
		owner[WORD(position)] = whose
	}
}

/* The last store of a record, and the return. */
inline store_tail(number)
{
	d_step {
		tail = end;
		record[number].made = 1
	}
}

/* mr_ring_publish */
inline ring_publish(number, words)
{
#ifndef INTENT_LATE
	intent = end;
#endif
	ring_store(number, start + LENGTH, words);
	ring_store(number, start + STATE, PENDING);
#ifdef TAIL_EARLY
	store_tail(number);
#endif
	ring_store(number, start + TOKEN, number);
	if
	:: words -> ring_store(number, start + PAYLOAD, number)
	:: else
	fi;
#ifdef INTENT_LATE
	intent = end;
#endif
#ifndef TAIL_EARLY
	store_tail(number)
#endif
}

/* mr_ring_flip; FLIP_BLIND is above. */
inline ring_flip(number)
{
	d_step {
		data[WORD(record[number].at + STATE)] = FINAL(number);
		record[number].state = FINAL(number)
	}
}

#ifdef NO_EPOCH
#define IS_MINE true
#else
#define IS_MINE (epoch == my_epoch)
#endif
#ifdef FLIP_BLIND
#define IN_REACH(number) true
#else
#define IN_REACH(number) (my_tail - record[number].at <= SIZE)
#endif

proctype writer(byte me)
{
	byte my_epoch, my_tail, start, end, n, words;
	{
		atomic { life >= me; n = FIRST_OF(me); my_epoch = epoch };
		d_step { my_tail = tail; outside[me] = 1 };
		do
		:: atomic {
				n < FIRST_OF(me + 1) && IS_MINE ->
				outside[me] = 0;
				start = my_tail;
				words = (lengths >> (n % 2)) & 1;
				end = start + PAYLOAD + words;
				record[n].at = start;
				record[n].length = words;
				record[n].state = PENDING
			};
			ring_publish(n, words);
			d_step { my_tail = end; n++; start = 0; end = 0; words = 0; outside[me] = 1 }
		/* Commits end in any order, or with nobody knowing how. */
		:: atomic {
				n > FIRST_OF(me) && IS_MINE ->
				outside[me] = 0;
				start = FIRST_OF(me);
				do
				:: start + 1 < n -> start++
				:: break
				od;
				if
				:: record[start].state == PENDING && IN_REACH(start) -> skip
				:: else -> goto skipped
				fi
			};
			ring_flip(start);
skipped:		atomic { start = 0; outside[me] = 1 }
		:: atomic { n == FIRST_OF(me + 1) || !IS_MINE -> break }
		od
	} unless {
		gone[me]
	};
	atomic { over[me] = 1; outside[me] = 0; my_tail = 0; start = 0; end = 0; words = 0 }
}

/* lapped() in ring.c. A lap is only told when there was one; what it passed over counts as missed, not as lost. */
inline tell_lap()
{
	d_step {
		assert(intent - start > SIZE);
		at = tail;
		i = 0;
		do
		:: i < ALL ->
			if
			:: record[i].made && !record[i].got && record[i].at < at -> record[i].missed = 1
			:: else
			fi;
			i++
		:: else -> break
		od;
		i = 0
	}
}

/* What is given is one record, whole, published, at its place, for the first time. */
inline give()
{
	d_step {
		assert(!mixed && who < ALL && token == who);
		assert(record[who].made && record[who].at == start && record[who].length == length);
		assert(!record[who].got && !record[who].missed);
		record[who].got = 1;
		at = start + PAYLOAD + length
	}
}

/* mr_ring_read */
inline ring_read()
{
	d_step { start = at; end = tail };
	if
	:: start == end
	:: else ->
		d_step { length = data[WORD(start + LENGTH)]; who = owner[WORD(start + LENGTH)] };
		if
		:: intent - start > SIZE || end - start > SIZE || length > SIZE || PAYLOAD + length > end - start -> tell_lap()
		:: else ->
			d_step { token = data[WORD(start + TOKEN)]; mixed = owner[WORD(start + TOKEN)] != who };
			if
			:: length -> d_step {
					mixed = mixed || owner[WORD(start + PAYLOAD)] != who || data[WORD(start + PAYLOAD)] != token
				}
			:: else
			fi;
			if
#ifndef NO_RECHECK
			:: intent - start > SIZE -> tell_lap()
#endif
			:: else -> give()
			fi
		fi
	fi;
	/* Positions only grow. */
	d_step { assert(at >= start); start = 0; end = 0; length = 0; who = 0; token = 0; mixed = 0 }
}

/* mr_ring_state of a record that was read before: its own state, the one that it had when it was loaded. */
inline ring_state(number)
{
	d_step {
		assert(tail > record[number].at);
		token = data[WORD(record[number].at + STATE)];
		who = owner[WORD(record[number].at + STATE)];
		length = record[number].state
	};
	d_step {
#ifdef STATE_UNCHECKED
		assert(who == number && token == length);
#else
		assert(intent - record[number].at > SIZE || (who == number && token == length));
#endif
		token = 0; who = 0; length = 0; i = 0
	}
}

/* The writer is quiet: what it published was given or told as missed, and what it left pending stays so. */
inline settle()
{
	do
	:: at != tail -> ring_read()
	:: else -> break
	od;
	skip; /* no jump may end in a d_step */
	d_step {
		i = FIRST_OF(life);
		do
		:: i < FIRST_OF(life + 1) ->
			assert(!record[i].made || record[i].got || record[i].missed);
			assert(!record[i].got || intent - record[i].at > SIZE || data[WORD(record[i].at + STATE)] == record[i].state);
			i++
		:: else -> break
		od;
		i = 0
	}
}

/* mr_ring_reset_lane */
inline ring_reset()
{
#ifdef STOPPED
	d_step { outside[life] || over[life] -> epoch = epoch + 1 };
#else
	epoch = epoch + 1;
#endif
	start = intent;
	end = tail;
#ifdef RESET_AT_TAIL
	start = end;
#endif
	start = (start > end -> start : end);
	intent = start;
	tail = start;
	d_step { at = start; start = 0; end = 0 }
}

active proctype fanout()
{
	byte at = SIZE, start, end, length, token, who, i;
	bit mixed;
	atomic {
		select (lengths : 0 .. 3);
		do
		:: i < LIVES -> run writer(i); i++
		:: else -> break
		od;
		i = 0
	};
	do
	:: ring_read()
	:: atomic {
			do
			:: i + 1 < ALL && record[i].got -> i++
			:: record[i].got -> break
			:: !record[i].got && i + 1 < ALL -> i++
			:: !record[i].got && i + 1 == ALL -> i = 0; goto none
			od
		};
		ring_state(i);
none:		skip
	:: life + 1 == LIVES && over[life] -> break
	/* The lane is given away in the middle of its writer's work. A dead one takes no further step, wherever it is. */
	:: life + 1 < LIVES ->
#ifndef OUTLIVES
		gone[life] = 1;
		settle();
#endif
		ring_reset();
		life++
	od;
	settle()
}
