// Each tab is somebody, for as long as it is open.
const FIRST = ["Ada", "Emmy", "Grace", "Hedy", "Katherine", "Lise", "Mary", "Sophie"];
const LAST = ["Brook", "Delta", "Fall", "Harbour", "Lake", "Rill", "Shore", "Spring"];
const KEY = "convex-chat:name";

const one = (list: readonly string[]): string => list[Math.floor(Math.random() * list.length)] ?? "";

export function myName(): string {
	const kept = sessionStorage.getItem(KEY);
	if (kept) return kept;
	const name = `${one(FIRST)} ${one(LAST)} ${Math.floor(Math.random() * 100)}`;
	sessionStorage.setItem(KEY, name);
	return name;
}
