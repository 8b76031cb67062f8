// Typing as one tells it: at once, again every 3 s while there are keys, and 3 s after the last one that it is over.
const AGAIN_MS = 3000;
const LEAST_MS = 1000; // between two starts, in whatever haste one stops and begins
const IDLE_MS = 3000;

export class Keys {
  #c;
  #told = 0;
  #timer;

  // say(m, p): tell it if there is a connection; it is not kept for later
  constructor(say) {
    this.say = say;
  }

  pressed(c, now) {
    if (c !== this.#c) this.stop();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.stop(), IDLE_MS);
    if (now - this.#told < (this.#c ? AGAIN_MS : LEAST_MS)) return;
    this.#c = c;
    this.#told = now;
    this.say("typing.start", { c });
  }

  stop() {
    if (this.#c) this.say("typing.stop", { c: this.#c });
    this.over();
  }

  // The message was sent, or the connection is gone: there is nothing to tell.
  over() {
    clearTimeout(this.#timer);
    this.#c = undefined;
  }
}
