// The report's script. Without it the page holds everything, one below the other.
import { speaker, startCopying, startPrinting, startSections, startTheme } from "./page.js";
import { startSheets } from "./sheets.js";
import { startGallery } from "./gallery.js";

const say = speaker(document.getElementById("said"));
startTheme(document.getElementById("theme"));
startSections(document.querySelector("nav"));
startCopying(document, say);
startPrinting();
startGallery(document.querySelector("form[data-filter]"), document.querySelector(".rois"), say);

for (const root of document.querySelectorAll("[data-sheets]")) {
	const sheets = startSheets(root, say);
	if (sheets) linkCharts(root, sheets);
}

// The layer of the sheets is marked in the curves over the same images; a click there shows it.
function linkCharts(root, sheets) {
	const places = [];
	for (const change of root.closest("[data-set]").querySelectorAll("[data-layers]")) {
		const layers = JSON.parse(change.dataset.layers);
		for (const place of change.querySelectorAll(".place")) {
			const layer = layers[Number(place.dataset.place)];
			if (sheets.layers.includes(layer)) {
				place.classList.add("can");
				place.addEventListener("click", () => sheets.show(layer));
			}
			places.push([layer, place]);
		}
	}
	sheets.onLayer((shown) => {
		for (const [layer, place] of places) place.classList.toggle("here", layer === shown);
	});
}
