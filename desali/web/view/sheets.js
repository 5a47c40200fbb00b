// Sheets of channels: a slider over the layers, a toggle of before and after; the control is never hidden.

export function startSheets(root, say) {
	const sheets = [...root.querySelectorAll(".sheet")];
	const bar = root.querySelector("[data-bar]");
	if (!sheets.length || !bar) return null;
	const slider = bar.querySelector("[data-layer]");
	const name = bar.querySelector("[data-layer-name]");
	const buttons = [...bar.querySelectorAll("button[data-band]")];
	const listeners = [];
	let band = "both";

	function showLayer(index, quiet) {
		const shown = Math.max(0, Math.min(sheets.length - 1, index));
		sheets.forEach((sheet, k) => { sheet.hidden = k !== shown; });
		slider.value = String(shown);
		slider.setAttribute("aria-valuetext", sheets[shown].dataset.name);
		name.textContent = sheets[shown].dataset.name;
		for (const heard of listeners) heard(sheets[shown].dataset.name);
		if (!quiet) say(`Layer ${sheets[shown].dataset.name}`);
	}

	function showBand(wanted) {
		band = wanted;
		for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.band === band));
		for (const mosaic of root.querySelectorAll(".mosaic")) {
			const own = mosaic.dataset.band;
			mosaic.hidden = band !== "both" && own !== band && own !== "control";
		}
	}

	slider.addEventListener("input", () => showLayer(Number(slider.value)));
	for (const button of buttons) button.addEventListener("click", () => { showBand(button.dataset.band); say(`Showing ${band}`); });
	root.addEventListener("keydown", (event) => {
		if (event.altKey || event.ctrlKey || event.metaKey) return;
		const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
		if (step && event.target !== slider) {
			if (event.target.closest(".scroll")) return;
			event.preventDefault();
			showLayer(Number(slider.value) + step);
		}
		if (event.key === "b") {
			showBand(band === "before" ? "after" : "before");
			say(`Showing ${band}`);
		}
	});
	bar.hidden = false;
	showLayer(Math.ceil(sheets.length / 2), true);
	return {
		onLayer(heard) { listeners.push(heard); heard(sheets[Number(slider.value)].dataset.name); },
		show(layer) {
			const index = sheets.findIndex((sheet) => sheet.dataset.name === layer);
			if (index >= 0) showLayer(index);
			return index >= 0;
		},
		layers: sheets.map((sheet) => sheet.dataset.name),
	};
}
