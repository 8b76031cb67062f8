// Three lines to try next, that can be copied: the same table of commands, over REST.
import { make, sync } from "./dom.js";
import { SAY, TRIES } from "./words.js";

const KEY = "-H 'Authorization: Bearer caas_sk_dev'"; // of the development set-up alone, and accepted from this machine alone
const JSON_BODY = "-H 'Content-Type: application/json'";
const PARTY = encodeURIComponent("🎉");

export function drawTries(list, latest) {
  const base = `${location.origin}/api/v1`;
  const lines = [
    [TRIES.say, `curl ${base}/conversations/lobby/messages ${KEY} -H 'CAAS-User: carol' ${JSON_BODY} -d '{"text": "Hello from curl"}'`],
    [TRIES.react, `curl -X PUT ${base}/conversations/lobby/messages/${latest ?? "MESSAGE"}/reactions/${PARTY} ${KEY} -H 'CAAS-User: carol'`],
    [TRIES.create, `curl -X PUT ${base}/users/dora ${KEY} ${JSON_BODY} -d '{"display_name": "Dora"}'`],
  ];
  sync(list, lines.map(([what, line]) => ({ key: what, sign: line, build: () => one(what, line) })));
}

function one(what, line) {
  const code = make("code", { text: line, tabindex: 0 });
  const button = make("button", { type: "button", "aria-label": `${SAY.copy}: ${what}`, text: SAY.copy, click: async () => {
    await navigator.clipboard.writeText(line).then(() => (button.textContent = SAY.copied), () => getSelection().selectAllChildren(code));
  } });
  return make("li", {}, make("span", { text: what }), button, code);
}
