// Elements from words: every text is text, never markup.

export function make(name, attributes = {}, ...children) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) {
		if (value == null || value === false) continue;
		if (key === "on") for (const [event, heard] of Object.entries(value)) element.addEventListener(event, heard);
		else if (key === "data") Object.assign(element.dataset, value);
		else if (key === "value") element.value = value;
		else element.setAttribute(key, value === true ? "" : String(value));
	}
	element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
	return element;
}

export function fine(...children) {
	return make("p", { class: "fine" }, children);
}

export function button(words, heard, attributes = {}) {
	return make("button", { type: "button", ...attributes, on: { click: heard } }, words);
}

// Buttons of which one is pressed; `choose` is called with its value.
export function choice(label, entries, choose) {
	const buttons = entries.map(([value, words]) => button(words, () => choose(value), { data: { value }, "aria-pressed": "false" }));
	const element = make("div", { class: "choice", role: "group", "aria-label": label }, buttons);
	const show = (value) => {
		for (const one of buttons) one.setAttribute("aria-pressed", String(one.dataset.value === value));
	};
	return { element, show };
}

export function select(label, choose) {
	const list = make("select", { on: { change: () => choose(list.value) } });
	const element = make("label", {}, make("span", {}, label), list);
	const fill = (entries) => list.replaceChildren(...entries.map(([value, words]) => make("option", { value }, words)));
	return { element, list, fill };
}

export function within(value, most) {
	return Math.max(0, Math.min(most, value));
}

export function modified(event) {
	return event.altKey || event.ctrlKey || event.metaKey;
}

// Scrolls a box, never the page, until one of its elements is seen.
export function reveal(one, box) {
	const [area, whole] = [one.getBoundingClientRect(), box.getBoundingClientRect()];
	if (area.left < whole.left || area.right > whole.right) box.scrollLeft += area.left - whole.left - (whole.width - area.width) / 2;
	if (area.top < whole.top || area.bottom > whole.bottom) box.scrollTop += area.top - whole.top - (whole.height - area.height) / 2;
}

// One tab stop for many buttons; arrows, Home and End move. With `pick` a move chooses, else Enter does.
export function roving(root, selector, pick) {
	const all = () => [...root.querySelectorAll(selector)].filter((one) => !one.hidden);
	root.addEventListener("keydown", (event) => {
		const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -1e9, End: 1e9 }[event.key];
		const entries = all();
		const here = entries.indexOf(event.target.closest(selector));
		if (!step || here < 0 || modified(event)) return;
		event.preventDefault();
		event.stopPropagation();
		const next = entries[within(here + step, entries.length - 1)];
		stop(next);
		next.focus();
		if (pick && next !== entries[here]) next.click();
	});
	function stop(chosen) {
		for (const one of all()) one.tabIndex = one === chosen ? 0 : -1;
	}
	return stop;
}

export function digits(value) {
	if (typeof value !== "number") return String(value ?? "–");
	if (Number.isInteger(value)) return String(value).replace("-", "−");
	const size = Math.abs(value);
	const text = size >= 100 ? value.toFixed(0) : size >= 0.01 ? value.toFixed(2) : value.toPrecision(2);
	return text.replace("-", "−");
}

export function save(blob, name) {
	const address = URL.createObjectURL(blob);
	make("a", { href: address, download: name }).click();
	setTimeout(() => URL.revokeObjectURL(address), 10000);
}
