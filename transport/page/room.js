// One conversation that is watched: its messages, who has read how far, who types, what one may do.
import { MessageList } from "./list.js";
import { Stream } from "./stream.js";

export const TYPING_MS = 6000; // forgotten then, should no `typing.stopped` come

export class Room {
  state = "joining"; // in_room, error, left
  error = undefined;
  wasLeft = false; // one was shown out, and tries again, being told to have been let in: that may be old news
  stream = new Stream();
  conversation = {};
  role = undefined;
  capabilities = [];
  read = {};
  delivered = {};
  #typers = new Map();

  constructor(id, me) {
    Object.assign(this, { id, me, list: new MessageList(me) });
  }

  // The answer to `conversation.watch`, or what `hello` says of it. Whether the messages are to be loaded anew.
  entered(told) {
    this.state = "in_room";
    this.wasLeft = false;
    this.describe(told);
    for (const name of ["read", "delivered"]) for (const [user, seq] of Object.entries(told[name] ?? {})) this.moved(name, user, seq);
    this.stream.begin(told);
    return this.missed(told.gap, told.epoch) || !this.list.loaded;
  }

  missed(gap, epoch) {
    if (!gap) return false;
    this.stream.skip(gap.to, epoch);
    this.list.clear();
    return true;
  }

  refused(code) {
    this.state = this.wasLeft ? "left" : "error";
    this.error = code;
    this.#typers.clear();
  }

  describe({ conversation, role, capabilities }) {
    if (conversation) this.conversation = conversation;
    if (capabilities) Object.assign(this, { role: role ?? this.role, capabilities });
  }

  can(capability) {
    return this.state === "in_room" && this.capabilities.includes(capability);
  }

  apply(push) {
    const { t, p } = push;
    if (t === "message.new") this.#typers.delete(p.sender);
    this.list.apply(push);
    ABOUT[t]?.(this, p);
  }

  moved(pointer, user, seq) {
    this[pointer][user] = Math.max(seq, this[pointer][user] ?? 0);
  }

  typing(user, kind, now) {
    if (kind) this.#typers.set(user, { kind, until: now + TYPING_MS });
    else this.#typers.delete(user);
  }

  typers(now) {
    for (const [user, { until }] of this.#typers) if (until <= now) this.#typers.delete(user);
    return [...this.#typers.keys()].filter((user) => user !== this.me);
  }

  quiet() {
    this.#typers.clear();
  }

  // How far a message has got: the furthest of anybody but its sender.
  status({ sender, seq }) {
    const reached = (pointers) => Object.entries(pointers).some(([user, to]) => user !== sender && to >= seq);
    return reached(this.read) ? "read" : reached(this.delivered) ? "delivered" : "sent";
  }

  readers({ sender, seq }) {
    return Object.keys(this.read).filter((user) => user !== sender && this.read[user] >= seq);
  }
}

const ABOUT = {
  "conversation.updated": (room, { by, ...fields }) => {
    const changed = { ...room.conversation, ...fields };
    room.conversation = Object.fromEntries(Object.entries(changed).filter(([, value]) => value !== null));
  },
  "conversation.frozen": (room, { frozen }) => (room.conversation = { ...room.conversation, frozen: frozen || undefined }),
  "member.updated": (room, { user, role }) => user === room.me && Object.assign(room, { role }),
  "conversation.deleted": (room) => Object.assign(room, { state: "left", error: "not_found" }),
  "member.removed": (room, { user }) => user === room.me && Object.assign(room, { state: "left", error: "not_a_member" }),
};
