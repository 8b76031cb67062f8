// Whom a client knows: members of its conversations, who of them is there, whom its user blocks.
export class Contacts {
  #met = new Set(); // users whose presence this connection watches

  constructor(client) {
    this.client = client;
  }

  // The connection is gone, and with it what it watched.
  away() {
    this.#met.clear();
    this.client.people.away();
  }

  async members(c) {
    const r = await this.client.connection.ask("member.list", { c, limit: 100 }).catch(() => undefined);
    if (r) this.client.people.joined(c, r.items);
    this.client.told.changed();
  }

  // Its members are others now.
  async meet(c) {
    await this.members(c);
    await this.#greet();
  }

  async meetAll(conversations) {
    await Promise.all(conversations.filter(({ id }) => !this.client.people.members(id).length).map(({ id }) => this.members(id)));
    await this.#greet();
  }

  async #greet() {
    const users = this.client.people.everybody.filter((user) => !this.#met.has(user)).slice(0, 100);
    users.forEach((user) => this.#met.add(user));
    const r = users.length ? await this.client.connection.ask("presence.watch", { users }).catch(() => undefined) : undefined;
    r?.items.forEach((item) => this.client.people.are(item));
    this.client.told.changed();
  }

  async blocks() {
    const r = await this.client.connection.ask("user.blocks", {}).catch(() => undefined);
    if (r) this.client.people.blocked = new Set(r.items.map(({ user }) => user.id));
    this.client.told.changed();
  }
}
