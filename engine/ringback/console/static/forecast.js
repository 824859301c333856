// While somebody writes: what the text takes, and what the gate says of it. The page before it goes says it again.
const field = document.querySelector("textarea[data-forecast]");
const shown = document.getElementById("forecast");
let later;

async function tell() {
  const text = field.value.trim();
  if (!text) {
    shown.textContent = "";
    return;
  }
  const answer = await fetch(field.dataset.forecast, {
    method: "POST",
    headers: { "content-type": "application/json", "x-ringback": "1" },
    body: JSON.stringify({ text }),
  }).catch(() => undefined);
  if (!answer?.ok || text !== field.value.trim()) return;
  const told = await answer.json();
  const takes = `${told.segments} segment${told.segments === 1 ? "" : "s"} in ${told.encoding}`;
  const price = told.price ? `, about ${told.price}` : "";
  const gate = told.state === "planned" ? "the gate lets it out now" : `${told.state}: ${told.reason}`;
  shown.textContent = `${told.segments ? `${takes}${price}; ` : ""}${told.held || gate}`;
}

field?.addEventListener("input", () => {
  clearTimeout(later);
  later = setTimeout(tell, 600);
});
