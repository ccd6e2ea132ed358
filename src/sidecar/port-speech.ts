/**
 * Finds out what an application speaks on a port of loopback, by what it answers. It is asked once for each port, before
 * anybody is sent there: so no connection of a client ever has to be looked into.
 */
import { connect } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { Clock } from '../base/clock.ts';
import type { LearnedSpeech, Plan } from '../ir/plan.ts';

/** A port of the application of which nobody has said what it speaks. */
export interface UndeclaredPort {
  /** Of the application. */
  readonly port: number;
  readonly speech: LearnedSpeech | 'unknown';
}

/** What the control plane knows of ports of this sidecar's application. */
export function undeclaredPorts({ listeners, clusters }: Pick<Plan, 'listeners' | 'clusters'>): UndeclaredPort[] {
  return Object.entries(listeners).flatMap(([key, { speech }]) => {
    const port = clusters[key]?.endpoints[0]?.port;
    return speech === undefined || port === undefined ? [] : [{ port, speech }];
  });
}

/** A server that speaks first has begun by then. One that takes longer does not take our questions for HTTP either. */
const FIRST_MS = 500;

/** For an answer: the program may have just started. */
const ANSWER_MS = 2_000;

/** `HTTP/1.1 400`. */
const ENOUGH_BYTES = 12;

/** RFC 9110 section 9.3.7: of the server in general, and answered by it without asking anybody. */
const OPTIONS = 'OPTIONS * HTTP/1.1\r\nHost: localhost\r\nUser-Agent: fourways\r\nConnection: close\r\n\r\n';

/** RFC 9113 section 3.4, and SETTINGS that say nothing. */
const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0';

const LOOPBACK = '127.0.0.1';

/** @returns undefined when nothing took the connection */
export async function findSpeech(port: number, clock: Clock): Promise<LearnedSpeech | undefined> {
  const first = await hear(port, { say: '', forMs: FIRST_MS, clock });
  if (first === undefined) return undefined;
  // Many servers of HTTP/2 send their settings at once.
  if (isSettings(first)) return 'h2c';
  if (first.length > 0) return 'tcp';
  const answer = await hear(port, { say: OPTIONS, forMs: ANSWER_MS, clock });
  if (answer === undefined) return undefined;
  const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(answer.toString('latin1')) ?? [];
  // Servers of HTTPS say it like this that TLS was expected of the client.
  if (status !== undefined) return status === '400' && (await speaksTls(port, clock)) ? 'tcp' : 'http';
  if (isSettings(answer)) return 'h2c';
  const settings = await hear(port, { say: PREFACE, forMs: ANSWER_MS, clock });
  if (settings === undefined) return undefined;
  return isSettings(settings) ? 'h2c' : 'tcp';
}

interface Question {
  readonly say: string;
  readonly forMs: number;
  readonly clock: Clock;
}

/** @returns what came first: nothing, when it was silent or closed the connection; undefined when there is none */
function hear(port: number, { say, forMs, clock }: Question): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const socket = connect({ host: LOOPBACK, port });
  let heard = Buffer.alloc(0);
  let isConnected = false;
  const settle = (): void => {
    cancel();
    socket.destroy();
    resolve(isConnected ? heard : undefined);
  };
  const cancel = clock.after(forMs, settle);
  socket.once('connect', () => {
    isConnected = true;
    socket.write(say, 'latin1');
  });
  socket.on('data', (bytes: Buffer) => {
    heard = Buffer.concat([heard, bytes]);
    if (heard.length >= ENOUGH_BYTES || isSettings(heard)) settle();
  });
  socket.once('error', settle);
  socket.once('close', settle);
  return promise;
}

/** RFC 9113 section 6.5: type 4, no acknowledgement, of no stream, in pieces of six bytes. */
function isSettings(bytes: Buffer): boolean {
  if (bytes.length < 9) return false;
  return bytes.readUIntBE(0, 3) % 6 === 0 && bytes[3] === 4 && bytes[4] === 0 && bytes.readUInt32BE(5) === 0;
}

/** An alert is an answer of TLS, too. */
function speaksTls(port: number, clock: Clock): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  // Nothing is sent that anybody must not hear, and nothing is believed but that it is TLS.
  const socket = connectTls({ host: LOOPBACK, port, rejectUnauthorized: false });
  const settle = (is: boolean): void => {
    cancel();
    socket.destroy();
    resolve(is);
  };
  const cancel = clock.after(ANSWER_MS, () => settle(false));
  socket.once('secureConnect', () => settle(true));
  socket.once('error', ({ code = '' }: NodeJS.ErrnoException) => settle(/^ERR_SSL_.*ALERT/.test(code)));
  socket.once('close', () => settle(false));
  return promise;
}
