/** Feeds bytes to the server side of our codec and notes what it makes of them. */
import { Duplex } from 'node:stream';
import type { Fault } from '../../src/base/fault.ts';
import { ManualClock } from '../../src/base/testing/manual-clock.ts';
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../../src/base/limits.ts';
import { TimerWheel } from '../../src/base/timers.ts';
import { H1ServerConn } from '../../src/http/h1/server-conn.ts';
import { Headers } from '../../src/http/headers.ts';
import type { ResponseHead } from '../../src/http/message.ts';
import type { ClientFacts, RequestSink, ServerStream, ServerStreamEvents } from '../../src/http/stream.ts';
import { pairsOf, type Reading, type ReadMessage, settle } from './reading.ts';

const FACTS: ClientFacts = {
  peerIp: '127.0.0.1',
  peerPort: 1,
  scheme: 'http',
  serverName: '',
  tlsVersion: '',
  tlsCipher: '',
};

/** @param pieces  what arrives, one read of the socket each */
export async function readWithOurServer(pieces: readonly Buffer[]): Promise<Reading> {
  const sink = new NotingSink();
  const socket = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() });
  const conn = new H1ServerConn({
    socket,
    facts: FACTS,
    sink,
    wheel: new TimerWheel(new ManualClock()),
    limits: CONNECTION_LIMITS,
    timeouts: CONNECTION_TIMEOUTS,
    onClosed: () => undefined,
  });
  for (const piece of pieces) {
    // A copy: whoever keeps a slice of a receive buffer must not rely on what lies around it.
    socket.emit('data', Buffer.from(piece));
  }
  // Requests behind the first are taken up in later turns, one each.
  for (let seen = -1; seen !== sink.messages.length;) {
    seen = sink.messages.length;
    await settle(2);
  }
  const { messages, refused, begun } = sink;
  conn.destroy();
  return { messages, refused, begun };
}

class NotingSink implements RequestSink {
  readonly messages: ReadMessage[] = [];
  refused: string | undefined;
  begun = false;

  onRequest(stream: ServerStream): ServerStreamEvents {
    const { request } = stream;
    const start = `${request.method} ${request.path}${request.query} of ${request.authority}`;
    const fields = pairsOf(request.headers);
    const pieces: Buffer[] = [];
    this.begun = true;
    return {
      onRequestBody: (bytes) => void pieces.push(Buffer.from(bytes)),
      onRequestEnd: (trailers) => {
        this.begun = false;
        const body = Buffer.concat(pieces).toString('latin1');
        this.messages.push({ start, fields, body, trailers: pairsOf(trailers) });
        answer(stream, 200);
      },
      onRequestFault: (fault) => {
        this.#refuse(fault);
        answer(stream, 400);
      },
      onClientGone: () => undefined,
      onClientWritable: () => undefined,
      onRequestIdle: () => stream.flush(),
    };
  }

  onRefused(stream: ServerStream, fault: Fault): void {
    this.#refuse(fault);
    answer(stream, 400);
  }

  #refuse(fault: Fault): void {
    this.refused ??= `${fault.code}: ${fault.detail}`;
  }
}

function answer(stream: ServerStream, status: number): void {
  const head: ResponseHead = { status, reason: 'x', headers: new Headers(), bodyLength: 0 };
  stream.sendHead(head);
  stream.sendEnd(undefined);
  stream.flush();
}
