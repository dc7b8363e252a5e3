// What a server in development tells, where a developer sees it: console lines in the browser's console, build errors over the page.

import type { ConsoleMessage, DevMessage } from "./tables.js";

export function isBrowser(): boolean {
	const scope = globalThis as { document?: unknown; location?: unknown };
	return typeof scope.document === "object" && typeof scope.location === "object";
}

const OVERLAY = "millrace-build-error";
const STYLE =
	"position:fixed;inset:0;z-index:2147483647;margin:0;padding:32px;overflow:auto;background:rgba(20,18,24,.94);color:#ffd9d4;" +
	"font:14px/1.5 ui-monospace,Menlo,Consolas,monospace;white-space:pre-wrap";

function overlay(text: string | null): void {
	document.getElementById(OVERLAY)?.remove();
	if (text === null) return;
	const box = document.createElement("pre");
	box.id = OVERLAY;
	box.setAttribute("role", "alert");
	box.style.cssText = STYLE;
	box.textContent = `The app does not build; the last good version keeps serving.\n\n${text}\n\n(Click to hide.)`;
	box.addEventListener("click", () => box.remove());
	(document.body ?? document.documentElement).append(box);
}

export function showDevelopment(client: {
	onDevelopment(callback: (message: ConsoleMessage | DevMessage) => void): () => void;
}): () => void {
	return client.onDevelopment((message) => {
		if (message.t === "console") console[message.level](`[${message.fn}]`, message.text);
		else if (message.reload) location.reload();
		else if (message.types !== undefined) console.warn(`There are type errors; the code runs all the same.\n${message.types}`);
		else if (message.error !== undefined) overlay(message.error);
	});
}
