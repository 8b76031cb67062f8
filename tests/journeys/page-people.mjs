// The page with more than two: Carol comes, a user on two phones, a new group, blocking, freezing, leaving.
import { visit } from "./browser.mjs";

const [base, executablePath, picture] = process.argv.slice(2);
const { browser, page, seen } = await visit(`${base}/`, executablePath);
const left = page.locator('.phone[data-side="left"]');
const right = page.locator('.phone[data-side="right"]');
const line = (who, text) => who.locator(".message[data-id]").filter({ has: page.locator(".bubble > .text", { hasText: text }) });
const row = (who, name) => who.locator(".row").filter({ has: page.locator(".name", { hasText: name }) });
const away = () => page.locator("header.page h1").click();
const write = async (who, text) => {
  await who.locator("textarea").fill(text);
  await who.locator("textarea").press("Enter");
};
const option = async (who, item) => {
  await who.locator(".options").click();
  await page.getByRole("menuitem", { name: item, exact: true }).click();
};
const become = async (who, user) => {
  await who.locator(".who").selectOption(user);
  await who.and(page.locator(`[data-user="${user}"]`)).locator(".state.connected").waitFor();
};
for (const who of [left, right]) await who.locator(".state.connected").waitFor();
await row(left, "Bob").waitFor();

// Blocked, by whom one blocked: neither writes, and what was tried says why; let in again, it goes.
await option(left, "Block Bob");
await left.locator('textarea[placeholder*="blocked Bob"]').waitFor();
await write(right, "Do you hear me?");
await line(right, "Do you hear me?").locator(".failure").waitFor();
const refused = await line(right, "Do you hear me?").locator(".failure span").innerText();
await option(left, "Unblock Bob");
await left.locator("textarea:enabled").waitFor();
await line(right, "Do you hear me?").getByRole("button", { name: "Try again" }).click();
await line(left, "Do you hear me?").waitFor();

// A new group, for which the other one is invited; its owner freezes it, and lets it go on.
await left.getByRole("button", { name: "New conversation" }).click();
await page.getByLabel("With whom?").fill("bob, carol");
await page.getByLabel("Name (for a group)").fill("Harbour");
await page.keyboard.press("Enter");
await left.locator(".head h3", { hasText: "Harbour" }).waitFor();
await row(right, "Harbour").click();
await write(left, "Ships come in at six.");
await line(right, "Ships come in at six.").waitFor();
await option(left, "Freeze");
await right.locator("textarea:disabled").waitFor();
await right.locator(".note", { hasText: "Alice froze the conversation" }).waitFor();
await option(left, "Unfreeze");
await right.locator("textarea:enabled").waitFor();

// Somebody the server has never heard of, who is let in.
await become(left, "alice");
await left.locator(".who").selectOption("*");
await page.getByLabel("The id of a user; a new one is created").fill("dora");
await page.keyboard.press("Enter");
await left.and(page.locator('[data-user="dora"]')).locator(".state.connected").waitFor();
await become(left, "alice");
await row(left, "Harbour").click();
await option(left, "Add somebody");
await page.getByLabel("The id of a user").fill("dora");
await page.keyboard.press("Enter");
await right.locator(".note", { hasText: "Alice added dora" }).waitFor();
await right.locator(".head .below", { hasText: "4 members" }).waitFor();

// Carol on the left; Bob and Carol type at once, seen by both; Bob leaves.
await become(left, "carol");
await row(left, "Harbour").click();
await line(left, "Ships come in at six.").waitFor();
await right.locator("textarea").pressSequentially("I was");
await left.locator(".typing", { hasText: "Bob types" }).waitFor();
await row(left, "Harbour").locator(".preview", { hasText: "Bob types" }).waitFor();
await right.locator("textarea").fill("");
await option(right, "Leave");
await left.locator(".note", { hasText: "Bob left" }).waitFor();
await row(right, "Harbour").waitFor({ state: "detached" });

// Much was said in the lobby: the latest is shown, and earlier pages on request, where one stays at the message one was reading.
const post = (text, mentions = []) => fetch(`${base}/api/v1/conversations/lobby/messages`, {
  method: "POST", body: JSON.stringify({ text, mentions }),
  headers: { Authorization: "Bearer caas_sk_dev", "CAAS-User": "carol", "Content-Type": "application/json" },
});
for (let at = 1; at <= 70; at++) await post(`Line ${at}.`);
await row(right, "Lobby").click();
await line(right, "Line 70.").waitFor();
const before = await line(right, "Welcome to CAAS").count();
await right.getByRole("button", { name: "Earlier messages" }).click();
await line(right, "Welcome to CAAS").waitFor();
await right.getByRole("button", { name: "To the latest message" }).click();
const isAtEnd = await right.locator(".messages").evaluate((node) => node.scrollHeight - node.scrollTop - node.clientHeight < 5);

// Too long for a frame: refused here, and the connection stays.
await write(right, "x".repeat(70_000));
const tooLong = await right.locator(".failure span").innerText();
await right.getByRole("button", { name: "Discard" }).click();
await right.locator(".failure").waitFor({ state: "detached" });

// One user on two phones: what is written and read on one shows on the other.
await become(left, "bob");
await row(left, "Lobby").click();
await line(left, "Line 70.").waitFor();
await write(left, "From my other phone.");
await line(right, "From my other phone.").and(right.locator(".mine")).waitFor();
await away();
const said = await post("@bob, which one do you hold?", ["bob"]);
await row(left, "Lobby").locator(".at").waitFor();
await row(right, "Lobby").locator(".at").waitFor();
await left.locator(".head h3").hover();
await row(left, "Lobby").locator(".badges").waitFor({ state: "detached" });
await row(right, "Lobby").locator(".badges").waitFor({ state: "detached" });
if (picture) await page.screenshot({ path: picture });
console.log(JSON.stringify({ status: said.status, refused, before, isAtEnd, tooLong, ...seen }));
await browser.close();
