// Changed: where the provider and its client come from. Without an address the client speaks to the server of its page.
import { ConvexProvider, ConvexReactClient } from "millrace/convex/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { Chat } from "./chat";

const convex = new ConvexReactClient();

createRoot(document.getElementById("root")!).render(
	<StrictMode>
		<ConvexProvider client={convex}>
			<Chat />
		</ConvexProvider>
	</StrictMode>,
);
