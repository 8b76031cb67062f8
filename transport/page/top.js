// The top of a phone: whose it is, how they are, how the connection is, and the button that cuts it.
import { askFor } from "./asking.js";
import { face, icon, make } from "./dom.js";
import { PEOPLE, SAY, STATES, STATUSES } from "./words.js";

const ANOTHER = "*"; // no id of a user

export class Top {
  constructor(told) {
    this.told = told;
    this.face = make("span.faces");
    this.who = make("select.who", { "aria-label": SAY.whose, change: () => this.#chosen() });
    this.state = make("span.state", { role: "status" });
    this.status = make("select.status", { change: () => told.status(this.status.value) }, ...Object.entries(STATUSES).map(([value, text]) => make("option", { value, text })));
    this.cut = make("button.cut", { type: "button", click: () => told.cut() });
    this.banner = make("p.banner", { role: "status", hidden: true });
    this.node = make("header.top", {}, this.face, make("div.whose", {}, this.who, this.state), this.status, this.cut, this.banner);
  }

  draw(client) {
    const { me, people, connection: { state }, outbox } = client;
    const isOff = state === "disconnected" || state === "auth_failed";
    const own = people.presence(me).status;
    const sign = JSON.stringify([me, people.name(me), state, own, outbox.unsettled]);
    if (this.sign === sign) return;
    this.sign = sign;
    const presence = state === "connected" ? own : "offline";
    this.face.replaceChildren(face(me, people.name(me), presence === "unknown" ? "online" : presence));
    this.#options(me, people.name(me));
    this.state.textContent = STATES[state];
    this.state.className = `state ${state}`;
    this.status.disabled = state !== "connected";
    this.status.value = STATUSES[own] ? own : "online";
    this.status.setAttribute("aria-label", SAY.statusOf(people.name(me)));
    this.cut.replaceChildren(icon(isOff ? "net" : "cut"), make("span", { text: isOff ? SAY.uncut : SAY.cut }));
    this.cut.setAttribute("aria-pressed", String(isOff));
    this.banner.hidden = state === "connected" || state === "connecting";
    this.banner.textContent = state === "auth_failed" ? SAY.signedOut : isOff ? SAY.waits(outbox.unsettled) : SAY.retrying(outbox.unsettled);
  }

  #options(me, name) {
    const all = { ...PEOPLE, [me]: name, [ANOTHER]: SAY.another };
    this.who.replaceChildren(...Object.entries(all).map(([value, text]) => make("option", { value, text })));
    this.who.value = me;
    this.me = me;
  }

  async #chosen() {
    const { value } = this.who;
    this.who.value = this.me;
    if (value !== ANOTHER) return this.told.become(value);
    const said = await askFor(SAY.another.replace("…", ""), [{ name: "user", label: SAY.askUser, isRequired: true }]);
    if (said?.user) this.told.become(said.user);
  }
}
