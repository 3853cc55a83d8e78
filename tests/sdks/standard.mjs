// standardwebhooks: a provider that signs by it is described in the configuration (tests/sdks/standard.toml).

import assert from "node:assert/strict";
import { Webhook } from "standardwebhooks";
import { base, deliver } from "./world.mjs";

export default async function check() {
  const webhook = new Webhook(process.env.STANDARD_SECRET);
  const body = JSON.stringify({ id: "in-1", from: "ana", text: "SDK signed" });
  const at = new Date();
  const headers = (id, when, text) => ({
    "content-type": "application/json", "webhook-id": id, "webhook-timestamp": String(Math.floor(when / 1000)), "webhook-signature": webhook.sign(id, when, text),
  });
  const hook = `${base}/hooks/standard`;
  assert.equal(await deliver(hook, headers("evt_1", at, body), body), 200);
  assert.equal(await deliver(hook, headers("evt_1", at, body), body.replace("SDK", "SDL")), 401);
  assert.equal(await deliver(hook, { ...headers("evt_1", at, body), "webhook-id": "evt_2" }, body), 401);
  const old = new Date(at - 400_000);
  assert.equal(await deliver(hook, headers("evt_3", old, body), body), 401);
}
