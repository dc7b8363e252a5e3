// What the tests in Chromium share: the browser, a page that keeps what went wrong on it, and the chat's controls.
import { createRequire } from "node:module";
import { join } from "node:path";
import { ROOT, temporary } from "../../lib/cli.mjs";
import { note } from "../../lib/tap.mjs";

const { chromium } = createRequire(join(ROOT, "client", "package.json"))("playwright-core");
const shots = process.env.TMPDIR ?? temporary("shots");

export const launch = () =>
	chromium.launch({
		executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
		args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
	});

/** A page with `problems`: what it threw, and errors in its console but those of a lost connection. */
export async function openPage(context, url) {
	const page = await context.newPage();
	page.problems = [];
	page.on("pageerror", (e) => page.problems.push(String(e)));
	page.on("console", (m) => {
		if (m.type() === "error" && !/WebSocket connection|ERR_CONNECTION|ERR_INTERNET_DISCONNECTED/.test(m.text())) page.problems.push(m.text());
	});
	await page.goto(url);
	return page;
}

export async function shot(page, name) {
	const path = join(shots, `${name}.png`);
	await page.screenshot({ path });
	note(`screenshot: ${path}`);
}

// --- the chat ---

export async function signIn(page, name) {
	await page.getByLabel("Your name").fill(name);
	await page.getByRole("button", { name: "Join the chat" }).click();
	await page.getByRole("heading", { name: "#general" }).waitFor();
}
export async function say(page, text) {
	await page.getByLabel(/^Message to #/).fill(text);
	await page.keyboard.press("Enter");
}
export const line = (page, text) => page.locator(".line", { has: page.getByText(text, { exact: true }) });
export const sure = (page, text) => line(page, text).and(page.locator(":not([data-pending])")).waitFor();
export const status = (page) => page.locator(".status");
export const live = (page) => page.locator('.status[data-state="live"]').waitFor();
