// What is on the screen. It holds no truth of its own: it draws what the thread says, and keeps what it has drawn.

import { ICONS, el, icon } from "./dom.js";
import { content, part, quickReplies } from "./parts.js";
import { STYLE } from "./style.js";
import { bytes, fill } from "./words.js";

const NEAR_END = 60;

export class View {
  constructor(chat, { target, launcher, theme, title, subtitle, locale, dir }) {
    this.chat = chat;
    this.inline = Boolean(target);
    this.host = document.createElement("div");
    this.host.className = "fairway-chat";
    this.host.lang = locale;
    this.host.dir = dir;
    this.host.dataset.mode = theme.mode ?? "auto";
    this.host.dataset.side = theme.position ?? "right";
    if (this.inline) this.host.dataset.inline = "";
    this.root = this.host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    const own = new CSSStyleSheet();
    if (theme.accent && CSS.supports("color", theme.accent)) {
      own.replaceSync(`:host { --accent: ${theme.accent} !important; --on-accent: ${theme.onAccent ?? "#fff"} !important; }`);
    }
    this.root.adoptedStyleSheets = [sheet, own];
    this.build(launcher, title, subtitle);
    (target ?? document.body).append(this.host);
    this.drawn = new Map();
    this.seenBefore = new Set();
    this.title = document.title;
    this.onShow = () => this.look();
    document.addEventListener("visibilitychange", this.onShow);
    addEventListener("focus", this.onShow);
  }

  build(launcher, title, subtitle) {
    const { words } = this.chat;
    this.badge = el("span", { className: "badge", hidden: true, "aria-hidden": "true" });
    this.launcher = el("button", { type: "button", className: "launcher", "aria-expanded": "false", "aria-controls": "panel", onclick: () => this.chat.toggle() });
    this.launcher.append(icon(ICONS.chat, 28), this.badge);
    this.launcher.hidden = launcher === false;
    this.log = el("div", { className: "log", role: "log", "aria-live": "polite", "aria-label": words.conversation, tabindex: "0" });
    this.log.addEventListener("scroll", () => this.look(), { passive: true });
    this.earlier = el("button", { type: "button", className: "earlier", hidden: true, onclick: () => this.chat.thread.earlier() }, words.earlier);
    this.quick = el("div", { className: "quick", hidden: true, role: "group", "aria-label": words.options });
    this.typing = el("div", { className: "typing", hidden: true });
    this.bar = el("div", { className: "bar", hidden: true });
    this.said = el("div", { className: "hush", role: "status" });
    this.box = el("textarea", { rows: "1", placeholder: words.placeholder, "aria-label": words.label, maxlength: "12000", enterkeyhint: "send" });
    this.box.addEventListener("input", () => this.typed());
    this.box.addEventListener("keydown", (e) => {
      if (e.key === "Enter" && !e.shiftKey && !e.isComposing) {
        e.preventDefault();
        this.submit();
      }
    });
    this.box.addEventListener("paste", (e) => e.clipboardData?.files.length && (e.preventDefault(), this.files(e.clipboardData.files)));
    this.picker = el("input", { type: "file", multiple: true, hidden: true, "aria-hidden": "true", tabindex: "-1" });
    this.picker.addEventListener("change", () => (this.files(this.picker.files), (this.picker.value = "")));
    this.send = el("button", { className: "round go", "aria-label": words.send, disabled: true }, icon(ICONS.send));
    const attach = el("button", { type: "button", className: "round", "aria-label": words.attach, onclick: () => this.picker.click() }, icon(ICONS.clip));
    const form = el("form", { className: "composer", onsubmit: (e) => (e.preventDefault(), this.submit()) }, attach, this.picker, this.box, this.send);
    const close = el("button", { type: "button", className: "round", "aria-label": words.close, onclick: () => this.chat.close() }, icon(ICONS.close));
    close.hidden = this.inline;
    const head = el("header", {}, el("div", {}, el("h2", { id: "title" }, title), el("p", {}, subtitle)), close);
    this.drop = el("div", { className: "drop", hidden: true }, words.drop);
    this.uploads = el("div", {});
    const role = this.inline ? "region" : "dialog";
    this.panel = el("section", { className: "panel", id: "panel", role, "aria-labelledby": "title", hidden: true });
    this.panel.append(head, this.log, this.quick, this.typing, this.uploads, this.bar, form, this.drop, this.said);
    this.panel.addEventListener("keydown", (e) => {
      if (e.key === "Escape" && !this.inline) {
        e.stopPropagation();
        this.chat.close();
      }
    });
    const carries = (e) => e.dataTransfer?.types.includes("Files");
    this.panel.addEventListener("dragover", (e) => carries(e) && (e.preventDefault(), (this.drop.hidden = false)));
    this.panel.addEventListener("dragleave", (e) => !this.panel.contains(e.relatedTarget) && (this.drop.hidden = true));
    this.panel.addEventListener("drop", (e) => carries(e) && (e.preventDefault(), (this.drop.hidden = true), this.files(e.dataTransfer.files)));
    this.root.append(this.panel, ...(this.inline ? [] : [this.launcher]));
    this.log.append(this.earlier);
  }

