/**
 * What an upstream may send, as no upstream should: frames in any order, some of them damaged, cut anywhere. Nothing
 * throws, each request hears one end at most and nothing after it, an answer is told in order, and what is held is
 * bounded. `--seconds N [--seed N]`.
 */
import { Duplex } from 'node:stream';
import { parseArgs } from 'node:util';
import { type Random, seededRandom } from '../../base/random.ts';
import { ManualClock } from '../../base/testing/manual-clock.ts';
import { TimerWheel } from '../../base/timers.ts';
import type { Headers } from '../headers.ts';
import type { ClientStreamEvents } from '../stream.ts';
import type { Tunnel } from '../tunnel.ts';
import { H2ClientConn, STREAMS_BEFORE_SETTINGS } from './client-conn.ts';
import { FLAG, FRAME, SETTING } from './frame.ts';
import { below } from './hpack/testing/lists.ts';
import { GET } from './testing/ask.ts';
import { block, frame, words } from './testing/frames.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string', default: String(Date.now() % 1e9) } },
});

const REQUESTS = 4;
const FRAMES_MAX = 60;
const WINDOW_BYTES = 65_535;

const FIELDS: readonly (readonly [string, string])[] = [
  [':status', '200'],
  [':status', '103'],
  [':status', '101'],
  [':status', '204'],
  ['content-length', '5'],
  ['content-length', '0'],
  ['x-a', 'b'],
  ['X-A', 'b'],
  ['x-a', 'b\r\nc: d'],
  ['connection', 'close'],
  [':path', '/'],
  ['grpc-status', '0'],
];

/** One request; notes what must not be. */
class Heard implements ClientStreamEvents {
  state: 'asked' | 'answering' | 'ended' = 'asked';
  wrong = '';
  tunnel: Tunnel | undefined;

