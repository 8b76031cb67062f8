// How a client keeps up: watching, resuming, pages of what was said, what got lost on the way, the list of conversations.
import { Contacts } from "./contacts.js";
import { take } from "./pushes.js";

const PAGE = 50;
const MOST = 200; // conversations in one `resume`; the rest is watched again from where it was
const SOON_MS = 500; // so long after the last news of other conversations the list is asked for: what it counts is stored a moment later
const LATEST_MS = 2000; // and so long after the first
const AGAIN_MS = 500;

export class Upkeep {
  #soon;
  #newsSince;

  constructor(client) {
    Object.assign(this, { client, contacts: new Contacts(client) });
  }

  // What was seen last of each conversation: `resume` of the next hello.
  seen() {
    const rooms = [...this.client.rooms].filter(([, { state, stream }]) => state === "in_room" && stream.seq !== undefined).slice(0, MOST - 1);
    const me = this.client.personal.seq === undefined ? [] : [["me", this.client.personal.seen]];
    return Object.fromEntries([...me, ...rooms.map(([c, { stream }]) => [c, stream.seen])]);
  }

  welcome(r) {
    this.client.people.learn([r.user]);
    if (r.me.gap) this.#missed("me", r.me);
    this.client.personal.begin(r.me);
    for (const [c, told] of Object.entries(r.conversations)) this.watching(c, told);
    for (const [c, { state }] of this.client.rooms) if (state === "joining" || (state === "in_room" && !r.conversations[c])) this.watch(c);
    this.list();
    this.contacts.blocks();
    this.client.receipts.flush();
    this.client.outbox.pump();
  }

  // What `hello` says of a conversation that was named in `resume`, at once or later.
  watching(c, told) {
    const room = this.client.rooms.get(c);
    if (!room || told.later) return;
    if (told.error === "unavailable" || told.error === "timeout") this.watch(c);
    else if (told.error) room.refused(told.error);
    else this.#entered(room, room.entered(told));
  }

  async watch(c) {
    const room = this.client.rooms.get(c);
    const { seq, epoch } = room.stream.seen;
    try {
      const p = { c, ...(seq === undefined ? {} : { after: seq, epoch }) };
      const { anew } = await this.client.connection.ask("conversation.watch", p, (r) => ({ anew: room.entered(r) }));
      await this.#entered(room, anew);
    } catch (e) {
      if (!e.retryable) room.refused(e.code);
      else if (e.code !== "disconnected") setTimeout(() => this.client.connection.state === "connected" && this.watch(c), AGAIN_MS);
    }
    this.client.told.changed();
  }

  async page(room, p = {}) {
    room.list.asking();
    const page = await this.client.connection.ask("message.list", { c: room.id, limit: PAGE, ...p }).catch((e) => ({ e }));
    room.list.page(page);
    if (page.e?.retryable && page.e.code !== "disconnected") setTimeout(() => room.list.loaded || this.page(room), AGAIN_MS);
    this.client.told.changed();
  }

  async renew(room, id) {
    room.list.asking();
    const r = await this.client.connection.ask("message.get", { c: room.id, id }).catch(() => undefined);
    room.list.renewed(r?.message);
    this.client.told.changed();
  }

  async list() {
    clearTimeout(this.#soon);
    this.#newsSince = undefined;
    const r = await this.client.connection.ask("conversation.list", { limit: 100 }).catch((e) => ({ e }));
    if (r.e) return r.e.retryable && r.e.code !== "disconnected" ? this.listSoon() : undefined;
    this.client.chats.load(r.items);
    for (const { conversation, last_message } of r.items) {
      if (last_message && last_message.sender !== this.client.me) this.client.receipts.delivered(conversation.id, last_message.seq);
    }
    this.client.told.changed();
    await this.contacts.meetAll(r.items.map(({ conversation }) => conversation));
  }

  listSoon() {
    const now = Date.now();
    this.#newsSince ??= now;
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => this.list(), Math.min(SOON_MS, this.#newsSince + LATEST_MS - now));
  }

  // One is a member again of what one was shown out of; or was one before that, and is told late.
  rejoined(c) {
    this.listSoon();
    const state = this.client.rooms.get(c)?.state;
    if (state !== "left" && state !== "error") return;
    this.client.rooms.delete(c);
    this.client.open(c);
    this.client.rooms.get(c).wasLeft = state === "left";
  }

  // What no push brought though the server has it.
  async repair(c) {
    const stream = c === "me" ? this.client.personal : this.client.rooms.get(c)?.stream;
    if (!stream || stream.isRepaired) return;
    stream.isRepaired = true;
    try {
      for (let more = true; more; ) {
        const r = await this.client.connection.ask("conversation.sync", { c, after: stream.seq, epoch: stream.epoch });
        if (r.gap) this.#missed(c, r);
        r.entries.forEach((push) => take(this.client, push));
        more = r.more && r.entries.length > 0;
      }
    } catch {
      // the connection is gone, or soon is: resuming does the same
    }
    stream.isRepaired = false;
  }

  async #entered(room, anew) {
    if (anew) await this.page(room);
    if (!this.client.people.members(room.id).length) await this.contacts.members(room.id);
  }

  #missed(c, { gap, epoch }) {
    const room = this.client.rooms.get(c);
    if (room?.missed(gap, epoch)) this.page(room);
    if (c === "me") {
      this.client.personal.skip(gap.to, epoch);
      this.listSoon();
    }
  }
}