  show(open, focus = true) {
    this.panel.hidden = !open;
    this.host.toggleAttribute("data-open", open);
    this.launcher.setAttribute("aria-expanded", String(open));
    this.unread();
    if (open) {
      this.draw();
      this.log.scrollTop = this.log.scrollHeight;
      if (focus) this.box.focus();
      this.look();
    } else if (focus) this.launcher.focus();
  }

  typed() {
    this.send.disabled = !this.box.value.trim();
    this.box.style.height = "auto";
    this.box.style.height = `${Math.min(this.box.scrollHeight, 130)}px`;
    if (this.box.value) this.chat.thread.typed();
  }

  submit() {
    const text = this.box.value.trim();
    if (!text) return;
    this.box.value = "";
    this.typed();
    this.chat.write({ kind: "text", text });
    this.box.focus();
  }

  files(list) {
    for (const file of list) this.chat.sendFile(file);
  }

  // A line for one upload; answers how to tell its progress, and how to end it.
  upload(name) {
    const { words } = this.chat;
    const meter = el("progress", { max: "100", value: 0, "aria-label": fill(words.uploading, { name, percent: 0 }) });
    const text = el("span", {}, fill(words.uploading, { name, percent: 0 }));
    const line = el("div", { className: "bar" }, text, meter);
    this.uploads.append(line);
    return {
      progress: (percent) => {
        meter.value = percent;
        text.textContent = fill(words.uploading, { name, percent });
      },
      end: () => line.remove(),
    };
  }

  draw() {
    if (this.panel.hidden) return;
    const { thread, words } = this.chat;
    const atEnd = this.atEnd();
    const list = [...thread.list, ...thread.pending];
    const wanted = new Map();
    const lastOwn = list.filter((m) => m.from !== "us" && m.content?.surface !== "postback").pop();
    let author = null;
    if (!list.length && words.greeting) list.unshift({ id: "greeting", from: "us", parts: [{ type: "text", text: words.greeting }], local: true });
    for (const message of list) {
      const name = message.from === "us" ? message.author?.name || words.us : words.you;
      const key = this.key(message, message === lastOwn, author !== name);
      wanted.set(message.client_id ?? message.id, { key, message, named: author !== name, last: message === lastOwn, name });
      author = name;
    }
    for (const [id, row] of this.drawn) {
      if (!wanted.has(id)) {
        row.node.remove();
        this.drawn.delete(id);
      }
    }
    // Only what has changed is touched: screen readers read what is added, and focus stays where it is.
    let after = this.earlier;
    for (const [id, want] of wanted) {
      let row = this.drawn.get(id);
      if (!row || row.key !== want.key) {
        const node = this.row(want);
        if (row) row.node.replaceWith(node);
        row = { node, key: want.key };
        this.drawn.set(id, row);
      }
      if (after.nextSibling !== row.node) after.after(row.node);
      after = row.node;
    }
    this.earlier.hidden = !thread.more;
    const newest = thread.pending.length ? null : thread.list.pop();
    this.quick.replaceChildren(...quickReplies(newest, this.chat));
    this.quick.hidden = !this.quick.children.length;
    this.signs();
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
    this.look();
  }

