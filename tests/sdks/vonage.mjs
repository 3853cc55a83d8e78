// @vonage/jwt: its check of signatures; @vonage/messages: its client against the twin.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { Auth } from "@vonage/auth";
import { verifySignature } from "@vonage/jwt";
import { Messages, SMS } from "@vonage/messages";
import { act, signed, twin, webhook } from "./world.mjs";

const token = (claims, secret) => {
  const text = [{ alg: "HS256", typ: "JWT" }, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
};

export default async function check() {
  const { hook, settings, api } = await twin("vonage");
  const { signature_secret: secret, application_id: applicationId, private_key: privateKey, from } = settings;

  await act("vonage", { person: "tel:+15550100201", text: "Vonage says hello" });
  const heard = await webhook("vonage", "Vonage says");
  const jwt = heard.headers.authorization.replace("Bearer ", "");
  assert.ok(verifySignature(jwt, secret));
  assert.ok(!verifySignature(jwt, "fake-other-secret"));
  const claims = JSON.parse(Buffer.from(jwt.split(".")[1], "base64url"));
  assert.equal(claims.payload_hash, createHash("sha256").update(heard.body).digest("hex"));

  const body = heard.body.toString().replace("Vonage says hello", "SDK signed").replace("99999999-0000", "99999999-0201");
  const now = Math.floor(Date.now() / 1000);
  const proof = token({ ...claims, iat: now, jti: "fake-sdk", payload_hash: createHash("sha256").update(body).digest("hex") }, secret);
  assert.ok(verifySignature(proof, secret));
  await signed("vonage", { hook }, { "content-type": "application/json", authorization: `Bearer ${proof}` }, body, "signed");

  const client = new Messages(new Auth({ applicationId, privateKey }), { apiHost: api });
  const sent = await client.send(new SMS({ to: "15550100202", from, text: "by the SDK" }));
  assert.match(sent.messageUUID, /^[0-9a-f-]{36}$/);
  await assert.rejects(client.send(new SMS({ to: "", from, text: "x" })), (e) => e.response?.status === 422);
}
