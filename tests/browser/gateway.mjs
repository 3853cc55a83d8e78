// A gateway of our own, in its own folder on a free port; it can be killed and started again.

import { spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

export async function gateway(folder, binary) {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const settings = `[server]\nlisten = "127.0.0.1:${port}"\npublic_url = "${base}"\n[sandbox]\nenabled = true\n`;
  writeFileSync(`${folder}/fairway.toml`, settings);
  let child;
  const self = {
    base,
    async start() {
      const out = openSync(`${folder}/gateway.log`, "a");
      child = spawn(binary, ["--config", "fairway.toml"], { cwd: folder, stdio: ["ignore", out, out] });
      for (let n = 0; n < 150; n += 1) {
        if (await fetch(`${base}/readyz`).then((a) => a.ok, () => false)) return;
        await pause(100);
      }
      throw new Error(`the gateway does not start:\n${readFileSync(`${folder}/gateway.log`, "utf8")}`);
    },
    kill(signal = "SIGKILL") {
      return new Promise((resolve) => {
        child.once("exit", resolve);
        child.kill(signal);
      });
    },
    async api(method, path, body) {
      const headers = body ? { "content-type": "application/json" } : {};
      const answer = await fetch(base + path, { method, headers, body: body && JSON.stringify(body) });
      const text = await answer.text();
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
      return text ? JSON.parse(text) : null;
    },
    async events(type) {
      const { data } = await self.api("GET", `/v1/events?limit=500${type ? `&type=${type}` : ""}`);
      return data;
    },
    // An answer by the API, with what becomes of it.
    async send(to, ...parts) {
      const { id } = await self.api("POST", "/v1/messages", { to, parts, author: { kind: "agent", name: "Lea" } });
      return id;
    },
    async state(id) {
      return (await self.api("GET", `/v1/messages/${id}`)).state;
    },
  };
  await self.start();
  return self;
}

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Waits until something holds; what it was is in the error when it never does.
export async function until(what, act, within = 15_000) {
  const end = Date.now() + within;
  let last;
  for (;;) {
    try {
      last = await act();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`never came true: ${what} (last: ${last?.message ?? JSON.stringify(last)})`);
    await pause(60);
  }
}

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

// The proof a site's backend would make.
export function identity(claims, secret) {
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}
