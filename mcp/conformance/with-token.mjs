// Adds the bearer token to what passes, as the suite cannot: node with-token.mjs ADDRESS:PORT TOKEN_FILE PORT_FILE.
// Everything else goes on as it is, Host and Origin too, where they do not name its own address.
import { readFileSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";

const [target, tokenFile, portFile] = process.argv.slice(2);
const [host, port] = target.split(":");
const token = readFileSync(tokenFile, "utf8").trim();

const server = createServer((incoming, answer) => {
  const own = `:${server.address().port}`;
  const headers = { ...incoming.headers, authorization: `Bearer ${token}` };
  for (const name of ["host", "origin"]) {
    if (headers[name]?.endsWith(own)) headers[name] = headers[name].replace(own, `:${port}`);
  }
  const outgoing = request({ host, port, path: incoming.url, method: incoming.method, headers }, (response) => {
    answer.writeHead(response.statusCode, response.headers);
    response.pipe(answer);
  });
  // Cancelling a request is closing it.
  answer.on("close", () => outgoing.destroy());
  outgoing.on("error", () => answer.destroy());
  incoming.pipe(outgoing);
});
server.listen(0, "127.0.0.1", () => writeFileSync(portFile, String(server.address().port)));
