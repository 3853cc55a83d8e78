// Deliveries of ours, checked by the Standard Webhooks library and read by the CloudEvents SDK.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { HTTP } from "cloudevents";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const [file, expected] = process.argv.slice(2);
const webhook = new Webhook(process.env.SECRET);
const other = new Webhook(`whsec_${Buffer.from("another secret of enough length").toString("base64")}`);
const refused = (headers, body, by = webhook) => assert.throws(() => by.verify(body, headers), WebhookVerificationError);

const texts = [];
for (const line of readFileSync(file, "utf8").trim().split("\n")) {
  const delivery = JSON.parse(line);
  const { headers } = delivery;
  const body = Buffer.from(delivery.body, "base64").toString("utf8");
  webhook.verify(body, headers);
  refused(headers, body.replace("table", "chair"));
  refused({ ...headers, "webhook-id": "evt_another" }, body);
  refused({ ...headers, "webhook-timestamp": String(Number(headers["webhook-timestamp"]) - 1) }, body);
  refused(headers, body, other);
  const event = HTTP.toEvent({ headers, body });
  assert.ok(event.validate());
  assert.equal(event.id, headers["webhook-id"]);
  assert.equal(event.type, "fairway.message.received");
  assert.equal(event.source, "/channels/demo-telegram");
  assert.equal(event.subject, event.data.conversation);
  texts.push(event.data.message.parts[0].text);
}
assert.deepEqual(texts, JSON.parse(expected));
