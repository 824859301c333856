// Single letters: / search, g and a letter for a page, j k rows, Enter or o open, p pause, y copy the id,
// Esc back. None acts while a field has the focus, and Enter never sends anything.
let went = 0;
let at = -1;

const rows = () => [...document.querySelectorAll("#rows > tr[id]")];

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

const deeds = {
  "/": () => document.querySelector(".find input[type=search]")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  o: () => rows()[at]?.querySelector("a")?.click(),
  p: () => document.getElementById("pause")?.click(),
  y: copy,
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
      deed();
    }
  });
}
