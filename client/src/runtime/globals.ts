// What functions find besides the language and what the worker's own prelude gives (server/js/prelude.js): the parts of the web that need
// the host's operations. Set before the app's modules run.

import { timerGlobals } from "./timers.js";
import { AbortController, AbortSignal, DOMException } from "./web/abort.js";
import { Blob, File, FormData } from "./web/body.js";
import { fetch, Request, Response } from "./web/fetch.js";
import { Headers } from "./web/headers.js";
import { ReadableStream } from "./web/stream.js";
import { URL, URLSearchParams } from "./web/url.js";

const web = {
	AbortController, AbortSignal, Blob, DOMException, fetch, File, FormData, Headers, ReadableStream, Request, Response, URL, URLSearchParams,
};

export function installGlobals(): void {
	if (!("__host" in globalThis)) return; // not in a worker
	for (const [name, value] of Object.entries({ ...timerGlobals, ...web }))
		Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}
