// What functions find besides the language and what the worker's own prelude gives (server/js/prelude.js): the parts of the web that need
// the host's operations. Set before the app's modules run.

import { timerGlobals } from "./timers.js";

export function installGlobals(): void {
	if (!("__host" in globalThis)) return; // not in a worker
	for (const [name, value] of Object.entries({ ...timerGlobals }))
		Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}
