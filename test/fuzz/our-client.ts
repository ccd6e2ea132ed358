/** Feeds bytes to the client side of our codec, as the answer to one GET, and notes what it makes of them. */
import { Duplex } from 'node:stream';
import { ManualClock } from '../../src/base/testing/manual-clock.ts';
import { TimerWheel } from '../../src/base/timers.ts';
import { H1ClientConn } from '../../src/http/h1/client-conn.ts';
import { Headers } from '../../src/http/headers.ts';
import type { ClientStreamEvents } from '../../src/http/stream.ts';
import { type Pair, pairsOf, type Reading, type ReadMessage, settle } from './reading.ts';

/**
 * @param pieces  what arrives, one read of the socket each
 * @param end     whether the upstream then closes
 */
export async function readWithOurClient(pieces: readonly Buffer[], end: 'open' | 'closes'): Promise<Reading> {
  const socket = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() });
  socket.on('error', () => undefined);
  const conn = new H1ClientConn({
    socket,
    wheel: new TimerWheel(new ManualClock()),
    headerBytesMax: 32_768,
    idleMs: 0,
    keepAliveMs: 60_000,
    onIdle: () => undefined,
    onClosed: () => undefined,
  });
  const noted = new NotingEvents();
  conn.begin(noted);
  conn.sendHead({
    method: 'GET',
    target: '/',
    authority: 'a.test',
    headers: new Headers(),
    extraLines: '',
    bodyLength: 0,
    upgrade: undefined,
    expectContinue: false,
    teTrailers: false,
  });
  conn.sendEnd(undefined);
  conn.flush();
  for (const piece of pieces) if (!socket.destroyed) socket.emit('data', Buffer.from(piece));
  if (end === 'closes' && !socket.destroyed) socket.emit('end');
  await settle(1);
  socket.destroy();
  return noted.reading();
}

class NotingEvents implements ClientStreamEvents {
  #start = '';
  #fields: Pair[] = [];
  #pieces: Buffer[] = [];
  #message: ReadMessage | undefined;
  #refused: string | undefined;
  #begun = false;

  reading(): Reading {
    return { messages: this.#message === undefined ? [] : [this.#message], refused: this.#refused, begun: this.#begun };
  }

  onInformational(): void {}

  onAnswerHead(head: { status: number; headers: Headers }): void {
    this.#begun = true;
    this.#start = String(head.status);
    this.#fields = pairsOf(head.headers);
  }

  onAnswerBody(bytes: Buffer): void {
    this.#pieces.push(Buffer.from(bytes));
  }

  onAnswerEnd(trailers: Headers | undefined): void {
    this.#begun = false;
    const body = Buffer.concat(this.#pieces).toString('latin1');
    this.#message = { start: this.#start, fields: this.#fields, body, trailers: pairsOf(trailers) };
  }

  onSwitched(): void {
    this.#refused = 'switched';
  }

  onAttemptFault(fault: { code: string; detail: string }): void {
    this.#refused = `${fault.code}: ${fault.detail}`;
  }

  onUpstreamWritable(): void {}

  onAnswerIdle(): void {}
}
