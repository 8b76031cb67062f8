// The whole tour of the page in Chromium, with two phones: every sign of the protocol is looked at where people see it.
import { visit } from "./browser.mjs";

const [base, executablePath, picture] = process.argv.slice(2);
const { browser, page, seen } = await visit(`${base}/`, executablePath);

const phone = (side) => page.locator(`.phone[data-side="${side}"]`);
const [alice, bob] = [phone("left"), phone("right")];
const line = (who, text) => who.locator(".message[data-id]").filter({ has: page.locator(".bubble > .text", { hasText: text }) });
const row = (who, name) => who.locator(".row").filter({ has: page.locator(".name", { hasText: name }) });
const look = (who) => who.locator(".head h3").hover();
const away = () => page.locator("header.page h1").hover();
const write = async (who, text) => {
  await who.locator("textarea").fill(text);
  await who.locator("textarea").press("Enter");
};
const choose = async (who, text, item) => {
  await line(who, text).locator(".bubble").click({ button: "right" });
  await page.getByRole("menuitem", { name: item, exact: true }).click();
};
const option = async (who, item) => {
  await who.locator(".options").click();
  await page.getByRole("menuitem", { name: item, exact: true }).click();
};
const status = (who, text, value) => line(who, text).and(who.locator(`[data-status="${value}"]`)).waitFor();
const shot = (name) => picture && page.screenshot({ path: picture.replace(".png", `-${name}.png`) });

for (const who of [alice, bob]) await who.locator(".state.connected").waitFor();
await line(bob, "This is a direct conversation").waitFor();

// Ticks: sent and delivered at once, for Bob's phone is on; read when Bob looks.
await away();
await write(alice, "Can you read this?");
await line(bob, "Can you read this?").waitFor();
await status(alice, "Can you read this?", "delivered");
await bob.locator(".divider.new").waitFor();
await row(bob, "Alice").locator(".unread", { hasText: /^1$/ }).waitFor();
await look(bob);
await status(alice, "Can you read this?", "read");
await row(bob, "Alice").locator(".unread").waitFor({ state: "detached" });

// Typing shows, and goes with the message.
await bob.locator("textarea").pressSequentially("Loud");
await alice.locator(".typing", { hasText: "Bob types" }).waitFor();
await alice.locator(".head .below", { hasText: "Bob types" }).waitFor();
await write(bob, "Loud and clear.");
await line(alice, "Loud and clear.").waitFor();
await alice.locator(".typing").waitFor({ state: "detached" });

// And by itself, when no key is pressed for a while.
await bob.locator("textarea").pressSequentially("hm");
await alice.locator(".typing").waitFor();
await alice.locator(".typing").waitFor({ state: "detached" });
await bob.locator("textarea").fill("");

// Reactions: by the menu, and by the pill; a count of two, one's own is marked.
await choose(alice, "Loud and clear.", "React with 🎉");
const pill = (who) => line(who, "Loud and clear.").locator(".pill", { hasText: "🎉" });
await pill(bob).and(bob.locator('[aria-pressed="false"]')).waitFor();
await pill(bob).click();
await pill(alice).filter({ hasText: "2" }).waitFor();
await pill(bob).and(bob.locator('[aria-pressed="true"]')).waitFor();
await pill(bob).click();
await pill(alice).filter({ hasText: "1" }).waitFor();

// Replies quote, edits are marked and keep what was there before, pins show on top, deletes leave a tombstone.
await choose(bob, "Can you read this?", "Reply");
await write(bob, "Every word of it.");
await line(alice, "Every word of it.").locator(".quote", { hasText: "Can you read this?" }).waitFor();
await choose(alice, "Can you read this?", "Edit");
await write(alice, "Can you read this now?");
await line(bob, "Can you read this now?").locator(".edited").first().waitFor();
await line(bob, "Every word of it.").locator(".quote", { hasText: "this now?" }).waitFor();
await choose(bob, "Can you read this now?", "Earlier texts");
await page.locator("dialog li", { hasText: /^Can you read this\?$/ }).waitFor();
await page.keyboard.press("Escape");
await choose(bob, "Loud and clear.", "Pin");
await alice.locator(".pinned", { hasText: "Loud and clear." }).waitFor();
await write(alice, "Take this back");
await line(bob, "Take this back").waitFor();
await choose(alice, "Take this back", "Delete for everyone");
await line(bob, "Message deleted").waitFor();
await write(bob, "Only I shall forget this");
await line(alice, "Only I shall forget this").waitFor();
await choose(bob, "Only I shall forget this", "Delete for me");
await line(bob, "Only I shall forget this").waitFor({ state: "detached" });
await line(alice, "Only I shall forget this").waitFor();

// Text is text.
await write(alice, '<img src="/no" onerror="alert(1)"> & <b>bold</b>');
await line(bob, '<img src="/no" onerror="alert(1)"> & <b>bold</b>').waitFor();

// What is written from right to left stands so.
await write(bob, "שלום, Alice");
await line(alice, "שלום").locator('.bubble[dir="rtl"]').waitFor();

// Presence as one chooses it.
await bob.locator(".status").selectOption("dnd");
await alice.locator(".head .below", { hasText: "do not disturb" }).waitFor();
await alice.locator(".head .dot.dnd").waitFor();
await bob.locator(".status").selectOption("invisible");
await alice.locator(".head .below", { hasText: "last seen" }).waitFor();
await bob.locator(".status").selectOption("online");
await alice.locator(".head .dot.online").waitFor();

// Another conversation: a notice counts what is unread there, a mention is marked; opened, it is read, and several type.
await page.mouse.move(0, 0);
await row(alice, "Lobby").click();
await line(alice, "Welcome to CAAS").waitFor();
await write(alice, "Good morning, @bob");
await row(bob, "Lobby").locator(".badges .at").waitFor();
await row(bob, "Lobby").locator(".preview", { hasText: "Good morning" }).waitFor();
const unread = Number(await row(bob, "Lobby").locator(".unread").innerText());
await row(bob, "Lobby").click();
await line(bob, "Good morning").locator(".mention", { hasText: "@bob" }).waitFor();
await status(alice, "Good morning", "read");
await row(bob, "Lobby").locator(".badges").waitFor({ state: "detached" });
await shot("lobby");

// The network is cut: what is written waits with a clock, and the page says so; back again, everything is there once and in order.
await row(alice, "Bob").click();
await row(bob, "Alice").click();
await bob.locator(".cut").click();
await bob.locator(".state.disconnected").waitFor();
for (const text of ["First, from the dark.", "Second, from the dark."]) await write(bob, text);
await bob.locator(".banner", { hasText: "2 messages wait" }).waitFor();
await status(bob, "Second, from the dark.", "sending");
await write(alice, "Where are you?");
await status(alice, "Where are you?", "sent");
await shot("cut");
await bob.locator(".cut").click();
await line(bob, "Where are you?").waitFor();
for (const text of ["First, from the dark.", "Second, from the dark."]) {
  await line(alice, text).waitFor();
  await status(bob, text, "delivered");
}
await look(alice);
await status(bob, "Second, from the dark.", "read");
await bob.locator(".banner").waitFor({ state: "hidden" });
const order = (who) => who.locator(".message[data-id]").evaluateAll((all) => all.slice(-3).map((node) => node.querySelector(".text").textContent));
const [ofAlice, ofBob] = [await order(alice), await order(bob)];

const said = { unread, same: JSON.stringify(ofAlice) === JSON.stringify(ofBob), last: ofBob, ...seen };
console.log(JSON.stringify(said));
await browser.close();
