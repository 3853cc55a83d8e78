// Stands before the gateway as its `public_url` and writes down what passes: webhooks of the twins, calls of the adapters.
// What is written down is read at /recorded, bodies in base64. Some SDKs take no path in the address of an API: a twin that is
// named on the command line, as NAME=PORT, has a port of its own; as NAME=PORT,KEY,CERTIFICATE it speaks HTTP/2 over TLS there.

import { readFileSync } from "node:fs";
import http from "node:http";
import http2 from "node:http2";

const [listen, gateway] = process.argv.slice(2, 4).map(Number);
const agent = new http.Agent({ keepAlive: true });
const records = [];

const read = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
};

// What the one version of HTTP says beside the fields that both have.
const ends = (name) => name.startsWith(":") || ["connection", "keep-alive", "transfer-encoding"].includes(name);
const plain = (headers) => Object.fromEntries(Object.entries(headers).filter(([name]) => !ends(name)));

const pass = (prefix) => async (request, response) => {
  if (request.url === "/recorded") return void response.end(JSON.stringify(records));
  const { method } = request;
  const url = prefix + request.url;
  const body = await read(request);
  const headers = { ...plain(request.headers), host: `127.0.0.1:${gateway}`, "content-length": body.length };
  const call = http.request({ agent, host: "127.0.0.1", port: gateway, method, path: url, headers }, async (answer) => {
    const answered = await read(answer);
    if (/^\/(hooks|sandbox)\//.test(url)) {
      records.push({ method, url, headers: plain(request.headers), body: body.toString("base64"), status: answer.statusCode });
    }
    if (!response.stream) return void response.writeHead(answer.statusCode, plain(answer.headers)).end(answered);
    // The body ends in the frame that brings it: some clients read whatever frame comes.
    response.stream.respond({ ":status": answer.statusCode, ...plain(answer.headers) }, { endStream: answered.length === 0 });
    if (answered.length > 0) response.stream.end(answered);
  });
  call.on("error", () => response.writeHead(502).end());
  call.end(body);
};

http.createServer(pass("")).listen(listen, "127.0.0.1");
for (const [name, where] of process.argv.slice(4).map((pair) => pair.split("="))) {
  const [port, key, cert] = where.split(",");
  const tls = key && { key: readFileSync(key), cert: readFileSync(cert) };
  const server = tls ? http2.createSecureServer(tls, pass(`/sandbox/${name}`)) : http.createServer(pass(`/sandbox/${name}`));
  server.listen(Number(port), "127.0.0.1");
}
