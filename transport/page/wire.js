// The wire: the last frames in and out of one phone, as they went, but for tokens.
import { make, said } from "./dom.js";
import { SAY } from "./words.js";

const KEPT = 60; // frames of each phone
const SHORT = 300;

export class Wire {
  #frames = new Map(); // of each side
  #shown = "left";

  constructor(node) {
    this.list = node.querySelector(".frames");
    this.choice = node.querySelector(".choice");
    this.choice.addEventListener("change", ({ target }) => this.#choose(target.value));
  }

  // The phones are these now.
  phones(phones) {
    const names = phones.map(({ client }) => client.people.name(client.me));
    const sign = names.join();
    if (this.sign === sign) return;
    this.sign = sign;
    this.choice.replaceChildren(said(SAY.wireOf), ...phones.map(({ side }, at) => make("label", {},
      make("input", { type: "radio", name: "wire", value: side, checked: side === this.#shown }), make("span", { text: names[0] === names[1] ? SAY.onSide(names[at], side) : names[at] }))));
  }

  take({ side }, direction, frame, m) {
    const line = entry(direction, frame, m);
    const kept = this.#frames.get(side) ?? [];
    this.#frames.set(side, kept);
    kept.push(line);
    if (kept.length > KEPT) kept.shift().remove();
    if (side === this.#shown) this.#append([line]);
  }

  #choose(side) {
    this.#shown = side;
    this.list.replaceChildren();
    this.#append(this.#frames.get(side) ?? []);
  }

  #append(lines) {
    const isAtEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 60;
    this.list.append(...lines);
    if (isAtEnd) this.list.scrollTop = this.list.scrollHeight;
  }
}

function entry(direction, frame, m) {
  const shown = JSON.parse(JSON.stringify(frame, (key, value) => (key === "token" ? "…" : value)));
  const name = frame.m ?? frame.t ?? (frame.e ? SAY.refusal(m) : SAY.repliesTo(m));
  const short = JSON.stringify(frame.m ? (shown.p ?? {}) : (shown.r ?? shown.e ?? withoutName(shown)));
  const kind = frame.e ? "refused" : frame.t ? "push" : direction;
  return make(`li.${direction}.${kind}`, {}, make("details", {}, make("summary", {}, said(direction), make("b", { text: name }), " ", make("code", { text: short.slice(0, SHORT) })),
    make("pre", { text: JSON.stringify(shown, undefined, 2), tabindex: 0 })));
}

function withoutName({ t, ...rest }) {
  return rest;
}
