/** Opens sockets to endpoints: plain TCP here; TLS is put on top by the cluster's own connector. */
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { Fault } from '../../base/fault.ts';
import { intakeOptions } from '../../net/read-buffer.ts';
import { Timed, type TimerWheel } from '../../base/timers.ts';
import type { ConnectDone, Connector, Offer } from './pool.ts';

/** Wraps a connected socket in TLS and reports when the peer was verified. */
export type Secure = (
  socket: net.Socket,
  to: { readonly endpoint: string; readonly offer: Offer },
  done: ConnectDone,
) => void;

export class SocketConnector implements Connector {
  readonly #wheel: TimerWheel;
  readonly #connectMs: number;
  readonly #secure: Secure | undefined;

  constructor(wheel: TimerWheel, connectMs: number, secure: Secure | undefined) {
    this.#wheel = wheel;
    this.#connectMs = connectMs;
    this.#secure = secure;
  }

  connect(
    { address, port }: { readonly address: string; readonly port: number },
    offer: Offer,
    done: ConnectDone,
  ): () => void {
    // TLS reads the socket below it in a way of its own.
    const { intake, onread } = this.#secure === undefined ? intakeOptions() : NO_INTAKE;
    // A tunnel may end one way only; for anything else the codec destroys the socket when the upstream ends.
    const socket = net.connect({
      host: address,
      port,
      noDelay: true,
      allowHalfOpen: true,
      ...(onread === undefined ? {} : { onread }),
    });
    let settled = false;
    const settle = (result: Duplex | Fault, protocol = ''): void => {
      if (settled) return;
      settled = true;
      this.#wheel.disarm(timer);
      socket.off('error', onError);
      if (!(result instanceof Fault)) return done.onOpen(result, intake, protocol);
      socket.on('error', ignore);
      socket.destroy();
      done.onFailed(result);
    };
    const onError = (error: NodeJS.ErrnoException): void =>
      settle(new Fault('upstream.connect-refused', `Cannot connect to ${address}:${port}: ${error.code ?? 'failed'}`));
    const timer = new Timed(() =>
      settle(new Fault('upstream.connect-timeout', `Cannot connect to ${address}:${port} in ${this.#connectMs} ms`)),
    );
    this.#wheel.arm(timer, this.#connectMs);
    socket.on('error', onError);
    socket.once('connect', () => {
      if (this.#secure === undefined) return settle(socket);
      socket.on('error', ignore); // the TLS socket on top of it reports the failure
      this.#secure(
        socket,
        { endpoint: `${address}:${port}`, offer },
        {
          onOpen: (secured, _, protocol) => settle(secured, protocol),
          onFailed: settle,
        },
      );
    });
    return () => settle(new Fault('upstream.connect-refused', 'Cancelled'));
  }
}

const NO_INTAKE = { intake: undefined, onread: undefined };

const ignore = (): void => undefined;
