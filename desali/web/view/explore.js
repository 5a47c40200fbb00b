// The page of the explorer: asks by HTTP, keeps the state in the address.
import { speaker, startCopying, startTheme } from "./page.js";
import { startExplorer } from "./explorer.js";

async function ask(what, params = {}, body = null) {
	const query = new URLSearchParams(params);
	let answer;
	try {
		answer = await fetch(`/api/${what}?${query}`, body === null ? {} : { method: "POST", body });
	} catch {
		throw Object.assign(new Error("The program does not answer: is it still running?"), { status: 0 });
	}
	if (answer.status === 204) throw Object.assign(new Error("A newer click came."), { status: 409 }); // a 409 would be an error in the console
	const json = (answer.headers.get("content-type") ?? "").startsWith("application/json");
	if (answer.ok) return json ? answer.json() : answer.blob();
	const why = json ? (await answer.json()).error : answer.statusText;
	throw Object.assign(new Error(why || `The program answered ${answer.status}`), { status: answer.status });
}

const link = document.getElementById("link");
const host = {
	read: () => location.hash.slice(1),
	write: (fragment) => {
		history.replaceState(null, "", `#${fragment}`);
		link.dataset.copy = location.href;
	},
};

startTheme(document.getElementById("theme"));
startCopying(document.querySelector("header"), speaker(document.getElementById("said")));
startExplorer(document.getElementById("explorer"), ask, host);
document.querySelector(".skip").addEventListener("click", (event) => { // the fragment is the state's
	event.preventDefault();
	document.getElementById("explorer").focus();
});
addEventListener("hashchange", () => host.reload?.());
addEventListener("keydown", (event) => { // before anything is chosen
	if (event.target === document.body) document.querySelector(".explorer")?.dispatchEvent(new KeyboardEvent("keydown", event));
});
