/** Connections of a proxy to a control plane: mTLS, one channel for each, with the credentials of that moment. */
import { createSecureContext } from 'node:tls';
import { ChannelCredentials, Client, Metadata } from '@grpc/grpc-js';
import type { Clock } from '../base/clock.ts';
import type { Fault } from '../base/fault.ts';
import { BoundedHandshake } from './bounded-handshake.ts';
import type { Connect } from './client.ts';
import type { ClientPipe } from './client-session.ts';
import { faultOfPeer, pushFault } from './faults.ts';
import { channelOptions, KEEPALIVE, type Keepalive, PLAN_SERVICE } from './grpc-shapes.ts';
import type { ProxyMessage } from './messages.ts';
import { Outlet } from './outlet.ts';
import { type Credentials, serverCheck, serverNameFor } from './peer.ts';
import { encodeToControl } from './wire-to-control.ts';
import { ToProxyReader } from './wire-to-proxy.ts';

export interface GrpcConnectorOptions {
  readonly credentials: Credentials;
  /** Who the control plane has to be: its SPIFFE ID, or a host name. */
  readonly server: string;
  readonly clock: Clock;
  readonly keepalive?: Keepalive;
  /** Largest delta that is taken, in bytes of JSON. */
  readonly deltaBytesMax?: number;
}

export class GrpcConnector {
  readonly #options: GrpcConnectorOptions;
  #credentials: Credentials;

  constructor(options: GrpcConnectorOptions) {
    this.#options = options;
    this.#credentials = options.credentials;
  }

  /** Counts for the next connection; the stream that runs goes on. */
  rotate(credentials: Credentials): void {
    this.#credentials = credentials;
  }

  readonly connect: Connect = (address, end) => {
    const { deltaBytesMax } = this.#options;
    let client: Client;
    try {
      client = this.#open(address);
    } catch (error) {
      const fault = pushFault('push.away', `The own credentials cannot be used: ${wordsOfError(error)}`);
      queueMicrotask(() => end.gone(fault));
      return { send: () => 'full', end: () => undefined };
    }
    const { path } = PLAN_SERVICE.Stream;
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(path, same, same, new Metadata());
    const reader = new ToProxyReader(deltaBytesMax);
    const outlet = new Outlet<ProxyMessage>({
      encode: encodeToControl,
      write: (bytes, done) => void call.write(bytes, done),
      onProgress: () => undefined,
      onDrained: () => end.drained(),
    });
    let isOpen = true;
    const close = (): void => {
      isOpen = false;
      outlet.close();
      call.cancel();
      client.close();
    };
    const lost = (fault: Fault): void => {
      if (!isOpen) return;
      close();
      end.gone(fault);
    };
    call.on('data', (bytes: Buffer) => {
      if (!isOpen) return;
      const message = reader.take(bytes);
      if (message === undefined) return;
      if ('code' in message) lost(message);
      else end.receive(message);
    });
    call.on('error', (error: Error & { readonly details?: string }) =>
      lost(faultOfPeer(error.details ?? error.message)),
    );
    call.on('end', () => lost(pushFault('push.away', 'The control plane has ended the stream')));
    return {
      send: (message) => outlet.send(message),
      end: () => {
        if (isOpen) close();
      },
    } satisfies ClientPipe;
  };

  #open(address: string): Client {
    const { server, clock, keepalive = KEEPALIVE } = this.#options;
    return openClient(address, { credentials: this.#credentials, server, clock, keepalive });
  }
}

export interface ClientWish {
  /** Without a key pair only where one is asked for by a token. */
  readonly credentials: Pick<Credentials, 'trustPem'> & Partial<Credentials>;
  readonly server: string;
  readonly clock: Clock;
  readonly keepalive: Keepalive;
}

/** @throws {Error} when the credentials are no PEM */
export function openClient(address: string, { credentials, server, clock, keepalive }: ClientWish): Client {
  const { chainPem, keyPem, trustPem } = credentials;
  const context = createSecureContext({
    ca: trustPem,
    ...(chainPem !== undefined && { cert: chainPem }),
    ...(keyPem !== undefined && { key: keyPem }),
    minVersion: 'TLSv1.3',
  });
  const verified = ChannelCredentials.createFromSecureContext(context, { checkServerIdentity: serverCheck(server) });
  return new Client(address, new BoundedHandshake(verified, clock), {
    ...channelOptions(keepalive),
    'grpc.ssl_target_name_override': serverNameFor(server),
  });
}

const same = (bytes: Buffer): Buffer => bytes;

export function wordsOfError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
