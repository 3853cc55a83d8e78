// @sendgrid/eventwebhook: its check of signatures; the clients of SendGrid, Mailgun and Postmark against the twin.

import assert from "node:assert/strict";
import sendgridEvents from "@sendgrid/eventwebhook";
import sendgrid from "@sendgrid/mail";
import Mailgun from "mailgun.js";
import postmark from "postmark";
import { send, deliver, twin, webhook } from "./world.mjs";

const [TO, FROM] = ["ana@example.org", "hello@acme.example"];

export default async function check() {
  const { hook, settings, api } = await twin("email");

  const { provider_message_id: id } = await send(`mailto:${TO}`, [{ type: "text", text: "by the gateway" }], "demo-email");
  const heard = await webhook("email", `"event":"delivered"`);
  const proof = (name) => heard.headers[`x-twilio-email-event-webhook-${name}`];
  const events = new sendgridEvents.EventWebhook();
  const key = events.convertPublicKeyToECDSA(settings.event_public_key);
  const valid = (body) => events.verifySignature(key, body, proof("signature"), proof("timestamp"));
  const changed = heard.body.toString().replace("delivered", "bounced--");
  assert.ok(id && valid(heard.body) && !valid(changed));
  assert.equal(await deliver(hook, heard.headers, changed), 401);

  sendgrid.setApiKey(settings.api_key);
  sendgrid.client.setDefaultRequest("baseUrl", `${api}/`);
  const [answer] = await sendgrid.send({ to: TO, from: FROM, subject: "Hello", text: "by the SDK" });
  assert.equal(answer.statusCode, 202);
  assert.ok(answer.headers.get?.("x-message-id") ?? answer.headers["x-message-id"]);
  await assert.rejects(sendgrid.send({ to: "nobody", from: FROM, subject: "Hello", text: "x" }), (e) => e.code === 400 && e.response.body.errors.length === 1);

  const mailgun = new Mailgun(FormData).client({ username: "api", key: settings.api_key, url: api });
  const queued = await mailgun.messages.create("acme.example", { to: TO, from: FROM, subject: "Hello", text: "by the SDK", "h:Message-Id": "<1@acme.example>" });
  assert.deepEqual([queued.id, queued.status], ["<1@acme.example>", 200]);
  await assert.rejects(mailgun.messages.create("acme.example", { to: "nobody", from: FROM, text: "x" }), (e) => e.status === 400);

  const { host, pathname } = new URL(api);
  const server = new postmark.ServerClient(settings.server_token, { requestHost: host + pathname, useHttps: false });
  const mail = { To: TO, From: FROM, Subject: "Hello", TextBody: "by the SDK", MessageStream: "outbound" };
  const taken = await server.sendEmail(mail);
  assert.deepEqual([taken.ErrorCode, taken.To], [0, TO]);
  await assert.rejects(server.sendEmail({ ...mail, To: "nobody" }), (e) => e instanceof postmark.Errors.PostmarkError && e.code === 300);
}
