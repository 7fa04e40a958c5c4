// Live updates. Everything works without this script, after a reload.
"use strict";
(() => {
	const main = document.getElementById("main");
	const announce = document.getElementById("announce");
	const live = document.getElementById("live");

	const state = (text, well) => {
		if (live.textContent === text) return;
		if (!well || live.textContent) announce.textContent = text;
		live.textContent = text;
		live.classList.toggle("away", !well);
		live.hidden = false;
	};

	// place says where the focus is, so that it can be set again in a new copy of the page.
	const place = () => {
		const at = document.activeElement;
		const holder = at && at !== document.body && at.closest("[id]");
		if (!holder) return () => null;
		const id = holder.id, name = at.tagName, href = at.getAttribute("href");
		if (at === holder) return () => document.getElementById(id);
		return () => {
			const again = document.getElementById(id);
			return again && [...again.querySelectorAll(name)].find((e) => e.getAttribute("href") === href);
		};
	};

	// apply replaces the changed parts by those of a fetched page. It keeps the focus and open
	// details.
	const apply = (page) => {
		const fresh = page.getElementById("main");
		const focused = document.activeElement, find = place();
		for (const details of main.querySelectorAll("details[open]")) {
			const again = page.getElementById(details.id);
			if (again) again.open = true;
		}
		let news = "";
		for (const part of main.querySelectorAll("[data-part]")) {
			const next = page.getElementById(part.id);
			if (!next || part.isEqualNode(next)) continue;
			if (next.dataset.news) news = next.dataset.news;
			part.replaceWith(document.adoptNode(next));
		}
		if (news) announce.textContent = news;
		if (document.activeElement !== focused) {
			const again = find();
			if (again) again.focus({ preventScroll: true });
		}
		main.dataset.seen = fresh.dataset.seen;
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
				const response = await fetch(location.href);
				if (!response.ok) {
					if (response.status < 500) location.reload(); // the page says why
					break;
				}
				apply(new DOMParser().parseFromString(await response.text(), "text/html"));
			}
		} catch {
			state("Reconnecting", false); // the event stream notices it, too, and reconnects
		} finally {
			busy = false;
		}
	};

	let source;
	const connect = () => {
		source = new EventSource(main.dataset.live);
		source.addEventListener("at", (event) => {
			state("Live", true);
			if (event.data !== main.dataset.seen) refresh();
		});
		source.addEventListener("changed", () => {
			state("Live", true);
			refresh();
		});
		source.addEventListener("away", () => state("Live updates are interrupted", false));
		source.addEventListener("error", () => {
			state("Reconnecting", false);
			if (source.readyState === EventSource.CLOSED) setTimeout(connect, 5000);
		});
	};
	connect();
	addEventListener("pagehide", () => source.close());
	addEventListener("pageshow", (event) => { if (event.persisted) connect(); });
})();
