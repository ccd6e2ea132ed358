/** A port of the loopback that speaks HTTP/2 with prior knowledge, for tests of the server side. */
import net from 'node:net';
import { systemClock } from '../../../base/clock.ts';
import {
  CONNECTION_LIMITS,
  CONNECTION_TIMEOUTS,
  type ConnectionLimits,
  type ConnectionTimeouts,
} from '../../../base/limits.ts';
import { TimerWheel } from '../../../base/timers.ts';
import type { RequestSink } from '../../stream.ts';
import type { H2ConnectionError } from '../frame.ts';
import { H2ServerConn } from '../server-conn.ts';

export interface H2PortOptions {
  readonly limits?: Partial<ConnectionLimits>;
  readonly timeouts?: Partial<ConnectionTimeouts>;
}

export class H2Port implements AsyncDisposable {
  readonly conns: H2ServerConn[] = [];
  /** Reasons for which connections were ended. */
  readonly failures: H2ConnectionError[] = [];
  readonly #server: net.Server;
  readonly #wheel = new TimerWheel(systemClock);
  #closed = 0;

  private constructor(sink: RequestSink, options: H2PortOptions) {
    this.#server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.conns.push(
        new H2ServerConn({
          socket,
          sink,
          wheel: this.#wheel,
          limits: { ...CONNECTION_LIMITS, ...options.limits },
          timeouts: { ...CONNECTION_TIMEOUTS, ...options.timeouts },
          facts: { peerIp: '127.0.0.1', peerPort: 1, scheme: 'http', serverName: '', tlsVersion: '', tlsCipher: '' },
          onFailed: (error) => this.failures.push(error),
          onClosed: () => this.#closed++,
        }),
      );
    });
  }

  static async start(sink: RequestSink, options: H2PortOptions = {}): Promise<H2Port> {
    const port = new H2Port(sink, options);
    await new Promise<void>((resolve) => port.#server.listen(0, '127.0.0.1', resolve));
    return port;
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  get openConns(): number {
    return this.conns.length - this.#closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const conn of this.conns) conn.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    this.#wheel.close();
  }
}
