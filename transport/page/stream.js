// The place in one conversation: pushes come in order of `s` without a hole, each once. What comes too early waits.
export class Stream {
  seq = undefined; // of the last push; undefined: not begun
  epoch = undefined;
  #early = new Map();

  get seen() {
    return { seq: this.seq, epoch: this.epoch };
  }

  begin({ head, epoch }) {
    this.seq ??= head;
    this.epoch ??= epoch;
  }

  // What a gap covers will never come.
  skip(to, epoch) {
    if (epoch === this.epoch && to <= this.seq) return;
    for (const s of this.#early.keys()) if (s <= to || epoch !== this.epoch) this.#early.delete(s);
    Object.assign(this, { seq: to, epoch });
  }

  // The pushes whose turn it is now.
  take(push) {
    if (push.s > this.seq) this.#early.set(push.s, push);
    const ready = [];
    for (let next; (next = this.#early.get(this.seq + 1)); this.seq = next.s) {
      this.#early.delete(next.s);
      ready.push(next);
    }
    return ready;
  }

  get hasHole() {
    return this.#early.size > 0;
  }
}
