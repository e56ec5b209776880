// Sends one picture to /v1/verify and says what came back. Every text goes in as text, never as markup.
import { WORDS } from "/verify/static/verify-words.js";

const at = (id) => document.getElementById(id);
const drop = at("drop");
let language = "en";
let words = WORDS.en;
let last = null; // the picture that was checked last, to be asked about again in another language
let turn = 0; // answers that come late are dropped

function watermark(layer) {
  if (layer.state !== "found") return layer.state === "none" ? words.none : words.unlooked;
  const number = new Intl.NumberFormat(language, { maximumFractionDigits: 1 });
  const changes = [];
  if (layer.scale < 0.97) changes.push(words.cropped(Math.round(layer.scale * 100)));
  if (Math.abs(layer.degrees) > 0.4) changes.push(words.turned(number.format(Math.abs(layer.degrees))));
  return changes.length ? words.found(changes) : words.place;
}

function list(id, items) {
  at(id).replaceChildren(...items.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}

function show(found) {
  at("answer").dataset.verdict = found.verdict;
  at("badge").textContent = words.badges[found.verdict] ?? found.verdict;
  at("summary").textContent = found.summary;
  list("card", found.card ?? []);
  at("done").hidden = !found.card?.length;
  at("layers").hidden = !found.manifest;
  if (found.manifest) {
    at("manifest").textContent = words.manifest[found.manifest.state] ?? found.manifest.state;
    at("watermark").textContent = watermark(found.watermark);
    at("fingerprint").textContent = words.fingerprint[found.fingerprint.state] ?? found.fingerprint.state;
  }
  list("limits", found.limits ?? []);
  at("unsaid").hidden = !found.limits?.length;
  at("answer").hidden = false;
}

function prompt(bold, rest, small) {
  const tell = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
  at("prompt").replaceChildren(tell("b", bold), ...(rest ? [" ", tell("span", rest)] : []), ...(small ? [tell("small", small)] : []));
}

function ready() {
  if (last) prompt(words.again, words.choose);
  else prompt(words.drop, words.choose, words.kinds);
}

async function check(file) {
  const mine = ++turn;
  last = file;
  drop.classList.add("busy");
  at("answer").hidden = true;
  prompt(words.looking);
  const preview = at("preview");
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.src = URL.createObjectURL(file);
  preview.hidden = false;
  preview.onerror = () => { preview.hidden = true; };
  let found;
  try {
    const headers = { "Content-Type": file.type || "application/octet-stream", "Accept-Language": language };
    const answer = await fetch("/v1/verify", { method: "POST", body: file, headers });
    found = await answer.json();
    if (!answer.ok) found = { verdict: "error", summary: found.detail ?? found.title };
  } catch {
    found = { verdict: "error", summary: words.away };
  }
  if (mine !== turn) return;
  show(found);
  ready();
  drop.classList.remove("busy");
  at("file").value = ""; // so that the same file may be chosen again
}

function speak(tag) {
  language = tag;
  words = WORDS[tag];
  document.documentElement.lang = tag;
  document.title = words.page;
  for (const place of document.querySelectorAll("[data-say]")) place.textContent = words[place.dataset.say];
  for (const button of at("languages").children) button.setAttribute("aria-pressed", String(button.lang === tag));
  ready();
}

for (const [tag, { name }] of Object.entries(WORDS)) {
  const button = Object.assign(document.createElement("button"), { type: "button", lang: tag, textContent: tag.toUpperCase(), title: name });
  button.addEventListener("click", () => { speak(tag); if (last) check(last); });
  at("languages").append(button);
}
speak(navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => tag in WORDS) ?? "en");

at("file").addEventListener("change", (event) => { if (event.target.files[0]) check(event.target.files[0]); });
for (const name of ["dragover", "dragenter"]) drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
drop.addEventListener("dragleave", () => drop.classList.remove("over"));
drop.addEventListener("drop", (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  if (event.dataTransfer.files[0]) check(event.dataTransfer.files[0]);
});
