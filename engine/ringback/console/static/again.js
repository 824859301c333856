// What is not over (a trace, a conversation, calls) is asked for again when something has changed, and
// keeps what was unfolded.
import { page } from "./dom.js";

let open = document.querySelector("#again[data-again]");
let source;
let later;

async function renew() {
  if (open.contains(document.activeElement?.closest("form"))) return;
  try {
    const fresh = (await page(location.pathname)).querySelector("#again");
    if (!fresh) return;
    const folds = [...open.querySelectorAll("details")].map((each) => each.open);
    fresh.querySelectorAll("details").forEach((each, number) => {
      if (folds[number] !== undefined) each.open = folds[number];
    });
    const scrolled = scrollY;
    open.replaceWith(fresh);
    open = fresh;
    scrollTo(0, scrolled);
    if (!fresh.hasAttribute("data-again")) source.close();
  } catch {
    // the next change asks again
  }
}

if (open) {
  source = new EventSource("/api/v1/stream?topics=poke");
  source.addEventListener("poke", () => {
    clearTimeout(later);
    later = setTimeout(renew, 300);
  });
  addEventListener("pagehide", () => source.close());
}
