// Posts the key that stands behind the # of /console/in, and takes it out of the address first.
const form = document.getElementById("by-key");
if (form && location.hash.length > 1) {
  const key = decodeURIComponent(location.hash.slice(1));
  history.replaceState(null, "", location.pathname);
  form.elements.key.value = key;
  form.submit();
}
