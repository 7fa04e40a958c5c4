// Live updates, and a slider that needs no button. Everything else works without this script.
"use strict";
(() => {
	const main = document.getElementById("main");
	const slider = document.getElementById("version");
	const announce = document.getElementById("announce");
	const live = document.getElementById("live");
	const path = main.dataset.path;

	// address returns the address of what is shown. It follows the newest version, but keeps any
	// other.
	const address = () => {
		const query = new URLSearchParams();
		if (slider.value !== slider.max) query.set("version", slider.value);
		if (main.dataset.before !== "0") query.set("before", main.dataset.before);
		return path + (query.size ? "?" + query : "");
	};

	// apply replaces the changed parts by those of a fetched page. It keeps the focus and open
	// details.
	const apply = (page) => {
		const fresh = page.getElementById("main");
		const focused = document.activeElement && document.activeElement.id;
		for (const details of main.querySelectorAll("details[open]")) {
			const again = page.getElementById(details.id);
			if (again) again.open = true;
		}
		for (const part of main.querySelectorAll("[data-part]")) {
			const next = page.getElementById(part.id);
			if (!part.isEqualNode(next)) part.replaceWith(document.adoptNode(next));
		}
		if (focused && document.activeElement.id !== focused) {
			const again = document.getElementById(focused);
			if (again) again.focus({ preventScroll: true });
			else if (focused === "earlier" || focused === "later") slider.focus();
		}
		if (fresh.dataset.version !== main.dataset.version) announce.textContent = fresh.dataset.news;
		const follows = slider.value === slider.max;
		const asked = page.getElementById("version");
		slider.max = asked.max;
		if (follows) slider.value = slider.max;
		slider.setAttribute("aria-valuetext", asked.getAttribute("aria-valuetext"));
		main.dataset.version = fresh.dataset.version;
	};

	// refresh fetches one page at a time. Requests during a fetch cause one more fetch after it.
	let busy = false, again = false;
	const refresh = async () => {
		again = true;
		if (busy) return;
		busy = true;
		try {
			while (again) {
				again = false;
				const response = await fetch(address());
				if (!response.ok) {
					if (response.status < 500) location.assign(path); // the account is gone; its page says why
					break;
				}
				const page = new DOMParser().parseFromString(await response.text(), "text/html");
				if (again) continue; // the slider has moved
				apply(page);
				history.replaceState(null, "", address() + location.hash);
			}
		} catch {
			state("Reconnecting", false); // the event stream notices it, too, and reconnects
		} finally {
			busy = false;
		}
	};

	const show = (version) => {
		slider.value = version;
		main.dataset.before = "0";
		refresh();
	};
	document.querySelector("#slide button").hidden = true;
	document.getElementById("slide").addEventListener("submit", (event) => {
		event.preventDefault();
		show(slider.value);
	});
	slider.addEventListener("input", () => show(slider.value));
	main.addEventListener("click", (event) => {
		const link = event.target.closest("a[data-at]");
		if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
		event.preventDefault();
		show(link.dataset.at);
	});

	const state = (text, well) => {
		if (live.textContent === text) return;
		if (!well || live.textContent) announce.textContent = text;
		live.textContent = text;
		live.classList.toggle("away", !well);
		live.hidden = false;
	};
	let source;
	const connect = () => {
		source = new EventSource(path + "/live");
		source.addEventListener("open", () => state("Live", true));
		source.addEventListener("version", (event) => {
			state("Live", true);
			if (event.data !== main.dataset.version) refresh();
		});
		source.addEventListener("away", () => state("Live updates are interrupted", false));
		source.addEventListener("gone", refresh);
		source.addEventListener("error", () => {
			state("Reconnecting", false);
			if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
		});
	};
	connect();
	addEventListener("pagehide", () => source.close());
	addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
})();
