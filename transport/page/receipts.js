// Delivered and read, as one tells them: the furthest only, each at most once a second, and what could not be said is said later.
const EVERY_MS = 1000;

export class Receipts {
  #wanted = new Map(); // "m c" -> seq
  #said = new Map();
  #timer;

  // ask(m, p) as a connection has it
  constructor(ask) {
    this.ask = ask;
  }

  delivered(c, seq) {
    this.#want("message.delivered", c, seq);
  }

  read(c, seq) {
    this.#want("message.read", c, seq);
  }

  // There is a connection again.
  flush() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const wanted = [...this.#wanted];
    this.#wanted.clear();
    if (wanted.length) this.#timer = setTimeout(() => this.flush(), EVERY_MS);
    for (const [key, seq] of wanted) this.#say(key, seq);
  }

  #want(m, c, seq) {
    const key = `${m} ${c}`;
    if (!seq || seq <= (this.#said.get(key) ?? 0)) return;
    this.#said.set(key, seq);
    this.#wanted.set(key, seq);
    if (this.#timer === undefined) this.flush();
  }

  async #say(key, seq) {
    const [m, c] = key.split(" ");
    try {
      await this.ask(m, { c, seq });
    } catch (e) {
      if (e.retryable) this.#wanted.set(key, Math.max(seq, this.#wanted.get(key) ?? 0));
      if (e.retryable && e.code !== "disconnected") this.#timer ??= setTimeout(() => this.flush(), EVERY_MS);
    }
  }
}
