// discord-interactions: its check of signatures; @discordjs/rest: its client against the twin.

import assert from "node:assert/strict";
import { DiscordAPIError, REST } from "@discordjs/rest";
import { Routes } from "discord-api-types/v10";
import { verifyKey } from "discord-interactions";
import { act, deliver, twin, webhook } from "./world.mjs";

const PLACE = "700000000000000201";

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
}
