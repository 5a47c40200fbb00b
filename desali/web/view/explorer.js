// The explorer: images to the left, models side by side in the middle, numbers to the right. It asks through `ask` alone
// and knows no server: a page and a notebook are its hosts.
import { button, choice, make, modified, select, within } from "./dom.js";
import { startImages } from "./images.js";
import { startNumbers } from "./numbers.js";
import { startPanel } from "./panel.js";
import { startState } from "./state.js";

const FROM = [["neuron", "Neuron"], ["channel", "Channel"], ["top", "Strongest k"], ["layer", "Layer"], ["contrast", "Class contrast"]];

export async function startExplorer(root, ask, host) {
	const problems = make("ul", { class: "problems", role: "alert" });
	const said = make("p", { class: "unseen", role: "status", "aria-live": "polite" });
	const say = (text) => { said.textContent = text; };
	const whole = make("div", { class: "explorer" }, problems, make("p", {}, "Loading …"), said);
	root.replaceChildren(whole);
	const fail = (text) => {
		if ([...problems.children].some((one) => one.firstChild.textContent === text)) return;
		const line = make("li", {}, make("span", {}, text), button("dismiss", () => line.remove(), { class: "copy" }));
		problems.append(line);
		while (problems.children.length > 4) problems.firstChild.remove();
	};
	let session;
	try {
		session = await ask("session", {});
	} catch (error) {
		whole.replaceChildren(problems, said);
		fail(error.message);
		return;
	}
	const state = startState(host);
	const page = Math.random().toString(36).slice(2); // tells one page's clicks from another's
	const groups = [];
	for (const model of session.models) {
		let group = groups.find((one) => one.number === model.group);
		if (!group) groups.push(group = { number: model.group, index: groups.length, models: [], architecture: model.architecture });
		group.models.push(model);
	}

	// A network that takes images of any size shows its layers once there is an image.
	const opened = () => { if (session.models.some((one) => !one.layers.length)) startExplorer(root, ask, host); };
	const images = startImages({ session, ask, state, say, fail, opened });
	const numbers = startNumbers({
		session, ask, state,
		pick: (channel) => state.set({ channel, y: null, x: null, from: state.get("from") === "channel" ? "channel" : "neuron" }, panelOf().own),
	});
	const panels = groups.map((group) => startPanel({
		group, session, ask, state, say, page, told, seen: () => images.current()?.name ?? "image",
	}));
	const shown = new Map();
	const bar = startBar();
	const middle = make("div", { class: "middle" }, bar.element, panels.map((one) => one.element));
	whole.replaceChildren(problems, make("div", { class: "columns" }, images.element, middle, numbers.element), said);
	images.startDropping(whole);
	whole.addEventListener("keydown", keys);
	state.onChange(refresh);
	if (!session.images.length) say("No images yet: open or drop one.");
	start();
	host.reload = () => { state.load(); start(); };

	// The model that the lists are of: the one named, that after the stage, or the first that takes the image.
	function looked() {
		const wanted = state.get("model");
		const fit = session.models.filter((one) => one.layers.length && !one.unfit);
		return session.models[wanted] ? Number(wanted) : (fit.find(({ index }) => index === session.lineage?.after) ?? fit[0])?.index ?? 0;
	}

	function panelOf() {
		return panels.find((one) => groups[one.own].models.some((model) => model.index === looked()));
	}

	// What the address leaves open or names wrongly is filled in; the strongest channel of the layer comes first.
	async function start() {
		const { state: kept, problems: wrong } = await ask("address", state.all()).catch((error) => ({ state: state.all(), problems: [error.message] }));
		state.reset(kept);
		wrong.forEach(fail);
		refresh(new Set(["image", "layer", "model", "y"]), null);
	}

	async function refresh(what, panel) {
		if (what.has("image") || what.has("window")) { images.draw(); images.mark(); }
		if (what.has("image") && !what.has("y")) {
			for (const one of panels) state.set({ y: null, x: null }, one.own, true);
		}
		if (session.lineage && !paired()) state.set({ show: "both" }, 0, true);
		bar.show();
		const names = [...what].filter((name) => !["window", "model"].includes(name));
		const everyone = panel === null || names.some((name) => !["layer", "channel", "y", "x"].includes(name));
		for (const one of panels) if (names.length && (everyone || one.own === panel)) one.refresh(what);
		await lists(what);
	}

	// The lists to the right; a layer without a chosen channel gets its strongest one.
	async function lists(what) {
		const focus = panelOf();
		numbers.model(String(looked()));
		if (what.has("model") && shown.has(focus.own)) told(focus.own, shown.get(focus.own));
		for (const panel of panels) {
			const params = panel.params();
			if (!params.image || !params.layer) continue;
			const followed = state.get("partner") === "partner"; // the channel's number is that of the network before
			const model = String(panel !== focus ? groups[panel.own].models[0].index : followed ? session.lineage.before : looked());
			const fresh = params.channel === undefined;
			if (panel !== focus && !fresh) continue;
			if (panel === focus && !fresh && !["image", "layer", "model", "partner"].some((name) => what.has(name))) {
				numbers.mark(params.channel);
			} else if (panel === focus) {
				first(panel, params, await numbers.channels({ ...params, model }));
			} else first(panel, params, await ask("channels", { ...params, model }).then((found) => found.strongest, () => []));
			if (panel === focus && !fresh && ["layer", "channel", "model", "partner"].some((name) => what.has(name))) {
				numbers.search({ layer: params.layer, channel: params.channel, model, ...(followed ? { partner: "partner" } : {}) });
			}
		}
	}

	function first(panel, { layer }, strongest) {
		if (strongest && state.get("channel", panel.own) === "" && state.get("layer", panel.own) === layer) state.set({ channel: strongest[0]?.channel ?? 0 }, panel.own);
	}

	function told(own, answer) {
		shown.set(own, answer);
		const before = looked();
		for (const one of answer.models) if (one.unfit || !one.error) session.models[one.index].unfit = one.error ?? "";
		if (looked() !== before) lists(new Set(["model"]));
		if (own === panelOf().own) {
			images.frame(answer.models.filter((one) => one.box).map((one) => ({ ...one.box, index: one.index })));
			numbers.show(answer.models);
		}
	}

	// Whether before and after can be held against each other: classes are one by name.
	function paired() {
		if (!session.lineage || state.get("from") !== "contrast") return Boolean(session.lineage);
		const [before, after] = ["before", "after"].map((name) => session.models[session.lineage[name]].classes);
		const all = [...new Set(session.models.flatMap((one) => one.classes))];
		const named = state.get("a") ? ["a", "b"].filter((name) => state.get(name)).map((name) => all[state.get(name)]) : [...before, ...after];
		return named.every((name) => before.includes(name) && after.includes(name));
	}

	function partners() {
		return session.lineage && !session.lineage.strangers && state.get("from") !== "contrast" && !session.lineage.layers[state.get("layer", panelOf().own)]?.strangers;
	}

	function startBar() {
		const from = select("From", (value) => state.set({ from: value }));
		from.fill(FROM.filter(([value]) => value !== "contrast" || session.models.some((one) => one.classes.length > 1)));
		const method = select("Method", (value) => state.set({ method: value }));
		method.fill([["", "usual"], ...session.methods.map((one) => [one, one])]);
		const k = make("input", { type: "number", min: 1, max: 16, on: { change: () => state.set({ k: 1 + within(Math.round(k.value) - 1 || 0, 15) }) } });
		const many = make("label", {}, make("span", {}, "k"), k);
		const classes = session.classes.map((name, index) => [String(index), name]);
		const a = select("Class", (value) => state.set({ a: value }));
		a.fill([["", "predicted"], ...classes]);
		const b = select("against", (value) => state.set({ b: value }));
		b.fill([["", "all others"], ...classes]);
		const partner = choice("Channel followed", [["same", "Same channel"], ["partner", "Its partner"]], (value) => state.set({ partner: value }));
		const band = choice("Networks shown", [["both", "Both"], ["before", "Before"], ["after", "After"]], (value) => state.set({ show: value }));
		const scale = tick("one scale", () => state.set({ scale: scale.input.checked ? "common" : "own" }));
		const boxes = session.models.map((one) => ({ one, ...tick(one.name, chosen) }));
		const fold = (name, ...inside) => make("details", { class: "which" }, make("summary", {}, name), inside);
		const element = make("div", { class: "tools" }, from.element, many, a.element, b.element, partner.element, band.element, scale.element,
			fold("More", method.element, boxes.length > 1 && boxes.map((box) => box.element),
				make("dl", {}, Object.entries(session.keys).map(([key, words]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, words)]))),
			session.notes.length > 0 && fold(`Notes (${session.notes.length})`, make("ul", {}, session.notes.map((one) => make("li", {}, one)))));

		function tick(words, change) {
			const input = make("input", { type: "checkbox", on: { change } });
			return { input, element: make("label", { class: "check" }, input, make("span", {}, words)) };
		}

		function chosen() {
			const on = boxes.filter((box) => box.input.checked).map((box) => box.one.index);
			if (on.length) state.set({ models: on.length === boxes.length ? "" : on.join(",") });
			else show();
		}

		function show() {
			const contrast = state.get("from") === "contrast";
			from.list.value = state.get("from");
			method.list.value = state.get("method");
			many.hidden = state.get("from") !== "top";
			k.value = state.get("k");
			a.element.hidden = b.element.hidden = !contrast;
			a.list.value = state.get("a");
			b.list.value = state.get("b");
			whole.classList.toggle("contrast", contrast); // layers and channels mean nothing then
			partner.element.hidden = !partners();
			partner.show(state.get("partner"));
			band.element.hidden = !paired();
			band.show(state.get("show"));
			scale.input.checked = state.get("scale") === "common";
			const listed = state.get("models") === "" ? null : state.get("models").split(",").map(Number);
			for (const box of boxes) box.input.checked = !listed || listed.includes(box.one.index);
		}
		return { element, show };
	}

	function keys(event) {
		if (modified(event) || event.target.closest("input, select, textarea")) return;
		const panel = panels.find((one) => one.element.contains(event.target)) ?? panelOf();
		const act = {
			"[": () => panel.stepLayer(-1), "]": () => panel.stepLayer(1), ",": () => panel.step(-1), ".": () => panel.step(1),
			b: () => paired() && state.set({ show: state.get("show") === "before" ? "after" : "before" }),
			p: () => partners() && state.set({ partner: state.get("partner") === "partner" ? "same" : "partner" }),
		}[event.key];
		if (!act) return;
		event.preventDefault();
		act();
	}
}
