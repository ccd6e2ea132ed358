/** The machine as `fourways doctor` sees it. */
import { lookup, Resolver, resolveSrv } from 'node:dns/promises';
import http from 'node:http';
import http2 from 'node:http2';
import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { systemClock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import { listTables } from '../capture/nft.ts';
import type { ClockReading, KeptOpen, LookedUp, Machine, PortRefusal } from '../cli/machine.ts';
import { portKey } from '../ir/key.ts';
import { everyAddress } from './bind-address.ts';
import { portOwner } from './port-owner.ts';
import { probePort } from './port-probe.ts';

/** Longest wait for an answer. */
const ANSWER_MS_MAX = 5_000;

/** Silence that is waited for: servers that keep connections shortest do so for 5 s (uvicorn), and say nothing of it. */
const SILENCE_MS_MAX = 6_000;

/** RFC 6761 section 6.4: in no zone, and servers know it. */
const NOBODY = 'doctor.fourways.invalid';

const HEAD_BYTES_MAX = 65_536;

export const machine: Machine = {
  nodeVersion: process.version,
  readFile: (path) => readFile(path, 'utf8'),
  async probePort(address, port, transport): Promise<PortRefusal | undefined> {
    const failure = await probePort(address === '*' ? await everyAddress() : address, port, transport);
    if (failure === undefined) return undefined;
    const { error, message } = failure;
    const pid = error === 'EADDRINUSE' && transport === 'tcp' ? portOwner(port)?.pid : undefined;
    return { error, message, ...(pid !== undefined && { pid }) };
  },
  lookUp: (name, records) =>
    timed(async () => (records === 'srv' ? await resolveSrv(name) : await lookup(name, { all: true })).length),
  askResolver: (address) =>
    timed(async () => {
      const resolver = new Resolver({ timeout: ANSWER_MS_MAX / 2, tries: 2 });
      resolver.setServers([portKey(address, 53)]);
      return (await resolver.resolve4(NOBODY)).length;
    }),
  async tables() {
    const tables = await listTables();
    if (!(tables instanceof Fault)) return tables;
    return { why: tables.code === 'capture.nft-missing' ? 'no-nft' : 'refused', detail: tables.detail };
  },
  async clockOf({ host, port, wire }) {
    const askedMs = systemClock.wallMs();
    const date = await (wire === 'admin' ? dateOf(host, port) : dateOfControl(host, port)).catch(reasonOf);
    if (date instanceof Error) return date.message;
    const saidMs = Date.parse(date ?? '');
    const reading: ClockReading = { saidMs, askedMs, answeredMs: systemClock.wallMs() };
    return Number.isNaN(saidMs) ? 'its answer has no Date' : reading;
  },
  keepOpen: ({ host, port }) => new OpenConnection(host, port).end,
};

async function timed(ask: () => Promise<number>): Promise<LookedUp> {
  const fromMs = systemClock.nowMs();
  const tookMs = (): number => systemClock.nowMs() - fromMs;
  try {
    return { found: await ask(), tookMs: tookMs() };
  } catch (error) {
    const { code = 'UNKNOWN' } = error as NodeJS.ErrnoException;
    return { found: 0, code, tookMs: tookMs() };
  }
}

function reasonOf(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

function dateOf(host: string, port: number): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const request = http.get({ host, port, path: '/healthz', agent: false, timeout: ANSWER_MS_MAX }, (answer) => {
    answer.resume();
    resolve(answer.headers.date);
  });
  request.on('timeout', () => request.destroy(new Error('no answer in time')));
  request.on('error', reject);
  return promise;
}

/**
 * A control plane speaks gRPC over TLS. It answers what it does not know, too, and with a `Date`. Nothing is told to it and
 * nothing believed but its clock, so it may be anybody.
 */
function dateOfControl(host: string, port: number): Promise<string | undefined> {
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const session = http2.connect(`https://${portKey(host, port)}`, { rejectUnauthorized: false });
  const stop = systemClock.after(ANSWER_MS_MAX, () => reject(new Error('no answer in time')));
  session.on('error', reject);
  const path = '/fourways.Doctor/Clock';
  const stream = session.request({
    ':method': 'POST',
    ':path': path,
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.on('error', reject);
  stream.on('response', (headers) => resolve(headers['date']));
  stream.resume();
  stream.end();
  return promise.finally(() => {
    stop();
    session.destroy();
  });
}

/** One question, and then silence, until the other side has had enough of it. */
class OpenConnection {
  readonly end: Promise<KeptOpen | string>;
  readonly #end = Promise.withResolvers<KeptOpen | string>();
  readonly #socket;
  #head = '';
  #answer: Omit<KeptOpen, 'watchedMs'> | undefined;
  #quietSinceMs = 0;
  #stop: () => void;

  constructor(host: string, port: number) {
    this.end = this.#end.promise;
    this.#stop = systemClock.after(ANSWER_MS_MAX, () => this.#settle(`none within ${ANSWER_MS_MAX / 1_000} s`));
    this.#socket = connect({ host, port });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (text: string) => this.#read(text));
    this.#socket.on('error', ({ message }) => this.#closed(message));
    this.#socket.on('close', () => this.#closed('it ended the connection'));
    this.#socket.write(`GET / HTTP/1.1\r\nHost: ${portKey(host, port)}\r\nUser-Agent: fourways-doctor\r\n\r\n`);
  }

  #read(text: string): void {
    if (this.#answer === undefined) {
      this.#head = (this.#head + text).slice(0, HEAD_BYTES_MAX);
      if (!this.#head.includes('\r\n\r\n')) return;
      this.#answer = readHead(this.#head);
      if (this.#answer === undefined) return this.#settle('it is no HTTP/1.1');
      if (this.#answer.closes || this.#answer.saysMs !== undefined)
        return this.#settle({ ...this.#answer, watchedMs: 0 });
    }
    this.#quietSinceMs = systemClock.nowMs();
    this.#stop();
    this.#stop = systemClock.after(SILENCE_MS_MAX, () => this.#settle({ ...this.#answer!, watchedMs: SILENCE_MS_MAX }));
  }

  #closed(why: string): void {
    if (this.#answer === undefined) return this.#settle(why);
    const endedAfterMs = systemClock.nowMs() - this.#quietSinceMs;
    this.#settle({ ...this.#answer, endedAfterMs, watchedMs: endedAfterMs });
  }

  /** The first that is said counts. */
  #settle(found: KeptOpen | string): void {
    this.#stop();
    this.#end.resolve(found);
    this.#socket.destroy();
  }
}

function readHead(text: string): Omit<KeptOpen, 'watchedMs'> | undefined {
  const [, minor, status] = /^HTTP\/1\.([01]) (\d{3})/.exec(text) ?? [];
  if (minor === undefined) return undefined;
  const head = text.slice(0, text.indexOf('\r\n\r\n'));
  const field = (name: string): string => new RegExp(`^${name}:(.*)$`, 'im').exec(head)?.[1] ?? '';
  const [, seconds] = /timeout=(\d{1,6})/i.exec(field('keep-alive')) ?? [];
  const closes = minor === '0' ? !/keep-alive/i.test(field('connection')) : /close/i.test(field('connection'));
  return { status: Number(status), closes, ...(seconds !== undefined && { saysMs: Number(seconds) * 1_000 }) };
}
