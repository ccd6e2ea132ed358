/**
 * The rules of nftables, as text. One table for each sidecar, whose name says whom it captures:
 *
 *     application of the user ─▶ address and port of a service ─▶ local port of the sidecar
 *                             ─▶ port 53                       ─▶ answerer of DNS
 *                             ─▶ anything else                 ─▶ as without rules
 *
 * The sidecar is another user than those whom it captures, and so no connection of its own ever comes back to it.
 */
import type { Upstream } from './dns-forward.ts';

/** Whose connections are captured. `others`: those of all users but this one, who is the sidecar. */
export interface Scope {
  readonly kind: 'user' | 'others';
  readonly uid: number;
}

export interface Capture {
  readonly scope: Scope;
  /** Of the answerer of DNS. */
  readonly dnsPort: number;
  /** Whether the answerer listens on ::1, too. */
  readonly dnsOn6: boolean;
  /** `127.240.0.0/16`: what no service has is refused there. */
  readonly range: string;
  /** The resolvers of the system. Only with scope `others`: other resolvers of this host ask the Internet. */
  readonly upstreams: readonly Upstream[];
}

/** `127.240.7.9 . 80` and the local port. */
export type Elements = ReadonlyMap<string, number>;

export function tableOf({ kind, uid }: Scope): string {
  return `fourways_${kind}_${uid}`;
}

/** @returns undefined for a table that is none of ours */
export function scopeOf(table: string): Scope | undefined {
  const [, kind, uid] = /^fourways_(user|others)_(\d{1,10})$/.exec(table) ?? [];
  return kind === undefined ? undefined : { kind: kind as Scope['kind'], uid: Number(uid) };
}

export function elementOf(address: string, port: number): string {
  return `${address} . ${port}`;
}

/** The table from nothing, whatever was there under its name. */
export function tableRules(capture: Capture, elements: Elements): string {
  const { scope, range } = capture;
  const table = `inet ${tableOf(scope)}`;
  const isNotCaptured = `meta skuid ${scope.kind === 'user' ? `!= ${scope.uid}` : scope.uid}`;
  return [
    // Deleting needs that it is there, and declaring it twice does no harm.
    `table ${table}`,
    `delete table ${table}`,
    `table ${table} {`,
    '  map services {',
    '    type ipv4_addr . inet_service : inet_service',
    ...(elements.size === 0 ? [] : [`    elements = { ${elementsText(elements)} }`]),
    '  }',
    '  chain capture {',
    '    type nat hook output priority -100; policy accept;',
    `    ${isNotCaptured} return`,
    ...dnsRules(capture).map((rule) => `    ${rule}`),
    '    meta nfproto ipv4 meta l4proto tcp redirect to : ip daddr . tcp dport map @services',
    '  }',
    '  chain refuse {',
    '    type filter hook output priority 0; policy accept;',
    `    ${isNotCaptured} return`,
    `    ip daddr ${range} meta l4proto tcp reject with tcp reset`,
    `    ip daddr ${range} reject`,
    '  }',
    '}',
    '',
  ].join('\n');
}

function dnsRules({ scope, dnsPort, dnsOn6, upstreams }: Capture): string[] {
  const families = [
    { nfproto: 'ipv4', ip: 'ip', isOurs: (address: string): boolean => !address.includes(':') },
    ...(dnsOn6 ? [{ nfproto: 'ipv6', ip: 'ip6', isOurs: (address: string): boolean => address.includes(':') }] : []),
  ];
  return families.flatMap(({ nfproto, ip, isOurs }) => {
    const addresses = upstreams.map(({ address }) => address.replace(/%.*$/, '')).filter(isOurs);
    if (scope.kind === 'others' && addresses.length === 0) return [];
    const to = scope.kind === 'user' ? '' : `${ip} daddr { ${[...new Set(addresses)].join(', ')} } `;
    return ['udp', 'tcp'].map(
      (transport) => `meta nfproto ${nfproto} ${to}${transport} dport 53 redirect to :${dnsPort}`,
    );
  });
}

/** The same table with other services: one transaction, so that none is missing in between. */
export function serviceRules(scope: Scope, elements: Elements): string {
  const map = `inet ${tableOf(scope)} services`;
  const add = elements.size === 0 ? [] : [`add element ${map} { ${elementsText(elements)} }`];
  return [`flush map ${map}`, ...add, ''].join('\n');
}

function elementsText(elements: Elements): string {
  return [...elements].map(([element, port]) => `${element} : ${port}`).join(', ');
}
