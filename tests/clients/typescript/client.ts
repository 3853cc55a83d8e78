// A client generated from /openapi.json: what does not fit the gateway either does not compile or fails here.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Part = components["schemas"]["Part"];
type Message = components["schemas"]["Message"];

// The tag decides what a part must have, and says what it has.
// @ts-expect-error a text has words
export const silent: Part = { type: "text" };
// @ts-expect-error there is no such kind of part
export const unknown: Part = { type: "telepathy", text: "?" };
const words = (part: Part): string => (part.type === "text" || part.type === "choices" ? part.text : part.type);

const client = createClient<paths>({ baseUrl: process.argv[2] ?? "" });
const parts: Part[] = [
  { type: "text", text: "Your table is ready" },
  { type: "choices", text: "Still coming?", options: [{ id: "yes", title: "Yes" }] },
];

const sent = await client.POST("/v1/messages", { body: { to: "telegram:5550001", parts, metadata: { booking: "B-77" } } });
assert.equal(sent.response.status, 202, JSON.stringify(sent.error));
assert.ok(sent.data);
const id: string = sent.data.id;

async function settled(): Promise<Message> {
  for (let n = 0; n < 100; n += 1) {
    const { data, error } = await client.GET("/v1/messages/{id}", { params: { path: { id } } });
    assert.ok(data, JSON.stringify(error));
    if (data.state !== "accepted" && data.state !== "sending") return data;
    await pause(100);
  }
  throw new Error("the message was not sent within 10 s");
}
const message = await settled();
assert.equal(message.state, "sent", JSON.stringify(message));
assert.ok(message.provider_message_id);
assert.deepEqual(message.request?.parts?.map(words), ["Your table is ready", "Still coming?"]);
assert.equal(message.request?.metadata?.["booking"], "B-77");
const states = message.timeline?.map((line) => line.what) ?? [];
assert.ok(states.includes("accepted") && states.includes("sent"), `the timeline: ${states.join(", ")}`);

const refused = await client.POST("/v1/messages", { body: { to: "telegram:5550001", parts: [{ type: "text", text: "" }] } });
assert.equal(refused.response.status, 422);
assert.equal(refused.response.headers.get("content-type"), "application/problem+json");
assert.ok(refused.error);
assert.equal(refused.error.type, "/problems/invalid-request");
assert.equal(refused.error.status, 422);
assert.equal(refused.error.errors?.[0]?.pointer, "#/parts/0/text", JSON.stringify(refused.error));

const missing = await client.GET("/v1/messages/{id}", { params: { path: { id: "msg_nothing" } } });
assert.equal(missing.error?.type, "/problems/not-found");

const page = await client.GET("/v1/messages", { params: { query: { limit: 1 } } });
assert.equal(page.data?.data[0]?.id, id);
const events = await client.GET("/v1/events", { params: { query: { type: "fairway.message.created" } } });
// The same address is a stream of text for who asks for one.
assert.ok(events.data && typeof events.data !== "string");
assert.equal(events.data.data[0]?.data["message_id"], id);
const channels = await client.GET("/v1/channels");
assert.ok(channels.data?.data.some((channel) => channel.id === "demo-telegram" && channel.limits?.length));
