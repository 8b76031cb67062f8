// Commands on their way over one connection, each waiting for its answer.
import { SAY } from "./words.js";

const LEFT_MS = 20_000; // a command without an answer for so long: the connection is gone, whatever the socket says

export class Calls {
  #waiting = new Map();
  #next = 1;

  // told: {send(frame), answered(frame, m), silent()}
  constructor(told) {
    this.told = told;
  }

  // Promises the answer `r`, or refuses with `e`. `at` is called in the moment of the answer, before any push that follows it.
  make(m, p, at = (r) => r, ms = LEFT_MS) {
    const i = this.#next++;
    return new Promise((done, failed) => {
      const timer = setTimeout(() => this.told.silent(), ms);
      this.#waiting.set(i, { m, p, timer, failed, done: (r) => done(at(r) ?? r) });
      this.told.send({ i, m, p });
    });
  }

  answered(frame) {
    const waiting = this.#taken(frame.i);
    if (!waiting) return;
    this.told.answered(frame, waiting.m);
    if (frame.e) waiting.failed(frame.e);
    else waiting.done(frame.r);
  }

  // The connection is gone: whatever may be said again can be.
  drop() {
    const all = [...this.#waiting.keys()].map((i) => this.#taken(i));
    for (const { failed } of all) failed({ code: "disconnected", retryable: true });
  }

  // A frame was too large for the other end: of those on their way it was the largest, which is not said again.
  dropLargest(most) {
    const [i] = [...this.#waiting].sort(([, a], [, b]) => sizeOf(b.p) - sizeOf(a.p))[0] ?? [];
    const waiting = this.#taken(i);
    waiting?.failed(tooLarge(sizeOf(waiting.p), most));
  }

  #taken(i) {
    const waiting = this.#waiting.get(i);
    this.#waiting.delete(i);
    clearTimeout(waiting?.timer);
    return waiting;
  }
}

export function sizeOf(p) {
  return new Blob([JSON.stringify(p)]).size;
}

export function tooLarge(size, most) {
  return { code: "too_large", message: SAY.tooLarge(size, most), retryable: false };
}
