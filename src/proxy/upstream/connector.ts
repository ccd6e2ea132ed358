/** Opens sockets to endpoints: plain TCP here; TLS is put on top by the cluster's own connector. */
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { Fault } from '../../base/fault.ts';
import { type Intake, intakeOptions } from '../../net/read-buffer.ts';
import { Timed, type TimerWheel } from '../../base/timers.ts';
import { StreamReads } from '../../net/stream-reads.ts';
import type { ConnectDone, Connector, ConnectTo, Offer } from './pool.ts';

/** Wraps a connected socket in TLS and reports when the peer was verified. */
export type Secure = (
  socket: net.Socket,
  to: { readonly endpoint: string; readonly offer: Offer },
  done: ConnectDone,
) => void;

/** What reads are for: a codec, which is done with its bytes in the same turn, or a stream that is passed on. */
export type Reads = 'codec' | 'stream';

const READS: Readonly<Record<Reads, () => { readonly intake: Intake; readonly onread: net.OnReadOpts }>> = {
  codec: intakeOptions,
  stream: () => {
    const intake = new StreamReads();
    return { intake, onread: intake.onread };
  },
};

export interface SocketConnectorOptions {
  readonly wheel: TimerWheel;
  readonly connectMs: number;
  readonly secure: Secure | undefined;
  readonly reads: Reads;
}

export class SocketConnector implements Connector {
  readonly #wheel: TimerWheel;
  readonly #connectMs: number;
  readonly #secure: Secure | undefined;
  readonly #reads: Reads;

  constructor({ wheel, connectMs, secure, reads }: SocketConnectorOptions) {
    this.#wheel = wheel;
    this.#connectMs = connectMs;
    this.#secure = secure;
    this.#reads = reads;
  }

  connect({ address, port, preface }: ConnectTo, offer: Offer, done: ConnectDone): () => void {
    // TLS reads the socket below it in a way of its own.
    const { intake, onread } = this.#secure === undefined ? READS[this.#reads]() : NO_INTAKE;
    // A tunnel may end one way only; for anything else the codec destroys the socket when the upstream ends.
    const socket = net.connect({
      host: address,
      port,
      noDelay: true,
      allowHalfOpen: true,
      ...(onread === undefined ? {} : { onread }),
    });
    let settled = false;
    const settle = (): boolean => {
      if (settled) return false;
      settled = true;
      this.#wheel.disarm(timer);
      socket.off('error', onError);
      return true;
    };
    const giveUp = (): boolean => {
      if (!settle()) return false;
      socket.on('error', ignore);
      socket.destroy();
      return true;
    };
    const open = (opened: Duplex, protocol: string): void => {
      if (settle()) done.onOpen(opened, intake, protocol);
    };
    const fail = (fault: Fault): void => {
      if (giveUp()) done.onFailed(fault);
    };
    const onError = (error: NodeJS.ErrnoException): void =>
      fail(new Fault('upstream.connect-refused', `Cannot connect to ${address}:${port}: ${error.code ?? 'failed'}`));
    const timer = new Timed(() =>
      fail(new Fault('upstream.connect-timeout', `Cannot connect to ${address}:${port} in ${this.#connectMs} ms`)),
    );
    this.#wheel.arm(timer, this.#connectMs);
    socket.on('error', onError);
    socket.once('connect', () => {
      if (preface !== undefined) socket.write(preface);
      if (this.#secure === undefined) return open(socket, '');
      socket.on('error', ignore); // the TLS socket on top of it reports the failure
      this.#secure(
        socket,
        { endpoint: `${address}:${port}`, offer },
        {
          onOpen: (secured, _, protocol) => open(secured, protocol),
          onFailed: fail,
        },
      );
    });
    return () => void giveUp();
  }
}

const NO_INTAKE = { intake: undefined, onread: undefined };

const ignore = (): void => undefined;
