// The explorer in a notebook, by anywidget: asks by messages, in a shadow of its own so that no style leaks out.
import { startExplorer } from "./explorer.js";
import { darkRule } from "./page.js";

function asking(model) {
	const waiting = new Map();
	let last = 0;
	const heard = (message, buffers) => {
		const settle = waiting.get(message.answer);
		if (!settle) return;
		waiting.delete(message.answer);
		const bytes = buffers[0];
		const json = message.kind.startsWith("application/json");
		const value = json ? JSON.parse(new TextDecoder().decode(bytes)) : new Blob([bytes], { type: message.kind });
		if (message.status < 400) settle.done(value);
		else settle.failed(Object.assign(new Error(json ? value.error : `The kernel answered ${message.status}`), { status: message.status }));
	};
	model.on("msg:custom", heard);
	const ask = (what, params = {}, body = null) => new Promise((done, failed) => {
		last += 1;
		waiting.set(last, { done, failed });
		model.send({ ask: last, what, params, body: body !== null }, undefined, body === null ? [] : [body]);
	});
	return { ask, end: () => model.off("msg:custom", heard) };
}

// Rules for a whole page, as rules for the shadow that the widget lives in.
function scoped(styles) {
	return styles.replaceAll(":root", ":host").replace(/^body \{/m, ":host {");
}

function render({ model, el }) {
	const shadow = el.attachShadow({ mode: "open" });
	const sheet = new CSSStyleSheet();
	sheet.replaceSync(scoped(model.get("styles") ?? ""));
	shadow.adoptedStyleSheets = [sheet];
	const root = document.createElement("div");
	shadow.append(root);
	const light = document.body.dataset.jpThemeLight; // as JupyterLab says it
	if (light) darkRule([sheet]).mediaText = light === "true" ? "not all" : "screen";
	const { ask, end } = asking(model);
	let fragment = model.get("state") ?? "";
	startExplorer(root, ask, {
		read: () => fragment,
		write: (next) => {
			fragment = next;
			model.set("state", next);
			model.save_changes();
		},
	});
	return end;
}

export default { render };
