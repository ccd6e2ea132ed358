/** Answers every WebSocket message with the same message, not masked. The load masks with zeros. Arguments: HOST PORT. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';

const [host, port] = process.argv.slice(2);
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
/** Masked frames of the load: 2 bytes, 4 of mask, 100 of message. */
const FRAME_BYTES = 106;
const ECHO = Buffer.concat([Buffer.from([0x81, 100]), Buffer.alloc(100, 'x')]);

createServer({ noDelay: true }, (socket) => {
  let head = '';
  let frames = -1;
  socket.on('data', (bytes) => {
    if (frames >= 0) {
      frames += bytes.length;
      for (; frames >= FRAME_BYTES; frames -= FRAME_BYTES) socket.write(ECHO);
      return;
    }
    head += bytes.toString('latin1');
    if (!head.includes('\r\n\r\n')) return;
    const key = /^sec-websocket-key: *(\S+)/im.exec(head)?.[1] ?? '';
    const accept = createHash('sha1')
      .update(key + GUID)
      .digest('base64');
    // A plain request is the question whether anybody is there.
    if (key === '') return void socket.end('HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    frames = 0;
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
  });
  socket.on('error', () => socket.destroy());
}).listen(Number(port), host);
