// What is not done yet, in order, in each conversation: it survives the connection, and is said again with the same ids until answered.
const MOST = 32; // messages of a conversation on their way at once
const WAIT_MS = 500;
const LONGEST_MS = 15_000;

export class Outbox {
  #acts = []; // {c, m, p, state: waiting | flying | failed, tries, settle}
  #rests = new Map();

  // ask(m, p) as a connection has it; told: {settled(act, r), changed()}
  constructor(ask, told) {
    Object.assign(this, { ask, told });
  }

  // Durable commands carry their `op` (of a message: its id) from the beginning, so that a repeat is the same act.
  put(act) {
    return new Promise((done, failed) => {
      this.#acts.push(Object.assign(act, { state: "waiting", tries: 0, done, failed }));
      this.pump();
    });
  }

  of(c) {
    return this.#acts.filter((act) => act.c === c && act.m === "message.send");
  }

  // How much waits to be said, or for its answer.
  get unsettled() {
    return this.#acts.filter(({ state }) => state !== "failed").length;
  }

  // What has failed is said again, as the same act; behind what waits.
  retry(id) {
    const act = this.#failed(id);
    return act && this.#remove(act) ? this.put(act) : undefined;
  }

  discard(id) {
    this.#remove(this.#failed(id));
    this.told.changed();
  }

  // The push of a message is as good as the answer.
  seen({ id, seq, n, sent_at }) {
    const act = this.#acts.find(({ m, p }) => m === "message.send" && p.id === id);
    if (act) this.#remove(act);
    act?.done({ id, seq, n, sent_at });
  }

  pump() {
    for (const c of new Set(this.#acts.map((act) => act.c))) if (!this.#rests.has(c)) this.#pump(this.#acts.filter((act) => act.c === c));
    this.told.changed();
  }

  // Messages fly together, each naming the one before it; any other act flies alone, so that what it changes is there.
  #pump(acts) {
    let before;
    let flying = 0;
    for (const act of acts.filter(({ state }) => state !== "failed")) {
      const isMessage = act.m === "message.send";
      if (flying >= MOST || (flying && !(isMessage && before))) return;
      if (act.state === "waiting") this.#fly(act, before);
      flying += 1;
      before = isMessage ? act.p.id : undefined;
    }
  }

  async #fly(act, before) {
    act.state = "flying";
    try {
      const r = await this.ask(act.m, { c: act.c, ...act.p, ...(before ? { after: before } : {}) });
      if (!this.#remove(act)) return;
      this.told.settled(act, r);
      act.done(r);
    } catch (e) {
      if (!this.#acts.includes(act)) return;
      if (e.retryable) return this.#later(act, e);
      Object.assign(act, { state: "failed", error: e });
      if (act.m !== "message.send") this.#remove(act);
      act.failed(e);
    }
    this.pump();
  }

  #later(act, { code, retry_after_ms }) {
    act.state = "waiting";
    if (code === "disconnected" || this.#rests.has(act.c)) return this.told.changed();
    const wait = Math.max(retry_after_ms ?? 0, Math.random() * Math.min(WAIT_MS * 2 ** act.tries++, LONGEST_MS));
    this.#rests.set(act.c, setTimeout(() => {
      this.#rests.delete(act.c);
      this.pump();
    }, wait));
  }

  #failed(id) {
    return this.#acts.find(({ p, state }) => p.id === id && state === "failed");
  }

  #remove(act) {
    const at = this.#acts.indexOf(act);
    if (at >= 0) this.#acts.splice(at, 1);
    return at >= 0;
  }
}
