/** Connections of HTTP/2 to one endpoint: each carries many requests at a time. The one with the fewest takes the next. */
import type { Duplex } from 'node:stream';
import { H2ClientConn, STREAMS_BEFORE_SETTINGS } from '../../http/h2/client-conn.ts';
import { h2ErrorName } from '../../http/h2/frame.ts';
import type { ClientStream } from '../../http/stream.ts';
import type { Intake } from '../../net/read-buffer.ts';
import type { Pool, PoolHost } from './pool.ts';

export class H2Pool implements Pool {
  readonly #host: PoolHost;
  readonly #onHttp1Required: () => boolean;
  /** In the order in which they were made; bounded by connectionsMax. */
  readonly #conns: H2ClientConn[] = [];
  #idle = 0;
  #retired = false;
  /** What the upstream allowed when it spoke of it last. */
  #peerStreamsMax = Infinity;

  constructor(host: PoolHost, onHttp1Required: () => boolean) {
    this.#host = host;
    this.#onHttp1Required = onHttp1Required;
  }

  get size(): number {
    return this.#conns.length;
  }

  get idle(): number {
    return this.#idle;
  }

  get perConnection(): number {
    return Math.max(1, Math.min(this.#host.settings.http2.streamsMax, this.#peerStreamsMax));
  }

  take(): ClientStream | undefined {
    let best: H2ClientConn | undefined;
    for (const conn of this.#conns) {
      if (conn.room > 0 && (best === undefined || conn.streams < best.streams)) best = conn;
    }
    return best === undefined ? undefined : this.#open(best);
  }

  /** A place on a connection whose upstream has said that it takes extended CONNECT (RFC 8441 section 3). */
  takeTunnel(): ClientStream | undefined {
    const conn = this.#conns.find(({ room, takesTunnels }) => room > 0 && takesTunnels);
    return conn === undefined ? undefined : this.#open(conn);
  }

  adopt(socket: Duplex, intake: Intake | undefined): H2ClientConn {
    const { settings, wheel, counters, keepAliveMs } = this.#host;
    counters.open(1);
    const conn = new H2ClientConn({
      socket,
      intake,
      wheel,
      headerBytesMax: settings.headerBytesMax,
      idleMs: settings.idleMs,
      keepAliveMs,
      ...settings.http2,
      peerStreamsMax: Math.min(STREAMS_BEFORE_SETTINGS, this.#peerStreamsMax),
      onIdle: () => this.#countIdle(1),
      onRoom: () => this.#host.onRoom(),
      onPeerStreamsMax: (streamsMax) => (this.#peerStreamsMax = streamsMax),
      onHttp1Required: this.#onHttp1Required,
      onFailed: (error) => this.#host.onFailed(`${h2ErrorName(error.code)}: ${error.detail}`),
      onClosed: (closed, idleForMs) => this.#onClosed(closed, idleForMs),
    });
    this.#conns.push(conn);
    this.#countIdle(1);
    return conn;
  }

  trim(): void {
    const max = this.#retired ? 0 : this.#host.settings.idleConnectionsMax;
    while (this.#idle > max) this.#conns.find(({ streams }) => streams === 0)!.retire();
  }

  renew(): void {
    for (const conn of this.#conns.slice()) conn.retire(); // each takes itself out
  }

  retire(): void {
    this.#retired = true;
    this.renew();
  }

  #open(conn: H2ClientConn): ClientStream {
    if (conn.streams === 0) this.#countIdle(-1);
    const stream = conn.open();
    if (stream.uses > 0) this.#host.counters.reused();
    return stream;
  }

  #countIdle(change: number): void {
    this.#idle += change;
    this.#host.counters.idle(change);
  }

  #onClosed(conn: H2ClientConn, idleForMs: number | undefined): void {
    const at = this.#conns.indexOf(conn);
    if (at < 0) return;
    this.#conns.splice(at, 1);
    this.#host.counters.open(-1);
    if (conn.streams === 0) this.#countIdle(-1);
    this.#host.onClosed(idleForMs);
  }
}
