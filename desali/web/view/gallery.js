// The gallery: ROIs are hidden by class, patient and what the models answer; pictures are whole or not there.

export function startGallery(form, list, say) {
	if (!form || !list) return;
	const rois = [...list.querySelectorAll(".roi")];
	const selects = [...form.querySelectorAll("select[data-by]")];
	const count = form.querySelector("[data-count]");

	function filter() {
		const wanted = selects.filter((select) => select.value).map((select) => [select.dataset.by, select.value]);
		let shown = 0;
		for (const roi of rois) {
			const fits = wanted.every(([by, value]) => roi.dataset[by] === value);
			roi.hidden = !fits;
			shown += fits;
		}
		count.textContent = `${shown} of ${rois.length} ROIs`;
	}

	form.addEventListener("submit", (event) => event.preventDefault());
	for (const select of selects) select.addEventListener("change", filter);
	form.hidden = false;
	filter();
}
