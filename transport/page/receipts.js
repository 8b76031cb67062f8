// Delivered and read, as one tells them: the furthest only, each at most once a second, and what could not be said is said later.
const EVERY_MS = 1000;

export class Receipts {
  #wanted = new Map(); // "m c" -> seq
  #said = new Map();
  #resting = new Set();
  #isAway = false;

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
    this.#isAway = false;
    for (const key of [...this.#wanted.keys()]) this.#sayNow(key);
  }

  #want(m, c, seq) {
    const key = `${m} ${c}`;
    if (!seq || seq <= (this.#said.get(key) ?? 0)) return;
    this.#said.set(key, seq);
    this.#wanted.set(key, seq);
    this.#sayNow(key);
  }

  #sayNow(key) {
    if (this.#isAway || this.#resting.has(key) || !this.#wanted.has(key)) return;
    const seq = this.#wanted.get(key);
    this.#wanted.delete(key);
    this.#resting.add(key);
    setTimeout(() => {
      this.#resting.delete(key);
      this.#sayNow(key);
    }, EVERY_MS);
    this.#say(key, seq);
  }

  async #say(key, seq) {
    const [m, c] = key.split(" ");
    try {
      await this.ask(m, { c, seq });
    } catch (e) {
      if (e.retryable) this.#wanted.set(key, Math.max(seq, this.#wanted.get(key) ?? 0));
      if (e.code === "disconnected") this.#isAway = true;
    }
  }
}
