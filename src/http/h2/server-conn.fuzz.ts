/**
 * Random frames, valid and not, in any order and cut anywhere: the server side never throws, answers every connection
 * error with GOAWAY and an end, and tells each request that it was given up. `--seconds N [--seed N]`.
 */
import { duplexPair } from 'node:stream';
import { parseArgs } from 'node:util';
import { systemClock } from '../../base/clock.ts';
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../../base/limits.ts';
import { type Random, seededRandom } from '../../base/random.ts';
import { TimerWheel } from '../../base/timers.ts';
import { Headers } from '../headers.ts';
import type { RequestSink, ServerStream, ServerStreamEvents } from '../stream.ts';
import { FLAG, FRAME, PREFACE } from './frame.ts';
import { H2ServerConn } from './server-conn.ts';
import { block, type Fields, frame, settings, words } from './testing/frames.ts';
import { GET, POST } from './testing/raw-client.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string', default: String(Date.now() % 1e9) } },
});

/** Frames of one connection, and requests that it may still have open when it ends. */
const FRAMES_MAX = 200;

function below(random: Random, n: number): number {
  return random.bits32() % n;
}

function oneOf<T>(random: Random, values: readonly T[]): T {
  return values[below(random, values.length)]!;
}

function bytesOf(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.bits32() & 255));
}

const FIELDS: readonly Fields[] = [
  GET,
  POST,
  [...GET, ['cookie', 'a=1'], ['cookie', 'b=2']],
  [...POST, ['content-length', '8']],
  [...POST, ['expect', '100-continue']],
  [[':method', 'CONNECT'], [':protocol', 'x'], ...GET.slice(1)],
  [['x-trailer', '1']],
  [...GET, ['', 'x']],
];

/** Sizes that are more telling than others. */
const NUMBERS = [0, 1, 2, 100, 16_383, 65_535, 0x7fffffff, 0x80000000, 0xffffffff] as const;

/** What a client may send nearly always: such connections live longer. */
const TAME = [0, 1, 2, 4, 5, 5, 6, 9, 11, 12];

function randomFrame(random: Random, kind: number, ids: { next(): number; last(): number }): Buffer {
  const id = random.unit() < 0.9 ? ids.last() : below(random, 20);
  switch (kind) {
    case 0:
    case 1:
    case 2:
      return frame(FRAME.HEADERS, oneOf(random, [4, 5, 5, 5, 1, 0x0d, 0x25]), ids.next(), block(oneOf(random, FIELDS)));
    case 3:
      return frame(FRAME.HEADERS, 5, id, block(oneOf(random, FIELDS)));
    case 4:
    case 5:
      return frame(FRAME.DATA, oneOf(random, [0, 0, 1, 8, 9]), id, bytesOf(random, below(random, 40)));
    case 6:
      return frame(FRAME.RST_STREAM, 0, id, words(below(random, 16)));
    case 7:
      return settings([below(random, 12), oneOf(random, NUMBERS)]);
    case 8:
      return frame(FRAME.WINDOW_UPDATE, 0, random.unit() < 0.5 ? 0 : id, words(oneOf(random, NUMBERS)));
    case 9:
      return frame(FRAME.PING, below(random, 2), 0, Buffer.alloc(8));
    case 10:
      return frame(FRAME.CONTINUATION, oneOf(random, [0, 4]), id, block(oneOf(random, FIELDS)));
    case 11:
      return frame(FRAME.PRIORITY, 0, id, bytesOf(random, 5));
    case 12:
      return frame(FRAME.SETTINGS, FLAG.ACK, 0);
    default:
      return frame(below(random, 20), below(random, 256), id, bytesOf(random, below(random, 30)));
  }
}

