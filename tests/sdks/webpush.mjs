// web-push: what it encrypts and signs is taken by the twin. (That others read what we encrypt: python/webpush.py.)

import assert from "node:assert/strict";
import webpush from "web-push";
import { twin } from "./world.mjs";

// The user agent of RFC 8291, section 5, whose browser the twin plays.
const keys = { p256dh: "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4", auth: "BTBZMqHH6r4Tts7J_aSIgg" };

export default async function check() {
  const { settings, api } = await twin("webpush");
  const vapidDetails = { subject: settings.vapid_subject, publicKey: settings.vapid_public, privateKey: settings.vapid_private };
  const subscription = { endpoint: "https://push.example.net/send/fake-201", keys };
  const text = JSON.stringify({ title: "by the SDK", body: "Hello" });
  const push = async (options, to = subscription) => {
    const { headers, body } = webpush.generateRequestDetails(to, text, { vapidDetails, TTL: 60, ...options });
    return (await fetch(api + new URL(to.endpoint).pathname, { method: "POST", headers, body })).status;
  };
  assert.equal(await push({}), 201);
  assert.equal(await push({ topic: "news", urgency: "high" }), 201);
  assert.equal(await push({}, { ...subscription, endpoint: "https://push.example.net/send/gone-201" }), 410);
  assert.equal(await push({ vapidDetails: { ...vapidDetails, ...webpush.generateVAPIDKeys() } }), 403);
}
