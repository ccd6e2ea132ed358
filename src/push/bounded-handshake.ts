/**
 * Credentials whose handshake has an end. gRPC gives up waiting for a server that
 * accepts and says nothing, and keeps its socket: a control plane that hangs for a
 * day would cost each of its proxies a thousand.
 */
import type { Socket } from 'node:net';
import { ChannelCredentials } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';

const HANDSHAKE_MS = 10_000;

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;

export class BoundedHandshake extends ChannelCredentials {
  readonly #inner: ChannelCredentials;
  readonly #clock: Clock;

  constructor(inner: ChannelCredentials, clock: Clock) {
    super();
    this.#inner = inner;
    this.#clock = clock;
  }

  override _isSecure(): boolean {
    return this.#inner._isSecure();
  }

  override _equals(other: ChannelCredentials): boolean {
    return this === other;
  }

  override _createSecureConnector(...args: Parameters<ChannelCredentials['_createSecureConnector']>): Connector {
    const connector = this.#inner._createSecureConnector(...args);
    const clock = this.#clock;
    return {
      connect: async (socket: Socket) => {
        const cancel = clock.after(HANDSHAKE_MS, () => socket.destroy(new Error('The handshake took too long')));
        try {
          return await connector.connect(socket);
        } finally {
          cancel();
        }
      },
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    };
  }
}
