/** Pebble, the test server of Let's Encrypt's engineers, as Debian has it: a real ACME server with a DNS server of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCertificate } from '../../src/net/testing/certificates.ts';
import { freePort, pause } from './fourways.ts';

const HOST = '127.0.0.1';
const READY_MS_MAX = 20_000;

export interface PebbleOptions {
  /** Address that every name resolves to. */
  readonly names: string;
  /** Where it validates: what a public authority does on ports 80 and 443. */
  readonly httpPort: number;
  readonly tlsPort: number;
  /** Seconds that a certificate lives. Default: as Pebble has it, years. */
  readonly lifeSeconds?: number;
  readonly externalAccounts?: Readonly<Record<string, string>>;
  /** Share of good nonces that are refused, in percent. */
  readonly nonceReject?: number;
}

export class Pebble implements AsyncDisposable {
  readonly directory: string;
  /** PEM of the authority that signed the certificate of the server itself. */
  readonly ca: string;
  readonly #dir: string;
  readonly #options: PebbleOptions;
  readonly #ports: readonly [acme: number, management: number, dns: number, dnsManagement: number];
  #children: ChildProcess[] = [];
  #said = '';

  private constructor(
    options: PebbleOptions,
    ports: readonly [number, number, number, number],
    ca: string,
    dir: string,
  ) {
    this.#options = options;
    this.#ports = ports;
    this.ca = ca;
    this.#dir = dir;
    this.directory = `https://${HOST}:${ports[0]}/dir`;
  }

  static async start(options: PebbleOptions): Promise<Pebble> {
    const dir = mkdtempSync(join(tmpdir(), 'fourways-pebble-'));
    const root = makeCertificate({ kind: 'ca', subject: 'Pebble test root' });
    const own = makeCertificate({ hosts: [HOST], issuer: root });
    const ports = [await freePort(HOST), await freePort(HOST), await freePort(HOST), await freePort(HOST)] as const;
    const { httpPort, tlsPort, lifeSeconds, externalAccounts } = options;
    writeFileSync(join(dir, 'cert.pem'), own.certificatePem);
    writeFileSync(join(dir, 'key.pem'), own.privateKeyPem);
    writeFileSync(
      join(dir, 'config.json'),
      JSON.stringify({
        pebble: {
          listenAddress: `${HOST}:${ports[0]}`,
          managementListenAddress: `${HOST}:${ports[1]}`,
          certificate: join(dir, 'cert.pem'),
          privateKey: join(dir, 'key.pem'),
          httpPort,
          tlsPort,
          ...(lifeSeconds !== undefined && { certificateValidityPeriod: lifeSeconds }),
          externalAccountBindingRequired: externalAccounts !== undefined,
          ...(externalAccounts !== undefined && { externalAccountMACKeys: externalAccounts }),
        },
      }),
    );
    const pebble = new Pebble(options, ports, root.leafPem, dir);
    await pebble.resume();
    return pebble;
  }

  /** Starts it; what it knew before is forgotten, as it keeps everything in memory. */
  async resume(): Promise<void> {
    const { names, nonceReject = 0 } = this.#options;
    const [, , dns, dnsManagement] = this.#ports;
    const dnsOnly = `-http01= -https01= -tlsalpn01= -management=${HOST}:${dnsManagement}`.split(' ');
    this.#spawn('pebble-challtestsrv', [`-dns01=${HOST}:${dns}`, `-defaultIPv4=${names}`, '-defaultIPv6=', ...dnsOnly]);
    this.#spawn('pebble', ['-config', join(this.#dir, 'config.json'), '-dnsserver', `${HOST}:${dns}`], {
      PEBBLE_VA_NOSLEEP: '1',
      PEBBLE_WFE_NONCEREJECT: String(nonceReject),
      // Each order is validated anew.
      PEBBLE_AUTHZREUSE: '0',
    });
    await this.#ready();
  }

  /** How often it said this. */
  count(text: string): number {
    return this.#said.split(text).length - 1;
  }

  /** PEM of the root that signs what it issues; another one after each start. */
  async root(): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const call = request(
      { host: HOST, port: this.#ports[1], path: '/roots/0', ca: this.ca, agent: false },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => (text += part));
        answer.on('end', () => resolve(text)).on('error', reject);
      },
    );
    call.on('error', reject).end();
    return promise;
  }

  async stop(): Promise<void> {
    const children = this.#children;
    this.#children = [];
    await Promise.all(
      children.map(async (child) => {
        const ended = once(child, 'exit');
        child.kill('SIGKILL');
        await ended;
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #spawn(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): void {
    const child = spawn(program, args, {
      cwd: this.#dir,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => (this.#said = (this.#said + text).slice(-4_000_000)));
    }
    this.#children.push(child);
  }

  async #ready(): Promise<void> {
    const endMs = performance.now() + READY_MS_MAX;
    while (performance.now() < endMs) {
      if ((await this.root().catch(() => undefined)) !== undefined) return;
      if (this.#children.some(({ exitCode }) => exitCode !== null)) break;
      await pause(20);
    }
    throw new Error(`Pebble is not ready:\n${this.#said}`);
  }
}
