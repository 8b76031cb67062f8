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

const PAGE = 50;
const SOON_MS = 500; // so long after the last news of other conversations the list is asked for: what it counts is stored a moment later
const LATEST_MS = 2000; // and so long after the first
const AGAIN_MS = 500;

export class Client {
  rooms = new Map();
  personal = new Stream();
  limits = {};
  #ahead = 0; // the server's clock, less ours
  #soon;
  #newsSince;

  // told: {changed(), wire(direction, frame, m), trouble(e)}
  constructor(me, device, told) {
    const ask = (m, p, at) => this.connection.ask(m, p, at);
    Object.assign(this, { me, told, chats: new Chats(me), people: new People(me), receipts: new Receipts(ask) });
    this.outbox = new Outbox(ask, { settled: (act, r) => this.#settled(act, r), changed: () => told.changed() });
    this.keys = new Keys((m, p) => ask(m, p).catch(() => undefined));
    this.connection = new Connection(new Tokens(me), device, {
      state: (state) => this.#state(state), resume: () => this.#seen(), welcome: (r) => this.#welcome(r),
      push: (frame) => this.#push(frame), wire: (...frame) => told.wire(...frame),
    });
  }

  now() {
    return Date.now() + this.#ahead;
  }

  // What people do.

  async open(c) {
    if (this.rooms.has(c)) return;
    this.rooms.set(c, new Room(c, this.me));
    await this.watch(c);
  }

  send(c, fields) {
    const p = { id: newId(this.now()), ...fields };
    this.keys.over();
    this.outbox.put({ c, m: "message.send", p, at: this.now() }).catch(() => undefined);
  }

  // Any other durable act. Refused for good it is told, for there is no message that could show it.
  async act(m, { c, ...p } = {}) {
    try {
      return await this.outbox.put({ c, m, p: { ...p, op: newId(this.now()) } });
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
    if (r) await this.list();
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
    return room?.list.prev ? this.page(room, { before: room.list.prev }) : undefined;
  }

  async history(c, id) {
    return (await this.connection.ask("message.get", { c, id }).catch(() => undefined))?.edits ?? [];
  }

  // How it keeps up.

  async watch(c) {
    const room = this.rooms.get(c);
    const { seq, epoch } = room.stream.seen;
    try {
      const p = { c, ...(seq === undefined ? {} : { after: seq, epoch }) };
      const anew = await this.connection.ask("conversation.watch", p, (r) => ({ anew: room.entered(r) }));
      await this.#entered(room, anew.anew);
    } catch (e) {
      if (!e.retryable) room.refused(e.code);
      else if (e.code !== "disconnected") setTimeout(() => this.connection.state === "connected" && this.watch(c), AGAIN_MS);
    }
    this.told.changed();
  }

  async page(room, p = {}) {
    room.list.asking();
    const page = await this.connection.ask("message.list", { c: room.id, limit: PAGE, ...p }).catch(() => undefined);
    room.list.page(page);
    this.told.changed();
  }

  async list() {
    clearTimeout(this.#soon);
    this.#newsSince = undefined;
    const r = await this.connection.ask("conversation.list", { limit: 100 }).catch(() => undefined);
    if (!r) return;
    this.chats.load(r.items);
    for (const { conversation, last_message } of r.items) {
      if (last_message && last_message.sender !== this.me) this.receipts.delivered(conversation.id, last_message.seq);
    }
    this.told.changed();
    await this.#meet(r.items.map(({ conversation }) => conversation));
  }

  listSoon() {
    const now = Date.now();
    this.#newsSince ??= now;
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.list(), Math.min(SOON_MS, this.#newsSince + LATEST_MS - now));
  }

  async members(c) {
    const r = await this.connection.ask("member.list", { c, limit: 100 }).catch(() => undefined);
    if (r) this.people.joined(c, r.items);
    this.told.changed();
  }

  // What no push brought though the server has it.
  async repair(c) {
    const stream = c === "me" ? this.personal : this.rooms.get(c)?.stream;
    if (!stream || stream.isRepaired) return;
    stream.isRepaired = true;
    try {
      for (let more = true; more; ) {
        const r = await this.connection.ask("conversation.sync", { c, after: stream.seq, epoch: stream.epoch });
        if (r.gap) this.#missed(c, r);
        r.entries.forEach((push) => this.#push(push));
        more = r.more && r.entries.length > 0;
      }
    } catch {
      // the connection is gone, or soon is: resuming does the same
    }
    stream.isRepaired = false;
  }

  async #entered(room, anew) {
    if (anew) await this.page(room);
    if (!this.people.members(room.id).length) await this.members(room.id);
  }

  #missed(c, { gap, epoch }) {
    const room = this.rooms.get(c);
    if (room?.missed(gap, epoch)) this.page(room);
    if (c === "me") {
      this.personal.skip(gap.to, epoch);
      this.listSoon();
    }
  }

  async #meet(conversations) {
    await Promise.all(conversations.filter(({ id }) => !this.people.members(id).length).map(({ id }) => this.members(id)));
    const r = await this.connection.ask("presence.watch", { users: this.people.everybody.slice(0, 100) }).catch(() => undefined);
    r?.items.forEach((item) => this.people.are(item));
    this.told.changed();
  }

  async #blocks() {
    const r = await this.connection.ask("user.blocks", {}).catch(() => undefined);
    if (r) this.people.blocked = new Set(r.items.map(({ user }) => user.id));
  }

  #seen() {
    const rooms = [...this.rooms].filter(([, { state, stream }]) => state === "in_room" && stream.seq !== undefined);
    const me = this.personal.seq === undefined ? [] : [["me", this.personal.seen]];
    return Object.fromEntries([...me, ...rooms.map(([c, { stream }]) => [c, stream.seen])]);
  }

  #welcome(r) {
    this.#ahead = r.server_time - Date.now();
    this.limits = r.limits;
    this.people.learn([r.user]);
    if (r.me.gap) this.#missed("me", r.me);
    this.personal.begin(r.me);
    for (const [c, told] of Object.entries(r.conversations)) this.watching(c, told);
    for (const [c, { state }] of this.rooms) if (state === "joining") this.watch(c);
    this.list();
    this.#blocks();
    this.receipts.flush();
    this.outbox.pump();
  }

  // What `hello` says of a conversation that was named in `resume`, at once or later.
  watching(c, told) {
    const room = this.rooms.get(c);
    if (!room || told.later) return;
    if (told.error === "unavailable" || told.error === "timeout") this.watch(c);
    else if (told.error) room.refused(told.error);
    else this.#entered(room, room.entered(told));
  }

  #state(state) {
    if (state !== "connected") {
      this.rooms.forEach((room) => room.quiet());
      this.people.away();
      this.keys.over();
    }
    this.told.changed();
  }

  #settled({ m, c, p, at }, r) {
    if (m === "message.send") this.rooms.get(c)?.list.sent({ type: "text", ...p, ...r, sender: this.me, sent_at: r.sent_at ?? at });
  }

  #push(push) {
    take(this, push);
    this.told.changed();
  }
}
