/** Proxies and control planes that speak gRPC over mTLS, with certificates made on the spot. */
import { systemClock } from '../../base/clock.ts';
import { type LogFields, silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import type { ApplyResult } from '../../ir/apply-result.ts';
import type { Change } from '../../ir/change.ts';
import type { PlanBundle } from '../../ir/plan.ts';
import { type Certified, makeCertificate } from '../../net/testing/certificates.ts';
import { PushClient } from '../client.ts';
import { pushFault } from '../faults.ts';
import { GrpcConnector, type GrpcConnectorOptions } from '../grpc-client.ts';
import { Hub } from '../hub.ts';
import type { Joining } from '../joining.ts';
import type { TrustBundle } from '../messages.ts';
import type { Credentials } from '../peer.ts';
import { PushServer, type PushServerOptions } from '../server.ts';
import { PlainFeeds } from './plain-feeds.ts';

export const CONTROL = 'spiffe://cluster.local/ns/fourways/sa/control';
export const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders';
export const BANK = 'spiffe://cluster.local/ns/shop/sa/bank';

export const root = makeCertificate({ kind: 'ca', subject: 'Root' });
export const issuer = makeCertificate({ kind: 'ca', subject: 'Issuer', issuer: root });
export const otherRoot = makeCertificate({ kind: 'ca', subject: 'Other root' });

export function credentials(certified: Certified, trust: Certified = root): Credentials {
  return { chainPem: certified.certificatePem, keyPem: certified.privateKeyPem, trustPem: trust.leafPem };
}

export const server = (uris: readonly string[] = [CONTROL]): Certified =>
  makeCertificate({ kind: 'server', uris, issuer });
export const proxy = (uris: readonly string[] = [ORDERS], by: Certified = issuer): Certified =>
  makeCertificate({ kind: 'client', uris, issuer: by });

const nobodyJoins: Joining = {
  anchors: () => [],
  join: () => Promise.resolve(pushFault('push.join-refused', 'Nobody joins')),
  renew: () => Promise.resolve(pushFault('push.join-refused', 'Nobody joins')),
};

const cleanups: (() => unknown)[] = [];
/** Closes what a test has opened: proxies before their control plane. */
export async function closeAll(): Promise<void> {
  // oxlint-disable-next-line no-await-in-loop -- one after the other
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
}

export class Control {
  readonly feeds: PlainFeeds;
  readonly warnings: string[] = [];
  readonly hub: Hub;
  server!: PushServer;

  constructor(bundle?: PlanBundle) {
    this.feeds = new PlainFeeds(bundle);
    const log = {
      ...silentLog,
      warn: (message: string, fields?: LogFields) => void this.warnings.push(`${message} ${JSON.stringify(fields)}`),
    };
    this.hub = new Hub({ feeds: this.feeds, clock: systemClock, log, software: '1.0.0', control: 'control-1' });
  }

  static async start(bundle?: PlanBundle, options: Partial<PushServerOptions> = {}): Promise<Control> {
    const control = new Control(bundle);
    control.server = await PushServer.listen(
      { host: '127.0.0.1', port: 0 },
      {
        hub: control.hub,
        joining: nobodyJoins,
        credentials: credentials(server()),
        trustDomains: ['cluster.local'],
        clock: systemClock,
        ...options,
      },
    );
    cleanups.push(() => control.server.close());
    return control;
  }

  get address(): string {
    return `127.0.0.1:${this.server.port}`;
  }
}

export class TestProxy {
  readonly client: PushClient;
  readonly connector: GrpcConnector;
  readonly changes: Change[] = [];
  readonly trust: TrustBundle[] = [];
  answer: (change: Change) => Promise<ApplyResult> = ({ bundle }) =>
    Promise.resolve({ kind: 'ack', version: bundle.plan.version, ports: {} });
  #seen = Promise.withResolvers<void>();

  constructor(
    addresses: readonly string[],
    options: Partial<GrpcConnectorOptions> & {
      readonly held?: PlanBundle;
      readonly identity?: string;
      readonly instance?: string;
    } = {},
  ) {
    this.connector = new GrpcConnector({
      credentials: credentials(proxy()),
      server: CONTROL,
      clock: systemClock,
      ...options,
    });
    this.client = new PushClient({
      connect: this.connector.connect,
      addresses,
      self: {
        software: '1.0.0',
        instance: options.instance ?? 'orders-1',
        role: 'sidecar',
        identity: options.identity ?? '',
        zone: 'a',
      },
      ...(options.held !== undefined && { held: options.held }),
      apply: async (change) => {
        this.changes.push(change);
        const result = await this.answer(change);
        setImmediate(() => this.#wake());
        return result;
      },
      keep: () => undefined,
      events: {
        onUnknown: () => undefined,
        onTrust: (bundle) => void this.trust.push(bundle),
        onWish: () => undefined,
        askTo: () => () => undefined,
      },
      clock: systemClock,
      random: systemRandom(),
      log: { ...silentLog, warn: () => this.#wake(), debug: () => this.#wake(), info: () => this.#wake() },
      backoff: { leastMs: 10, mostMs: 100 },
    });
    cleanups.push(() => this.client.close());
    this.client.start();
  }

  get version(): string | undefined {
    return this.client.held?.plan.version;
  }

  /** Resolves when it is so; looked at whenever something has happened. */
  async until(isSo: () => boolean): Promise<void> {
    // oxlint-disable-next-line no-await-in-loop -- one thing after another is waited for
    while (!isSo()) await this.#seen.promise;
  }

  serves(bundle: PlanBundle): Promise<void> {
    return this.until(() => this.version === bundle.plan.version);
  }

  /** The code of the fault that keeps it away. */
  async refusal(): Promise<string> {
    await this.until(() => this.client.state.kind === 'away' && this.client.state.reason !== undefined);
    const { state } = this.client;
    return state.kind === 'away' ? `${state.reason!.code}: ${state.reason!.detail}` : state.kind;
  }

  #wake(): void {
    const seen = this.#seen;
    this.#seen = Promise.withResolvers();
    seen.resolve();
  }
}
