// Stands before the gateway as its `public_url` and writes down what passes: webhooks of the twins, calls of the adapters.
// What is written down is read at /recorded, bodies in base64. Some SDKs take no path in the address of an API: a twin that is
// named on the command line, as NAME=PORT, has a port of its own.

import http from "node:http";

const [listen, gateway] = process.argv.slice(2, 4).map(Number);
const agent = new http.Agent({ keepAlive: true });
const records = [];

const read = async (stream) => {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
};

const serve = (port, prefix) =>
  http
    .createServer(async (request, response) => {
      if (request.url === "/recorded") return void response.end(JSON.stringify(records));
      const { method } = request;
      const url = prefix + request.url;
      const body = await read(request);
      const headers = { ...request.headers, host: `127.0.0.1:${gateway}` };
      const call = http.request({ agent, host: "127.0.0.1", port: gateway, method, path: url, headers }, async (answer) => {
        const answered = await read(answer);
        if (/^\/(hooks|sandbox)\//.test(url)) {
          records.push({ method, url, headers: request.headers, body: body.toString("base64"), status: answer.statusCode });
        }
        response.writeHead(answer.statusCode, answer.headers).end(answered);
      });
      call.on("error", () => response.writeHead(502).end());
      call.end(body);
    })
    .listen(port, "127.0.0.1");

serve(listen, "");
for (const [name, port] of process.argv.slice(4).map((pair) => pair.split("="))) serve(Number(port), `/sandbox/${name}`);
