// Where one writes: a message, a reply, an edit. What was begun is kept for each conversation.
import { icon, make } from "./dom.js";
import { SAY } from "./words.js";

export class Composer {
  #drafts = new Map();
  #c;
  #about; // {reply: message} or {edit: message}

  // told: {send(text, reply), edit(message, text), key(), editLast()}
  constructor(told) {
    this.told = told;
    this.input = make("textarea", { rows: 1, dir: "auto", placeholder: SAY.write, "aria-label": SAY.message, input: () => this.#typed(), keydown: (event) => this.#pressed(event) });
    this.button = make("button.send", { type: "submit", title: SAY.send, "aria-label": SAY.send }, icon("send"));
    this.above = make("div.about", { hidden: true });
    this.node = make("form.composer", { submit: (event) => this.#submit(event) }, this.above, make("div.line", {}, this.input, this.button));
  }

  // The conversation that is shown has changed.
  begin(c) {
    if (this.#c) this.#drafts.set(this.#c, this.#about?.edit ? "" : this.input.value);
    this.#c = c;
    this.#set(this.#drafts.get(c) ?? "");
    this.about();
  }

  // Nobody can write, and why; nothing: they can.
  refuse(why) {
    this.input.disabled = this.button.disabled = Boolean(why);
    this.input.placeholder = why ?? SAY.write;
  }

  about(about, name) {
    if (this.#about?.edit && !about?.edit) this.#set("");
    this.#about = about;
    this.above.hidden = !about;
    if (!about) return this.above.replaceChildren();
    const message = about.reply ?? about.edit;
    this.above.replaceChildren(icon(about.edit ? "edit" : "reply"), make("b", { text: about.edit ? SAY.editing : SAY.replyTo(name) }),
      make("span", { text: message.text ?? message.type, dir: "auto" }),
      make("button.round", { type: "button", title: SAY.cancel, "aria-label": SAY.cancel, click: () => this.#cancel() }, icon("close")));
    if (about.edit) this.#set(message.text ?? "");
    this.input.focus();
  }

  #cancel() {
    this.about();
    this.input.focus();
  }

  #set(text) {
    this.input.value = text;
    this.#fit();
  }

  #typed() {
    this.#fit();
    if (!this.#about?.edit) this.told.key(this.input.value);
  }

  #fit() {
    this.input.style.height = "auto";
    if (this.input.value) this.input.style.height = `${Math.min(this.input.scrollHeight, 120)}px`;
  }

  #pressed(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey) this.#submit(event);
    if (event.key === "Escape" && this.#about) this.#cancel();
    if (event.key === "ArrowUp" && !this.input.value && !this.#about && this.told.editLast()) event.preventDefault();
  }

  #submit(event) {
    event.preventDefault();
    const text = this.input.value.trim();
    const about = this.#about;
    if (!text || this.input.disabled) return;
    this.about();
    this.#set("");
    if (about?.edit) this.told.edit(about.edit, text);
    else this.told.send(text, about?.reply);
  }
}
