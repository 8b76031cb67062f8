// Drives the page of the quick start in Chromium: alice and bob in two windows; bob's network is cut, alice goes on, bob comes back.
import { chromium } from "playwright-core";

const [backend, executablePath] = process.argv.slice(2);
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args });
const windows = {};
for (const user of ["alice", "bob"]) {
  const page = windows[user] = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(30_000);
  page.on("pageerror", (error) => { throw error; });
  await page.goto(`${backend}/?user=${user}`);
  await page.getByText("connected", { exact: true }).waitFor();
}
const say = async (user, text) => {
  await windows[user].getByLabel("Message").fill(text);
  await windows[user].getByLabel("Message").press("Enter");
};
const mark = Math.random().toString(36).slice(2); // other journeys talk here too
const reads = (user, text) => windows[user].locator("li", { hasText: text }).waitFor();

await say("alice", `Hello, Bob ${mark}`);
await reads("bob", `Hello, Bob ${mark}`);
await windows.bob.evaluate(() => socket.close());
await say("bob", `written while I was away ${mark}`);
await say("alice", `are you there? ${mark}`);
for (const user of ["alice", "bob"]) {
  await reads(user, `are you there? ${mark}`);
  await reads(user, `written while I was away ${mark}`);
}
const lines = await windows.bob.locator("li").allTextContents();
if (new Set(lines.slice(-3)).size !== 3) throw new Error(`doubled: ${lines}`);
await browser.close();
