// Who the others are, whether they are there, and whom one has blocked.
const UNKNOWN = { status: "unknown" };

export class People {
  #users = new Map();
  #presence = new Map();
  #members = new Map(); // of each conversation, in order of joining
  blocked = new Set();

  constructor(me) {
    this.me = me;
  }

  name(user) {
    return this.#users.get(user)?.display_name ?? user;
  }

  presence(user) {
    return this.#presence.get(user) ?? UNKNOWN;
  }

  knows(users) {
    return users.every((user) => this.#users.has(user));
  }

  members(c) {
    return this.#members.get(c) ?? [];
  }

  // The other one of a direct conversation.
  other(c) {
    return this.members(c).find(({ user }) => user.id !== this.me)?.user.id;
  }

  get everybody() {
    return [...new Set([this.me, ...[...this.#members.values()].flat().map(({ user }) => user.id)])];
  }

  learn(users) {
    for (const user of users) this.#users.set(user.id, user);
  }

  joined(c, members) {
    this.#members.set(c, members);
    this.learn(members.map(({ user }) => user));
  }

  are({ user, ...presence }) {
    this.#presence.set(user, presence);
  }

  block(user, blocked) {
    if (blocked) this.blocked.add(user);
    else this.blocked.delete(user);
  }

  // Nothing is known of who is there while there is no connection.
  away() {
    this.#presence.clear();
  }
}
