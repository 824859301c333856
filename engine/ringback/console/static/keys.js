// Single letters: / search, g and a letter for a page, j k rows, Enter or o open, p pause, y copy the id,
// . newest, f filters, u held: whole numbers, [ ] the one before or behind in the list that one came from,
// x X a marks for a bulk, Esc back to the list, ? help. None acts while a field has the focus, and Enter never sends anything.
let went = 0;
let at = -1;

const rows = () => [...document.querySelectorAll("#rows > tr[id], .decisions > li[id], .markable > tr[id]")];

function move(step) {
  const all = rows();
  if (!all.length) return;
  all[at]?.classList.remove("at");
  at = Math.min(Math.max(at + step, 0), all.length - 1);
  all[at].classList.add("at");
  all[at].querySelector("a")?.focus();
  document.getElementById("pause")?.dispatchEvent(new CustomEvent("hold"));
}

function copy() {
  const id = rows()[at]?.id || document.querySelector(".ids .id")?.textContent;
  if (id && navigator.clipboard) {
    navigator.clipboard.writeText(id);
    document.getElementById("status").textContent = `Copied ${id}`;
  }
}

// The list that a trace was opened from, with its filter: kept in this tab alone.
const LIST = "rb-list";
const isTrace = (path) => path.startsWith("/console/t/");
const say = (text) => { document.getElementById("status").textContent = text; };

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("main a[href^='/console/t/']");
  if (!link || isTrace(location.pathname)) return;
  const links = [...document.querySelectorAll("main a[href^='/console/t/']")].map((each) => each.pathname);
  sessionStorage.setItem(LIST, JSON.stringify({ from: location.pathname + location.search, links: [...new Set(links)] }));
});

function walk(step) {
  const list = JSON.parse(sessionStorage.getItem(LIST) || "null");
  const place = list ? list.links.indexOf(location.pathname) : -1;
  if (place < 0) return say("No list leads here.");
  const next = list.links[place + step];
  if (next) location.assign(next);
  else say("The list ends here; Escape leads back to it.");
}

function back() {
  const list = JSON.parse(sessionStorage.getItem(LIST) || "null");
  if (list && isTrace(location.pathname)) location.assign(list.from);
}

function newest() {
  const fresh = document.querySelector("#new:not([hidden]) a");
  const link = fresh || [...document.querySelectorAll(".paging a")].find((each) => each.textContent === "Newest");
  if (link) link.click();
  else scrollTo(0, 0);
}

function filters() {
  const filter = document.querySelector("details.filter");
  if (filter) filter.open = true;
  filter?.querySelector("input, select")?.focus();
}

// Marks for a bulk: x this row, X all rows from the last one that was marked, a to the buttons.
let marked = -1;
const box = (row) => row?.querySelector("input[form=marked]");
function mark() {
  if (!box(rows()[at])) return;
  box(rows()[at]).checked = !box(rows()[at]).checked;
  marked = at;
}

function markUpTo() {
  if (marked < 0) return mark();
  for (const row of rows().slice(Math.min(marked, at), Math.max(marked, at) + 1)) {
    if (box(row)) box(row).checked = true;
  }
}

let unmasking = false;
function unmask(event) {
  const form = document.querySelector("form[action='/console/unmask']");
  if (!event.repeat || unmasking || !form) return;
  unmasking = true;
  form.requestSubmit();
}

const deeds = {
  "/": () => document.querySelector(".find input[type=search]")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  o: () => rows()[at]?.querySelector("a")?.click(),
  p: () => document.getElementById("pause")?.click(),
  y: copy,
  ".": newest,
  f: filters,
  u: unmask,
  x: mark,
  X: markUpTo,
  a: () => document.querySelector("#marked button")?.focus(),
  "[": () => walk(-1),
  "]": () => walk(1),
  Escape: back,
  "?": () => location.assign("/console/help/console#keys"),
};

if (document.body.hasAttribute("data-keys")) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, select, textarea")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "g") {
      went = Date.now();
      return;
    }
    if (Date.now() - went < 1500) {
      went = 0;
      document.querySelector(`.pages a[data-key="${CSS.escape(event.key)}"]`)?.click();
      return;
    }
    const deed = deeds[event.key];
    if (deed) {
      event.preventDefault();
      deed(event);
    }
  });
}