/** Answers at random moments in random ways; counts what it was told. */
class RandomSink implements RequestSink {
  open = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  onRequest(stream: ServerStream): ServerStreamEvents {
    this.open++;
    let over = false;
    const done = (): void => {
      if (!over) this.open--;
      over = true;
    };
    const act = (): void => {
      if (over) return;
      switch (below(this.#random, 9)) {
        case 0:
          done();
          return this.#answer(stream);
        case 1:
          stream.pauseBody();
          break;
        case 2:
        case 3:
          stream.resumeBody();
          break;
        case 4:
          if (below(this.#random, 4) > 0) break;
          done();
          return stream.cut();
        case 5:
          stream.sendContinue();
          break;
        default:
          break;
      }
    };
    if (below(this.#random, 3) === 0) {
      done();
      this.#answer(stream);
    }
    return {
      onRequestBody: act,
      onRequestEnd: act,
      onRequestFault: () => {
        if (over) return;
        done();
        this.#answer(stream);
      },
      onClientGone: done,
      onClientWritable: () => undefined,
      onRequestIdle: act,
    };
  }

  onRefused(stream: ServerStream): void {
    this.#answer(stream);
  }

  #answer(stream: ServerStream): void {
    const body = Buffer.alloc(below(this.#random, 3) * 20_000);
    const bodyLength = oneOf(this.#random, [body.length, body.length, -1, 7]);
    stream.sendHead({
      status: oneOf(this.#random, [200, 204, 304, 500]),
      reason: '',
      headers: new Headers(),
      bodyLength,
    });
    stream.sendBody(body);
    stream.sendEnd(below(this.#random, 2) === 0 ? undefined : Headers.of([['a', 'b']]));
  }
}

async function oneConnection(random: Random): Promise<'ended' | 'closed'> {
  const [near, far] = duplexPair();
  const wheel = new TimerWheel(systemClock);
  const sink = new RandomSink(random);
  let failed = false;
  const gone = Promise.withResolvers<void>();
  const conn = new H2ServerConn({
    socket: near,
    sink,
    wheel,
    limits: { ...CONNECTION_LIMITS, streamsMax: 1 + below(random, 20) },
    timeouts: { ...CONNECTION_TIMEOUTS, lingerMs: 5 },
    facts: { peerIp: '::1', peerPort: 1, scheme: 'http', serverName: '', tlsVersion: '', tlsCipher: '' },
    onFailed: () => (failed = true),
    onClosed: () => gone.resolve(),
  });
  far.resume();
  far.on('error', () => undefined);
  far.write(Buffer.concat([PREFACE, settings()]));
  let id = 1;
  const tame = random.unit() < 0.5;
  const ids = { next: () => (id += 2), last: () => Math.max(1, id - 2 * below(random, 4)) };
  const frames = Array.from({ length: 1 + below(random, FRAMES_MAX) }, () =>
    randomFrame(random, tame ? oneOf(random, TAME) : below(random, 14), ids),
  );
  const wire = Buffer.concat(frames);
  for (let at = 0; at < wire.length && !far.destroyed && !failed;) {
    const end = Math.min(wire.length, at + 1 + below(random, 400));
    far.write(wire.subarray(at, end));
    at = end;
    if (below(random, 4) === 0) await new Promise((resolve) => setImmediate(resolve));
    if (below(random, 60) === 0) conn.drain();
  }
  await new Promise((resolve) => setImmediate(resolve));
  const ended = failed;
  far.end();
  far.destroy();
  conn.destroy();
  await gone.promise;
  wheel.close();
  if (sink.open !== 0) throw new Error(`${sink.open} requests were not told that their client is gone`);
  return ended ? 'ended' : 'closed';
}

const endMs = performance.now() + Number(values.seconds) * 1_000;
let tried = 0;
let ended = 0;
let seed = Number(values.seed) | 1;
process.on('uncaughtException', (error) => {
  console.error(`seed ${seed}: ${error.stack}`);
  process.exit(1);
});
while (performance.now() < endMs) {
  seed = (seed + 2) | 1;
  if ((await oneConnection(seededRandom(seed, 2, 3, 4))) === 'ended') ended++;
  tried++;
}
console.log(`seed ${values.seed}: ${tried} connections, ${ended} ended for an error`);
