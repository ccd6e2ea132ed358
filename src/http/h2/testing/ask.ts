/** Our client side on a real socket, telling what it heard. */
import { once } from 'node:events';
import net from 'node:net';
import { systemClock } from '../../../base/clock.ts';
import type { Fault } from '../../../base/fault.ts';
import { TimerWheel } from '../../../base/timers.ts';
import { Headers } from '../../headers.ts';
import type { ClientStream, ClientStreamEvents, UpstreamRequest } from '../../stream.ts';
import type { Tunnel } from '../../tunnel.ts';
import { H2ClientConn, type H2ClientConnOptions, STREAMS_BEFORE_SETTINGS } from '../client-conn.ts';
import { h2ErrorName } from '../frame.ts';

export const GET: UpstreamRequest = {
  method: 'GET',
  target: '/',
  authority: 'a.test',
  headers: new Headers(),
  extraLines: '',
  bodyLength: 0,
  upgrade: undefined,
  expectContinue: false,
  teTrailers: false,
};

/** One connection, and what it told its pool. */
export class TestClient implements Disposable {
  readonly conn: H2ClientConn;
  readonly wheel = new TimerWheel(systemClock);
  readonly told: string[] = [];
  readonly socket: net.Socket;
  http1Required: 'taken' | 'refused' = 'refused';

  private constructor(socket: net.Socket, options: Partial<H2ClientConnOptions>) {
    this.socket = socket;
    this.conn = new H2ClientConn({
      socket,
      wheel: this.wheel,
      headerBytesMax: 16_384,
      idleMs: 5_000,
      keepAliveMs: 10_000,
      streamsMax: 100,
      peerStreamsMax: STREAMS_BEFORE_SETTINGS,
      pingIntervalMs: 0,
      pingTimeoutMs: 2_000,
      windowBytes: 65_535,
      onIdle: () => this.told.push('idle'),
      onRoom: () => undefined,
      onPeerStreamsMax: (max) => this.told.push(`allowed ${max}`),
      onHttp1Required: () => this.http1Required === 'taken',
      onFailed: ({ code, detail }) => this.told.push(`failed ${h2ErrorName(code)} ${detail}`),
      onClosed: () => this.told.push('closed'),
      ...options,
    });
  }

  static async to(port: number, options: Partial<H2ClientConnOptions> = {}): Promise<TestClient> {
    const socket = net.connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    await once(socket, 'connect');
    return new TestClient(socket, options);
  }

  /** Sends a request without body, or its head alone. */
  ask(request: Partial<UpstreamRequest> = {}, more: 'end' | 'open' = 'end'): Asked {
    const asked = new Asked(this.conn.open());
    asked.stream.begin(asked);
    asked.stream.sendHead({ ...GET, ...request });
    if (more === 'end') asked.stream.sendEnd(undefined);
    return asked;
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
    this.wheel.close();
  }
}

/** One request; collects what is heard of it in the order in which it is. */
export class Asked implements ClientStreamEvents {
  readonly stream: ClientStream;
  readonly heard: string[] = [];
  /** Settled with the last event. */
  readonly done: Promise<readonly string[]>;
  body = '';
  bodyBytes = 0;
  writable = 0;
  onHead: (() => void) | undefined;
  #finish!: (heard: readonly string[]) => void;

  constructor(stream: ClientStream) {
    this.stream = stream;
    this.done = new Promise((resolve) => (this.#finish = resolve));
  }

  onInformational(head: { status: number }): void {
    this.heard.push(`interim ${head.status}`);
  }

  onAnswerHead({ status, bodyLength, headers }: Parameters<ClientStreamEvents['onAnswerHead']>[0]): void {
    this.heard.push(`head ${status} ${bodyLength} ${headers.toLines().replaceAll('\r\n', ' ')}`.trimEnd());
    this.onHead?.();
  }

  onAnswerBody(bytes: Buffer): void {
    this.bodyBytes += bytes.length;
    if (this.body.length < 1_000) this.body += bytes.toString('latin1');
  }

  onAnswerEnd(trailers: Headers | undefined): void {
    const lines = trailers === undefined ? '' : ` +${trailers.toLines().replaceAll('\r\n', ' ')}`.trimEnd();
    this.heard.push(`end ${this.body}${lines}`);
    this.#finish(this.heard);
  }

  onSwitched({ status, headers }: Parameters<ClientStreamEvents['onSwitched']>[0], tunnel: Tunnel): void {
    this.heard.push(`switched ${status} ${headers.get('upgrade')}`);
    this.tunnel = tunnel;
    this.#finish(this.heard);
  }

  tunnel: Tunnel | undefined;

  onAttemptFault(fault: Fault, bytesReceived: number): void {
    this.heard.push(`fault ${fault.code} ${bytesReceived === 0 ? 'before' : 'after'} a byte: ${fault.detail}`);
    this.#finish(this.heard);
  }

  onUpstreamWritable(): void {
    this.writable++;
  }

  onAnswerIdle(): void {}
}
