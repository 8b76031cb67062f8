// A client of CAAS on `ws` and `@msgpack/msgpack`, from the protocol's page alone. As a program it takes one JSON command a line on its
// standard input ({m, p}, or "cut" and "connect") and writes every reply and push as one JSON line.
import { decode, encode } from "@msgpack/msgpack";
import WebSocket from "ws";
import { createInterface } from "node:readline";

export class Client {
  constructor(base, token, options = {}) {
    Object.assign(this, { base, token, options, next: 1, waiting: new Map(), seqs: {}, epoch: undefined, onPush: () => {} });
  }

  async connect() {
    this.socket = new WebSocket(this.base.replace(/^http/, "ws") + "/ws", ["caas.v1"], this.options);
    this.socket.on("message", (data) => [decode(data)].flat().forEach((frame) => this.take(frame)));
    this.socket.on("close", (code) => this.onPush({ t: "closed", code }));
    await new Promise((open, failed) => this.socket.once("open", open).once("error", failed));
    const resume = Object.fromEntries(Object.entries(this.seqs).map(([c, seq]) => [c, { seq, epoch: this.epoch }]));
    const hello = await this.ask("hello", { token: this.token, resume });
    this.epoch = hello.me.epoch;
    this.seqs.me ??= hello.me.head;
    return hello;
  }

  ask(m, p = {}) {
    const i = this.next++;
    this.socket.send(encode({ i, m, p }));
    return new Promise((done, failed) => this.waiting.set(i, { done, failed }));
  }

  take(frame) {
    if (frame.t === undefined) {
      const { done, failed } = this.waiting.get(frame.i);
      this.waiting.delete(frame.i);
      return frame.e ? failed(frame.e) : done(frame.r);
    }
    if (frame.s !== undefined) {
      if (frame.s !== (this.seqs[frame.c] ?? 0) + 1) this.onPush({ t: "HOLE", c: frame.c, had: this.seqs[frame.c], got: frame.s });
      this.seqs[frame.c] = frame.s; // only pushes move the last seq
    }
    this.onPush(frame);
  }

  async watch(c) {
    const r = await this.ask("conversation.watch", { c });
    this.seqs[c] = r.head;
    return r;
  }
}

if (process.argv[1]?.endsWith("client.mjs")) {
  const say = (line) => process.stdout.write(JSON.stringify(line) + "\n");
  const client = new Client(process.argv[2], process.argv[3], { rejectUnauthorized: false });
  client.onPush = say;
  for await (const line of createInterface({ input: process.stdin })) {
    const { m, p } = JSON.parse(line);
    try {
      if (m === "cut") client.socket.terminate(), say({ r: {} });
      else say({ r: await (m === "connect" ? client.connect() : m === "watch" ? client.watch(p.c) : client.ask(m, p)) });
    } catch (e) {
      say({ e: e.code ? e : { code: String(e) } });
    }
  }
}
