// The conversation in this browser: what the gateway has numbered, and behind it what is still on its way.

const ACK_WITHIN = 10_000;
const TYPING_EVERY = 3_000;
const TYPING_ENDS = 5_000;

const newId = () => {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `c-${[...bytes].map((b) => b.toString(16).padStart(2, "0")).join("")}`;
};

export class Thread {
  // changed(what): "messages" | "typing" | "unread" | "marks"; said(event, value) for the page.
  constructor(session, { changed, said, page }) {
    Object.assign(this, { session, changed, said, page });
    this.clear();
    this.pending = (session.read("outbox") ?? []).map((m) => ({ ...m, state: "sending" }));
  }

  clear() {
    this.messages = new Map(); // by id
    this.pending = [];
    this.cursor = null;
    this.seen = 0;
    this.readByUs = null;
    this.more = false;
    this.typingUntil = 0;
    this.drafts = new Map();
  }

  get list() {
    return [...this.messages.values()].sort((a, b) => a.seq - b.seq);
  }

  get unread() {
    let n = 0;
    for (const m of this.messages.values()) if (m.from === "us" && m.seq > this.seen) n += 1;
    return n;
  }

  answered(id) {
    const own = (m) => m.reply_to === id && m.content;
    return [...this.messages.values(), ...this.pending].find(own);
  }

  heard(frame) {
    switch (frame.type) {
      case "welcome":
        if (frame.reset) this.messages.clear();
        frame.gone?.forEach((id) => this.messages.delete(id));
        frame.frames.forEach((m) => this.keep(m));
        this.cursor = frame.cursor;
        this.seen = Math.max(frame.reset ? 0 : this.seen, frame.seen);
        this.readByUs = frame.read ?? this.readByUs;
        if (frame.reset) this.more = frame.more;
        this.arrived();
        this.flush();
        return this.changed("messages");
      case "history":
        frame.frames.forEach((m) => this.keep(m));
        this.more = frame.more;
        return this.changed("messages");
      case "message":
        return this.told(frame, this.messages.has(frame.id));
      case "gone":
        this.advance(frame.seq);
        if (!this.messages.delete(frame.id)) return undefined;
        this.said("message:removed", { id: frame.id });
        return this.changed("messages");
      case "typing":
        this.typingUntil = Date.now() + frame.for_ms;
        setTimeout(() => this.changed("typing"), frame.for_ms + 50);
        this.said("typing", {});
        return this.changed("typing");
      case "read":
        this.readByUs = frame.id;
        return this.changed("marks");
      case "seen":
        this.seen = Math.max(this.seen, frame.upto);
        return this.changed("unread");
      case "ack":
        return this.acknowledged(frame);
      case "nack":
        return this.refused(frame);
      default:
        return undefined;
    }
  }

  told(frame, known) {
    this.advance(frame.edited ?? frame.seq);
    if (!this.keep(frame)) return;
    if (known && frame.edited) this.said("message:changed", frame);
    else if (frame.from === "us") {
      this.typingUntil = 0;
      this.arrived();
      this.said("message:received", frame);
    }
    this.changed("messages");
  }

  advance(seq) {
    if (seq > (this.cursor ?? 0)) this.cursor = seq;
  }

  // True when it is new, or reads differently now. What the gateway wrote twice has one id.
  keep(message) {
    const known = this.messages.get(message.id);
    if (message.client_id) this.settle(message.client_id);
    // Our own copy of an acknowledged message gives way to the gateway's, which knows where its file lies.
    const better = (known?.local && !message.local) || (message.edited ?? 0) > (known?.edited ?? 0);
    if (known && known.seq <= message.seq && !better) return false;
    this.messages.set(message.id, message);
    return true;
  }

  arrived() {
    clearTimeout(this.arriving);
    this.arriving = setTimeout(() => this.link?.send({ type: "delivered", upto: this.cursor }), 150);
  }

  // The visitor has it in front of him.
  look() {
    const newest = this.list.findLast?.((m) => m.from === "us") ?? this.list.filter((m) => m.from === "us").pop();
    if (!newest || newest.seq <= this.seen) return;
    if (!this.link?.send({ type: "read", upto: newest.seq })) return;
    this.seen = newest.seq;
    this.changed("unread");
  }

  write(content, { reply_to, preview } = {}) {
    const message = { type: "message", client_id: newId(), content, page: this.page(), at: new Date().toISOString(), state: "sending" };
    if (reply_to) message.reply_to = reply_to;
    if (preview) this.drafts.set(message.client_id, preview);
    this.pending.push(message);
    this.save();
    this.post(message);
    this.changed("messages");
    this.stopTyping();
    return message.client_id;
  }

  post(message) {
    const { type, client_id, content, page, reply_to } = message;
    clearTimeout(message.timer);
    message.state = "sending";
    if (!this.link?.send({ type, client_id, content, page, reply_to })) return;
    message.timer = setTimeout(() => this.fail(message), ACK_WITHIN);
  }

  fail(message) {
    if (!this.pending.includes(message)) return;
    // Off line it only waits: it goes out by itself.
    message.state = this.link?.state === "online" ? "failed" : "sending";
    this.changed("messages");
  }

  flush() {
    this.pending.filter((m) => m.state !== "refused").forEach((m) => this.post(m));
  }

  retry(client_id) {
    const message = this.pending.find((m) => m.client_id === client_id);
    if (message) this.post(message);
    this.changed("messages");
  }

  discard(client_id) {
    this.settle(client_id);
    this.changed("messages");
  }

  settle(client_id) {
    const at = this.pending.findIndex((m) => m.client_id === client_id);
    if (at < 0) return null;
    const [message] = this.pending.splice(at, 1);
    clearTimeout(message.timer);
    this.save();
    return message;
  }

  acknowledged(ack) {
    const message = this.settle(ack.client_id);
    if (!message) return;
    this.keep({ ...message, seq: ack.seq ?? Number.MAX_SAFE_INTEGER, id: ack.id, at: ack.at ?? message.at, from: "visitor", local: true });
    this.said("message:sent", { id: ack.id, content: message.content });
    this.changed("messages");
  }

  refused(nack) {
    const message = this.pending.find((m) => m.client_id === nack.client_id);
    if (!message) return;
    clearTimeout(message.timer);
    if (nack.retry_after_ms) {
      message.timer = setTimeout(() => this.post(message), nack.retry_after_ms);
    } else {
      message.state = "refused";
      this.changed("messages");
    }
  }

  save() {
    this.session.write("outbox", this.pending.map(({ timer: _, ...message }) => message).slice(-50));
  }

  earlier() {
    const [first] = this.list;
    if (first) this.link?.send({ type: "history", before: first.seq });
  }

  typed() {
    const now = Date.now();
    if (now - (this.typedAt ?? 0) > TYPING_EVERY && this.link?.send({ type: "typing", on: true })) this.typedAt = now;
    clearTimeout(this.typingStops);
    this.typingStops = setTimeout(() => this.stopTyping(), TYPING_ENDS);
  }

  stopTyping() {
    clearTimeout(this.typingStops);
    if (!this.typedAt) return;
    this.typedAt = 0;
    this.link?.send({ type: "typing", on: false });
  }

  track(name, properties) {
    this.link?.send({ type: "track", client_id: newId(), name, properties: properties ?? {} });
  }
}
