/** A gateway that orders certificates, for tests: its manifests, and what it says of them. */
import type { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import tls from 'node:tls';
import type { CertificateReport, CertificateRow } from '../../src/api/admin/view.ts';
import { DOOR_HOST, type Fourways, freePort } from './fourways.ts';
import { Load, type LoadOptions } from './load.ts';
import { gatewayClass, httpRoute, type Manifest, prefixRule, service, writeManifests } from './manifests.ts';
import type { Pebble } from './pebble.ts';

export interface Doors {
  readonly http: number;
  readonly https: number;
}

export async function freeDoors(): Promise<Doors> {
  return { http: await freePort(DOOR_HOST), https: await freePort(DOOR_HOST) };
}

/** One listener with a certificate from an issuer. */
export interface Ordered {
  readonly hostname: string;
  readonly issuer: string;
  /** Name of the Secret; without one it has the name that we give it. */
  readonly secret?: string;
}

export interface Site {
  readonly dir: string;
  readonly doors: Doors;
  readonly ordered: readonly Ordered[];
  readonly issuers: Readonly<Record<string, Manifest>>;
  readonly pebble: Pebble;
  readonly origin: { readonly host: string; readonly port: number };
  /** A route that sends every plain request to https. */
  readonly redirect?: boolean;
  readonly more?: readonly Manifest[];
}

/** Writes the manifests of a site: listeners, issuers that trust this Pebble, a route to the origin. */
export function writeSite({ dir, doors, ordered, issuers, pebble, origin, redirect, more = [] }: Site): void {
  const secure = ordered.map(({ hostname, issuer, secret }, i) => ({
    name: `https-${i}`,
    port: doors.https,
    protocol: 'HTTPS',
    hostname,
    tls: {
      ...(secret !== undefined && { certificateRefs: [{ name: secret }] }),
      options: { 'fourways.io/acme-issuer': issuer },
    },
  }));
  const toHttps = { filters: [{ type: 'RequestRedirect', requestRedirect: { scheme: 'https', statusCode: 301 } }] };
  const parentRefs = secure.map(({ name }) => ({ name: 'gw', sectionName: name }));
  const web = httpRoute({ name: 'web', rules: [prefixRule('/', 'origin')] });
  writeManifests(dir, 'site.yaml', [
    gatewayClass(),
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: { name: 'gw', namespace: 'default' },
      spec: {
        gatewayClassName: 'fourways',
        listeners: [{ name: 'http', port: doors.http, protocol: 'HTTP' }, ...secure],
      },
    },
    { ...web, spec: { ...(web['spec'] as object), parentRefs } },
    ...(redirect === true ? [toSection(httpRoute({ name: 'to-https', rules: [toHttps] }), 'http')] : []),
    ...service('origin', [origin]),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'acme-ca', namespace: 'default' },
      data: { 'ca.crt': pebble.ca },
    },
    ...Object.entries(issuers).map(([name, spec]) => ({
      apiVersion: 'fourways.io/v1alpha1',
      kind: 'AcmeIssuer',
      metadata: { name, namespace: 'default' },
      spec: { directory: pebble.directory, termsAgreed: true, caCertificateRefs: [{ name: 'acme-ca' }], ...spec },
    })),
    ...more,
  ]);
}

function toSection(route: Manifest, sectionName: string): Manifest {
  return { ...route, spec: { ...(route['spec'] as object), parentRefs: [{ name: 'gw', sectionName }] } };
}

export async function reportOf(program: Fourways): Promise<CertificateReport> {
  return JSON.parse(await program.adminText('/certificates')) as CertificateReport;
}

/** Waits until every certificate is as it should be. @returns them */
export async function untilCertificates(
  program: Fourways,
  holds: (row: CertificateRow) => boolean,
  what: string,
): Promise<readonly CertificateRow[]> {
  let rows: readonly CertificateRow[] = [];
  const all = async (): Promise<boolean> => {
    rows = (await reportOf(program)).certificates;
    return rows.length > 0 && rows.every(holds);
  };
  await program.until(all, what).catch((cause: unknown) => {
    throw new Error(JSON.stringify(rows, null, 1), { cause });
  });
  return rows;
}

/** The condition of a listener by its type, as `status reason: message`. */
export async function conditionOf(program: Fourways, listener: string, type: string): Promise<string> {
  const items = (await program.status()) as unknown as readonly {
    readonly kind: string;
    readonly status: {
      readonly listeners: readonly { readonly name: string; readonly conditions: readonly Condition[] }[];
    };
  }[];
  const { listeners } = items.find(({ kind }) => kind === 'Gateway')!.status;
  const found = listeners.find(({ name }) => name === listener)!.conditions.find((one) => one.type === type);
  return found === undefined ? 'absent' : `${found.status} ${found.reason}: ${found.message}`;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
}

/** A handshake, verified against these roots. @returns the certificate that was shown */
export async function handshake(port: number, servername: string, ca: string): Promise<X509Certificate> {
  const socket = tls.connect({ host: DOOR_HOST, port, servername, ca });
  try {
    await once(socket, 'secureConnect');
    return socket.getPeerX509Certificate()!;
  } finally {
    socket.destroy();
  }
}

/** Steady load on shop.test with many a handshake, whatever the certificate. */
export function loadOn(port: number, onOpen?: LoadOptions['onOpen']): Load {
  return new Load({
    target: { host: DOOR_HOST, port, tls: { rejectUnauthorized: false, servername: 'shop.test' } },
    host: 'shop.test',
    path: '/',
    connections: 6,
    gapMs: 5,
    renewEvery: 10,
    ...(onOpen !== undefined && { onOpen }),
  });
}
