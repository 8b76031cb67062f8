// Drives the page in Chromium: alice writes, bob reads; bob is cut off, alice writes on; bob comes back and has it once.
import { chromium } from "playwright-core";

const [base, executablePath, picture] = process.argv.slice(2);
const args = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath, args });
const page = await browser.newPage({ viewport: { width: 1180, height: 860 } });
const troubles = [];
page.on("pageerror", (error) => troubles.push(String(error)));
page.on("console", (message) => message.type() === "error" && troubles.push(message.text()));
await page.goto(base);
const person = (name) => page.locator(`.person[data-user="${name}"]`);
const line = (name, text) => person(name).locator(".messages li", { hasText: text });
const write = async (name, text) => {
  await person(name).locator("input").fill(text);
  await person(name).locator("input").press("Enter");
};
for (const name of ["alice", "bob"]) await person(name).locator(".state.connected").waitFor();
await line("bob", "This is a direct conversation").first().waitFor();
await write("alice", "Can you read this?");
await line("bob", "Can you read this?").waitFor();
await line("alice", "✓").filter({ hasText: "Can you read this?" }).waitFor();
await write("bob", "Loud and clear.");
await line("alice", "Loud and clear.").waitFor();
await person("bob").locator(".switch").click();
await person("bob").locator(".state.cut").waitFor();
await write("alice", "Are you still there?");
await line("alice", "✓").filter({ hasText: "Are you still there?" }).waitFor();
await write("bob", "Written while cut off.");
await person("bob").locator(".switch").click();
await line("bob", "Are you still there?").waitFor();
await line("alice", "Written while cut off.").waitFor();
await person("alice").getByRole("tab", { name: "Lobby" }).click();
await line("alice", "Welcome to CAAS").waitFor();
await person("alice").getByRole("tab", { name: "Direct" }).click();
if (picture) {
  await page.screenshot({ path: picture });
  await page.emulateMedia({ colorScheme: "dark" });
  await person("bob").locator("summary").click();
  await page.screenshot({ path: picture.replace(".png", "-dark.png") });
}
console.log(JSON.stringify({ once: await line("bob", "Are you still there?").count(), troubles }));
await browser.close();
