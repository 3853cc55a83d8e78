// What stands in a bubble. Each kind of part is one function; `chat` is what they act on.

import { ICONS, el, icon, link, plain, rich, safeUrl } from "./dom.js";
import { bytes, fill } from "./words.js";

// A file of this browser, before the gateway has given it an address, is shown from memory.
const fileUrl = (chat, media) => (media?.url?.startsWith("blob:") ? media.url : safeUrl(media?.url ?? "", chat.base));

function text(part) {
  return el("div", { className: "text" }, part.html ? rich(part.html) : plain(part.text ?? ""));
}

function caption(part) {
  return part.caption ? el("div", { className: "text" }, plain(part.caption)) : null;
}

function image(part, chat) {
  const url = fileUrl(chat, part.media);
  if (!url) return text({ text: chat.words.unsupported });
  const alt = part.caption || part.media.filename || chat.words.image;
  const picture = el("img", { src: url, alt, loading: "lazy", className: "picture", width: part.media.width, height: part.media.height });
  // A picture that cannot be shown is still a file that can be opened.
  picture.addEventListener("error", () => picture.replaceWith(file(part, chat)));
  picture.addEventListener("load", () => chat.settled());
  return el("div", {}, link(url, picture), caption(part));
}

function sound(part, chat) {
  const url = fileUrl(chat, part.media);
  return url ? el("div", {}, el("audio", { src: url, controls: true, preload: "none" }), caption(part)) : null;
}

function video(part, chat) {
  const url = fileUrl(chat, part.media);
  return url ? el("div", {}, el("video", { src: url, controls: true, preload: "metadata", className: "picture" }), caption(part)) : null;
}

function file(part, chat) {
  const url = fileUrl(chat, part.media);
  const name = part.media?.filename || chat.words.file;
  const size = part.media?.size ? el("span", { className: "dim" }, ` ${bytes(part.media.size)}`) : null;
  const inside = [icon(ICONS.file), el("span", {}, name, size)];
  return el("div", {}, url ? Object.assign(link(url, ...inside), { className: "file" }) : el("span", { className: "file" }, ...inside), caption(part));
}

function place(part, chat) {
  const at = `${part.latitude},${part.longitude}`;
  const map = link(`https://www.openstreetmap.org/?mlat=${part.latitude}&mlon=${part.longitude}#map=16/${part.latitude}/${part.longitude}`);
  map.className = "file";
  map.append(icon(ICONS.pin), part.name || chat.words.location);
  map.title = at;
  return map;
}

function option(choice, message, chat, surface) {
  const words = [el("span", {}, choice.title), choice.description ? el("small", {}, choice.description) : null];
  const kind = choice.kind ?? "reply";
  if (kind === "url" || kind === "webview") {
    const href = safeUrl(choice.value ?? "", chat.base);
    return href ? Object.assign(link(href, ...words), { className: "option" }) : null;
  }
  if (kind === "call") return el("a", { href: `tel:${choice.value}`, className: "option" }, ...words);
  const press = {
    copy: () => navigator.clipboard?.writeText(choice.value ?? "").then(() => chat.say(chat.words.copied)),
    location: () => chat.sendLocation(message.id),
  }[kind];
  const how = kind === "postback" ? "postback" : kind === "date" ? "date" : surface;
  const pick = () => chat.pick({ surface: how, id: choice.id ?? choice.title, title: choice.title }, message.id);
  const done = chat.thread.answered(message.id)?.content;
  const picked = done?.kind === "choice" && done.id === (choice.id ?? choice.title);
  return el("button", { type: "button", className: picked ? "option picked" : "option", "aria-pressed": picked ? "true" : null, onclick: press ?? pick }, ...words);
}

function choices(part, message, chat) {
  const head = [
    part.header ? el("strong", {}, part.header) : null,
    part.media ? (part.media.mime_type ?? "image").startsWith("image") ? image({ media: part.media }, chat) : file({ media: part.media }, chat) : null,
    el("div", { className: "text" }, plain(part.text ?? "")),
    part.footer ? el("div", { className: "dim" }, part.footer) : null,
  ];
  if (part.layout === "quick_replies") return el("div", {}, head); // They stand below the conversation while they can be used.
  if (part.layout !== "list") return el("div", {}, head, el("div", { className: "options" }, part.options.map((o) => option(o, message, chat, "button"))));
  const rows = [];
  let section = null;
  for (const o of part.options) {
    if (o.section && o.section !== section) rows.push(el("div", { className: "section" }, (section = o.section)));
    rows.push(option(o, message, chat, "list"));
  }
  return el("div", {}, head, el("details", {}, el("summary", { className: "option" }, part.menu_label || chat.words.options), el("div", { className: "options" }, rows)));
}

