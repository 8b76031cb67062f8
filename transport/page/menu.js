// A menu beside what it is about, for pointers and keys: arrows move, Enter does, Escape goes back to where one was.
import { make } from "./dom.js";
import { EMOJIS, SAY } from "./words.js";

let close = () => undefined;

// items: [{label, act, isDanger?}]; emojis: {chosen(emoji)}
export function openMenu(anchor, label, items, emojis) {
  close();
  const back = comeBack(document.activeElement);
  const node = make("div.menu", { role: "menu", "aria-label": label, keydown: (event) => pressed(node, event) });
  if (emojis) node.append(make("div.emojis", { role: "none" }, ...EMOJIS.map((emoji) => entry(emoji, SAY.reactWith(emoji), () => emojis.chosen(emoji)))));
  node.append(...items.map(({ label: text, act, isDanger }) => entry(text, undefined, act, isDanger)));
  document.body.append(node);
  place(node, anchor.getBoundingClientRect());
  const outside = (event) => !node.contains(event.target) && close();
  document.addEventListener("pointerdown", outside, true);
  addEventListener("resize", outside);
  close = () => {
    document.removeEventListener("pointerdown", outside, true);
    removeEventListener("resize", outside);
    const hadFocus = node.contains(document.activeElement);
    node.remove();
    if (hadFocus) back();
    close = () => undefined;
  };
  node.querySelector("button")?.focus({ preventScroll: true });
}

// To where the focus was, though it may have been drawn anew since.
function comeBack(from) {
  const { parentElement, dataset: { key } } = from;
  return () => {
    const node = from.isConnected || !key ? from : parentElement.querySelector(`[data-key="${CSS.escape(key)}"]`);
    node?.focus({ preventScroll: true });
  };
}

function entry(text, label, act, isDanger) {
  const node = make("button", { type: "button", role: "menuitem", tabindex: -1, title: label, "aria-label": label, text, click: () => {
    close();
    act();
  } });
  if (isDanger) node.classList.add("danger");
  return node;
}

function pressed(node, event) {
  const entries = [...node.querySelectorAll("button")];
  const at = entries.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowRight: at + 1, ArrowUp: at - 1, ArrowLeft: at - 1, Home: 0, End: entries.length - 1 }[event.key];
  if (event.key === "Escape" || event.key === "Tab") close();
  if (to !== undefined) entries[(to + entries.length) % entries.length].focus();
  if (to !== undefined || event.key === "Escape") event.preventDefault();
  event.stopPropagation();
}

function place(node, { left, right, top, bottom }) {
  const { width, height } = node.getBoundingClientRect();
  const below = bottom + 6 + height < innerHeight ? bottom + 6 : Math.max(8, top - height - 6);
  const beside = right + 8 > innerWidth / 2 && right - width > 8 ? right - width : left;
  node.style.left = `${Math.max(8, Math.min(beside, innerWidth - width - 8)) + scrollX}px`;
  node.style.top = `${below + scrollY}px`;
}
