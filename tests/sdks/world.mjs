// What every check needs: the twins' addresses and credentials, what people do there, and what passed.

import assert from "node:assert/strict";

/** The gateway as providers see it: the recorder before it. */
export const base = process.argv[2];

const json = async (path, init) => {
  const answer = await fetch(base + path, init);
  assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.json();
};
const post = (path, body) => json(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

/** A twin: where its API is, where its webhooks go, and what its clients must know. */
export async function twin(name) {
  const { hook_url: hook, settings } = await json(`/sandbox-control/${name}`);
  return { name, hook, settings, api: `${base}/sandbox/${name}` };
}

/** A person does something on the provider's side. */
export const act = (name, what) => post(`/sandbox-control/${name}/act`, what);

/** Asks until there is something. */
export async function until(what, ask) {
  for (let round = 0; round < 150; round += 1) {
    const found = await ask();
    if (found) return found;
    await new Promise((wake) => setTimeout(wake, 100));
  }
  throw new Error(`${what} did not come`);
}

/** The first request that passed and fits, with its body as bytes. */
export const passed = (what, fits) =>
  until(what, async () => {
    const records = (await json("/recorded")).map((record) => ({ ...record, body: Buffer.from(record.body, "base64") }));
    return records.find((record) => fits(record, record.body.toString("utf8")));
  });

/** The webhook with these words that a twin made and the gateway took. */
export async function webhook(name, words) {
  const found = await passed(`the webhook of ${name}`, (r, text) => r.url.startsWith(`/hooks/demo-${name}`) && text.includes(words));
  assert.ok(found.status < 300, `${name}: ${found.status}`);
  return found;
}

/** The call with these words that was made to a twin. */
export const call = (name, words) => passed(`the call to ${name}`, (r, text) => r.url.startsWith(`/sandbox/${name}/`) && text.includes(words));

/** Sends through the gateway and waits until the provider has it. */
export async function send(to, parts, channel) {
  const { id } = await post("/v1/messages", { to, parts, channel });
  return until(`the outcome of ${id}`, async () => {
    const message = await json(`/v1/messages/${id}`);
    assert.notEqual(message.state, "failed", JSON.stringify(message));
    return ["sent", "delivered", "read"].includes(message.state) && message;
  });
}

/** Delivers to a hook: the status of its answer. */
export const deliver = async (url, headers, body, method = "POST") => (await fetch(url, { method, headers, body })).status;

/** What the SDK signed is taken, becomes the event of these words, and is refused with a changed byte. */
export async function signed(name, { hook }, headers, body, words) {
  const bytes = Buffer.from(body);
  const changed = Buffer.from(bytes);
  changed[changed.indexOf(words)] ^= 1;
  assert.notDeepEqual(changed, bytes, "the words stand in the body");
  const refused = await deliver(hook, headers, changed);
  assert.ok(refused >= 400 && refused < 500, `${name}: a changed byte was answered ${refused}`);
  const taken = await deliver(hook, headers, bytes);
  assert.ok(taken >= 200 && taken < 300, `${name}: what the SDK signed was answered ${taken}`);
  await until(`the event of ${name}`, async () => {
    let cursor = "";
    for (;;) {
      const page = await json(`/v1/events?channel=demo-${name}${cursor}`);
      if (page.data.some((event) => JSON.stringify(event.data).includes(words))) return true;
      if (!page.has_more) return false;
      cursor = `&after=${encodeURIComponent(page.next)}`;
    }
  });
}
