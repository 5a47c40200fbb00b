// The left column: the image shown, its window in Hounsfield units, the list, and files dropped or chosen.
import { button, choice, fine, make, reveal, roving, select } from "./dom.js";
import { frame, windowed } from "./plane.js";

const PAGE = 60;
const PRESETS = [["-600,1500", "lung"], ["40,400", "soft"]];

export function startImages({ session, ask, state, say, fail, opened }) {
	const images = [...session.images];
	const pictures = new Map(); // what was read of an image: bitmap or HU
	let boxes = [];
	let label = "";
	let most = PAGE;
	let drawn = 0;

	const canvas = make("canvas", { role: "img", tabindex: "-1", width: 64, height: 64 });
	const caption = fine();
	const windows = startWindow((text, done) => { if (done) state.set({ window: text }); draw(text); });
	const picker = make("input", { type: "file", multiple: true, class: "unseen", tabindex: "-1", "aria-hidden": "true",
		on: { change: () => { take([...picker.files]); picker.value = ""; } } });
	const filter = select("Class", (value) => { label = value; most = PAGE; list(); });
	const items = make("ul", { class: "images" });
	const more = button("Show more", () => { most += PAGE; list(); }, { class: "quiet-button" });
	const stop = roving(items, "button");
	const element = make("section", { class: "left", "aria-label": "Images" },
		make("h2", {}, "Image"), make("div", { class: "shown" }, canvas), caption, windows.element,
		make("div", { class: "drop" }, button("Open files…", () => picker.click(), { class: "quiet-button" }), picker,
			make("span", { class: "fine" }, "or drop PNG, JPEG, TIFF, DICOM, NIfTI. They stay on this machine.")),
		filter.element, items, more);
	const rows = new Map(); // made once, so that thumbnails are
	const near = new IntersectionObserver((entries) => {
		for (const entry of entries) if (entry.isIntersecting) { near.unobserve(entry.target); thumbnail(entry.target); }
	}, { rootMargin: "120px" });

	function current() {
		return images.find((one) => one.id === state.get("image"));
	}

	function name(...parts) { return parts.filter(Boolean).join(" · "); }

	function patient(one) { return one.patient && `patient ${one.patient}`; }

	function named(one) { return name(one.name, one.label, patient(one)); }

	function list() {
		const labels = [...new Set(images.map((one) => one.label).filter(Boolean))].sort();
		filter.element.hidden = labels.length < 2;
		filter.fill([["", `all (${images.length})`], ...labels.map((one) => [one, one])]);
		filter.list.value = label;
		const fit = images.filter((one) => !label || one.label === label);
		most = Math.max(most, PAGE * Math.ceil((1 + fit.indexOf(current())) / PAGE));
		items.replaceChildren(...fit.slice(0, most).map((one) => rows.get(one.id) ?? row(one)));
		more.hidden = fit.length <= most;
		mark();
	}

	function row(one) {
		const entry = make("button", { type: "button", data: { id: one.id }, tabindex: "-1", on: { click: () => state.set({ image: one.id }) } },
			make("canvas", { width: 1, height: 1, "aria-hidden": "true" }),
			make("span", {}, make("b", {}, one.label || one.name), make("small", {}, name(one.label && one.name, patient(one)))));
		near.observe(entry);
		rows.set(one.id, make("li", {}, entry));
		return rows.get(one.id);
	}

	function mark() {
		const chosen = current();
		if (chosen && (!label || chosen.label === label) && !items.contains(rows.get(chosen.id) ?? null)) { list(); return; }
		const buttons = [...items.querySelectorAll("button")];
		const here = buttons.find((one) => one.dataset.id === chosen?.id);
		for (const one of buttons) one.setAttribute("aria-pressed", String(one === here));
		stop(here ?? buttons[0]);
		if (here) reveal(here, items);
	}

	async function thumbnail(entry) {
		const made = await ask("image", { image: entry.dataset.id, side: "96" }).then((blob) => createImageBitmap(blob, { resizeWidth: 96 })).catch(() => null);
		if (made) entry.querySelector("canvas").getContext("bitmaprenderer").transferFromImageBitmap(made); // else the words stand alone
	}

	async function read(one) {
		if (!pictures.has(one.id)) {
			const hu = one.hu ? await ask("image-values", { image: one.id }).catch(() => null) : null;
			const found = hu
				? { values: new Int16Array(await hu.arrayBuffer()), width: one.width, height: one.height }
				: { bitmap: await createImageBitmap(await ask("image", { image: one.id })) };
			if (pictures.size > 24) pictures.delete(pictures.keys().next().value);
			pictures.set(one.id, found);
		}
		return pictures.get(one.id);
	}

	async function draw(text = state.get("window")) {
		const one = current();
		if (!one) return;
		const own = ++drawn;
		let found;
		try {
			found = await read(one);
		} catch (error) {
			if (own === drawn) fail(`${one.name}: ${error.message}`);
			return;
		}
		if (own !== drawn) return;
		const { width, height } = found.bitmap ?? found;
		const scale = Math.max(1, Math.ceil(384 / Math.max(width, height)));
		const window = numbers(text) ?? one.window ?? [-600, 1500];
		canvas.width = width * scale;
		canvas.height = height * scale;
		const ink = canvas.getContext("2d");
		ink.imageSmoothingEnabled = false;
		const plane = found.bitmap ?? await createImageBitmap(windowed(found.values, width, height, window));
		if (own !== drawn) return;
		ink.drawImage(plane, 0, 0, canvas.width, canvas.height);
		for (const box of boxes) {
			canvas.className = `m${box.index % 8}`; // its model's colour
			frame(ink, ...["left", "top", "width", "height"].map((side) => box[side] * scale), Math.max(2, canvas.width / 130), boxes.length > 1 ? getComputedStyle(canvas).getPropertyValue("--col") : undefined);
		}
		windows.element.hidden = !found.values;
		windows.show(window, one.window);
		canvas.dataset.shown = one.id;
		const field = boxes.length ? ` Frames: what the neurons see, ${boxes.map((box) => `${box.height} × ${box.width} pixels from row ${box.top}, column ${box.left}`).join("; ")}.` : "";
		canvas.setAttribute("aria-label", `${named(one)}, ${height} × ${width} pixels.${field}`);
		caption.textContent = `${name(named(one), one.origin)} · ${width} × ${height}`;
	}

	async function take(files) {
		let count = 0;
		for (const file of files) {
			try {
				if (file.size > session.limits.upload_bytes) throw new Error(`is larger than ${Math.floor(session.limits.upload_bytes / 2 ** 20)} MiB`);
				const entry = await ask("images", { name: file.name }, await file.arrayBuffer());
				if (!images.some((one) => one.id === entry.id)) images.unshift(entry);
				state.set({ image: entry.id });
				count += 1;
			} catch (error) {
				fail(error.message.includes(file.name) ? error.message : `${file.name}: ${error.message}`);
			}
		}
		label = "";
		list();
		if (!count) return;
		say(`${count} of ${files.length} files opened`);
		opened();
	}

	function startDropping(root) {
		root.addEventListener("dragover", (event) => { event.preventDefault(); root.classList.add("over"); });
		root.addEventListener("dragleave", (event) => { if (!root.contains(event.relatedTarget)) root.classList.remove("over"); });
		root.addEventListener("drop", (event) => {
			event.preventDefault();
			root.classList.remove("over");
			take([...event.dataTransfer.files]);
		});
	}

	list();
	return {
		element, draw, mark, startDropping, current,
		frame: (all) => { boxes = all.filter((one, k) => all.findIndex((other) => other.top === one.top && other.left === one.left) === k); draw(); },
	};
}

