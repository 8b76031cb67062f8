// The page between a bad network and a server with reasons: closed with one code and another, a push lost on the way.
import { visit } from "./browser.mjs";

const [base, executablePath] = process.argv.slice(2);
const sockets = []; // every connection that was made, in order
const lost = []; // texts whose pushes are lost on the way to Bob, each once
const { browser, page, seen } = await visit(`${base}/`, executablePath, {}, async (page) => {
  await page.routeWebSocket("**/ws", pass);
  await page.route("**/dev/token", hasten);
});
const [alice, bob] = ["alice", "bob"].map((user) => page.locator(`.phone[data-user="${user}"]`));
const line = (who, text) => who.locator(".message[data-id]").filter({ has: page.locator(".bubble > .text", { hasText: text }) });
const write = async (who, text) => {
  await who.locator("textarea").fill(text);
  await who.locator("textarea").press("Enter");
};
const isLost = (data) => lost.some((text, at) => data.includes('"message.new"') && data.includes(text) && lost.splice(at, 1));

function pass(socket) {
  const server = socket.connectToServer();
  const one = { socket, user: undefined, frames: [] };
  sockets.push(one);
  socket.onMessage((data) => {
    one.frames.push(JSON.parse(data));
    server.send(data);
  });
  server.onMessage((data) => {
    one.user ??= JSON.parse(data).r?.user?.id;
    if (!(one.user === "bob" && isLost(data))) socket.send(data);
  });
}

// Tells Alice that her token ends in 5 s: long before, the page has taken a fresh one to the connection it has.
async function hasten(route) {
  const answer = await route.fetch();
  const body = await answer.json();
  await route.fulfill({ response: answer, json: body.user.id === "alice" ? { ...body, expires_at: Date.now() + 5000 } : body });
}

const last = (user) => sockets.findLast((one) => one.user === user);
const hello = ({ frames }) => frames.find(({ m }) => m === "hello").p;

// Closes a user's connection with a code, and waits until the page is there again by itself.
async function closed(user, code) {
  const { length } = sockets;
  last(user).socket.close({ code });
  while (sockets.length === length || !last(user) || sockets.indexOf(last(user)) < length) await page.evaluate(() => new Promise(requestAnimationFrame));
  await page.locator(`.phone[data-user="${user}"] .state.connected`).waitFor();
  return hello(last(user));
}

for (const who of [alice, bob]) await who.locator(".state.connected").waitFor();
await line(bob, "This is a direct conversation").waitFor();
const first = hello(last("bob"));
const again = await closed("bob", 1012);
const fresh = await closed("bob", 4401);
await write(alice, "Are you back?");
await line(bob, "Are you back?").waitFor();

// A push is lost; the next one shows the hole, and what lay in it is asked for.
lost.push("Lost on the way");
await write(alice, "Lost on the way");
await line(alice, "Lost on the way").and(alice.locator('[data-status="sent"]')).waitFor();
await write(alice, "After it");
await line(bob, "Lost on the way").waitFor();
await line(bob, "After it").waitFor();
const asked = last("bob").frames.filter(({ m }) => m === "conversation.sync").length;

// The last one is lost: `heads` tell of it.
lost.push("The very last");
await write(alice, "The very last");
await line(alice, "The very last").and(alice.locator('[data-status="sent"]')).waitFor();
await line(bob, "The very last").waitFor({ timeout: 60_000 });
const texts = await bob.locator(".message .text").allInnerTexts();

// Revoked: it does not come back by itself, and says so.
last("bob").socket.close({ code: 4503 });
await bob.locator(".banner", { hasText: "no longer knows" }).waitFor();
const { length } = sockets;
await bob.locator(".cut").click();
await bob.locator(".state.connected").waitFor();
await line(bob, "The very last").waitFor();
const refreshed = sockets.filter(({ user }) => user === "alice").map(({ frames }) => frames.filter(({ m }) => m === "token.refresh").length);
console.log(JSON.stringify({
  refreshed,
  resumes: [first.resume, again.resume, fresh.resume].map((resume) => Object.keys(resume ?? {}).length), sameToken: again.token === first.token,
  freshToken: fresh.token !== first.token, asked, texts: texts.slice(-4), made: sockets.length - length, ...seen,
}));
await browser.close();
