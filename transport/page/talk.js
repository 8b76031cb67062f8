// The conversation that is open: its messages in order, and moving among them by pointer and keys.
import { bubble, divider, note, typing } from "./bubble.js";
import { icon, make, sync } from "./dom.js";
import { day } from "./times.js";
import { SAY } from "./words.js";

const TOGETHER_MS = 180_000; // messages of one sender within it stand together
const NEAR_PX = 80;
const HELD_MS = 500;

export class Talk {
  #c;
  #mark; // the `n` behind which it was unread when it was opened, or began to be
  #isAtEnd = true;

  // told: what was done to a message, and {earlier(), read()}
  constructor(told) {
    this.told = told;
    this.list = make("ol.messages", { role: "log", "aria-live": "polite", tabindex: 0, scroll: () => this.#scrolled(), keydown: (event) => this.#pressed(event) });
    this.list.addEventListener("contextmenu", (event) => this.#menu(event));
    this.list.addEventListener("pointerdown", (event) => event.pointerType === "touch" && this.#held(event));
    this.down = make("button.down.round", { type: "button", hidden: true, title: SAY.down, "aria-label": SAY.down, click: () => this.toEnd() }, icon("down"));
    this.point = make("button.point", { type: "button", hidden: true, click: () => told.read() });
    this.node = make("div.talk", {}, this.list, this.point, this.down);
  }

  begin(c) {
    this.#c = c;
    this.#mark = undefined;
    this.#isAtEnd = true;
    this.list.replaceChildren();
  }

  // One has looked, and then away: what is new from now on is marked anew.
  looked() {
    this.#mark = undefined;
  }

  draw(client, now, { isLooked, name }) {
    const room = client.rooms.get(this.#c);
    if (!room) return;
    const unread = client.chats.unread(this.#c);
    if (unread) this.#mark ??= (client.chats.get(this.#c)?.last_n ?? 0) - unread;
    this.list.setAttribute("aria-label", SAY.messagesIn(name));
    sync(this.list, this.#items(client, room, now));
    if (this.#isAtEnd) this.toEnd();
    this.point.hidden = !unread || isLooked;
    this.point.textContent = SAY.point(unread, client.people.name(client.me));
    this.down.hidden = this.#isAtEnd;
    this.#rove();
  }

  toEnd() {
    this.list.scrollTop = this.list.scrollHeight;
    this.#isAtEnd = true;
    this.down.hidden = true;
  }

  goTo(id) {
    const node = this.list.querySelector(`[data-id="${id}"]`);
    node?.scrollIntoView({ block: "center", behavior: "smooth" });
    node?.focus({ preventScroll: true });
  }

  #items(client, room, now) {
    const views = [];
    let before = {};
    let marked = this.#mark === undefined;
    if (room.list.prev) views.push({ key: "earlier", sign: "", build: () => this.#earlier() });
    for (const item of [...room.list.items, ...unsent(client, room)]) {
      const today = day(item.at ?? item.sent_at, now);
      if (today !== before.today) views.push({ key: `day ${today}`, sign: today, build: () => divider(today, "day") });
      if (!marked && item.n > this.#mark && item.sender !== client.me) {
        marked = true;
        views.push({ key: "new", sign: "", build: () => divider(SAY.news, "new") });
        before = {};
      }
      views.push(item.t ? noted(item, client) : this.#message(client, room, item, !follows(item, before) || today !== before.today));
      before = { ...item, today };
    }
    const typers = room.typers(now).map((user) => client.people.name(user));
    if (typers.length) views.push({ key: "typing", sign: typers.join(), build: () => typing(typers) });
    return views;
  }

  #message(client, room, { status, error, ...message }, isFirst) {
    const quoted = message.reply_to && room.list.get(message.reply_to);
    const name = (user) => client.people.name(user);
    const view = {
      message, isFirst, error, quoted, me: client.me, isMine: message.sender === client.me, isGroup: room.conversation.type !== "direct",
      status: status ?? room.status(message), readers: message.seq ? room.readers(message) : [], replies: room.list.replies(message.id),
    };
    const sign = JSON.stringify([view, name(message.sender), view.readers.map(name), quoted && name(quoted.sender)]);
    return { key: message.id, sign, build: () => bubble({ ...view, name }, this.told) };
  }

  #earlier() {
    return make("li.earlier", {}, make("button", { type: "button", text: SAY.earlier, click: async () => {
      const { scrollHeight } = this.list;
      await this.told.earlier();
      requestAnimationFrame(() => (this.list.scrollTop += this.list.scrollHeight - scrollHeight));
    } }));
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.list;
    this.#isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    this.down.hidden = this.#isAtEnd;
  }

  // Tab leads to the latest message, and arrows from there to the others.
  #rove() {
    const all = [...this.list.querySelectorAll(".message[data-id]")];
    const isInside = this.list.contains(document.activeElement) && all.some((node) => node.tabIndex === 0);
    if (!isInside) all.forEach((node) => (node.tabIndex = node === all.at(-1) ? 0 : -1));
    this.list.tabIndex = all.length ? -1 : 0;
  }

  #pressed(event) {
    const all = [...this.list.querySelectorAll(".message[data-id]")];
    const at = all.indexOf(event.target);
    if (at < 0) return;
    const to = { ArrowUp: at - 1, ArrowDown: at + 1, Home: 0, End: all.length - 1 }[event.key];
    if (event.key === "Enter" || event.key === " ") this.told.menuOf(all[at].dataset.id, all[at].querySelector(".bubble"));
    else if (to === undefined) return;
    event.preventDefault();
    if (!all[to]) return;
    all.forEach((node) => (node.tabIndex = -1));
    all[to].tabIndex = 0;
    all[to].focus();
  }

  // A finger that stays where it is opens the menu, where the browser itself makes nothing of it.
  #held(event) {
    const timer = setTimeout(() => this.#menu(event), HELD_MS);
    for (const name of ["pointerup", "pointermove", "pointercancel", "contextmenu"]) this.list.addEventListener(name, () => clearTimeout(timer), { once: true });
  }

  #menu(event) {
    const node = event.target.closest(".message[data-id]");
    if (!node) return;
    event.preventDefault();
    this.told.menuOf(node.dataset.id, node.querySelector(".bubble"));
  }
}

function unsent(client, room) {
  return client.outbox.of(room.id).map(({ p, at, state, error }) => ({
    type: "text", ...p, sender: client.me, sent_at: at, status: state === "failed" ? "failed" : "sending", error: error?.message ?? error?.code,
  }));
}

function noted(item, client) {
  const name = (user) => client.people.name(user);
  return { key: `note ${item.seq}`, sign: JSON.stringify(item), build: () => note(item, name) };
}

function follows({ sender, sent_at, t }, before) {
  return !t && sender === before.sender && sent_at - before.sent_at < TOGETHER_MS;
}
