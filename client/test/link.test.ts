import assert from "node:assert/strict";
import test from "node:test";
import {
	CONNECT_LIMIT,
	FIRST_ASK,
	initialLink,
	LATER_ASK,
	type LinkEvent,
	type LinkState,
	linkStatus,
	LONGEST_WAIT,
	SIGN_LIMIT,
	STABLE_AFTER,
	stepLink,
	waitFor,
} from "../src/link.js";

class Drive {
	state: LinkState = initialLink(0);
	now = 0;
	sockets = 0;
	effects: string[] = [];
	on(event: LinkEvent, chance = 0.5): this {
		const { state, effects } = stepLink(this.state, event, this.now, chance);
		const was = this.state.phase;
		this.state = state;
		if (event.type === "lost" && ["opening", "greeted", "ready"].includes(was)) this.sockets--;
		for (const effect of effects) {
			this.effects.push(effect);
			if (effect === "open") this.sockets++;
			if (effect === "drop") this.sockets--;
		}
		return this;
	}
	/** Lets time pass until the timer is due. */
	ring(chance = 0.5): this {
		this.now = Math.max(this.now, this.state.due);
		return this.on({ type: "timer" }, chance);
	}
	connect(): this {
		return this.on({ type: "opened" }).on({ type: "welcomed", pingInterval: 25000 });
	}
}

test("the plain way up", () => {
	const d = new Drive().on({ type: "start" });
	assert.equal(linkStatus(d.state), "connecting");
	d.connect();
	assert.deepEqual(d.effects, ["open", "greet"]);
	assert.equal(linkStatus(d.state), "connected");
});

test("L3: waits double up to 16 s, jittered by half, and start anew after 5 s of being ready", () => {
	const d = new Drive().on({ type: "start" });
	let most = 100;
	for (let i = 0; i < 12; i++) {
		d.on({ type: "lost" }, i % 2);
		const wait = d.state.due - d.now;
		assert.equal(wait, i % 2 ? most : most / 2);
		most = Math.min(most * 2, LONGEST_WAIT);
		d.ring();
	}
	d.connect();
	d.now += STABLE_AFTER - 1;
	d.on({ type: "lost" }, 1);
	assert.equal(d.state.due - d.now, LONGEST_WAIT, "a connection that does not last does not count");
	d.ring().connect();
	d.now += STABLE_AFTER;
	d.on({ type: "lost" }, 1);
	assert.equal(d.state.due - d.now, 100);
	assert.ok(waitFor(1000, 1) === LONGEST_WAIT);
});

test("L2: a socket that never opens, or opens and never welcomes, is given up", () => {
	const d = new Drive().on({ type: "start" });
	assert.equal(d.state.due, CONNECT_LIMIT);
	d.ring();
	assert.equal(d.effects.at(-1), "drop");
	d.ring().on({ type: "opened" }).ring();
	assert.equal(d.effects.at(-1), "drop");
	assert.equal(d.state.phase, "waiting");
});

test("L4: wake and a network that is back try at once; when ready they ask for a sign", () => {
	const d = new Drive().on({ type: "start" }).on({ type: "lost" }).on({ type: "lost" });
	d.on({ type: "network", up: false });
	assert.equal(linkStatus(d.state), "offline");
	d.on({ type: "network", up: true });
	assert.equal(d.state.phase, "opening");
	d.connect();
	d.now = 1000;
	d.on({ type: "wake" });
	assert.equal(d.effects.at(-1), "ping");
	assert.equal(d.state.due, 1000 + SIGN_LIMIT);
	d.ring();
	assert.equal(d.effects.at(-1), "drop");
	assert.equal(linkStatus(d.state), "reconnecting");
});

test("L4: a network that went drops at once, and does not hinder a line that can be had", () => {
	const d = new Drive().on({ type: "start" }).connect().on({ type: "network", up: false });
	assert.equal(d.effects.at(-1), "drop");
	assert.equal(linkStatus(d.state), "offline");
	d.ring().on({ type: "network", up: false });
	assert.equal(d.state.phase, "opening");
	d.connect();
	assert.equal(linkStatus(d.state), "connected");
});

test("L5: silence asks, then drops; anything heard is a sign", () => {
	const d = new Drive().on({ type: "start" }).connect().ring();
	assert.equal(d.effects.at(-1), "ping");
	assert.equal(d.now, 25000);
	d.now += 1000;
	d.on({ type: "heard" }).ring();
	assert.equal(d.effects.at(-1), "ping");
	assert.equal(d.state.phase, "ready");
	d.ring();
	assert.equal(d.effects.at(-1), "drop");
	assert.equal(d.now, 26000 + 25000 + SIGN_LIMIT);
});

