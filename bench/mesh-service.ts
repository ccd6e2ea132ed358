/** Instances of services with mTLS, as sidecars before them would be: one port for all of them, a certificate for each. */
import { createSecureServer, type Http2SecureServer, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { Member } from '../src/sidecar/membership.ts';

export class MeshServices implements Disposable {
  onRequest: () => void = () => undefined;
  readonly #server: Http2SecureServer;
  readonly #contexts = new Map<string, SecureContext>();

  private constructor() {
    this.#server = createSecureServer({
      ALPNProtocols: ['h2'],
      requestCert: true,
      rejectUnauthorized: false,
      SNICallback: (name, done) => done(null, this.#contexts.get(serviceIn(name))),
    });
    this.#server.on('stream', (stream: ServerHttp2Stream) => {
      this.onRequest();
      stream.respond({ ':status': 200, 'content-type': 'text/plain' });
      stream.end('x'.repeat(100));
    });
  }

  static async listen(): Promise<MeshServices> {
    const services = new MeshServices();
    await new Promise<void>((resolve) => services.#server.listen(0, '127.0.0.1', resolve));
    return services;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  add(service: string, { chainPem, keyPem }: Member): void {
    this.#contexts.set(service, createSecureContext({ cert: chainPem, key: keyPem, minVersion: 'TLSv1.3' }));
  }

  [Symbol.dispose](): void {
    this.#server.close();
  }
}

/** Server names say which port of which service is meant: `80.orders.shop.mesh.internal`. */
function serviceIn(name: string): string {
  return name.split('.')[1] ?? '';
}
