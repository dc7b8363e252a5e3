// A page in Chromium against the world of test/world.ts, over real sockets.

import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { build } from "esbuild";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { type WebSocket, WebSocketServer } from "ws";
import type { ClientMessage } from "../src/tables.js";
import { decodeMessage, encodeMessage } from "../src/wire.js";
import { World } from "./world.js";

const executable =
	process.env["CHROMIUM"] ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find((path) => existsSync(path));
export const skip = executable === undefined && "no Chromium here";

/** The folder of a package that the tests have under this name. */
const installed = (name: string): string => join(process.cwd(), "node_modules", name);

async function bundle(entry: string, react: "react" | "react18"): Promise<string> {
	const source = join(process.cwd(), "src");
	const result = await build({
		entryPoints: [join(process.cwd(), "test/page", entry)],
		bundle: true,
		write: false,
		format: "iife",
		jsx: "automatic",
		define: { "process.env.NODE_ENV": '"development"' },
		alias: {
			millrace: `${source}/index.ts`,
			"millrace/react": `${source}/react.ts`,
			"millrace/server": `${source}/server.ts`,
			"millrace/convex/react": `${source}/convex/react.ts`,
			...(react === "react18" ? { react: installed("react18"), "react-dom": installed("react-dom18") } : {}),
		},
		logLevel: "warning",
	});
	return result.outputFiles[0]?.text ?? "";
}

export class Stage {
	readonly world = new World();
	readonly errors: string[] = [];
	/** While true, calls run and ticks come as soon as there is something. */
	auto = true;
	port = 0;
	context!: BrowserContext;
	sockets!: WebSocketServer;
	private http!: Server;
	private browser: Browser | undefined;

	async start(entry: string, react: "react" | "react18" = "react"): Promise<void> {
		const script = await bundle(entry, react);
		this.http = createServer((request, response) => {
			const wantsScript = request.url === "/main.js";
			response.setHeader("content-type", wantsScript ? "text/javascript" : "text/html");
			response.end(
				wantsScript
					? script
					: '<!doctype html><title>chat</title><link rel="icon" href="data:,"><div id="root"></div><script src="/main.js"></script>',
			);
		});
		this.sockets = new WebSocketServer({ server: this.http, path: "/api/sync", handleProtocols: (offered) => [...offered][0] ?? false });
		this.sockets.on("connection", (socket: WebSocket) => this.serve(socket));
		await new Promise<void>((resolve) => this.http.listen(0, "127.0.0.1", resolve));
		this.port = (this.http.address() as { port: number }).port;
		this.browser = await chromium.launch({ executablePath: executable ?? "", args: ["--no-sandbox"] });
		this.context = await this.browser.newContext();
	}
	private serve(socket: WebSocket): void {
		const line = this.world.connect((message) => {
			const frame = encodeMessage(socket.protocol === "millrace.v1.json" ? "json" : "msgpack", message as unknown as ClientMessage);
			socket.send(frame);
		});
		socket.on("message", (data: Buffer) => {
			line.receive(decodeMessage(new Uint8Array(data)) as unknown as ClientMessage);
			setTimeout(() => this.work(), 1);
		});
		socket.on("close", () => line.close());
	}
	work(): void {
		if (this.auto) this.world.settle();
	}
	async stop(): Promise<void> {
		await this.browser?.close();
		this.sockets?.clients.forEach((socket) => socket.terminate());
		this.http?.close();
	}
	async open(): Promise<Page> {
		const page = await this.context.newPage();
		page.on("pageerror", (e) => this.errors.push(String(e)));
		page.on("console", (m) => m.type() === "error" && !m.text().includes("WebSocket") && this.errors.push(m.text()));
		await page.goto(`http://127.0.0.1:${this.port}/`);
		return page;
	}
	insert(n: number): void {
		const id = this.world.mintId();
		this.world.rows.set(id, { id, channel: "c", n, body: `row ${n}` });
	}
}

export async function until(page: Page, what: string, timeout = 5000): Promise<void> {
	await page.waitForFunction(what, undefined, { timeout }).catch(async () => {
		throw new Error(`waited in vain for: ${what}\nthe page: ${await page.locator("body").innerText()}`);
	});
}
export const text = (page: Page, id: string) => page.locator(`#${id}`).textContent();