// The options that stand below the conversation: those of the newest message, until it is answered.
export function quickReplies(message, chat) {
  const part = message?.parts?.find((p) => p.type === "choices" && p.layout === "quick_replies");
  if (!part || chat.thread.answered(message.id)) return [];
  return part.options.map((o) => option(o, message, chat, "quick_reply"));
}

function card(part, message, chat) {
  return el(
    "div",
    { className: "card" },
    part.media ? image({ media: part.media }, chat) : null,
    el("strong", {}, part.title),
    part.text ? el("div", { className: "text" }, plain(part.text)) : null,
    part.options?.length ? el("div", { className: "options" }, part.options.map((o) => option(o, message, chat, "button"))) : null,
  );
}

function carousel(part, message, chat) {
  const row = el("ul", { className: "cards", tabindex: "0", "aria-label": part.text || chat.words.options });
  row.append(...part.cards.map((c) => el("li", {}, card(c, message, chat))));
  // Whoever cannot swipe has buttons.
  const move = (by) => () => row.scrollBy({ left: by * row.clientWidth * 0.8, behavior: chat.calm ? "auto" : "smooth" });
  const arrow = (path, label, by) => el("button", { type: "button", className: "round", "aria-label": label, onclick: move(by) }, icon(path, 16));
  const arrows = el("div", { className: "arrows" }, arrow(ICONS.left, chat.words.previous, -1), arrow(ICONS.right, chat.words.next, 1));
  return el("div", {}, part.text ? el("div", { className: "text" }, plain(part.text)) : null, row, part.cards.length > 1 ? arrows : null);
}

function form(part, message, chat) {
  const sent = chat.thread.answered(message.id)?.content;
  if (sent?.kind === "form") return el("div", { className: "dim" }, chat.words.submitted);
  const send = (fields) => chat.fillIn({ name: part.name, fields }, message.id);
  if (part.name === "csat" && !Array.isArray(part.fields)) {
    const stars = [1, 2, 3, 4, 5].map((n) =>
      el("button", { type: "button", className: "star", "aria-label": fill(chat.words.rate, { n }), onclick: () => send({ rating: n }) }, "★"),
    );
    return el("div", { className: "stars", role: "group" }, stars);
  }
  const fields = (Array.isArray(part.fields) ? part.fields : []).map((f, at) => {
    const id = `f-${message.id}-${at}`;
    const common = { id, name: f.name, required: f.required, "aria-required": f.required ? "true" : null };
    const limits = { minlength: f.min ?? f.minSize, maxlength: f.max ?? f.maxSize ?? 500, placeholder: f.placeholder };
    const choicesOf = (f.options ?? []).map((o) => el("option", { value: o.id ?? o.title ?? o }, o.title ?? o));
    const input =
      f.type === "select" ? el("select", common, el("option", { value: "" }, "…"), choicesOf)
      : f.type === "textarea" ? el("textarea", { ...common, ...limits })
      : el("input", { ...common, ...limits, type: ["email", "tel", "number", "date", "url"].includes(f.type) ? f.type : "text" });
    return [el("label", { htmlFor: id }, f.label ?? f.name), input];
  });
  const submit = (event) => {
    event.preventDefault();
    send(Object.fromEntries(new FormData(event.target)));
  };
  return el("form", { className: "form", onsubmit: submit }, fields, el("button", { className: "primary" }, part.submit_label ?? chat.words.submit));
}

function contacts(part) {
  return el("div", { className: "text" }, part.contacts.map((c) => el("div", {}, [c.name, ...(c.phones ?? []), ...(c.emails ?? [])].filter(Boolean).join(" · "))));
}

const PARTS = { text, image, sticker: image, audio: sound, voice: sound, video, file, location: place, contacts };
const ACTIVE = { choices, card, carousel, form };

export function part(p, message, chat) {
  if (p.type === "typing") return null;
  if (ACTIVE[p.type]) return ACTIVE[p.type](p, message, chat);
  return (PARTS[p.type] ?? (() => text({ text: chat.words.unsupported })))(p, chat);
}

// What the visitor did, in the same words as it is shown to others. A hidden press shows nothing.
export function content(c, message, chat) {
  if (c.kind === "text") return text(c);
  if (c.kind === "choice") return c.surface === "postback" ? null : text({ text: c.title ?? c.id ?? "" });
  if (c.kind === "form") return text({ text: Object.values(c.fields ?? {}).join(" · ") });
  if (c.kind === "location") return place(c, chat);
  const preview = chat.thread.drafts.get(message.client_id);
  const media = c.media ?? { filename: c.name, url: preview };
  return (PARTS[c.kind] ?? file)({ media: { ...media, url: preview ?? media.url }, caption: c.caption }, chat);
}
