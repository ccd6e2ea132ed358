/** An authorizer as forward authentication asks one: who has the cookie of ann may pass, who has none is sent to log in. */
import { createServer, type Server } from 'node:http';

export function createAuthorizer(): Server {
  return createServer((request, response) => {
    const { cookie = '', 'x-forwarded-uri': uri = '/', 'x-forwarded-method': method } = request.headers;
    if (cookie === 'user=ann') {
      response.writeHead(200, { 'x-user': 'ann', 'x-groups': 'staff' }).end();
    } else if (cookie !== '') {
      response.writeHead(403, { 'content-type': 'text/plain' }).end(`${String(method)} is not for you\n`);
    } else {
      response.writeHead(302, { location: `https://login.test/?back=${encodeURIComponent(String(uri))}` }).end();
    }
  });
}
