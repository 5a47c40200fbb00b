// What every page needs: words for a screen reader, copy buttons, light and dark, the section in sight.

export function speaker(place) {
	return (text) => { place.textContent = text; };
}

export function startCopying(root, say) {
	for (const button of root.querySelectorAll("button.copy")) {
		const words = button.textContent;
		button.hidden = false;
		button.addEventListener("click", async () => {
			const done = await copyText(button.dataset.copy);
			button.textContent = done ? "copied" : "press Ctrl+C";
			say(done ? "Copied" : "Selected; press Ctrl+C");
			if (!done) selectText(button.previousElementSibling);
			setTimeout(() => { button.textContent = words; }, 1600);
		});
	}
}

async function copyText(text) {
	try {
		await navigator.clipboard.writeText(text);
		return true;
	} catch {
		return false;
	}
}

function selectText(element) {
	const range = document.createRange();
	range.selectNodeContents(element);
	const selection = getSelection();
	selection.removeAllRanges();
	selection.addRange(range);
}

// The dark colours, which stand once in view.css.
export function darkRule(sheets) {
	return [...sheets].flatMap((one) => [...one.cssRules]).find((one) => one.media).media;
}

export function startTheme(button) {
	if (!button) return;
	const rule = darkRule(document.styleSheets);
	const isDark = () => matchMedia(rule.mediaText).matches;
	const name = () => { button.textContent = isDark() ? "Light" : "Dark"; };
	button.addEventListener("click", () => {
		rule.mediaText = isDark() ? "not all" : "screen";
		name();
	});
	matchMedia(rule.mediaText).addEventListener("change", name);
	button.hidden = false;
	name();
}

export function startSections(nav) {
	const links = new Map([...nav.querySelectorAll("a")].map((link) => [link.hash.slice(1), link]));
	const seen = new Set();
	const watcher = new IntersectionObserver((entries) => {
		for (const entry of entries) {
			if (entry.isIntersecting) seen.add(entry.target.id);
			else seen.delete(entry.target.id);
		}
		const first = [...links.keys()].find((id) => seen.has(id));
		for (const [id, link] of links) {
			if (id === first) link.setAttribute("aria-current", "true");
			else link.removeAttribute("aria-current");
		}
	}, { rootMargin: "-10% 0px -70% 0px" });
	for (const id of links.keys()) {
		const section = document.getElementById(id);
		if (section) watcher.observe(section);
	}
}

// What is folded on the screen is unfolded on paper, and folded again afterwards.
export function startPrinting() {
	let opened = [];
	addEventListener("beforeprint", () => {
		opened = [...document.querySelectorAll("details:not([open])")];
		for (const one of opened) one.open = true;
	});
	addEventListener("afterprint", () => {
		for (const one of opened) one.open = false;
	});
}
