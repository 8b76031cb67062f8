// The page: two phones side by side, the wire of one of them, and what to try next.
import { Phone } from "./phone.js";
import { drawTries } from "./tries.js";
import { Wire } from "./wire.js";

const AGE_MS = 20_000; // how often "5 minutes ago" is looked at again

const wire = new Wire(document.querySelector("#wire"));
const told = { wire: (...frame) => wire.take(...frame), changed };
const phones = [new Phone("left", "alice", told), new Phone("right", "bob", told)];
document.querySelector("#phones").append(...phones.map(({ node }) => node));
setInterval(() => phones.forEach((phone) => phone.draw()), AGE_MS);
document.addEventListener("visibilitychange", () => phones.forEach((phone) => phone.draw()));

function changed() {
  wire.phones(phones);
  drawTries(document.querySelector("#tries ol"), phones.map(({ client }) => client.chats.get("lobby")?.last_message?.id).find(Boolean));
}
