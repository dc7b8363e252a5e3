// A chat: sign in with a name, then channels, messages and who said how much, all live.
import { type MillraceError } from "millrace";
import { MillraceProvider } from "millrace/react";
import { useState } from "react";
import { createRoot } from "react-dom/client";
import { connect } from "../_generated/client";
import { Chat } from "./chat";
import { useMe } from "./me";
import { SignIn } from "./signin";

type Listener = (error: MillraceError) => void;
let tellOfError: Listener = (error) => console.warn(error.message);
/** Errors that no call waits for any more: a message sent before a reload that was refused after it, say. */
const client = connect({ onError: (error) => tellOfError(error) });

function App() {
	const { me, signIn, signOut } = useMe();
	const [problem, setProblem] = useState<string>();
	tellOfError = (error) => setProblem(error.message);
	return (
		<>
			{problem && (
				<p className="toast" role="alert">
					{problem}
					<button type="button" onClick={() => setProblem(undefined)}>
						Dismiss
					</button>
				</p>
			)}
			{me ? <Chat me={me} signOut={signOut} /> : <SignIn signIn={signIn} />}
		</>
	);
}

const root = document.getElementById("root");
if (root)
	createRoot(root).render(
		<MillraceProvider client={client}>
			<App />
		</MillraceProvider>,
	);
