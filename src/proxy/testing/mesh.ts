/** Two proxies as sidecars of two workloads: client -> A -> mTLS -> B -> application. */
import type { PlanCluster, PlanDelta, PlanListener, PlanPort, PlanSecret } from '../../ir/plan.ts';
import { type Certified, type CertificateWish, makeCertificate } from '../../net/testing/certificates.ts';
import { clusterTo, Harness, LISTENER, routeOf, ruleTo } from './node-harness.ts';
import { streamTo } from './streams.ts';

export const DOMAIN = 'cluster.local';
export const root: Certified = makeCertificate({ kind: 'ca', subject: 'Mesh root' });

export const idOf = (account: string, domain: string = DOMAIN): string => `spiffe://${domain}/ns/shop/sa/${account}`;

/** A leaf for an identity of the mesh. */
export function workload(account: string, more: Partial<CertificateWish> = {}): Certified {
  return makeCertificate({ kind: 'workload', uris: [idOf(account)], issuer: root, ...more });
}

/** What a proxy puts for itself. */
export const selfIs = ({ certificatePem, privateKeyPem }: Certified): Record<string, PlanSecret> => ({
  'Identity/self': { certificatePem, privateKeyPem },
});

const SELF = { secret: 'Identity/self', hash: '' };
const TLS13 = { versionMin: 'TLSv1.3', versionMax: 'TLSv1.3', ciphers: '', curves: '' } as const;

export const HTTP_NAME = '8080.orders.shop.mesh.internal';
export const TCP_NAME = '5432.db.shop.mesh.internal';

const BOTH: PlanListener['settings'] = { ...LISTENER.settings, httpVersions: ['h2', 'http/1.1'] };

const inbound = (hostname: string, stream?: PlanListener['stream']): PlanListener => ({
  ...LISTENER,
  hostname,
  chosenBy: 'server-name',
  tls: { certificates: [SELF], ...TLS13 },
  settings: BOTH,
  ...(stream === undefined ? {} : { stream }),
});

/** How workloads are let in. */
export function letIn(
  cas: readonly Certified[] = [root],
  denied: readonly string[] = [],
  federated: readonly { readonly trustDomain: string; readonly cas: readonly string[] }[] = [],
): Pick<PlanPort, 'protocol' | 'clientValidation'> {
  return {
    protocol: 'tls',
    clientValidation: {
      cas: cas.map(({ leafPem }) => leafPem),
      mode: 'required',
      workloads: { trustDomains: [DOMAIN], ...(federated.length > 0 && { federated }), denied },
    },
  };
}

export interface Apps {
  readonly http: number;
  readonly tcp: number;
}

/** Parts of B: what ends mTLS and goes to the applications. */
export function inboundParts(apps: Apps, own: Certified): Partial<PlanDelta['set']> {
  return {
    listeners: { h: inbound(HTTP_NAME), t: inbound(TCP_NAME, { kind: 'tls' }) },
    routes: { r: { ...routeOf(ruleTo()), attach: [{ listener: 'h', hosts: ['*'] }] } },
    streams: { s: streamTo('t', { attach: [{ listener: 't', hosts: ['*'] }] }) },
    clusters: { c: clusterTo([apps.http], { protocol: 'auto' }), t: clusterTo([apps.tcp], { stream: 'tcp' }) },
    secrets: selfIs(own),
  };
}

export function meshCluster(port: number, serverName: string, more: Partial<PlanCluster> = {}): PlanCluster {
  return clusterTo([port], {
    protocol: 'auto',
    tls: {
      serverName,
      cas: [root.leafPem],
      subjectAltNames: [{ kind: 'uri', value: idOf('orders') }],
      policy: TLS13,
      clientCertificate: SELF,
      state: 'ok',
    },
    ...more,
  });
}

const outbound = (hostname: string, more: Partial<PlanListener> = {}): PlanListener => ({
  ...LISTENER,
  hostname,
  chosenBy: 'authority',
  settings: BOTH,
  ...more,
});

/** Parts of A: a forward proxy to `orders.shop:80` and `db.shop:5432`, which are behind B. */
export function outboundParts(port: number, own: Certified): Partial<PlanDelta['set']> {
  return {
    listeners: { h: outbound('orders.shop:80'), t: outbound('db.shop:5432', { stream: { kind: 'tcp' } }) },
    routes: { r: { ...routeOf(ruleTo()), attach: [{ listener: 'h', hosts: ['*'] }] } },
    streams: { s: streamTo('t', { attach: [{ listener: 't', hosts: ['*'] }] }) },
    clusters: { c: meshCluster(port, HTTP_NAME), t: meshCluster(port, TCP_NAME, { stream: 'tcp' }) },
    secrets: selfIs(own),
  };
}

/** The proxies of `web`, which calls, and of `orders`, which is called. */
export class Pair implements AsyncDisposable {
  readonly a = new Harness();
  readonly b = new Harness();

  static async start(apps: Apps): Promise<Pair> {
    const pair = new Pair();
    await pair.b.start(inboundParts(apps, workload('orders')), letIn());
    await pair.a.start(outboundParts(pair.b.port, workload('web')), { protocol: 'proxy' });
    return pair;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.a[Symbol.asyncDispose]();
    await this.b[Symbol.asyncDispose]();
  }
}
