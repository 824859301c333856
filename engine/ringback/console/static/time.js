// Tells the server once in which zone its reader lives; the next page has their times. Zones are loaded when
// they are first asked for, which takes longer than all else here: behind the first paint.
requestAnimationFrame(() => setTimeout(() => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const noted = document.cookie.split("; ").find((each) => each.startsWith("rb-zone="));
  if (zone && noted !== `rb-zone=${encodeURIComponent(zone)}`) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    document.cookie = `rb-zone=${encodeURIComponent(zone)}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
  }
}));
