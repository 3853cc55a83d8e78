// discord-interactions: its check of signatures; @discordjs/rest and @discordjs/ws: their clients against the twin.

import assert from "node:assert/strict";
import { DiscordAPIError, REST } from "@discordjs/rest";
import { WebSocketManager, WebSocketShardEvents } from "@discordjs/ws";
import { GatewayIntentBits, Routes } from "discord-api-types/v10";
import { verifyKey } from "discord-interactions";
import { act, deliver, twin, until, webhook } from "./world.mjs";

const PLACE = "700000000000000201";

/** A client of the gateway with this token, and a session if there was one; what it has heard. */
function listener(settings, token, session = null) {
  const { GuildMessages, DirectMessages, MessageContent } = GatewayIntentBits;
  const session_start_limit = { total: 1000, remaining: 1000, reset_after: 0, max_concurrency: 1 };
  const rest = { get: async () => ({ url: settings.gateway_url, shards: 1, session_start_limit }) };
  const heard = { ready: 0, resumed: 0, texts: [], session };
  const options = { retrieveSessionInfo: () => heard.session, updateSessionInfo: (_shard, session) => (heard.session = session) };
  const manager = new WebSocketManager({ token, intents: GuildMessages | DirectMessages | MessageContent, rest, ...options });
  manager.on(WebSocketShardEvents.Ready, () => (heard.ready += 1));
  manager.on(WebSocketShardEvents.Resumed, () => (heard.resumed += 1));
  manager.on(WebSocketShardEvents.Dispatch, ({ t, d }) => t === "MESSAGE_CREATE" && heard.texts.push(d.content));
  const failed = new Promise((_, fail) => manager.on(WebSocketShardEvents.Error, fail));
  failed.catch(() => {});
  return { manager, heard, failed };
}

/** It begins a session, hears what people write, comes back to the session, and is refused with a wrong token. */
async function listens(settings) {
  // The twin tells an event to one of its sessions: ours, or this one.
  const writes = (heard, text) =>
    until(`${text} on the gateway`, async () => {
      await act("discord", { person: `discord:${PLACE}`, text });
      return heard.texts.includes(text);
    });
  const first = listener(settings, settings.bot_token);
  await first.manager.connect();
  await writes(first.heard, "before");
  assert.deepEqual([first.heard.ready, first.heard.resumed], [1, 0]);
  const { session } = first.heard;
  await first.manager.destroy({ code: 4200 });
  const second = listener(settings, settings.bot_token, session);
  await second.manager.connect();
  await writes(second.heard, "after");
  assert.deepEqual([second.heard.ready, second.heard.resumed], [0, 1]);
  await second.manager.destroy();
  const stranger = listener(settings, "fake");
  await assert.rejects(Promise.race([stranger.failed, stranger.manager.connect()]), /Authentication failed/);
}

export default async function check() {
  const { hook, settings, api } = await twin("discord");

  await act("discord", { person: `discord:${PLACE}`, pick: "800000000000000201", title: "Discord says yes" });
  const heard = await webhook("discord", "Discord says yes");
  const proof = (name) => heard.headers[`x-signature-${name}`];
  const valid = (body) => verifyKey(body, proof("ed25519"), proof("timestamp"), settings.public_key);
  const changed = Buffer.from(heard.body.toString().replace("says yes", "says no."));
  assert.ok((await valid(heard.body)) && !(await valid(changed)));
  assert.equal(await deliver(hook, heard.headers, changed), 401);

  const client = new REST({ version: "10", api: `${api}/api`, retries: 0 }).setToken(settings.bot_token);
  const sent = await client.post(Routes.channelMessages(PLACE), { body: { content: "by the SDK" } });
  assert.match(sent.id, /^\d{17,20}$/);
  assert.equal(sent.channel_id, PLACE);
  const long = client.post(Routes.channelMessages(PLACE), { body: { content: "x".repeat(2001) } });
  await assert.rejects(long, (e) => e instanceof DiscordAPIError && e.status === 400 && e.code === 50035);
  const stranger = new REST({ version: "10", api: `${api}/api`, retries: 0 }).setToken("fake");
  await assert.rejects(stranger.post(Routes.channelMessages(PLACE), { body: { content: "x" } }), (e) => e.status === 401);
  await listens(settings);
}
