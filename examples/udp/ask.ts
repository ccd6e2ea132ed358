/**
 * Sends texts to a UDP port from one port of its own, and prints what comes back.
 *
 *     node ask.ts 8080 hello again
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

const [port, ...texts] = process.argv.slice(2);
const socket = createSocket('udp4');
for (const text of texts) {
  socket.send(text, Number(port), '127.0.0.1');
  const [answer] = await once(socket, 'message', { signal: AbortSignal.timeout(2_000) });
  console.log(String(answer));
}
socket.close();