test("L5: what is sent is answered or the line is given up within 5 s; a slow answer is no silence", () => {
	const d = new Drive().on({ type: "start" }).connect();
	d.now = 10_000;
	d.on({ type: "sent" }).ring();
	assert.equal(d.effects.at(-1), "ping");
	assert.equal(d.now, 10_000 + FIRST_ASK);
	d.now += 500;
	d.on({ type: "sent" }).ring();
	assert.equal(d.effects.at(-1), "drop");
	assert.equal(d.now, 10_000 + FIRST_ASK + SIGN_LIMIT);

	d.ring().connect();
	const begun = d.now;
	const pings: number[] = [];
	d.on({ type: "sent" });
	while (d.now < begun + 30_000) {
		d.ring();
		assert.equal(d.effects.at(-1), "ping");
		pings.push(d.now - begun);
		d.now += 20;
		d.on({ type: "heard" });
	}
	assert.equal(pings[0], FIRST_ASK);
	assert.ok(pings.every((at, i) => at - (pings[i - 1] ?? 0) <= LATER_ASK + 20) && pings.length <= 9, pings.join());
	d.on({ type: "settled" });
	assert.equal(d.state.due, d.now + 25_000);
});

test("L5: what the greeting asks counts from the welcome", () => {
	const d = new Drive().on({ type: "start" }).on({ type: "opened" }).on({ type: "sent" });
	assert.equal(d.state.due, CONNECT_LIMIT);
	d.now = 300;
	d.on({ type: "welcomed", pingInterval: 25000 });
	assert.equal(d.state.due, 300 + FIRST_ASK);
	d.on({ type: "lost" }).ring().connect();
	assert.equal(d.state.due, d.now + 25_000, "the next socket has asked nothing yet");
});

test("L8: patience that was too short is doubled, until a sign comes in time", () => {
	const d = new Drive().on({ type: "start" }).connect();
	const limits: number[] = [];
	for (let i = 0; i < 6; i++) {
		d.on({ type: "sent" }).ring();
		limits.push(d.state.deadline - d.now);
		d.ring().ring().connect();
	}
	assert.deepEqual(limits, [4000, 8000, 16000, 32000, 50000, 50000]);
	d.on({ type: "sent" }).ring();
	d.now += SIGN_LIMIT + 1;
	d.on({ type: "heard" }).ring();
	assert.equal(d.state.deadline - d.now, 50000, "it was needed");
	d.now += 100;
	d.on({ type: "heard" }).ring();
	assert.equal(d.state.deadline - d.now, SIGN_LIMIT);
});

test("L9: who slept asks anew before the line is dropped, once", () => {
	const d = new Drive().on({ type: "start" }).connect().ring();
	d.now += 3_600_000;
	d.on({ type: "timer" });
	assert.equal(d.effects.at(-1), "ping");
	assert.equal(d.state.phase, "ready");
	assert.equal(d.state.due, d.now + SIGN_LIMIT);
	const heard = new Drive();
	heard.state = d.state;
	heard.now = d.now + 10;
	assert.equal(heard.on({ type: "heard" }).state.excused, false);
	d.now += 60_000; // timers of a hidden tab ring once in a minute
	d.on({ type: "timer" });
	assert.equal(d.effects.at(-1), "drop");
});

test("L1, L2, L6, L7 hold in 50,000 random steps", () => {
	let seed = 1;
	const random = () => (seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32;
	for (let run = 0; run < 100; run++) {
		const d = new Drive().on({ type: "start" });
		for (let i = 0; i < 500; i++) {
			d.now += Math.floor(random() * random() * 30000);
			const pick = Math.floor(random() * (run % 10 === 0 && i > 400 ? 11 : 10));
			const events: LinkEvent[] = [
				{ type: "opened" },
				{ type: "welcomed", pingInterval: 25000 },
				{ type: "heard" },
				{ type: "lost" },
				{ type: "timer" },
				{ type: "wake" },
				{ type: "network", up: random() < 0.5 },
				{ type: "start" },
				{ type: "sent" },
				{ type: "settled" },
				{ type: "close" },
			];
			const event = events[pick];
			if (!event) continue;
			const before = d.state;
			d.on(event, random());
			const live = ["opening", "greeted", "ready"].includes(d.state.phase);
			assert.equal(d.sockets, live ? 1 : 0, `L1 after ${event.type} in ${before.phase}`);
			assert.ok(d.state.phase === "closed" || Number.isFinite(d.state.due), `L2 after ${event.type} in ${before.phase}`);
			assert.ok(d.state.phase !== "ready" || d.state.due <= d.now + 50000, `L5 after ${event.type} in ${before.phase}`);
			assert.equal(linkStatus(d.state) === "connected", d.state.phase === "ready", "L6");
			if (before.phase === "closed") assert.equal(d.state, before, "L7");
		}
	}
});
