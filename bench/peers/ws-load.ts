/**
 * WebSocket echo load: each connection sends a masked text message of 100 bytes and waits for its echo.
 * Arguments: HOST PORT CONNECTIONS STREAMS(unused) SECONDS. Prints one JSON line.
 */
import { connect } from 'node:net';
import { report, Stopwatch } from './echo-figures.ts';

const [host, port, connections, , seconds] = process.argv.slice(2);
const MESSAGE_BYTES = 100;
const FRAME = Buffer.concat([Buffer.from([0x81, 0x80 | MESSAGE_BYTES, 0, 0, 0, 0]), Buffer.alloc(MESSAGE_BYTES, 'x')]);
/** What comes back is not masked. */
const ECHO_BYTES = 2 + MESSAGE_BYTES;

const watch = new Stopwatch(Number(seconds));

function open(): void {
  const socket = connect({ host, port: Number(port), noDelay: true });
  let switched = false;
  let waiting = 0;
  let sentUs = 0;
  const send = (): void => {
    waiting = ECHO_BYTES;
    sentUs = watch.nowUs();
    socket.write(FRAME);
  };
  socket.on('connect', () =>
    socket.write(
      `GET / HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`,
    ),
  );
  socket.on('data', (bytes) => {
    if (!switched) {
      if (!bytes.toString('latin1').startsWith('HTTP/1.1 101')) return watch.failed();
      switched = true;
      return send();
    }
    waiting -= bytes.length;
    if (waiting > 0) return;
    watch.done(sentUs);
    if (!watch.over) send();
  });
  socket.on('error', () => watch.failed());
}

for (let i = 0; i < Number(connections); i++) open();
report(watch);
