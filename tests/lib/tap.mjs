// Tests that tell one story in order: each step is a line of TAP; after one that fails the rest is told as not run.
let number = 0;
let failed = false;

export async function step(name, work) {
	number++;
	if (failed) return void console.log(`not ok ${number} - ${name}\n# not run: a step before it failed`);
	const began = Date.now();
	try {
		await work();
		console.log(`ok ${number} - ${name}\n# ${Date.now() - began} ms`);
	} catch (e) {
		failed = true;
		process.exitCode = 1;
		console.log(`not ok ${number} - ${name}`);
		for (const line of String(e?.stack ?? e).split("\n")) console.log(`# ${line}`);
	}
}

/** A line for whoever reads along. */
export function note(text) {
	for (const line of text.trimEnd().split("\n")) console.log(`# ${line}`);
}

export function finish() {
	console.log(`1..${number}`);
}

export const hasFailed = () => failed;
