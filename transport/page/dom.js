// Elements, and lists of them kept as they should be. Text is always text: nothing here reads HTML.
const SVG = "http://www.w3.org/2000/svg";
const HUES = { alice: 162, bob: 24, carol: 268, lobby: 205 }; // of others it comes of the letters
const signs = new WeakMap();

// make("button.send", {type: "submit", click: f, text: "Send"}, ...children)
export function make(what, props = {}, ...children) {
  const [tag, ...classes] = what.split(".");
  const node = document.createElement(tag);
  if (classes.length) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(props)) set(node, name, value);
  node.append(...children.filter((child) => child || child === 0));
  return node;
}

function set(node, name, value) {
  if (value === undefined || value === false) return;
  if (name === "text") node.textContent = value;
  else if (typeof value === "function") node.addEventListener(name, value);
  else node.setAttribute(name, value === true ? "" : value);
}

// Makes the children of a node just these, [{key, sign, build}], and touches none whose sign is as before.
export function sync(parent, wanted) {
  const old = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let place = parent.firstElementChild;
  for (const { key, sign, build } of wanted) {
    const before = old.get(key);
    old.delete(key);
    const node = before && signs.get(before) === sign ? before : renew(before, build(), key, sign);
    if (before && before !== node && place === before) place = node;
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
  }
  old.forEach((node) => node.remove());
}

function renew(before, node, key, sign) {
  node.dataset.key = key;
  signs.set(node, sign);
  const hadFocus = before?.contains(document.activeElement);
  if (before?.tabIndex === 0) node.tabIndex = 0;
  before?.replaceWith(node);
  if (hadFocus) node.focus({ preventScroll: true });
  return node;
}

const PATHS = {
  clock: "M12 7v5l3 2M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  sent: "m5 13 4 4L19 7",
  delivered: "m1 13 4 4L15 7M12 16l1 1L23 7",
  failed: "M12 8v5m0 3v.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0Z",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  plus: "M12 5v14M5 12h14",
  pin: "M9 4h6l-1 7 3 3H7l3-3-1-7ZM12 14v6",
  send: "M12 19V5M6 11l6-6 6 6",
  close: "M6 6l12 12M18 6 6 18",
  reply: "M9 14 4 9l5-5M4 9h9a7 7 0 0 1 7 7v3",
  edit: "M4 20h4L19 9l-4-4L4 16v4Z",
  down: "M12 5v14M6 13l6 6 6-6",
  cut: "M4 4l16 16M8.5 15.5a5 5 0 0 1 5-1.2M5 12a10 10 0 0 1 4-2.4M2 8.500a15 15 0 0 1 4-2.600M13 9a10 10 0 0 1 6 3M10.500 5a15 15 0 0 1 11.500 3.500M12 19h.01",
  net: "M8.500 15.500a5 5 0 0 1 7 0M5 12a10 10 0 0 1 14 0M2 8.500a15 15 0 0 1 20 0M12 19h.01",
  file: "M6 3h8l4 4v14H6V3ZM14 3v4h4",
};

export function icon(name, className = "") {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: `icon ${className}`, "aria-hidden": "true", focusable: "false" })) svg.setAttribute(key, value);
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

export function said(text) {
  return make("span.said", { text });
}

// A circle with a letter; its colour comes of the name.
export function face(id, name, dot) {
  const node = tinted(make("span.face", { "aria-hidden": "true" }, make("span", { text: [...(name || "?")][0].toUpperCase() })), id);
  if (dot) node.append(make(`span.dot.${dot}`));
  return node;
}

export function tinted(node, id) {
  node.style.setProperty("--hue", String(HUES[id] ?? [...id].reduce((sum, sign) => (sum * 31 + sign.codePointAt(0)) % 360, 7)));
  return node;
}
