// The messages of one conversation: pages and pushes go in, a list in order comes out. No page, no socket, no clock.
const FIRST = 5; // of those who reacted, that a message names

export class MessageList {
  loaded = false;
  prev = undefined; // `before` of the page in front; undefined: there is none
  #messages = new Map();
  #notes = new Map(); // what else happened, by seq, as far as pushes told it
  #hidden = new Set();
  #asked = 0;
  #meanwhile = []; // pushes that came while a page was on its way: it may have been made before them

  constructor(me) {
    this.me = me;
  }

  get(id) {
    return this.#messages.get(id);
  }

  // Messages and notes, oldest first.
  get items() {
    const shown = [...this.#messages.values()].filter(({ id, thread }) => !thread && !this.#hidden.has(id));
    return [...shown, ...this.#notes.values()].sort((a, b) => a.seq - b.seq);
  }

  get last() {
    return this.items.filter(({ id }) => id).at(-1);
  }

  replies(root) {
    return [...this.#messages.values()].filter(({ thread }) => thread === root).length;
  }

  asking() {
    this.#asked += 1;
  }

  page({ items, prev } = {}) {
    if (items) {
      for (const message of items) this.#messages.set(message.id, message);
      this.prev = prev;
      this.loaded = true;
    }
    this.#meanwhile.forEach((push) => this.#fold(push));
    if (--this.#asked === 0) this.#meanwhile = [];
  }

  // One message, as the server has it.
  renewed(message) {
    if (message) this.#messages.set(message.id, message);
    this.page();
  }

  // After a reaction: of many who reacted only the first five are known, so there may be another one, or a number, that only the server knows.
  lacks({ id, emoji, count: told }) {
    const { count = 0, users = [] } = this.get(id)?.reactions?.[emoji] ?? {};
    return users.length < Math.min(FIRST, count) || (told === undefined && users.length < count);
  }

  // All of it is to be loaded anew.
  clear() {
    this.#messages.clear();
    this.#notes.clear();
    this.loaded = false;
    this.prev = undefined;
  }

  // Our own message has its place; its push, which tells it as the server has it, comes before or after this.
  sent(message) {
    if (!this.#messages.has(message.id)) this.#messages.set(message.id, { ...message, isOurs: true });
  }

  hide(id) {
    this.#hidden.add(id);
  }

  apply(push) {
    if (this.#asked) this.#meanwhile.push(push);
    this.#fold(push);
  }

  #fold({ t, s, at, p }) {
    if (t === "message.new") return this.#arrived(p);
    if (NOTED.has(t)) return this.#notes.set(s, { seq: s, at, t, p });
    const old = this.#messages.get(p?.id);
    const change = CHANGES[t];
    if (!old || !change || old.deleted_at) return;
    this.#messages.set(p.id, change(old, p, { at, me: this.me }));
  }

  #arrived(message) {
    const old = this.#messages.get(message.id);
    if (!old || old.isOurs || message.deleted_at) this.#messages.set(message.id, message);
  }
}

const NOTED = new Set(["member.added", "member.removed", "member.updated", "conversation.created", "conversation.updated", "conversation.frozen"]);

// What each push does to a message that is there and not deleted.
const CHANGES = {
  "message.updated": (old, { id, by, ...fields }) => without({ ...old, ...fields }),
  "message.deleted": ({ id, seq, n, sender, type, thread, sent_at }, p, { at }) =>
    without({ id, seq, n, sender, type, thread, sent_at, deleted_at: at }),
  "message.pinned": (old) => ({ ...old, pinned: true }),
  "message.unpinned": ({ pinned, ...old }) => old,
  "reaction.added": (old, p, { me }) => reacted(old, p, me, (users) => (users.includes(p.user) ? users : [...users, p.user])),
  "reaction.removed": (old, p, { me }) => reacted(old, p, me, (users) => users.filter((user) => user !== p.user)),
};

// Where everybody who reacted is known they are counted; of more than five only the first are, and the count that was told is taken.
function reacted(message, { emoji, user, count }, me, change) {
  const { count: before = 0, users = [], own } = message.reactions?.[emoji] ?? {};
  const now = change(users);
  const total = before === users.length ? now.length : (count ?? before + now.length - users.length);
  const others = { ...message.reactions };
  delete others[emoji];
  if (total > 0) others[emoji] = { count: total, users: now, own: user === me ? now.includes(me) : own };
  return { ...message, reactions: others };
}

function without(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
}