  #check(what: string, allowed: readonly Heard['state'][]): void {
    if (!allowed.includes(this.state)) this.wrong ||= `${what} when ${this.state}`;
  }

  onInformational(): void {
    this.#check('interim', ['asked']);
  }

  onAnswerHead({ headers, status }: { headers: Headers; status: number }): void {
    this.#check('head', ['asked']);
    this.state = 'answering';
    if (status < 200) this.wrong ||= `status ${status} is no answer`;
    if (!/^(?:[!#$%&'*+\-.^_`|~0-9a-z]+: [^\0-\x08\n-\x1f\x7f]*\r\n)*$/.test(headers.toLines())) {
      this.wrong ||= `lines ${JSON.stringify(headers.toLines())}`;
    }
  }

  onAnswerBody(): void {
    this.#check('body', ['answering']);
  }

  onAnswerEnd(): void {
    this.#check('end', ['answering']);
    this.state = 'ended';
  }

  onAttemptFault(): void {
    this.#check('fault', ['asked', 'answering']);
    this.state = 'ended';
  }

  onSwitched(_head: unknown, tunnel: Tunnel): void {
    this.#check('switch', ['asked']);
    this.state = 'ended';
    this.tunnel = tunnel;
  }

  onUpstreamWritable(): void {
    this.#check('writable', ['asked', 'answering']);
  }

  onAnswerIdle(): void {
    this.#check('idle', ['asked', 'answering']);
  }
}

function randomFrame(random: Random): Buffer {
  const id = below(random, 12) === 0 ? below(random, 20) : 1 + 2 * below(random, REQUESTS);
  const flags = [0, FLAG.END_STREAM, FLAG.END_HEADERS, FLAG.END_HEADERS | FLAG.END_STREAM][below(random, 4)]!;
  const fields = Array.from({ length: 1 + below(random, 3) }, () => FIELDS[below(random, FIELDS.length)]!);
  const head = below(random, 3) === 0 ? fields : [FIELDS[0]!, ...fields.filter(([name]) => !name.startsWith(':'))];
  switch (below(random, 12)) {
    case 0:
    case 1:
    case 2:
      return frame(FRAME.HEADERS, flags | FLAG.END_HEADERS, id, block(head));
    case 3:
    case 4:
      return frame(FRAME.DATA, flags & FLAG.END_STREAM, id, Buffer.alloc(below(random, 20)));
    case 5:
      return frame(FRAME.DATA, 0, id, Buffer.alloc(16_384));
    case 6:
      return frame(FRAME.RST_STREAM, 0, id, words(below(random, 15)));
    case 7:
      return frame(FRAME.WINDOW_UPDATE, 0, below(random, 2) * id, words(below(random, 100_000)));
    case 8:
      return frame(FRAME.SETTINGS, below(random, 2), 0, Buffer.alloc(6 * below(random, 2), below(random, 9)));
    case 9:
      return frame(FRAME.GOAWAY, 0, 0, words(below(random, 10), below(random, 15)));
    case 10:
      return frame(FRAME.PING, below(random, 2), 0, Buffer.alloc(8));
    default:
      return frame(below(random, 20), below(random, 256), id, Buffer.alloc(below(random, 30), below(random, 256)));
  }
}

function damage(bytes: Buffer, random: Random): Buffer {
  if (below(random, 15) === 0 && bytes.length > 0) bytes[below(random, bytes.length)] = below(random, 256);
  return bytes;
}

function offer(settings: readonly number[]): Buffer {
  const payload = Buffer.alloc(settings.length * 3);
  for (let i = 0; i < settings.length; i += 2) {
    payload.writeUInt16BE(settings[i]!, i * 3);
    payload.writeUInt32BE(settings[i + 1]!, i * 3 + 2);
  }
  return frame(FRAME.SETTINGS, 0, 0, payload);
}

/** One connection. @returns what is wrong */
async function connection(random: Random): Promise<string | undefined> {
  const socket = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() });
  socket.on('error', () => undefined);
  let closed = 0;
  let idle = 0;
  const conn = new H2ClientConn({
    socket,
    wheel: new TimerWheel(new ManualClock()),
    headerBytesMax: 2_000,
    idleMs: 0,
    keepAliveMs: 60_000,
    streamsMax: 100,
    peerStreamsMax: STREAMS_BEFORE_SETTINGS,
    pingIntervalMs: 0,
    pingTimeoutMs: 0,
    windowBytes: WINDOW_BYTES,
    onIdle: () => idle++,
    onRoom: () => undefined,
    onPeerStreamsMax: () => undefined,
    onHttp1Required: () => false,
    onFailed: () => undefined,
    onClosed: () => closed++,
  });
  const asked = Array.from({ length: REQUESTS }, (_, i) => {
    const heard = new Heard();
    const stream = conn.open();
    stream.begin(heard);
    stream.sendHead({ ...GET, bodyLength: i === 0 ? -1 : 0, upgrade: i === 3 ? 'websocket' : undefined });
    if (i === 0) stream.sendBody(Buffer.alloc(100_000));
    else stream.sendEnd(undefined);
    return { heard, stream };
  });
  let bytes = below(random, 8) === 0 ? Buffer.alloc(0) : offer([SETTING.ENABLE_CONNECT_PROTOCOL, below(random, 2)]);
  for (let i = below(random, FRAMES_MAX); i > 0; i--)
    bytes = Buffer.concat([bytes, damage(randomFrame(random), random)]);
  for (let at = 0; at < bytes.length && !socket.destroyed;) {
    const end = at + 1 + below(random, below(random, 3) === 0 ? 20 : 40_000);
    socket.emit('data', Buffer.from(bytes.subarray(at, end)));
    at = end;
    const one = asked[below(random, REQUESTS)]!;
    if (one.heard.state === 'answering' && below(random, 10) === 0) one.stream.pauseAnswer();
    if (one.heard.state === 'answering' && below(random, 4) === 0) one.stream.resumeAnswer();
    if (one.heard.state !== 'ended' && below(random, 30) === 0) {
      one.stream.abort();
      one.heard.state = 'ended';
    }
    if (one.heard.tunnel !== undefined && below(random, 4) === 0) one.heard.tunnel.reset();
  }
  socket.destroy();
  socket.emit('close');
  // Some faults are told in a turn of their own.
  await new Promise<void>((resolve) => setImmediate(resolve));
  for (const { heard } of asked) outcomes[heard.state]++;
  if (asked.some(({ heard }) => heard.state === 'asked')) return 'a request has heard nothing of its end';
  const wrong = asked.map(({ heard }) => heard.wrong).find((one) => one !== '');
  if (wrong !== undefined) return wrong;
  // A held answer and a tunnel that nobody took stay with whoever has them; anything else heard its end.
  if (closed !== 1) return `closed ${closed} times`;
  if (idle > 1 + REQUESTS) return `idle ${idle} times`;
  return conn.room === 0 ? undefined : `room for ${conn.room}`;
}

const outcomes = { asked: 0, answering: 0, ended: 0 };
const random = seededRandom(Number(values.seed) | 1, 5, 6, 7);
const endMs = performance.now() + Number(values.seconds) * 1_000;
while (performance.now() < endMs) {
  const wrong = await connection(random);
  if (wrong === undefined) continue;
  console.error(`seed ${values.seed}: ${wrong}`);
  process.exitCode = 1;
  break;
}
console.log(`seed ${values.seed}: ${JSON.stringify(outcomes)}`);
