/** Connections of HTTP/1.1 to one endpoint: each carries one request at a time. The one used last is used first. */
import type { Duplex } from 'node:stream';
import { H1ClientConn } from '../../http/h1/client-conn.ts';
import type { ClientStream } from '../../http/stream.ts';
import type { Intake } from '../../net/read-buffer.ts';
import type { Pool, PoolHost } from './pool.ts';

export class H1Pool implements Pool {
  readonly perConnection = 1;

  readonly #host: PoolHost;
  readonly #idle: H1ClientConn[] = [];
  readonly #conns = new Set<H1ClientConn>();
  #retired = false;

  constructor(host: PoolHost) {
    this.#host = host;
  }

  get size(): number {
    return this.#conns.size;
  }

  get idle(): number {
    return this.#idle.length;
  }

  take(): ClientStream | undefined {
    const { counters } = this.#host;
    for (let conn = this.#idle.pop(); conn !== undefined; conn = this.#idle.pop()) {
      counters.idle(-1);
      if (!conn.usable) continue;
      if (conn.uses >= 0) counters.reused();
      return conn;
    }
    return undefined;
  }

  adopt(socket: Duplex, intake: Intake | undefined): H1ClientConn {
    const { settings, wheel, counters, keepAliveMs } = this.#host;
    counters.open(1);
    const conn = new H1ClientConn({
      socket,
      intake,
      wheel,
      headerBytesMax: settings.headerBytesMax,
      idleMs: settings.idleMs,
      keepAliveMs,
      onIdle: (idle) => {
        this.#keep(idle);
        this.#host.onRoom();
      },
      onClosed: (closed, idleForMs) => this.#onClosed(closed, idleForMs),
    });
    this.#conns.add(conn);
    this.#keep(conn);
    return conn;
  }

  trim(): void {
    const max = this.#retired ? 0 : this.#host.settings.idleConnectionsMax;
    while (this.#idle.length > max) this.#idle[0]!.retire();
  }

  renew(): void {
    for (const conn of this.#conns) conn.retire(); // each may take itself out
  }

  retire(): void {
    this.#retired = true;
    this.renew();
  }

  #keep(conn: H1ClientConn): void {
    this.#idle.push(conn);
    this.#host.counters.idle(1);
  }

  #onClosed(conn: H1ClientConn, idleForMs: number | undefined): void {
    if (!this.#conns.delete(conn)) return;
    this.#host.counters.open(-1);
    const at = this.#idle.indexOf(conn);
    if (at >= 0) {
      this.#idle.splice(at, 1);
      this.#host.counters.idle(-1);
    }
    this.#host.onClosed(idleForMs);
  }
}
