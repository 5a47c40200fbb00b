// Models of one architecture: layer strip, activation maps to click on, pictures beside their controls.
import { button, digits, fine, make, modified, reveal, roving, save, within } from "./dom.js";
import { drawMap } from "./plane.js";
import { latest } from "./state.js";
import { startCopying } from "./page.js";

const ASKED = ["image", "layer", "from", "channel", "y", "x", "k", "a", "b", "method", "partner", "scale"];

// `group` is {index, models, architecture}; `told` hears what was shown: {models, latency}.
export function startPanel({ group, session, ask, state, say, page, told, seen }) {
	const own = group.index;
	const lineage = session.lineage && group.models.some((one) => one.index === session.lineage.before) ? session.lineage : null;
	const layers = group.models.find((one) => one.layers.length)?.layers ?? [];
	const strip = make("div", { class: "strip", role: "radiogroup", "aria-label": `Layer of ${group.architecture}` });
	const stop = roving(strip, "button", true);
	const channel = make("input", { type: "number", min: 0, step: 1, on: { change: () => pickChannel(channel.value) } });
	const count = make("span", { class: "fine" });
	const steps = make("div", { class: "stepper" }, button("−", () => step(-1), { "aria-label": "Channel before" }),
		make("label", {}, make("span", {}, "Channel "), channel), button("+", () => step(1), { "aria-label": "Next channel" }), count,
		button("Strongest place", () => state.set({ y: null, x: null }, own), { class: "quiet-button" }));
	const grid = make("div", { class: "models", tabindex: "0", role: "region", "aria-label": `Models, ${group.architecture}` });
	const error = make("p", { class: "banner", role: "alert", hidden: layers.length > 0 }, group.models[0].unfit);
	const sentence = make("p", { class: "sentence" });
	const latency = make("p", { class: "latency" });
	const code = make("code");
	const copy = make("button", { type: "button", class: "copy", "aria-label": "copy command" }, "copy");
	const command = make("p", { class: "copied" }, code, copy);
	const exports = make("div", { class: "exports", role: "group", "aria-label": "Export" },
		["png", "svg", "json"].map((kind) => button({ png: "PNG", svg: "SVG", json: "Record" }[kind], () => keep(kind), { class: "quiet-button", data: { format: kind } })));
	const element = make("section", { class: layers.length ? "panel" : "panel lost", "aria-label": group.architecture },
		make("div", { class: "head" }, make("h2", {}, group.architecture), steps),
		strip, error, grid, make("div", { class: "foot" }, sentence, latency, command, exports));
	startCopying(element, say);

	const columns = new Map();
	const rank = (one) => (one.index === lineage?.before ? 0 : one.index === lineage?.after ? 1 : 2);
	const ordered = [...group.models].sort((one, other) => rank(one) - rank(other)); // the pair stands in one place, so that the toggle blinks
	ordered.forEach(column);
	let maps = [];
	let shown = null;
	const askMaps = latest(ask, "activation", `${page}-${own}-map`, (answer) => { maps = answer.models; drawMaps(); }, failed);
	const askView = latest(ask, "view", `${page}-${own}`, taken, gone);

	function column(model) {
		const role = ["before", "after", lineage && "same number"][rank(model)];
		const canvas = make("canvas", { "aria-hidden": "true" });
		const map = make("button", { type: "button", class: "map", on: { click: clicked, keydown: moved, pointermove: pointed, pointerleave: () => read(entry) } }, canvas);
		const figure = (control) => {
			const [picture, words, scale] = [make("img", { alt: "" }), make("figcaption"), fine()];
			return { picture, words, scale, element: make("figure", { class: control ? "picture control" : "picture" }, words, picture, scale) };
		};
		const entry = {
			model, canvas, map, cursor: null, values: null,
			scores: fine(), doubt: make("p", { class: "fine doubt" }), value: make("p", { class: "fine reading" }), error: make("p", { class: "absent" }),
			made: figure(false), control: figure(true),
		};
		entry.element = make("article", { class: "model", "aria-label": model.name, data: { model: model.index } },
			make("h3", { class: `m${model.index % 8}` }, model.name, role && make("span", { class: `tag ${role.replace(" ", "-")}` }, role)), fine(`trained on: ${model.trained_on}`),
			map, entry.value, make("div", { class: "pictures" }, entry.made.element, entry.control.element), entry.scores, entry.doubt, entry.error);
		columns.set(model.index, entry);
		grid.append(entry.element);

		function clicked(event) {
			if (!entry.values) return;
			entry.cursor = event.detail === 0 ? cursor() : under(event);
			state.set({ from: state.get("from") === "top" ? "top" : "neuron", ...entry.cursor }, own);
		}
		function pointed(event) { if (entry.values) read(entry, under(event)); }
		function cursor() {
			return entry.cursor ?? mark() ?? entry.place ?? { y: entry.values.length >> 1, x: entry.values[0].length >> 1 };
		}
		function under(event) {
			const area = canvas.getBoundingClientRect();
			const at = (share, size) => within(Math.floor(share * size), size - 1);
			return {
				y: at((event.clientY - area.top) / area.height, entry.values.length),
				x: at((event.clientX - area.left) / area.width, entry.values[0].length),
			};
		}
		function moved(event) {
			const by = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
			if (!by || !entry.values || modified(event)) return;
			event.preventDefault();
			event.stopPropagation();
			const from = cursor();
			const y = within(from.y + by[0], entry.values.length - 1);
			const x = within(from.x + by[1], entry.values[0].length - 1);
			entry.cursor = { y, x };
			drawOne(entry);
			say(at(entry, entry.cursor));
		}
	}

	function at(entry, { y, x }) {
		return `row ${y}, column ${x}: ${digits(entry.values[y]?.[x])}`;
	}

	function mark() {
		const [y, x] = [state.get("y", own), state.get("x", own)];
		return y !== "" && x !== "" ? { y: Number(y), x: Number(x) } : null;
	}

	function visible() {
		const wanted = state.get("models");
		const listed = wanted === "" ? null : wanted.split(",").map(Number);
		const band = state.get("show");
		return ordered.filter((one) => (!listed || listed.includes(one.index))
			&& !(lineage && band === "before" && one.index === lineage.after) && !(lineage && band === "after" && one.index === lineage.before));
	}

	function indexes() {
		return visible().map((one) => one.index).sort((one, other) => one - other);
	}

	function layout() {
		const models = visible();
		element.hidden = !models.length;
		grid.style.setProperty("--n", models.length);
		grid.classList.toggle("few", models.length < 3);
		const focus = element.getRootNode().activeElement;
		const inside = grid.contains(focus);
		for (const [index, entry] of columns) entry.element.hidden = !models.some((one) => one.index === index);
		if (inside && !focus.checkVisibility() && models.length) columns.get(models[0].index).map.focus();
	}

	function strips() {
		if (!strip.children.length) {
			strip.append(...layers.map((one) => make("button", { type: "button", role: "radio", data: { layer: one.name }, on: { click: () => pickLayer(one.name) } },
				make("b", {}, one.name), make("small", {}, `${one.channels}${one.height ? ` × ${one.height} × ${one.width}` : ""}`))));
		}
		const here = state.get("layer", own);
		for (const one of strip.children) {
			const chosen = one.dataset.layer === here;
			one.setAttribute("aria-checked", String(chosen));
			if (chosen) {
				stop(one);
				reveal(one, strip);
			}
		}
		const layer = find();
		if (!layer) return;
		channel.max = layer.channels - 1;
		channel.value = state.get("channel", own);
		count.textContent = `of ${layer.channels}`;
	}

	function find() {
		return layers.find((one) => one.name === state.get("layer", own)) ?? layers[0];
	}

	function pickLayer(name) { state.set({ layer: name, channel: null, y: null, x: null }, own); }

	function pickChannel(value) {
		const number = Math.round(Number(value));
		if (Number.isFinite(number)) state.set({ channel: within(number, find().channels - 1), y: null, x: null }, own);
	}

	function step(by) { pickChannel(Number(state.get("channel", own) || 0) + by); }

	function stepLayer(by) {
		const here = layers.indexOf(find());
		pickLayer(layers[within(here + by, layers.length - 1)].name);
	}

	function params() {
		const asked = state.request(own, ASKED);
		if (asked.from !== "contrast") { delete asked.a; delete asked.b; }
		if (asked.from !== "top") delete asked.k;
		return { from: "neuron", ...asked, models: indexes().join(",") };
	}

	// Asks for what is not there yet: `what` are names of the state that changed.
	function refresh(what) {
		layout();
		strips();
		const models = visible();
		if (!models.length || !layers.length) {
			askMaps.drop();
			askView.drop();
			if (layers.length) gone(new Error("Before or After hides every model chosen."));
			return;
		}
		if (!state.get("image")) return;
		for (const one of models) columns.get(one.index).element.setAttribute("aria-busy", "true");
		if (state.get("channel", own) === "") return;
		const asked = params();
		const elsewhere = ["image", "layer", "channel", "partner", "models", "show", "from"].some((name) => what.has(name));
		if (asked.from === "contrast") askMaps.drop();
		else if (elsewhere) {
			for (const one of columns.values()) one.cursor = null;
			askMaps.send({ image: asked.image, layer: asked.layer, channel: asked.channel, models: asked.models, ...(asked.partner ? { partner: asked.partner } : {}) });
		} else drawMaps();
		askView.send(asked);
	}

	function drawMaps() {
		for (const answer of maps) {
			const entry = columns.get(answer.index);
			entry.values = answer.error ? null : answer.values;
			entry.shown = answer.channel;
			if (entry.values) drawOne(entry);
		}
	}

	function drawOne(entry) {
		const place = entry.cursor ?? mark() ?? entry.place ?? null;
		entry.range = drawMap(entry.canvas, entry.values, place);
		read(entry);
		const here = place ? `; ${at(entry, place)}` : "";
		entry.map.setAttribute("aria-label", `Activation of channel ${entry.shown}, ${entry.model.name}, ${entry.values.length} × ${entry.values[0].length}${here}. Arrow keys move, Enter shows what this neuron sees.`);
	}

	function read(entry, place = null) {
		if (!entry.values) return;
		const { low, high } = entry.range;
		entry.value.textContent = place
			? at(entry, place)
			: `channel ${entry.shown} · ${low || high ? `${digits(Math.min(0, low))} to ${digits(high)}` : "silent here"}`;
	}

	async function taken(answer, began, asked) {
		shown = answer;
		grid.style.opacity = "";
		const good = answer.models.filter((one) => !one.error);
		element.classList.toggle("lost", !good.length);
		error.hidden = good.length > 0;
		error.textContent = [...new Set(answer.models.map((one) => one.error ?? ""))].join(". ");
		const loaded = [];
		for (const one of answer.models) {
			const entry = columns.get(one.index);
			entry.element.removeAttribute("aria-busy");
			entry.error.textContent = one.error ?? "";
			entry.element.classList.toggle("failed", Boolean(one.error));
			entry.scores.textContent = one.scores_in_words ?? "";
			entry.doubt.textContent = one.doubts?.length ? `Unlike what it was trained on: ${one.doubts.join("; ")}` : "";
			if (one.error) continue;
			entry.place = typeof one.y === "number" ? { y: one.y, x: one.x } : null;
			if (entry.values && one.channel === entry.shown) drawOne(entry);
			place(entry.made, one.picture, one.what);
			beside(entry, one);
			loaded.push(entry.made.picture.decode(), entry.control.picture.decode());
		}
		sentence.textContent = answer.sentence;
		code.textContent = copy.dataset.copy = answer.command;
		command.hidden = !answer.command;
		await Promise.allSettled(loaded);
		if (shown !== answer) return;
		latency.textContent = `${Math.round(performance.now() - began)} ms from click to picture, ${Math.round(answer.latency_ms)} ms of it computing`;
		element.dataset.shown = state.get("image");
		told(own, answer);
		say(good.length ? `${good.length} pictures and their controls. ${good[0].alt}` : error.textContent);
		if (!good.some((one) => one.null != null)) return;
		const more = await ask("likeness", asked).catch(() => null);
		if (!more || shown !== answer) return;
		for (const one of good) {
			Object.assign(one, more.models.find((other) => other.index === one.index));
			beside(columns.get(one.index), one);
		}
		told(own, answer);
		element.dataset.drawn = element.dataset.shown;
	}

	function beside(entry, { control, draws, likeness, null: noise, alt, control_alt }) {
		const more = control?.shared > 1 ? [`one draw for all ${control.shared}`] : [];
		if (noise != null) more.push(`likeness ${draws?.words ?? digits(likeness)}`);
		place(entry.control, control, "random weights", more);
		entry.made.picture.alt = alt;
		entry.control.picture.alt = control_alt;
	}

	function place(figure, made, words, more = []) {
		figure.picture.hidden = !made;
		figure.element.classList.toggle("silent", Boolean(made?.silent));
		figure.words.textContent = figure.words.title = made ? words : "no control";
		figure.scale.replaceChildren(...(made ? [made.words, ...more] : ["its weights cannot be drawn anew"]).map((one) => make("span", {}, one)));
		if (!made) return;
		figure.picture.src = made.png;
	}

	// No other view's picture stands under an error.
	function gone(why) {
		failed(why);
		grid.style.opacity = ".15";
		sentence.textContent = latency.textContent = "";
		command.hidden = true;
	}

	function failed(why) {
		for (const one of columns.values()) one.element.removeAttribute("aria-busy");
		error.hidden = false;
		error.textContent = why.message;
	}

	async function keep(format) {
		try {
			const made = await ask("export", { ...params(), format });
			const blob = made instanceof Blob ? made : new Blob([JSON.stringify(made, null, 1)], { type: "application/json" });
			const words = [seen(), state.get("layer", own), state.get("from"), state.get("channel", own)].join("-");
			save(blob, `${words.replace(/[^\w.-]+/g, "_").slice(0, 100)}.${format}`);
			say(`${format} saved`);
		} catch (why) { failed(why); }
	}

	return {
		element, layers, refresh, stepLayer, step, own,
		params: () => state.request(own, ["image", "layer", "channel"]),
	};
}
