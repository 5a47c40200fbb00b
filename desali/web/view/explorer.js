// The explorer: images to the left, models side by side in the middle, numbers to the right. It asks through `ask` alone
// and knows no server: a page and a notebook are its hosts.
import { button, choice, make, modified, select, within } from "./dom.js";
import { startImages } from "./images.js";
import { startNumbers } from "./numbers.js";
import { startPanel } from "./panel.js";
import { startState } from "./state.js";

const FROM = [["neuron", "Neuron"], ["channel", "Channel"], ["top", "Strongest k"], ["layer", "Layer"], ["contrast", "Class contrast"]];
const KEYS = { "[ ]": "layer", ", .": "channel", b: "before or after", p: "same channel or partner", "arrows, Enter": "on a map: move, show the neuron" };

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
		model.name = model.name.replaceAll("->", "→");
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
		group, session, ask, state, say, page, several: groups.length > 1, told, seen: () => images.current()?.name ?? "image",
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

	// The model that the lists to the right are of.
	function looked() {
		const wanted = state.get("model");
		return session.models[wanted] ? Number(wanted) : 0;
	}

	function panelOf() {
		return panels.find((one) => groups[one.own].models.some((model) => model.index === looked()));
	}

	// What the address leaves open or names wrongly is filled in; the strongest channel of the layer comes first.
	function start() {
		const wanted = state.get("image");
		if (wanted && !images.known(wanted)) fail(`The address names the image "${wanted}", which is not open.`);
		if (!images.known(wanted)) state.set({ image: images.first()?.id }, 0, true);
		if (!state.given("from") && !state.get("channel")) state.set({ from: "channel" }, 0, true);
		for (const panel of panels.filter((one) => one.layers.length)) {
			const layer = state.get("layer", panel.own);
			if (!panel.layers.some((one) => one.name === layer)) {
				if (layer) fail(`The address names the layer "${layer}", which ${groups[panel.own].architecture} does not have.`);
				state.set({ layer: usual(panel.layers), channel: null, y: null, x: null }, panel.own, true);
			}
		}
		refresh(new Set(["image", "layer", "model", "y"]), null);
	}

	function usual(layers) {
		const relus = layers.filter((one) => one.spatial && one.rectifies);
		const fit = relus.length ? relus : layers;
		return fit[Math.floor(fit.length * 0.6)].name;
	}

	async function refresh(what, panel) {
		if (what.has("image") || what.has("window")) { images.draw(); images.mark(); }
		if (what.has("image") && !what.has("y")) {
			for (const one of panels) state.set({ y: null, x: null }, one.own, true);
		}
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
		const focus = panelOf();
		if (own === focus.own) {
			images.frame(answer.models.filter((one) => one.box).map((one) => ({ ...one.box, index: one.index })));
			numbers.show(answer.models, session.lineage?.layers[state.get("layer", own)] ? "r: correlation of the channel before with itself after. purity: of all channels of the layer, on the mean. random: the range of networks with random weights." : "");
		}
	}

	function startBar() {
		const from = select("From", (value) => state.set({ from: value }));
		from.fill(FROM.filter(([value]) => value !== "contrast" || session.models.some((one) => one.classes.length > 1)));
		const method = select("Method", (value) => state.set({ method: value }));
		method.fill([["", "usual"], ...session.methods.map((one) => [one, one])]);
		const k = make("input", { type: "number", min: 1, max: 16, on: { change: () => state.set({ k: 1 + within(Math.round(k.value) - 1 || 0, 15) }) } });
		const many = make("label", {}, make("span", {}, "k"), k);
		const a = select("Class", (value) => state.set({ a: value }));
		const b = select("against", (value) => state.set({ b: value }));
		const partner = choice("Channel followed", [["same", "Same channel"], ["partner", "Its partner"]], (value) => state.set({ partner: value }));
		const band = choice("Networks shown", [["both", "Both"], ["before", "Before"], ["after", "After"]], (value) => state.set({ show: value }));
		const boxes = session.models.map((one) => {
			const input = make("input", { type: "checkbox", on: { change: chosen } });
			return { one, input, element: make("label", { class: "check" }, input, make("span", {}, one.name)) };
		});
		const fold = (name, ...inside) => make("details", { class: "which" }, make("summary", {}, name), inside);
		const element = make("div", { class: "tools" }, from.element, many, a.element,
			b.element, method.element, session.lineage && !session.lineage.strangers && partner.element, session.lineage && band.element,
			boxes.length > 1 && fold("Models", boxes.map((box) => box.element)),
			fold("Keys", make("dl", {}, Object.entries(KEYS).map(([key, words]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, words)]))),
			session.notes.length > 0 && fold(`Notes (${session.notes.length})`, make("ul", {}, session.notes.map((one) => make("li", {}, one)))));

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
			// a class is a place in the list of the first model asked
			const classes = (panelOf().first()?.classes ?? []).map((name, index) => [String(index), name]);
			a.fill([["", "predicted"], ...classes]);
			b.fill([["", "the mean of the others"], ...classes]);
			a.list.value = state.get("a");
			b.list.value = state.get("b");
			partner.show(state.get("partner"));
			band.show(state.get("show"));
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
			b: () => session.lineage && state.set({ show: state.get("show") === "before" ? "after" : "before" }),
			p: () => session.lineage && !session.lineage.strangers && state.set({ partner: state.get("partner") === "partner" ? "same" : "partner" }),
		}[event.key];
		if (!act) return;
		event.preventDefault();
		act();
	}
}
