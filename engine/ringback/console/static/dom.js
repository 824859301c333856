// The one place that makes nodes from HTML. What the console's own server has drawn is escaped there.
const policy = window.trustedTypes
  ? trustedTypes.createPolicy("ringback", { createHTML: (html) => html })
  : { createHTML: (html) => html };

export function nodes(html) {
  const template = document.createElement("template");
  template.innerHTML = policy.createHTML(html);
  return template.content;
}

// A page as a document that runs nothing, to take a part of it.
export async function page(url) {
  const answer = await fetch(url, { headers: { accept: "text/html" }, credentials: "same-origin" });
  if (!answer.ok || answer.redirected) throw new Error(`HTTP ${answer.status}`);
  return nodes(await answer.text());
}
