/** The proxy one would write on Node's own sockets: two pipes. Arguments: HOST PORT ORIGIN-HOST ORIGIN-PORT. */
import { connect, createServer } from 'node:net';

const [host, port, originHost, originPort] = process.argv.slice(2);
createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
  const up = connect({ host: originHost, port: Number(originPort), noDelay: true, allowHalfOpen: true });
  client.on('error', () => up.destroy());
  up.on('error', () => client.destroy());
  client.pipe(up);
  up.pipe(client);
}).listen(Number(port), host);
