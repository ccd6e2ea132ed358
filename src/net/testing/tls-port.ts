/** A TLS port on loopback, and a client for it. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { TimerWheel } from '../../base/timers.ts';
import { TicketKeys } from '../ticket-keys.ts';
import type { TlsListener } from '../tls-contexts.ts';
import { PortTls, type PortTlsPlan, type SecureFacts } from '../tls-server.ts';
import { makeCertificate } from './certificates.ts';

/** What tests trust. */
export const root = makeCertificate({ kind: 'ca', subject: 'Root' });
export const shop = makeCertificate({ hosts: ['shop.test'], issuer: root });
export const PLAIN_TLS: TlsListener['tls'] = { versionMin: 'TLSv1.2', versionMax: 'TLSv1.3', ciphers: '', curves: '' };
/** Speaks both versions of HTTP by ALPN. */
export const listener = (hostname: string, ...secrets: TlsListener['secrets']): TlsListener => ({
  hostname,
  tls: PLAIN_TLS,
  alpn: ['h2', 'http/1.1'],
  secrets,
});

/** A port whose connections answer what they are told. `events`: what it did, in order: `secure shop.test`, `full`, `failed timeout`. */
export class TestPort {
  readonly events: string[] = [];
  readonly facts: SecureFacts[] = [];
  readonly details: string[] = [];
  readonly tls: PortTls;
  readonly server: net.Server;
  readonly #wheel = new TimerWheel(systemClock);
  port = 0;
  #changed = (): void => undefined;

  constructor(ticketKeys = new TicketKeys(randomBytes(48)), handshakesMax = 100) {
    this.tls = new PortTls({
      handshakesMax,
      wheel: this.#wheel,
      log: silentLog,
      ticketKeys,
      wallMs: () => systemClock.wallMs(),
      metrics: {
        handshakesFull: { add: () => this.events.push('full') },
        handshakesResumed: { add: () => this.events.push('resumed') },
        handshakeFailed: (failure) => this.events.push(`counted ${failure}`),
      },
    });
    this.server = net.createServer({ allowHalfOpen: true }, (socket) => {
      this.tls.accept(socket, {
        onSecure: (secured, facts) => {
          this.facts.push(facts);
          this.#push(`secure ${facts.serverName}`);
          secured.on('error', () => undefined);
          secured.on('data', (bytes: Buffer) => secured.end(`echo ${bytes.toString()}`));
        },
        onValidated: () => this.#push('validated'),
        onFailed: (failure, detail) => {
          this.details.push(detail);
          this.#push(`failed ${failure}`);
        },
      });
    });
  }

  async listen(plan: Partial<PortTlsPlan>, ...listeners: TlsListener[]): Promise<this> {
    this.tls.update({ timeouts: { handshakeMs: 5_000 }, ...plan }, listeners);
    this.server.listen(0, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as net.AddressInfo).port;
    return this;
  }

  /** Resolves when `event` has been seen. */
  async saw(event: string): Promise<void> {
    while (!this.events.includes(event)) await new Promise<void>((resolve) => (this.#changed = resolve));
  }

  [Symbol.dispose](): void {
    this.server.close(() => this.#wheel.close());
  }

  #push(event: string): void {
    this.events.push(event);
    this.#changed();
  }
}

export interface Answer {
  readonly text: string;
  /** Subject alternative names of the server's certificate. */
  readonly names: string;
  readonly keyType: string | undefined;
  readonly cipher: string;
  readonly alpn: string | false | null;
  readonly reused: boolean;
  readonly session: Buffer | undefined;
}

/** Connects, says hello, and reads to the end. Rejects when the handshake fails or the connection breaks. */
export async function ask(port: number, options: tls.ConnectionOptions): Promise<Answer> {
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    ca: root.leafPem,
    checkServerIdentity: () => undefined,
    ...options,
  });
  let session: Buffer | undefined;
  let text = '';
  let secured: Omit<Answer, 'text' | 'session'> | undefined;
  socket.on('session', (ticket) => (session = ticket));
  socket.on('data', (bytes: Buffer) => (text += bytes.toString()));
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.on('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      secured = {
        names: certificate?.subjectAltName ?? '',
        keyType: certificate?.publicKey.asymmetricKeyType,
        cipher: socket.getCipher().standardName,
        alpn: socket.alpnProtocol,
        reused: socket.isSessionReused(),
      };
      socket.write('hello');
    });
    socket.on('close', () => (text === '' ? reject(new Error('closed without an answer')) : resolve()));
  });
  return { text, session, ...secured! };
}
