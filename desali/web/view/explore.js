// The page of the explorer: asks by HTTP, keeps the state in the address.
import { speaker, startTheme } from "./page.js";
import { startExplorer } from "./explorer.js";

const say = speaker(document.getElementById("said"));

async function ask(what, params = {}, body = null) {
  const query = new URLSearchParams(params);
  let answer;
  try {
    answer = await fetch(`/api/${what}?${query}`, body === null ? {} : { method: "POST", body });
  } catch {
    throw Object.assign(new Error("The program does not answer: is it still running?"), { status: 0 });
  }
  const json = (answer.headers.get("content-type") ?? "").startsWith("application/json");
  if (answer.ok) return json ? answer.json() : answer.blob();
  const why = json ? (await answer.json()).error : answer.statusText;
  throw Object.assign(new Error(why || `The program answered ${answer.status}`), { status: answer.status });
}

const host = {
  read: () => location.hash.slice(1),
  write: (fragment) => history.replaceState(null, "", `#${fragment}`),
};

startTheme(document.getElementById("theme"));
const explorer = await startExplorer(document.getElementById("explorer"), ask, host);
document.querySelector(".skip").addEventListener("click", (event) => { // the fragment is the state's
  event.preventDefault();
  document.getElementById("explorer").focus();
});
if (explorer) addEventListener("hashchange", explorer.reload);
const link = document.getElementById("link");
link.hidden = false;
link.addEventListener("click", async () => {
  const done = await navigator.clipboard.writeText(location.href).then(() => true, () => false);
  say(done ? "Link copied" : "Copy the address of the page");
  link.textContent = done ? "Link copied" : "Copy the address";
});
