/** Every open connection to an upstream, for whoever looks into the proxy. As many as the pools and streams have. */
import type { Duplex } from 'node:stream';
import type { TimerWheel } from '../../base/timers.ts';
import type { UsedConn } from './pool.ts';

export interface LiveUpstream {
  readonly conn: UsedConn;
  /** Key in the plan. */
  readonly cluster: string;
  /** `clear`: the endpoint does not speak the TLS of its cluster. */
  readonly speech: 'as-planned' | 'clear';
  readonly sinceMs: number;
}

export class LiveUpstreams {
  readonly #wheel: TimerWheel;
  readonly #all = new Map<Duplex, LiveUpstream>();

  constructor(wheel: TimerWheel) {
    this.#wheel = wheel;
  }

  add(socket: Duplex, is: Omit<LiveUpstream, 'sinceMs'>): void {
    this.#all.set(socket, { ...is, sinceMs: this.#wheel.nowMs });
    socket.once('close', () => this.#all.delete(socket));
  }

  [Symbol.iterator](): IterableIterator<[Duplex, LiveUpstream]> {
    return this.#all[Symbol.iterator]();
  }
}
