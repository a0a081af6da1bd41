// The phones of the sandbox. Strangers' text goes into the page as text only, never as markup.
"use strict";

const LABELS = {
  en: {
    title: "Sandbox phones",
    intro: "Nothing here leaves this machine. Texts arrive below; answer STOP and see what happens.",
    campaign: "Send a campaign",
    offline: "The sandbox does not answer. Trying again…",
    send: "Send",
    write: "Your answer",
    empty: "No texts yet.",
    texts: "Texts of {0}",
    states: {
      accepted: "accepted", queued: "queued", sent: "sent", delivered: "delivered", failed: "blocked",
      undelivered: "not delivered", refused: "blocked: this phone has opted out at the carrier",
      received: "sent", lost: "the gateway did not take this text",
    },
  },
  de: {
    title: "Telefone der Sandbox",
    intro: "Nichts hiervon verlässt diesen Rechner. Nachrichten kommen unten an; antworten Sie STOP.",
    campaign: "Kampagne senden",
    offline: "Die Sandbox antwortet nicht. Neuer Versuch …",
    send: "Senden",
    write: "Ihre Antwort",
    empty: "Noch keine Nachrichten.",
    texts: "Nachrichten von {0}",
    states: {
      accepted: "angenommen", queued: "in der Warteschlange", sent: "gesendet", delivered: "zugestellt",
      failed: "gesperrt", undelivered: "nicht zugestellt",
      refused: "gesperrt: dieses Telefon hat sich beim Netzbetreiber abgemeldet",
      received: "gesendet", lost: "das Gateway hat diese Nachricht nicht angenommen",
    },
  },
};
const LANGUAGE = navigator.language.toLowerCase().startsWith("de") ? "de" : "en";
const WORDS = LABELS[LANGUAGE];
// Names instead of flags: Windows has no flag emoji.
const REGIONS = { "+49": "DE", "+1": "US", "+33": "FR", "+34": "ES", "+44": "GB", "+43": "AT", "+41": "CH" };
const REGION_NAMES = new Intl.DisplayNames(LANGUAGE, { type: "region" });
const QUICK = ["STOP", "START", "HELP"];
const POLL_MS = 700;
// With a scheme, or a host with a path: what phones make tappable.
const LINK = /https?:\/\/\S+|(?:localhost|[\w-]+(?:\.[\w-]+)+)(?::\d+)?\/\S+/gi;
const TRAILING = /[.,;:!?)\]]+$/;

let version = null;
const screens = new Map();

function label(root) {
  for (const element of root.querySelectorAll("[data-label]")) {
    element.textContent = WORDS[element.dataset.label];
  }
}

function nameOf(number) {
  const code = Object.keys(REGIONS).find((prefix) => number.startsWith(prefix));
  return code ? REGION_NAMES.of(REGIONS[code]) + " · " + number : number;
}

function fillWithLinks(element, text) {
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const shown = match[0].replace(TRAILING, "");
    element.append(text.slice(end, match.index), linkTo(shown));
    end = match.index + shown.length;
  }
  element.append(text.slice(end));
}

function linkTo(shown) {
  const link = document.createElement("a");
  link.href = /^https?:/i.test(shown) ? shown : (/^(localhost|127\.)/i.test(shown) ? "http://" : "https://") + shown;
  link.target = "_blank";
  link.rel = "noopener noreferrer";
  link.textContent = shown;
  return link;
}

function stateOf(text) {
  if (text.direction === "inbound") return WORDS.states[text.error_code ? "lost" : "received"];
  return WORDS.states[text.status] || text.status;
}

function bubble(text) {
  const item = document.getElementById("text").content.cloneNode(true).firstElementChild;
  const mine = text.direction === "inbound";
  item.className = mine ? "mine" : "theirs";
  if (["refused", "failed", "undelivered"].includes(text.status) || (mine && text.error_code)) item.classList.add("bad");
  item.querySelector(".who").textContent = mine ? "→ " + text.to : text.from;
  fillWithLinks(item.querySelector(".body"), text.body);
  const time = new Date(text.at).toLocaleTimeString(LANGUAGE, { hour: "2-digit", minute: "2-digit" });
  item.querySelector(".state").textContent = time + " · " + stateOf(text);
  return item;
}

function makeScreen(number) {
  const section = document.getElementById("phone").content.cloneNode(true).firstElementChild;
  label(section);
  section.querySelector("h2").textContent = nameOf(number);
  section.querySelector(".texts").setAttribute("aria-label", WORDS.texts.replace("{0}", number));
  const input = section.querySelector("input");
  input.placeholder = WORDS.write;
  input.setAttribute("aria-label", WORDS.write);
  section.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    send(section, number, input.value).then((sent) => { if (sent) input.value = ""; });
  });
  for (const word of QUICK) section.querySelector(".quick").append(quickButton(section, number, word));
  document.getElementById("phones").append(section);
  return section;
}

function quickButton(section, number, word) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = word;
  button.addEventListener("click", () => send(section, number, word));
  return button;
}

async function send(section, number, body) {
  const answer = await fetch(`/sandbox/phones/${encodeURIComponent(number)}/send`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ body }),
  });
  const problem = section.querySelector(".problem");
  problem.hidden = answer.ok;
  if (!answer.ok) problem.textContent = (await answer.json()).error;
  await refresh();
  return answer.ok;
}

function draw(phone) {
  if (!screens.has(phone.number)) screens.set(phone.number, makeScreen(phone.number));
  const list = screens.get(phone.number).querySelector(".texts");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.replaceChildren(...phone.texts.map(bubble));
  list.dataset.empty = phone.texts.length ? "" : WORDS.empty;
  if (atEnd) list.scrollTop = list.scrollHeight;
}

async function refresh() {
  const answer = await fetch("/sandbox/screens" + (version === null ? "" : "?after=" + version));
  if (answer.status !== 200) return;
  const state = await answer.json();
  version = state.version;
  state.phones.forEach(draw);
  const campaign = document.getElementById("campaign");
  campaign.hidden = !state.campaign_url;
  if (state.campaign_url) campaign.href = state.campaign_url;
}

async function poll() {
  try {
    if (!document.hidden) await refresh();
    document.getElementById("offline").hidden = true;
  } catch {
    document.getElementById("offline").hidden = false;
  }
  setTimeout(poll, POLL_MS);
}

document.documentElement.lang = LANGUAGE;
document.title = WORDS.title;
label(document);
poll();
