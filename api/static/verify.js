// Sends one picture to /v1/verify and says what came back. Every text goes in as text, never as markup.
const at = (id) => document.getElementById(id);
const drop = at("drop");
const BADGES = { genuine: "Genuine", altered: "Altered", marked: "Marked copy", erased: "Erased", unknown: "Not known", error: "Could not be checked" };
const MANIFEST = {
  valid: "Signed by us, and every byte is as it was.",
  altered: "Signed by us, and the file was changed after that.",
  foreign: "There is one, from somebody else.",
  none: "There is none.",
  unreadable: "There may be one, and it cannot be read.",
};
const FINGERPRINT = { known: "Exactly this file was delivered by us.", unknown: "This exact file is not one that we delivered." };

function watermark(layer) {
  if (layer.state !== "found") return layer.state === "none" ? "None was found." : "It could not be looked for.";
  const changed = [];
  if (layer.scale < 0.97) changed.push(`cropped to about ${Math.round(layer.scale * 100)} %`);
  if (Math.abs(layer.degrees) > 0.4) changed.push(`turned by about ${Math.abs(layer.degrees)}°`);
  return "Found, " + (changed.length ? changed.join(" and ") : "in place") + ".";
}

function list(id, items) {
  at(id).replaceChildren(...items.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

function show(found) {
  at("answer").dataset.verdict = found.verdict;
  at("badge").textContent = BADGES[found.verdict] ?? found.verdict;
  at("summary").textContent = found.summary;
  list("card", found.card ?? []);
  at("done").hidden = !found.card?.length;
  at("layers").hidden = !found.manifest;
  if (found.manifest) {
    at("manifest").textContent = MANIFEST[found.manifest.state] ?? found.manifest.state;
    at("watermark").textContent = watermark(found.watermark);
    at("fingerprint").textContent = FINGERPRINT[found.fingerprint.state] ?? found.fingerprint.state;
  }
  list("limits", found.limits ?? []);
  at("unsaid").hidden = !found.limits?.length;
  at("answer").hidden = false;
}

async function check(file) {
  drop.classList.add("busy");
  at("answer").hidden = true;
  at("prompt").textContent = "Looking…";
  const preview = at("preview");
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(file);
  preview.hidden = false;
  preview.onerror = () => { preview.hidden = true; };
  try {
    const answer = await fetch("/v1/verify", { method: "POST", body: file, headers: { "Content-Type": file.type || "application/octet-stream" } });
    const found = await answer.json();
    show(answer.ok ? found : { verdict: "error", summary: found.detail ?? found.title });
  } catch {
    show({ verdict: "error", summary: "The service could not be reached. Try again in a moment." });
  }
  at("prompt").textContent = "Drop another picture, or choose one";
  drop.classList.remove("busy");
}

at("file").addEventListener("change", (event) => { if (event.target.files[0]) check(event.target.files[0]); });
for (const name of ["dragover", "dragenter"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files[0]) check(event.dataTransfer.files[0]);
});
