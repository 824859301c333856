// Rows as they come: one stream for each tab, closed while it is hidden. What is looked at does not move.
import { nodes, page } from "./dom.js";

const MOST = 120;
const SPOKEN = 10000;
const FEW = 5;

class Live extends HTMLElement {
  connectedCallback() {
    this.rows = document.getElementById("rows");
    this.fresh = document.getElementById("new");
    this.button = document.getElementById("pause");
    if (this.hasAttribute("data-still") || !this.rows) return;
    this.last = this.dataset.last;
    this.paused = false;
    this.waiting = 0;
    this.spoken = { at: 0, count: 0 };
    this.counted = [];
    this.button.hidden = false;
    this.button.addEventListener("click", () => this.pause(!this.paused));
    this.button.addEventListener("hold", () => this.pause(true));
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open()));
    addEventListener("pagehide", () => this.close());
    addEventListener("scroll", () => scrollY > 200 && this.pause(true), { passive: true });
    this.open();
  }

  open() {
    if (this.source) return;
    const query = new URLSearchParams(this.dataset.query);
    for (const name of ["verdict", "trust", "source", "since"]) query.delete(name);
    if (query.get("own") === "no") query.set("own", "false");
    if (query.has("error")) query.set("error", "true");
    query.set("rows", "html");
    query.set("after", this.last);
    this.source = new EventSource(`/api/v1/stream?${query}`);
    this.source.addEventListener("events", (event) => this.take(event));
    this.source.addEventListener("poke", (event) => this.poke(JSON.parse(event.data)));
    this.source.addEventListener("gap", () => location.reload());
    this.source.addEventListener("enough", () => this.close());
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  pause(wanted) {
    if (this.paused === wanted) return;
    this.paused = wanted;
    this.button.setAttribute("aria-pressed", String(wanted));
    this.button.firstChild.textContent = wanted ? "Go on " : "Pause ";
    if (!wanted && this.waiting) location.assign(this.fresh.querySelector("a").href);
  }

  take(event) {
    this.last = event.lastEventId || this.last;
    const { rows, count } = JSON.parse(event.data);
    this.count(count);
    if (!rows.length) return;
    if (this.paused || scrollY > 200) {
      this.waiting += rows.length;
      this.fresh.hidden = false;
      this.fresh.querySelector("b").textContent = this.waiting;
      return;
    }
    this.show(rows);
  }

  show(rows) {
    const table = this.rows.closest("table");
    if (table.hidden) {
      location.reload();
      return;
    }
    const made = new DocumentFragment();
    for (const { id, html } of rows) {
      document.getElementById(id)?.remove();
      const row = nodes(html).querySelector("tr");
      if (rows.length <= FEW) row.classList.add("fresh"); // many at once move the page enough
      made.prepend(row);
    }
    const day = this.rows.querySelector(".day");
    day ? day.after(made) : this.rows.prepend(made);
    while (this.rows.rows.length > MOST) this.rows.lastElementChild.remove();
    this.speak(rows.length);
  }

  speak(count) {
    this.spoken.count += count;
    const now = Date.now();
    if (now - this.spoken.at < SPOKEN) return;
    document.getElementById("spoken").textContent = `${this.spoken.count} new events`;
    this.spoken = { at: now, count: 0 };
  }

  count(more) {
    const now = Date.now();
    this.counted.push([now, more]);
    this.counted = this.counted.filter(([at]) => now - at < 5000);
    const rate = this.counted.reduce((sum, [, each]) => sum + each, 0) / 5;
    document.getElementById("rate").textContent = rate < 10 ? rate.toFixed(1) : Math.round(rate);
  }

  poke({ open }) {
    for (const [name, count] of Object.entries(open || {})) {
      const shown = document.querySelector(`[data-open-count="${CSS.escape(name)}"]`);
      if (shown) shown.textContent = count;
    }
    clearTimeout(this.later);
    this.later = setTimeout(() => this.renew(), 900);
  }

  async renew() {
    const open = [...this.rows.querySelectorAll("tr[data-open]")].slice(0, 30);
    if (!open.length || document.hidden) return;
    try {
      const fresh = await page(`/console/rows?ids=${open.map((row) => row.id).join(",")}`);
      for (const row of fresh.querySelectorAll("tr")) {
        const old = document.getElementById(row.id);
        if (old && !old.contains(document.activeElement)) old.replaceWith(row);
      }
    } catch {
      // the next change asks again
    }
  }
}

customElements.define("rb-live", Live);
