// The screens of the phones, and what the node made of it, as they are now; what is being typed stays.
import { page } from "./dom.js";

const phones = document.getElementById("phones");
let later;

async function renew() {
  clearTimeout(later);
  try {
    const fresh = await page(location.pathname);
    const busy = document.activeElement?.closest("#phones");
    const typed = busy || [...phones.querySelectorAll("input:not([type=hidden])")].some((each) => each.value);
    const [now, next] = [[...phones.querySelectorAll(".screen")], [...fresh.querySelectorAll(".screen")]];
    const made = fresh.getElementById("phones");
    if (typed && now.length === next.length) now.forEach((each, place) => each.replaceWith(next[place]));
    else if (!typed) phones.replaceChildren(...made.childNodes);
    document.getElementById("made").replaceChildren(...fresh.getElementById("made").childNodes);
    if (made.hasAttribute("data-going")) later = setTimeout(renew, 1000);
  } catch {
    // the next change asks again
  }
}

if (phones) {
  const source = new EventSource("/api/v1/stream?topics=poke");
  source.addEventListener("poke", () => {
    clearTimeout(later);
    later = setTimeout(renew, 200);
  });
  addEventListener("pagehide", () => source.close());
  if (phones.hasAttribute("data-going")) later = setTimeout(renew, 1000);
}
