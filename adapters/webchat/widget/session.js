// Who the visitor is: a token that this browser keeps, or a proof that the page's own server makes.

const json = { "content-type": "application/json" };

export class Refused extends Error {
  constructor(code, after) {
    super(code);
    this.code = code;
    this.after = after;
  }
}

export class Session {
  constructor({ base, channel, storage, identity, locale }) {
    this.url = `${base}/webchat/${encodeURIComponent(channel)}`;
    this.key = `fairway-chat:${base}:${channel}`;
    this.identity = identity;
    this.locale = locale;
    // A page may have storage switched off: the conversation then lasts as long as the page.
    try {
      this.store = storage === "session" ? window.sessionStorage : window.localStorage;
      this.store.getItem(this.key);
    } catch {
      const kept = new Map();
      this.store = { getItem: (k) => kept.get(k) ?? null, setItem: (k, v) => kept.set(k, v), removeItem: (k) => kept.delete(k) };
    }
    this.info = null;
  }

  read(what) {
    try {
      return JSON.parse(this.store.getItem(`${this.key}:${what}`));
    } catch {
      return null;
    }
  }

  write(what, value) {
    try {
      if (value == null) this.store.removeItem(`${this.key}:${what}`);
      else this.store.setItem(`${this.key}:${what}`, JSON.stringify(value));
    } catch {
      // Full storage costs a resend after a reload, nothing else.
    }
  }

  get known() {
    return Boolean(this.read("token"));
  }

  get token() {
    return this.info?.token ?? this.read("token");
  }

  // The site's proof: a text, or a function that fetches a fresh one.
  async proof() {
    return typeof this.identity === "function" ? this.identity() : this.identity;
  }

  async open() {
    const proof = await this.proof();
    const token = this.read("token");
    try {
      return await this.ask(proof ? { identity: proof, token } : { token });
    } catch (error) {
      // A token nobody knows any more is no proof of anything: this browser starts anew. A wrong identity is different.
      if (!proof && token && ["session_invalid", "session_expired", "identity_expired"].includes(error.code)) {
        this.forget();
        return this.ask({});
      }
      if (error.code === "identity_expired" && typeof this.identity === "function") {
        return this.ask({ identity: await this.proof(), token });
      }
      throw error;
    }
  }

  async ask(wanted) {
    const body = { locale: this.locale };
    for (const [name, value] of Object.entries(wanted)) if (value) body[name] = value;
    const info = await request(`${this.url}/session`, { method: "POST", headers: json, body: JSON.stringify(body) });
    const before = this.read("session");
    if (before && before !== info.session) this.write("cursor", null);
    this.info = info;
    this.write("token", info.token);
    this.write("session", info.session);
    return info;
  }

  forget() {
    this.info = null;
    for (const what of ["token", "session", "cursor", "outbox"]) this.write(what, null);
  }

  headers() {
    return { authorization: `Bearer ${this.token}` };
  }

  upload(file, progress) {
    // Only this old interface tells how far an upload has got.
    return new Promise((resolve, reject) => {
      const call = new XMLHttpRequest();
      call.open("POST", `${this.url}/upload?name=${encodeURIComponent(file.name || "file")}`);
      call.setRequestHeader("authorization", `Bearer ${this.token}`);
      call.setRequestHeader("content-type", file.type || "application/octet-stream");
      call.upload.onprogress = (e) => e.lengthComputable && progress(Math.round((100 * e.loaded) / e.total));
      call.onerror = () => reject(new Refused("network"));
      call.onload = () => {
        const body = parse(call.responseText);
        if (call.status < 300 && body) resolve(body);
        else reject(new Refused(body?.code ?? "network"));
      };
      call.send(file);
    });
  }
}

const parse = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

export async function request(url, options = {}) {
  const answer = await fetch(url, { cache: "no-store", credentials: "omit", ...options });
  const body = parse(await answer.text());
  if (!answer.ok || !body) throw new Refused(body?.code ?? "network", 1000 * (Number(answer.headers.get("retry-after")) || 0));
  return body;
}