function numbers(text) {
	const found = text.split(",").map(Number);
	return text && found.length === 2 && found.every(Number.isFinite) && found[1] > 0 ? found : null;
}

// Sliders of the window; `moved(text, done)` hears every movement, and the end of each.
function startWindow(moved) {
	const slider = (words, min, max) => {
		const value = make("output", {});
		const input = make("input", { type: "range", min, max, step: 10, "aria-label": `${words} in HU`, on: { input: () => say(false), change: () => say(true) } });
		return { input, value, element: make("label", { class: "slider" }, make("span", {}, words, " ", value), input) };
	};
	const centre = slider("Centre", -1200, 800);
	const width = slider("Width", 20, 3000);
	const presets = choice("Windows", [...PRESETS, ["", "as read"]], (text) => moved(text, true));
	const element = make("div", { class: "window", hidden: true }, centre.element, width.element, presets.element,
		fine("For your eye: each network reads HU by its own window."));
	const text = () => `${centre.input.value},${width.input.value}`;
	function say(done) { moved(text(), done); }
	function show([c, w], own) {
		centre.input.value = c;
		width.input.value = w;
		centre.value.textContent = `${c} HU`.replace("-", "−");
		width.value.textContent = `${w} HU`;
		presets.show(own && own[0] === c && own[1] === w ? "" : `${c},${w}`);
	}
	return { element, show };
}