  key(message, last, named) {
    const { thread } = this.chat;
    const answer = message.parts ? thread.answered(message.id) : null;
    const seen = last && this.isSeen(message);
    return [message.seq, message.edited, message.state, last, named, seen, Boolean(answer), message.local].join();
  }

  isSeen(message) {
    const { messages, readByUs } = this.chat.thread;
    const upto = messages.get(readByUs)?.seq ?? 0;
    return message.seq && message.seq <= upto;
  }

  row({ message, named, last, name }) {
    const { words } = this.chat;
    const mine = message.from !== "us";
    const bodies = mine ? [content(message.content ?? {}, message, this.chat)] : message.parts.map((p) => part(p, message, this.chat));
    const shown = bodies.filter(Boolean);
    const wide = !mine && message.parts.some((p) => p.type === "carousel");
    const time = message.at ? new Date(message.at).toLocaleTimeString(this.host.lang || undefined, { hour: "2-digit", minute: "2-digit" }) : "";
    const row = el("div", { className: `row${mine ? " me" : ""}${wide ? " wide" : ""}`, title: time, hidden: !shown.length });
    const who = named && !mine ? el("div", { className: "who" }, name) : el("span", { className: "hush" }, `${name}: `);
    row.append(who, ...shown.map((b) => el("div", { className: "bubble" }, b)));
    if (mine) row.append(...this.state(message, last, words));
    else if (message.edited) row.append(el("div", { className: "state" }, words.edited));
    return row;
  }

  state(message, last, words) {
    if (message.state === "failed" || message.state === "refused") {
      const act = (label, what) => el("button", { type: "button", onclick: () => this.chat.thread[what](message.client_id) }, label);
      return [el("div", { className: "state bad" }, words.failed, message.state === "failed" ? act(words.retry, "retry") : null, act(words.remove, "discard"))];
    }
    if (message.state === "sending" && !message.seq) return [el("div", { className: "state" }, words.sending)];
    return last ? [el("div", { className: "state" }, this.isSeen(message) ? words.seen : words.sent)] : [];
  }

  signs() {
    const { thread, words } = this.chat;
    const types = thread.typingUntil > Date.now();
    const name = thread.list.filter((m) => m.from === "us" && m.author?.name).pop()?.author.name ?? words.us;
    if (types && this.typing.hidden) this.typing.replaceChildren(el("span", { className: "dots" }, el("i"), el("i"), el("i")), fill(words.typing, { name }));
    this.typing.hidden = !types;
  }

  atEnd() {
    return this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR_END;
  }

  // A picture has its size now; who was at the end stays there.
  settled() {
    if (this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 360) this.log.scrollTop = this.log.scrollHeight;
  }

  // Read is what was in front of a visitor who looked.
  look() {
    clearTimeout(this.looking);
    const looks = () => !this.panel.hidden && document.visibilityState === "visible" && this.atEnd();
    // Asked again when the time is over: he may have closed it meanwhile.
    if (looks()) this.looking = setTimeout(() => looks() && this.chat.thread.look(), 400);
  }

  unread() {
    const { words, thread } = this.chat;
    const n = thread.unread;
    this.badge.hidden = !n || !this.panel.hidden;
    this.badge.textContent = n > 99 ? "99+" : String(n);
    const open = !this.panel.hidden;
    const label = open ? words.close : n ? `${words.open}, ${fill(words.unread, { n })}` : words.open;
    this.launcher.setAttribute("aria-label", label);
    const away = n && (!open || document.visibilityState !== "visible");
    const wanted = away ? `(${n}) ${this.title}` : this.title;
    if (document.title !== wanted && (away || document.title.startsWith("("))) document.title = wanted;
  }

  status(text) {
    this.bar.textContent = text ?? "";
    this.bar.hidden = !text;
  }

  say(text) {
    this.said.textContent = text;
  }

  tooLarge(max) {
    const text = fill(this.chat.words.tooLarge, { max: bytes(max) });
    this.status(text);
    this.say(text);
    setTimeout(() => this.status(this.chat.connection()), 5_000);
  }

  remove() {
    document.removeEventListener("visibilitychange", this.onShow);
    removeEventListener("focus", this.onShow);
    this.host.remove();
    document.title = this.title;
  }
}
