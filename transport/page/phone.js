// One phone: whose it is, its connection, its conversations, and the one that is open.
import { askFor } from "./asking.js";
import { Client } from "./client.js";
import { Composer } from "./composer.js";
import { Head } from "./head.js";
import { make } from "./dom.js";
import { Rows } from "./rows.js";
import { Talk } from "./talk.js";
import { talkDeeds } from "./deeds.js";
import { Top } from "./top.js";
import { SAY } from "./words.js";

const TROUBLE_MS = 8000;

export class Phone {
  #drawing = false;
  #shown;
  #isLooked = false;

  // side: "left" or "right"; told: {wire(phone, direction, frame, m), changed()}
  constructor(side, user, told) {
    Object.assign(this, { side, told });
    this.top = new Top({ become: (who) => this.become(who), cut: () => this.cut(), status: (status) => this.client.setStatus(status) });
    this.rows = new Rows({ show: (c) => this.show(c), begin: () => this.begin() });
    this.head = new Head(this);
    this.talk = new Talk({ ...talkDeeds(this), earlier: () => this.client.earlier(this.#shown), read: () => this.look(true) });
    this.composer = new Composer({ ...this.#writing() });
    this.trouble = make("p.trouble", { role: "alert", hidden: true });
    this.node = make("section.phone", { "data-side": side }, this.top.node, this.rows.node, this.head.node, this.talk.node, this.trouble, this.composer.node);
    this.node.addEventListener("pointerenter", () => this.look(true));
    this.node.addEventListener("pointerleave", () => this.look(this.node.contains(document.activeElement)));
    this.node.addEventListener("focusin", () => this.look(true));
    this.node.addEventListener("focusout", ({ relatedTarget }) => this.node.contains(relatedTarget) || this.look(this.node.matches(":hover")));
    this.become(user);
  }

  get shown() {
    return this.#shown;
  }

  become(user) {
    this.client?.connection.disconnect();
    this.node.dataset.user = user;
    this.#shown = undefined;
    const client = new Client(user, { id: `page-${this.side}`, platform: "web", name: "The page" }, {
      changed: () => this.client === client && this.draw(),
      wire: (direction, frame, m) => this.client === client && this.told.wire(this, direction, frame, m),
      trouble: (e) => this.complain(e.message ?? e.code),
    });
    this.client = client;
    this.composer.begin();
    client.connection.connect();
  }

  cut() {
    const { state } = this.client.connection;
    if (state === "auth_failed") this.become(this.client.me);
    else if (state === "disconnected") this.client.connection.connect();
    else this.client.connection.disconnect();
  }

  show(c) {
    this.client.keys.stop();
    this.#shown = c;
    this.talk.begin(c);
    this.composer.begin(c);
    this.client.open(c);
    this.draw();
  }

  async begin() {
    const said = await askFor(SAY.begin, [{ name: "users", label: SAY.askUsers, isRequired: true }, { name: "name", label: SAY.askName }]);
    if (!said) return;
    const members = said.users.split(/[\s,]+/).filter(Boolean);
    const isDirect = members.length === 1 && !said.name;
    const c = await this.client.createConversation(isDirect ? { type: "direct", members } : { type: "group", members, ...(said.name ? { name: said.name } : {}) });
    if (c) this.show(c);
  }

  // Somebody looks at this phone: what is there is read.
  look(isLooked) {
    if (this.#isLooked && !isLooked && !this.client.chats.unread(this.#shown)) this.talk.looked();
    this.#isLooked = isLooked;
    this.node.classList.toggle("looked", isLooked);
    this.draw();
  }

  complain(text) {
    clearTimeout(this.hush);
    this.trouble.textContent = text;
    this.trouble.hidden = false;
    this.hush = setTimeout(() => (this.trouble.hidden = true), TROUBLE_MS);
  }

  // However much has changed, it is drawn once for each picture of the screen.
  draw() {
    if (this.#drawing) return;
    this.#drawing = true;
    requestAnimationFrame(() => {
      this.#drawing = false;
      this.#draw();
      this.told.changed(this);
    });
  }

  #draw() {
    const { client } = this;
    const now = client.now();
    if (!this.#shown || (!client.chats.get(this.#shown) && client.chats.rows.length && !client.rooms.get(this.#shown))) this.#showFirst();
    if (this.#isLooked && !document.hidden) client.read(this.#shown);
    this.node.dataset.state = client.connection.state;
    this.top.draw(client);
    this.rows.draw(client, this.#shown, now);
    const name = this.head.draw(client, this.#shown, now);
    this.talk.draw(client, now, { isLooked: this.#isLooked, name });
    this.composer.refuse(this.#shown ? whyNot(client, this.#shown) : SAY.nothing);
  }

  #showFirst() {
    const rows = this.client.chats.rows;
    const first = rows.find(({ conversation }) => conversation.type === "direct") ?? rows[0];
    if (first) this.show(first.conversation.id);
  }

  #writing() {
    return {
      key: (text) => this.client.typed(this.#shown, text),
      send: (text, reply) => this.send(text, reply),
      edit: (message, text) => text !== message.text && this.client.act("message.edit", { c: this.#shown, id: message.id, text }),
      editLast: () => this.#editLast(),
    };
  }

  send(text, reply) {
    const members = this.client.people.members(this.#shown).map(({ user }) => user.id);
    const mentions = members.filter((user) => new RegExp(`(^|\\s)@${user.replace(/[.+]/g, "\\$&")}(?![\\w.-])`, "i").test(text));
    this.talk.toEnd();
    this.client.send(this.#shown, { text, ...(mentions.length ? { mentions } : {}), ...(reply ? { reply_to: reply.id } : {}) });
  }

  #editLast() {
    const mine = this.client.rooms.get(this.#shown)?.list.items.filter(({ sender, deleted_at }) => sender === this.client.me && !deleted_at);
    if (mine?.length) this.composer.about({ edit: mine.at(-1) });
    return Boolean(mine?.length);
  }
}

// Why one cannot write here; undefined: one can.
function whyNot(client, c) {
  const room = client.rooms.get(c);
  const other = room?.conversation.type === "direct" ? client.people.other(c) : undefined;
  if (other && client.people.blocked.has(other)) return SAY.youBlocked(client.people.name(other));
  if (room?.conversation.frozen) return SAY.frozen;
  if (room?.state === "error" || room?.state === "left") return SAY.left;
  return room?.capabilities.length && !room.can("send") ? SAY.readOnly : undefined;
}
