// Chat from a terminal, on `ws` and `@msgpack/msgpack`:  node chat.mjs alice bob [http://127.0.0.1:8000]
// The backend (backend.py) gives the token. Type a line and it is sent; what the other says is printed.
import { decode, encode } from "@msgpack/msgpack";
import WebSocket from "ws";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";

const [user, other, backend = "http://127.0.0.1:8000"] = process.argv.slice(2);
let next = 1, offset = 0;
const waiting = new Map();

function uuid7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now() + offset, 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 15), bytes[8] = 0x80 | (bytes[8] & 63);
  return bytes.toString("hex").replace(/(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

const { caas, token } = await (await fetch(`${backend}/token?user=${user}`)).json();
const socket = new WebSocket(caas.replace("http", "ws") + "/ws", "caas.v1");

function ask(m, p) {
  const i = next++;
  socket.send(encode({ i, m, p }));
  return new Promise((done, failed) => waiting.set(i, { done, failed }));
}

socket.on("message", (data) => {
  for (const frame of [decode(data)].flat()) {
    if (frame.i) {
      const { done, failed } = waiting.get(frame.i);
      waiting.delete(frame.i);
      frame.e ? failed(frame.e) : done(frame.r);
    } else if (frame.t === "message.new" && frame.p.sender !== user) {
      console.log(`${frame.p.sender}: ${frame.p.text}`);
    }
  }
});
socket.on("close", (code) => process.exit(code === 1000 ? 0 : 1));
await new Promise((open) => socket.once("open", open));

offset = (await ask("hello", { token })).server_time - Date.now();
const chat = (await ask("conversation.create", { type: "direct", members: [other] })).conversation.id;
await ask("conversation.watch", { c: chat });
console.log(`connected: you are ${user}, talking with ${other}`);

for await (const text of createInterface({ input: process.stdin })) {
  const { seq } = await ask("message.send", { c: chat, id: uuid7(), text });
  console.log(`✓ ${seq}`);
}
socket.close(1000);
