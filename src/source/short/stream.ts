/** `tcp`, `tls` and `udp` of a route in the short form: a TCPRoute, TLSRoute or UDPRoute. */
import { GATEWAY_GROUP } from '../../resource/fields.ts';
import { error, nameFrom, type Places, type ShortFinding } from './draft.ts';
import { type Expansion, listed } from './expansion.ts';
import { meet, type Parents, type StreamParent } from './listen.ts';
import type { Route } from './schema.ts';
import { Targets } from './target.ts';

const KINDS = { tcp: 'TCPRoute', tls: 'TLSRoute', udp: 'UDPRoute' } as const;

type Protocol = keyof typeof KINDS;

export interface StreamKind {
  readonly protocol: Protocol;
  readonly kind: (typeof KINDS)[Protocol];
}

/** Undefined: the route is one of HTTP. */
export function streamKind(route: Route): StreamKind | undefined {
  const protocol = (['tcp', 'tls', 'udp'] as const).find((one) => route[one] !== undefined);
  return protocol === undefined ? undefined : { protocol, kind: KINDS[protocol] };
}

interface StreamPlan {
  readonly stream: StreamKind;
  readonly index: number;
  readonly parents: Parents;
}

export function expandStreamRoute(route: Route, plan: StreamPlan, expansion: Expansion): void {
  const { protocol, kind } = plan.stream;
  const pointer = `/routes/${plan.index}`;
  const targets = new Targets(protocol === 'udp' ? 'udp' : 'tcp', expansion);
  const backends = targets.backends(route, pointer);
  const asked = askedOf(route, plan.stream, pointer);
  const wrong = [
    ...wrongForStream(route, protocol, pointer),
    ...asked.flatMap((one) => unserved(one, protocol, plan.parents)),
    ...targets.findings,
  ];
  if (wrong.length > 0) return void expansion.findings.push(...wrong);

  const name = route.name ?? expansion.names.take(kind, nameFrom(`${protocol}-${asked[0]!.value}`, protocol));
  const parentRefs = plan.parents.streams
    .filter((parent) => asked.some((one) => takes(parent, one, protocol)))
    .map(({ gateway, listener }) => ({ name: gateway, sectionName: listener }));
  const hosts = protocol === 'tls' ? asked.map(({ value }) => value).filter((value) => value !== '*') : [];
  const hostnames = hosts.length === 0 ? {} : { hostnames: hosts };
  const spec = { parentRefs, ...hostnames, rules: [{ backendRefs: backends.map(([ref]) => ref) }] };
  const places: Places = [
    ['', pointer],
    ['/metadata/name', `${pointer}/name`],
    ['/spec/parentRefs', `${pointer}/${protocol}`],
    ...asked.map((one, i) => [`/spec/hostnames/${i}`, one.pointer] as const),
    ...backends.map(([, at], i) => [`/spec/rules/0/backendRefs/${i}`, at] as const),
  ];
  const manifest = { apiVersion: `${GATEWAY_GROUP}/v1`, kind, metadata: { name }, spec };
  expansion.add({ manifest, places, order: plan.index + 1 });
}

/** A port, or a server name; `*` is every server name. */
interface Asked {
  readonly value: number | string;
  readonly pointer: string;
}

function askedOf(route: Route, { protocol }: StreamKind, pointer: string): Asked[] {
  const asked = route[protocol]!;
  const at = `${pointer}/${protocol}`;
  if (!Array.isArray(asked)) return [{ value: asked, pointer: at }];
  return asked.map((value: number | string, i) => ({ value, pointer: `${at}/${i}` }));
}

function takes(parent: StreamParent, { value }: Asked, protocol: Protocol): boolean {
  if (parent.protocol !== protocol) return false;
  return typeof value === 'number' ? parent.port === value : value === '*' || meet(value, parent.hostname);
}

/** What nobody listens for: the route would never be asked. */
function unserved(asked: Asked, protocol: Protocol, { streams }: Parents): ShortFinding[] {
  if (streams.some((parent) => takes(parent, asked, protocol))) return [];
  const same = streams.filter((parent) => parent.protocol === protocol);
  const known = same.flatMap(({ port, hostname }) => (protocol === 'tls' ? (hostname ?? []) : String(port)));
  const place = typeof asked.value === 'number' ? `port ${asked.value}` : `server name "${asked.value}"`;
  const port = typeof asked.value === 'number' ? asked.value : 443;
  const hint =
    known.length > 0
      ? `expected ${listed([...new Set(known)])}`
      : `put "{ port: ${port}, protocol: ${protocol} }" into "listen"`;
  const message = `Nothing listens for ${protocol.toUpperCase()} on ${place}: ${hint}`;
  return [error(asked.pointer, 'route.unserved', message)];
}

/** A route of streams has a place where they come in, one where they go, and nothing between: nothing of them is read. */
const FIELDS: readonly string[] = ['name', 'to'];

function wrongForStream(route: Route, protocol: Protocol, pointer: string): ShortFinding[] {
  const wrong = Object.keys(route).filter((field) => field !== protocol && !FIELDS.includes(field));
  const findings = wrong.map((field) => {
    const why = field in KINDS ? 'a route has one of them' : 'nothing is read of what passes';
    return error(`${pointer}/${field}`, 'field.value', `Cannot use "${field}" with "${protocol}": ${why}`);
  });
  if (route.to !== undefined) return findings;
  return [
    ...findings,
    error(pointer, 'field.missing', 'Missing field "to": expected the name of a service, or an address'),
  ];
}
