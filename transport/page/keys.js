// Typing as one tells it: at once, again every 3 s while there are keys, and 3 s after the last one that it is over.
const AGAIN_MS = 3000;
const IDLE_MS = 3000;
const LEAST_MS = 1000; // between two starts, in whatever haste one stops and begins

export class Keys {
  #c;
  #isTold = false;
  #last = 0; // when a start was told
  #next;
  #idle;

  // say(m, p): tell it if there is a connection; it is not kept for later
  constructor(say) {
    this.say = say;
  }

  pressed(c) {
    if (c !== this.#c) this.stop();
    this.#c = c;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.stop(), IDLE_MS);
    const wait = this.#last + LEAST_MS - Date.now();
    if (this.#isTold) return;
    if (wait <= 0) this.#start();
    else this.#next ??= setTimeout(() => this.#start(), wait);
  }

  stop() {
    if (this.#isTold) this.say("typing.stop", { c: this.#c });
    this.over();
  }

  // The message was sent, or the connection is gone: there is nothing to tell.
  over() {
    clearTimeout(this.#idle);
    clearTimeout(this.#next);
    this.#c = this.#next = undefined;
    this.#isTold = false;
  }

  #start() {
    this.#isTold = true;
    this.#last = Date.now();
    this.#next = setTimeout(() => this.#start(), AGAIN_MS);
    this.say("typing.start", { c: this.#c, kind: "text" });
  }
}
