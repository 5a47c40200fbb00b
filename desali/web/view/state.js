// What is shown, as words in the fragment of the address: a link reproduces the view.

const OWN = ["layer", "channel", "y", "x"];
const USUAL = { from: "neuron", partner: "same", show: "both", scale: "own", k: "4" };

// `host.read()` gives the fragment, `host.write(fragment)` keeps it. Panels after the first have names of their own.
export function startState(host) {
	let words;
	const listeners = [];
	const key = (name, panel) => (panel && OWN.includes(name) ? `${name}.${panel}` : name);

	function load() {
		words = new Map(new URLSearchParams(host.read()));
	}

	function reset(kept) {
		words = new Map(Object.entries(kept));
		write();
	}

	function write() {
		host.write(new URLSearchParams([...words].filter(([name, value]) => value !== (USUAL[name] ?? ""))).toString());
	}

	function get(name, panel = 0) {
		return words.get(key(name, panel)) ?? USUAL[name] ?? "";
	}

	// Changes are told to listeners by name; one that changes nothing is not told.
	function set(changes, panel = 0, quiet = false) {
		const names = [];
		for (const [name, value] of Object.entries(changes)) {
			const text = String(value ?? "");
			if (get(name, panel) === text) continue;
			if (text === "") words.delete(key(name, panel));
			else words.set(key(name, panel), text);
			names.push(name);
		}
		if (!names.length) return;
		write();
		if (!quiet) for (const heard of listeners) heard(new Set(names), panel);
	}

	// What a request about one panel carries.
	function request(panel, names) {
		return Object.fromEntries(names.map((name) => [name, get(name, panel)]).filter(([, value]) => value !== ""));
	}

	load();
	return { get, set, load, reset, request, all: () => Object.fromEntries(words), onChange: (heard) => listeners.push(heard) };
}

// Asks of which the newest counts: older answers are dropped, and a key held down does not flood.
export function latest(ask, what, page, taken, failed) {
	const PAUSE = 70;
	let click = 0;
	let last = -PAUSE;
	let timer = null;

	async function go(params, own) {
		last = performance.now();
		const sent = { ...params, page, click: String(own) };
		try {
			const answer = await ask(what, sent);
			if (own === click) taken(answer, last, sent);
		} catch (error) {
			if (own === click && error.status !== 409) failed(error);
		}
	}

	function send(params) {
		click += 1;
		const own = click;
		clearTimeout(timer);
		const wait = last + PAUSE - performance.now();
		if (wait <= 0) go(params, own);
		else timer = setTimeout(() => go(params, own), wait);
	}
	return { send, drop: () => { click += 1; clearTimeout(timer); } };
}
