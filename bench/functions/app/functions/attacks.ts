// Functions that misbehave, each in its way.
import { v } from "millrace/server";
import { action, mutation } from "../_generated/server";

const attack = (handler: () => unknown) => mutation({ args: {}, auth: "public", handler: handler as () => never });

export const throws = attack(() => {
	throw new Error("on purpose");
});
export const loops = attack(() => {
	for (;;);
});
export const promises = attack(async () => {
	for (;;) await Promise.resolve();
});
export const regex = attack(() => /^(([a-z])+.)+[A-Z]([a-z])+$/.test("a".repeat(60)));
export const recurses = attack(() => {
	const deeper = (n: number): number => 1 + deeper(n + 1);
	return deeper(0);
});
export const allocates = attack(() => {
	const held: string[] = [];
	for (let i = 0; ; i++) held.push(`${i}`.repeat(100000));
});
export const cycle = attack(() => {
	const round: { next?: unknown } = {};
	round.next = round;
	return round;
});
export const forever = attack(() => new Promise(() => undefined));
export const logs = attack(() => {
	for (let i = 0; ; i++) console.log(`line ${i} of very many, all of them as long as this one`);
});
export const huge = attack(() => "x".repeat(100_000_000));
export const fetches = action({
	args: { url: v.string() },
	auth: "public",
	handler: async (_ctx, { url }) => {
		await Promise.all(Array.from({ length: 10_000 }, () => fetch(url)));
	},
});
