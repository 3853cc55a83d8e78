// @line/bot-sdk: its check of signatures, its login and its client against the twin.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { channelAccessToken, HTTPFetchError, messagingApi, validateSignature } from "@line/bot-sdk";
import { act, signed, twin, webhook } from "./world.mjs";

const PERSON = "U00000000000000000000000000000201";

export default async function check() {
  const { hook, settings } = await twin("line");
  const api = process.env.LINE_API; // This SDK takes no path in the address.
  const { channel_id: clientId, channel_secret: secret } = settings;

  await act("line", { person: `line:${PERSON}`, text: "LINE says hello" });
  const heard = await webhook("line", "LINE says");
  const valid = (body) => validateSignature(body, secret, heard.headers["x-line-signature"]);
  assert.ok(valid(heard.body.toString()) && !valid(heard.body.toString().replace("LINE", "LIME")));

  const body = heard.body.toString().replace("LINE says hello", "SDK signed").replace(/01TWIN/g, "01SDKS").replace(/"id":"/, '"id":"9');
  const signature = createHmac("sha256", secret).update(body).digest("base64");
  assert.ok(validateSignature(body, secret, signature));
  await signed("line", { hook }, { "content-type": "application/json", "x-line-signature": signature }, body, "signed");

  const login = new channelAccessToken.ChannelAccessTokenClient({ baseURL: api });
  const { access_token: token } = await login.issueStatelessChannelTokenByClientSecret(clientId, secret);
  const client = new messagingApi.MessagingApiClient({ channelAccessToken: token, baseURL: api });
  assert.equal((await client.getBotInfo()).userId, settings.bot_user_id);
  const sent = await client.pushMessage({ to: PERSON, messages: [{ type: "text", text: "by the SDK" }] });
  assert.match(sent.sentMessages[0].id, /^\d+$/);
  await assert.rejects(client.pushMessage({ to: PERSON, messages: [] }), (e) => e instanceof HTTPFetchError && e.status === 400);
  const stranger = new messagingApi.MessagingApiClient({ channelAccessToken: "fake", baseURL: api });
  await assert.rejects(stranger.getBotInfo(), (e) => e instanceof HTTPFetchError && e.status === 401);
}
