// A small question: one or two fields, asked and answered. Nothing for an answer when one thinks better of it.
import { make } from "./dom.js";
import { SAY } from "./words.js";

// fields: [{name, label, value?, isRequired?}]
export function askFor(title, fields) {
  return new Promise((done) => {
    const form = make("form", { method: "dialog" }, make("h3", { text: title }), ...fields.map(field), make("div.choices", {},
      make("button", { type: "button", text: SAY.cancel, click: () => node.close() }), make("button.main", { type: "submit", text: SAY.go })));
    const node = make("dialog.asking", { "aria-label": title, close: () => node.remove() }, form);
    let answer;
    form.addEventListener("submit", () => (answer = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value.trim()]))));
    node.addEventListener("close", () => done(answer));
    document.body.append(node);
    node.showModal();
  });
}

// Something to read.
export function tell(title, lines) {
  const node = make("dialog.asking", { "aria-label": title, close: () => node.remove() }, make("h3", { text: title }),
    make("ol", {}, ...lines.map((text) => make("li", { text, dir: "auto" }))),
    make("div.choices", {}, make("button.main", { type: "button", text: SAY.go, click: () => node.close() })));
  document.body.append(node);
  node.showModal();
}

function field({ name, label, value = "", isRequired }) {
  return make("label", {}, make("span", { text: label }), make("input", { name, value, required: isRequired, autocomplete: "off", maxlength: 256 }));
}
