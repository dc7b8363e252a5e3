import { mutation } from "../_generated/server";

export const loopPlain = mutation({
	auth: "public",
	handler: () => {
		for (;;);
	},
});

export const loopPromise = mutation({
	auth: "public",
	handler: async () => {
		for (;;) await Promise.resolve();
	},
});

export const loopRegex = mutation({ auth: "public", handler: () => /^(([a-z])+.)+[A-Z]([a-z])+$/.test("a".repeat(60)) });

export const eatMemory = mutation({
	auth: "public",
	handler: () => {
		const held: string[] = [];
		for (let i = 0; ; i++) held.push(`${i}`.repeat(100000));
	},
});
