// Everything that one user's device knows and says: docs/protocol.md, from the side of a client.
import { Chats } from "./chats.js";
import { Connection } from "./connection.js";
import { newId } from "./ids.js";
import { Keys } from "./keys.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { take } from "./pushes.js";
import { Receipts } from "./receipts.js";
import { Room } from "./room.js";
import { Stream } from "./stream.js";
import { Tokens } from "./tokens.js";
import { Upkeep } from "./upkeep.js";

export class Client {
  rooms = new Map();
  personal = new Stream();

  // told: {changed(), wire(direction, frame, m), trouble(e)}
  constructor(me, device, told) {
    const ask = (m, p, at) => this.connection.ask(m, p, at);
    Object.assign(this, { me, told, chats: new Chats(me), people: new People(me), receipts: new Receipts(ask) });
    this.outbox = new Outbox(ask, { settled: (act, r) => this.#settled(act, r), changed: () => told.changed() });
    this.keys = new Keys((m, p) => ask(m, p).catch(() => undefined));
    this.upkeep = new Upkeep(this);
    this.connection = new Connection(new Tokens(me), device, {
      state: (state) => this.#state(state), resume: () => this.upkeep.seen(), welcome: (r) => this.upkeep.welcome(r),
      push: (frame) => this.#push(frame), wire: (...frame) => told.wire(...frame),
    });
  }

  now() {
    return this.connection.now();
  }

  // What people do.

  async open(c) {
    if (this.rooms.has(c)) return;
    this.rooms.set(c, new Room(c, this.me));
    await this.upkeep.watch(c);
  }

  send(c, fields) {
    const p = { id: newId(this.now()), ...fields };
    this.keys.over();
    const sent = this.outbox.put({ c, m: "message.send", p, at: this.now() });
    sent.catch(() => undefined); // the message shows it
    return sent;
  }

  // A key was pressed, and this is what stands there now. Keys are not kept for a connection that is not there.
  typed(c, text) {
    if (text.trim() && this.connection.state === "connected") this.keys.pressed(c);
    else this.keys.stop();
  }

  // Any other durable act. Refused for good it is told, for there is no message that could show it.
  async act(m, { c, ...p } = {}) {
    try {
      return await this.outbox.put({ c, m, p: { op: newId(this.now()), ...p } });
    } catch (e) {
      this.told.trouble(e);
    }
  }

  async setStatus(status) {
    const r = await this.act("presence.set", { status });
    if (r) this.people.are({ user: this.me, status });
    this.told.changed();
  }

  async createConversation(p) {
    const r = await this.act("conversation.create", p);
    if (r) await this.upkeep.list();
    return r?.conversation.id;
  }

  async block(user, blocked) {
    if (await this.act(blocked ? "user.block" : "user.unblock", { user })) this.people.block(user, blocked);
    this.told.changed();
  }

  async hide(c, id) {
    if (await this.act("message.delete", { c, id, for: "me" })) this.rooms.get(c)?.list.hide(id);
    this.told.changed();
  }

  read(c) {
    const room = this.rooms.get(c);
    const seq = room?.stream.seq ?? 0;
    const row = this.chats.get(c);
    if (!room?.list.loaded || !row || seq < (row.last_message?.seq ?? 0)) return; // its pushes are on their way
    if (!room.list.items.some((item) => item.id && item.sender !== this.me && item.seq > (row.read_seq ?? 0))) return;
    this.receipts.read(c, seq);
    this.chats.read(c, seq);
    this.told.changed();
  }

  earlier(c) {
    const room = this.rooms.get(c);
    return room?.list.prev ? this.upkeep.page(room, { before: room.list.prev }) : undefined;
  }

  async history(c, id) {
    return (await this.connection.ask("message.get", { c, id }).catch(() => undefined))?.edits ?? [];
  }

  #state(state) {
    if (state !== "connected") {
      this.rooms.forEach((room) => room.quiet());
      this.upkeep.contacts.away();
      this.keys.over();
    }
    this.told.changed();
  }

  #settled({ m, c, p, at }, r) {
    const room = this.rooms.get(c);
    if (m !== "message.send" || !room) return;
    const isPast = r.seq <= room.stream.seq && !room.list.get(p.id); // the answer to a repeat, whose push went by unseen
    room.list.sent({ type: "text", ...p, ...r, sender: this.me, sent_at: r.sent_at ?? at });
    if (isPast) this.upkeep.renew(room, p.id);
  }

  #push(push) {
    take(this, push);
    this.told.changed();
  }
}
