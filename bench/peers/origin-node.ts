/** The origin where nginx is absent: canned bytes for every read. Arguments: HOST PORT BODY-BYTES. */
import { createServer } from 'node:net';

const [host, port, bodyBytes] = process.argv.slice(2);
const body = 'x'.repeat(Number(bodyBytes));
const answer = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
);
createServer({ noDelay: true }, (socket) => {
  socket.on('data', () => socket.write(answer));
  socket.on('error', () => socket.destroy());
}).listen(Number(port), host);
