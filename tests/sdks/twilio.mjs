// twilio: its signatures both ways, its client against the twin, its request beside ours.

import assert from "node:assert/strict";
import twilio from "twilio";
import { act, call, passed, send, signed, twin, webhook } from "./world.mjs";

const fields = (body) => Object.fromEntries(new URLSearchParams(body.toString()));

export default async function check() {
  const { hook, settings, api, ...rest } = await twin("twilio");
  const { account_sid: account, auth_token: token, from } = settings;

  await act("twilio", { person: "tel:+15550100201", text: "Twilio says hello" });
  const heard = await webhook("twilio", "Twilio+says");
  const valid = (url, params) => twilio.validateRequest(token, heard.headers["x-twilio-signature"], url, params);
  const params = fields(heard.body);
  assert.ok(valid(hook, params) && !valid(hook, { ...params, Body: "other" }) && !valid(`${hook}?x=1`, params));

  const ours = { MessageSid: "SM00000000000000000000000000000201", AccountSid: account, From: "+15550100201", To: from, Body: "SDK signed", NumMedia: "0" };
  const headers = { "content-type": "application/x-www-form-urlencoded", "x-twilio-signature": twilio.getExpectedTwilioSignature(token, hook, ours) };
  await signed("twilio", { hook, ...rest }, headers, new URLSearchParams({ ...ours, Body: "SDK signed" }).toString(), "signed");

  // It comes again when it is told that it was too fast.
  const client = twilio(account, token, { autoRetry: true, maxRetries: 12 });
  client.api.baseUrl = api;
  const sent = await client.messages.create({ to: "+15550100202", from, body: "by the SDK", statusCallback: hook });
  assert.match(sent.sid, /^SM\w{32}$/);
  assert.equal(sent.to, "+15550100202");
  const receipt = await webhook("twilio", sent.sid);
  assert.ok(twilio.validateRequest(token, receipt.headers["x-twilio-signature"], `${hook}${new URL(receipt.url, hook).search}`, fields(receipt.body)));
  await assert.rejects(client.messages.create({ to: "nobody", from, body: "x" }), (e) => e.status === 400 && e.code === 21211);
  const stranger = twilio(account, "fake-wrong-token", { autoRetry: true, maxRetries: 12 });
  stranger.api.baseUrl = api;
  await assert.rejects(stranger.messages.create({ to: "+15550100202", from, body: "x" }), (e) => e.status === 401 && e.code === 20003);

  await send("tel:+15550100202", [{ type: "text", text: "by the gateway" }], "demo-twilio");
  const made = await call("twilio", "by+the+gateway");
  const theirs = await passed("the SDK's call", (r) => r.url === made.url && fields(r.body).Body === "by the SDK");
  const [a, b] = [fields(made.body), fields(theirs.body)];
  assert.equal(made.headers.authorization, theirs.headers.authorization);
  assert.deepEqual([a.To, a.From ?? from], [b.To, b.From]);
  assert.ok(Object.keys(b).every((name) => name in a), `${Object.keys(b)} beside ${Object.keys(a)}`);
}
