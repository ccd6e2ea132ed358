/**
 * What both ends of connections say of them, put together. Each end tells what it has seen; two that derive the same value
 * from the keys of a connection are its two ends, with nobody in between.
 */
import type { AskedProxy } from '../control/survey.ts';
import type { ConnectionRow, ConnectionTls, ShownCertificate } from '../ir/connection.ts';
import { placeText, serviceOf } from '../proxy/look/places.ts';

/** A connection as one end sees it. */
export interface SeenConnection {
  readonly proxy: AskedProxy;
  readonly row: ConnectionRow;
}

/** A connection between services of which at least one end was verified by the other. */
export interface ProvedConnection {
  /** SPIFFE IDs: who has connected, and to whom. */
  readonly client: string;
  readonly server: string;
  /** `shop/orders:80`; empty where neither end says. */
  readonly service: string;
  /** `h2`, or `tcp` for what no proxy reads. */
  readonly protocol: string;
  readonly version: string;
  readonly cipher: string;
  /** Of the key exchange; empty where only the server has told. */
  readonly group: string;
  /** Who has told of it. */
  readonly provedBy: 'both' | 'client' | 'server';
  /** What the two ends do not agree on; never of one end. */
  readonly flaws: readonly string[];
  /** `ADDRESS:PORT` of both. */
  readonly clientAddress: string;
  readonly serverAddress: string;
  /** The end of the certificate that ends first, in milliseconds since the epoch. */
  readonly untilMs: number | undefined;
  readonly requests: number;
}

/** A connection between services of which the mesh proves nothing. */
export interface OpenConnection {
  readonly kind: Exclude<ConnectionRow['kind'], 'mtls' | 'local'>;
  readonly direction: ConnectionRow['direction'];
  /** SPIFFE ID of the proxy that tells of it; its instance where it has none. */
  readonly proxy: string;
  readonly service: string;
  /** `ADDRESS:PORT` of the other end. */
  readonly remote: string;
  readonly why: string;
}

interface TlsSeen extends SeenConnection {
  readonly tls: ConnectionTls;
}

/** Of all rows, those of mTLS between services. */
export function provedConnections(seen: readonly SeenConnection[]): ProvedConnection[] {
  const rows = seen.flatMap(({ proxy, row }): TlsSeen[] =>
    row.isMesh && row.kind === 'mtls' && row.tls !== undefined ? [{ proxy, row, tls: row.tls }] : [],
  );
  const servers = new Map(rows.flatMap((one) => (one.row.direction === 'in' ? [[one.tls.binding, one] as const] : [])));
  const clients = rows.filter(({ row }) => row.direction === 'out');
  const proved: ProvedConnection[] = [];
  const alone: TlsSeen[] = [];
  for (const client of clients) {
    const server = servers.get(client.tls.binding);
    if (server === undefined) alone.push(client);
    else proved.push(pairOf(client, server, disagreements(client.tls, server.tls)));
    servers.delete(client.tls.binding);
  }
  const byAddresses = new Map(
    [...servers.values()].map((server) => [`${server.row.remote} ${server.row.local}`, server]),
  );
  for (const client of alone) {
    const key = `${client.row.local} ${client.row.remote}`;
    const server = byAddresses.get(key);
    if (server === undefined || !isSameHostOrNames(client, server)) {
      proved.push(pairOf(client, undefined, []));
      continue;
    }
    byAddresses.delete(key);
    proved.push(pairOf(client, server, ['its two ends have other keys: somebody is in between']));
  }
  return [...proved, ...[...byAddresses.values()].map((server) => pairOf(undefined, server, []))];
}

/** Loopback is another one on each host: there, addresses are of one connection only where names are, too. */
function isSameHostOrNames(client: TlsSeen, server: TlsSeen): boolean {
  if (!/^(?:127\.|\[::1\])/.test(client.row.local)) return true;
  return (
    client.tls.own?.identity === server.tls.peer?.identity && client.tls.peer?.identity === server.tls.own?.identity
  );
}

function disagreements(client: ConnectionTls, server: ConnectionTls): string[] {
  const isSame = (a: ShownCertificate | undefined, b: ShownCertificate | undefined): boolean =>
    a?.serial === b?.serial && a?.identity === b?.identity;
  return [
    ...(client.version === server.version && client.cipher === server.cipher ? [] : ['its ends tell of other ciphers']),
    ...(isSame(client.own, server.peer) ? [] : ['the server has seen another certificate than the client has shown']),
    ...(isSame(client.peer, server.own) ? [] : ['the client has seen another certificate than the server has shown']),
  ];
}

/** At least one of them. */
function pairOf(client: TlsSeen | undefined, server: TlsSeen | undefined, flaws: readonly string[]): ProvedConnection {
  const { row, tls } = (client ?? server)!;
  const ends = [client?.tls, server?.tls].flatMap((one) => [one?.own, one?.peer]);
  const untils = ends.flatMap((shown) => shown?.notAfterMs ?? []);
  const shown = (a: ShownCertificate | undefined, b: ShownCertificate | undefined): string =>
    a?.identity ?? b?.identity ?? '';
  return {
    client: shown(client?.tls.own, server?.tls.peer),
    server: shown(server?.tls.own, client?.tls.peer),
    service: serviceText(server?.row.part ?? '') || serviceText(client?.row.part ?? ''),
    protocol: tls.speaks || 'tcp',
    version: tls.version,
    cipher: tls.cipher,
    group: client?.tls.group ?? '',
    provedBy: client === undefined ? 'server' : server === undefined ? 'client' : 'both',
    flaws,
    clientAddress: client?.row.local ?? row.remote,
    serverAddress: server?.row.local ?? row.remote,
    untilMs: untils.length === 0 ? undefined : Math.min(...untils),
    requests: Math.max(client?.row.requests ?? 0, server?.row.requests ?? 0),
  };
}

/** Of all rows, those between services that are no mTLS. */
export function openConnections(seen: readonly SeenConnection[]): OpenConnection[] {
  return seen.flatMap(({ proxy, row }): OpenConnection[] => {
    const { kind, direction, part, remote, why = '' } = row;
    if (!row.isMesh || kind === 'mtls' || kind === 'local') return [];
    return [{ kind, direction, proxy: proxy.identity || proxy.instance, service: serviceText(part), remote, why }];
  });
}

/** `shop/orders:80` of the key of a listener or a cluster; empty for what is of no Service. */
export function serviceText(key: string): string {
  const place = serviceOf(key);
  return place === undefined ? '' : placeText(place);
}

/** Whether a connection has to do with a service, by its name or by who is at one of its ends. */
export function concerns(
  { name, namespace }: { readonly name: string; readonly namespace: string | undefined },
  { service, identities }: { readonly service: string; readonly identities: readonly string[] },
): boolean {
  const [of = '', called] = service.replace(/:\d+$/, '').split('/');
  if (called === name && (namespace === undefined || of === namespace)) return true;
  return identities.some((identity) => {
    const [, ns, account] = /\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(identity) ?? [];
    return account === name && (namespace === undefined || ns === namespace);
  });
}
