import { makeApi } from "millrace";
export const api = makeApi<{
	messages: typeof import("./functions/messages");
	joinWaitlist: typeof import("./functions/joinWaitlist");
	admin: { users: typeof import("./functions/messages") };
}>();
