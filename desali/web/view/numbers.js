// The right column: numbers of each model, the strongest channels, the patches that a channel answers to most.
import { button, digits, fine, make, roving, select } from "./dom.js";

function verdict({ lineage, models }) {
	if (!lineage) return null;
	const [first, ...rest] = lineage.verdict.split("; ");
	return make("div", {}, make("h2", {}, "What changed"), make("p", { class: lineage.strangers ? "banner" : "sentence" },
		make("b", {}, `${models[lineage.before].name} → ${models[lineage.after].name}: `), first),
	rest.length > 0 && make("details", { class: "notes" }, make("summary", {}, "More"), make("ul", {}, rest.map((one) => make("li", {}, one)))));
}

export function startNumbers({ session, ask, state, pick }) {
	const table = make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Numbers" });
	const meaning = fine(session.meaning);
	const strongest = make("ol", { class: "strongest" });
	const patches = make("ol", { class: "patches" });
	const words = make("p", { class: "fine", role: "status" });
	const whose = select("Model", (value) => state.set({ model: value }));
	whose.fill(session.models.map((one) => [String(one.index), one.name]));
	const stop = roving(strongest, "button");
	const element = make("section", { class: "right", "aria-label": "Numbers" },
		verdict(session), make("h2", {}, "Numbers"), table, meaning,
		make("h2", {}, "Channels"), whose.element,
		make("h3", {}, "Strongest on this image"), strongest,
		session.patches !== false && [make("h3", {}, "What the channel answers to"), patches, words]);
	let asked = 0;
	let listed = 0;

	function show(all) {
		const models = all.filter((one) => !one.error);
		const cells = (name) => models.map((one) => (one.draws?.rows[name] ?? one.rows[name]));
		const rows = Object.keys(models[0]?.rows ?? {}).map((name) => [name, cells(name)]);
		const filled = rows.filter(([name, own]) => name === "likeness" || own.some((one) => one != null));
		const made = make("table", { class: `numbers${models.length > 3 ? " upright" : ""}` },
			make("thead", {}, make("tr", {}, make("td", {}), models.map((one) => make("th", { scope: "col" }, session.models[one.index].name.replace(/[_+-]/g, "$&\u200b"))))),
			make("tbody", {}, filled.map(([name, own]) => make("tr", { data: { row: name } },
				make("th", { scope: "row" }, name), own.map((one) => cell(name, one))))));
		made.style.minWidth = `${4.4 + 3.2 * models.length}rem`;
		table.replaceChildren(made);
	}

	function cell(name, value) {
		if (value == null) return make("td", {}, "–");
		if (name === "state") return make("td", {}, make("span", { class: `state ${String(value).replaceAll(" ", "-")}` }, value));
		return make("td", {}, Array.isArray(value) ? value.map(digits).join(" to ") : digits(value));
	}

	// The strongest channels; nothing where a newer list was asked for.
	async function channels(params) {
		const own = ++listed;
		try {
			const found = (await ask("channels", params)).strongest;
			if (own !== listed) return null;
			const most = Math.max(...found.map((one) => one.value), 1e-9);
			strongest.replaceChildren(...found.map((one) => {
				const bar = make("i", { "aria-hidden": "true" });
				bar.style.width = `${Math.max(0, (100 * one.value) / most)}%`;
				return make("li", {}, button([make("b", {}, one.channel), make("span", {}, digits(one.value)), bar],
					() => pick(one.channel), { data: { channel: one.channel } }));
			}));
			mark(params.channel);
			return found;
		} catch (error) {
			if (own !== listed) return null;
			strongest.replaceChildren(make("li", { class: "absent" }, error.message));
			return [];
		}
	}

	function mark(channel) {
		const all = [...strongest.querySelectorAll("button")];
		const here = all.find((one) => one.dataset.channel === String(channel));
		for (const one of all) one.setAttribute("aria-pressed", String(one === here));
		stop(here ?? all[0]);
	}

	async function search(params) {
		if (session.patches === false) return;
		const own = ++asked;
		words.textContent = "Searching the images …";
		try {
			for (;;) {
				const found = await ask("patches", params);
				if (own !== asked) return;
				if (!found.pending) { fill(found); return; }
				words.textContent = `Searching: ${found.done} of ${found.of} images`;
				await new Promise((done) => setTimeout(done, 500));
				if (own !== asked) return;
			}
		} catch (error) {
			if (own !== asked) return;
			patches.replaceChildren();
			words.textContent = error.message;
		}
	}

	function fill(found) {
		patches.replaceChildren(...found.patches.map((one) => make("li", {},
			button([make("img", { src: one.png, alt: "" }), make("small", {}, digits(one.value))],
				() => state.set({ image: one.image }), { "aria-label": `${one.alt}: activation ${digits(one.value)}; show this image` }))));
		words.textContent = found.words;
	}

	return { element, show, channels, search, mark, model: (value) => { whose.list.value = value; } };
}
