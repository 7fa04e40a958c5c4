// inspect checks what the tests require of a page: its structure, its controls and its contrast.
window.inspect = (() => {
	const seen = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !element.closest(".unseen, .skip");

	const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
	const rgba = (color) => {
		canvas.clearRect(0, 0, 1, 1);
		canvas.fillStyle = color;
		canvas.fillRect(0, 0, 1, 1);
		const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
		return [r, g, b, a / 255];
	};
	const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
	const background = (element) => {
		const layers = [];
		for (let at = element; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
		return layers.reverse().reduce((below, top) => over(top, below), rgba("white"));
	};
	const luminance = (color) => {
		const [r, g, b] = color.slice(0, 3).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
		return 0.2126 * r + 0.7152 * g + 0.0722 * b;
	};
	const ratio = (a, b) => {
		const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
		return (high + 0.05) / (low + 0.05);
	};

	const contrast = () => {
		const faults = [];
		let pairs = 0;
		const check = (what, color, below, least) => {
			pairs++;
			const got = ratio(over(rgba(color), below), below);
			if (got < least) faults.push(`${what}: contrast ${got.toFixed(2)}, want ${least}`);
		};
		const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		while (texts.nextNode()) {
			const element = texts.currentNode.parentElement;
			const text = texts.currentNode.data.trim();
			if (!text || !seen(element) || element.closest("svg")) continue;
			const style = getComputedStyle(element), size = parseFloat(style.fontSize);
			const large = size >= 24 || size >= 18.66 && style.fontWeight >= 700;
			check(`text "${text.slice(0, 40)}"`, style.color, background(element), large ? 3 : 4.5);
		}
		for (const input of document.querySelectorAll("input:not([type=hidden], [type=range]), button")) {
			if (!seen(input)) continue;
			check(`text of #${input.id || input.textContent}`, getComputedStyle(input).color, background(input), 4.5);
			check(`border of #${input.id || input.textContent}`, getComputedStyle(input).borderTopColor, background(input.parentElement), 3);
			if (input.placeholder) check(`placeholder of #${input.id}`, getComputedStyle(input, "::placeholder").color, background(input), 4.5);
		}
		for (const path of document.querySelectorAll(".mark, .line, .snapshot, .dot, .here")) {
			if (path instanceof SVGElement) check(`svg path ${path.getAttribute("class")}`, getComputedStyle(path).stroke, background(path.closest("svg")), 3);
		}
		return { Pairs: pairs, Faults: faults };
	};

	const structure = () => {
		const faults = [];
		const headings = [...document.querySelectorAll("h1, h2, h3, h4, h5, h6")];
		const main = headings.filter((h) => h.tagName === "H1").length;
		if (main !== 1) faults.push(`${main} main headings`);
		headings.reduce((before, h) => {
			const level = Number(h.tagName[1]);
			if (level > before + 1) faults.push(`heading "${h.textContent}" is ${level - before} levels down`);
			return level;
		}, 0);
		for (const landmark of ["header", "main", "footer", "nav"]) if (!document.querySelector(landmark)) faults.push(`no ${landmark}`);
		if (!document.documentElement.lang) faults.push("no language");
		if (!document.title) faults.push("no title");
		const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
		for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) faults.push(`id ${id} is used twice`);
		for (const element of document.querySelectorAll("[aria-labelledby], [aria-describedby], [for]")) {
			for (const name of ["aria-labelledby", "aria-describedby", "for"]) {
				for (const id of (element.getAttribute(name) || "").split(" ")) if (id && !document.getElementById(id)) faults.push(`${name} ${id} has no target`);
			}
		}
		return faults;
	};

	const name = (element) => `${element.tagName} ${element.id || element.getAttribute("href") || element.getAttribute("aria-label") || element.textContent.trim()}`;
	const controls = () => [...document.querySelectorAll("a[href], button, input:not([type=hidden]), summary, [tabindex='0']")]
		.filter((element) => element.checkVisibility()).map(name);
	const top = () => {
		document.activeElement.blur();
		const start = document.createElement("span");
		start.tabIndex = -1;
		document.body.prepend(start);
		start.focus();
	};
	const focused = () => {
		const style = getComputedStyle(document.activeElement);
		const box = document.activeElement.getBoundingClientRect();
		const inView = box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
		return {
			Name: name(document.activeElement),
			Seen: inView && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
				&& ratio(rgba(style.outlineColor), background(document.activeElement.parentElement)) >= 3,
		};
	};
	return { contrast, structure, controls, top, focused };
})();
