// Reads every golden frame with another library in another language: the same meaning, in narrow bytes and in wide ones.
import { decode, encode } from "@msgpack/msgpack";
import { isDeepStrictEqual } from "node:util";
import { readFileSync, readdirSync } from "node:fs";

const [folder] = process.argv.slice(2);
const read = (path) => JSON.parse(readFileSync(`${folder}/${path}`, "utf8"));
const bytes = (digits) => Uint8Array.from(Buffer.from(digits, "hex"));
const held = readdirSync(`${folder}/frames`).flatMap((name) => {
  const { command, reply, push } = read(`frames/${name}`);
  return [command, reply, push].filter(Boolean);
}).concat(read("errors.json").errors);
const wrong = held.filter(({ frame, msgpack, msgpack_wide }) =>
  ![msgpack, msgpack_wide].every((digits) => isDeepStrictEqual(decode(bytes(digits)), frame)) || !isDeepStrictEqual(decode(encode(frame)), frame));
console.log(JSON.stringify({ frames: held.length, wrong }));
