/** `routes` of the short form: each becomes an HTTPRoute or a GRPCRoute (below HTTP: stream.ts), with Policies where it has filters of its own. */
import { GATEWAY_GROUP } from '../../resource/fields.ts';
import { error, type Places, type ShortFinding } from './draft.ts';
import { type Expansion, isFinding, listed } from './expansion.ts';
import { readCors, readHeaders, readRedirect, readRewrite } from './filter.ts';
import { readGrpcMatches, wrongForGrpc } from './grpc.ts';
import { hostsServed, parentRefs, type Parents } from './listen.ts';
import { nameFromMatch, type ReadMatch, readMatches } from './match.ts';
import type { Policies } from './policy.ts';
import type { Route } from './schema.ts';
import { expandStreamRoute, streamKind } from './stream.ts';
import { type Located, Targets } from './target.ts';

const API_VERSION = `${GATEWAY_GROUP}/v1`;

export interface RouteParts {
  readonly parents: Parents;
  readonly policies: Policies;
}

export function expandRoute(route: Route, index: number, parts: RouteParts, expansion: Expansion): void {
  const pointer = `/routes/${index}`;
  const stream = streamKind(route);
  if (stream !== undefined) return expandStreamRoute(route, { stream, index, parents: parts.parents }, expansion);
  const kind = httpKind(route);
  const matches = route.grpc === undefined ? readMatches(route.match, pointer) : readGrpcMatches(route.grpc, pointer);
  const good = matches.filter((match): match is ReadMatch => !isFinding(match));
  const writer = new RouteWriter(route, pointer, { ...parts, expansion });
  const wrong = [
    ...matches.filter(isFinding),
    ...good.flatMap((match) => unserved(match, parts.parents)),
    ...writer.findings,
    ...wrongForGrpc(route, pointer),
    ...parts.policies.wrongIn(route, `${pointer}/policies`),
  ];
  if (wrong.length > 0) return void expansion.findings.push(...wrong);

  // Hosts belong to a whole HTTPRoute, so matches with other hosts need another one.
  const base = routeName(route, good[0], expansion);
  const targets = [...Map.groupBy(good, ({ hosts }) => hosts.join(' ')).values()].map((group, i) => {
    const name = i === 0 ? base : expansion.names.take(kind, base);
    const { spec, places } = writer.spec(group);
    const manifest = { apiVersion: API_VERSION, kind, metadata: { name }, spec };
    expansion.add({ manifest, places, order: index + 1 });
    return name;
  });
  parts.policies.useIn(route, { kind, pointer, name: base, targets });
}

/** What a route becomes. */
export function routeKind(route: Route): string {
  return streamKind(route)?.kind ?? httpKind(route);
}

function httpKind({ grpc }: Route): 'HTTPRoute' | 'GRPCRoute' {
  return grpc === undefined ? 'HTTPRoute' : 'GRPCRoute';
}

/** Hosts that nobody listens for: the route would never be asked. */
function unserved({ hosts, pointer }: ReadMatch, parents: Parents): ShortFinding[] {
  if (parentRefs(parents, hosts).length > 0) return [];
  const served = hostsServed(parents);
  const message =
    hosts.length === 0 || served.length === 0
      ? 'Nothing serves the route: every item of "listen" redirects, or is below HTTP'
      : `Nothing listens for the host "${hosts.join('", "')}": expected ${listed(served)}`;
  return [error(hosts.length === 0 ? pointer : `${pointer}/host`, 'route.unserved', message)];
}

function routeName(route: Route, first: ReadMatch | undefined, expansion: Expansion): string {
  // Names that people wrote were reserved before, so that no made-up name takes one.
  return route.name ?? expansion.names.take(routeKind(route), nameFromMatch(first));
}

interface RouteContext extends RouteParts {
  readonly expansion: Expansion;
}

class RouteWriter {
  readonly findings: ShortFinding[] = [];
  readonly #route: Route;
  readonly #pointer: string;
  readonly #parents: Parents;
  readonly #backends: readonly Located<object>[];
  readonly #mirrors: readonly Located<object>[];

  constructor(route: Route, pointer: string, { parents, expansion }: RouteContext) {
    this.#route = route;
    this.#pointer = pointer;
    this.#parents = parents;
    this.#checkAnswer();
    const targets = new Targets('http', expansion);
    this.#backends = targets.backends(route, pointer);
    this.#mirrors = this.#readMirrors(targets);
    this.findings.push(...targets.findings);
  }

  /** Exactly one of these answers a request. */
  #checkAnswer(): void {
    const given = (['to', 'redirect', 'respond'] as const).filter((field) => this.#route[field] !== undefined);
    if (given.length === 1) return;
    if (given.length === 0) {
      const message = 'Missing field "to": expected "to", "redirect" or "respond"';
      this.findings.push(error(this.#pointer, 'field.missing', message));
      return;
    }
    const message = `Expected one of ${given.map((field) => `"${field}"`).join(' and ')}, got ${given.length} of them`;
    this.findings.push(error(`${this.#pointer}/${given[1]}`, 'field.value', message));
  }

  #readMirrors(targets: Targets): Located<object>[] {
    const { mirror = [] } = this.#route;
    const list = Array.isArray(mirror) ? mirror : [mirror];
    return list.flatMap((one, i) => {
      const pointer = Array.isArray(mirror) ? `${this.#pointer}/mirror/${i}` : `${this.#pointer}/mirror`;
      const { to, percent } = typeof one === 'string' ? { to: one, percent: undefined } : one;
      const backendRef = targets.find(to, typeof one === 'string' ? pointer : `${pointer}/to`);
      if (backendRef === undefined) return [];
      const requestMirror = { backendRef, ...(percent !== undefined && { percent }) };
      return [[{ type: 'RequestMirror', requestMirror }, pointer] as const];
    });
  }

  /** The spec of the HTTPRoute for matches of the same hosts. */
  spec(matches: readonly ReadMatch[]): { readonly spec: object; readonly places: Places } {
    const places: [string, string][] = [
      ['', this.#pointer],
      ['/metadata/name', `${this.#pointer}/name`],
      ['/spec/hostnames', `${matches[0]?.pointer ?? this.#pointer}/host`],
    ];
    const rules = this.#ruleMatches(matches).map((group, i) => this.#rule(group, `/spec/rules/${i}`, places));
    const hosts = matches[0]?.hosts ?? [];
    const hostnames = hosts.length === 0 ? {} : { hostnames: hosts };
    return { spec: { parentRefs: parentRefs(this.#parents, hosts), ...hostnames, rules }, places };
  }

  /** A prefix can only be replaced in a rule of one match: then each match has a rule of its own. */
  #ruleMatches(matches: readonly ReadMatch[]): ReadMatch[][] {
    const single = matches.flatMap((match) => match.matches.map((one) => ({ ...match, matches: [one] })));
    return this.#replacesPrefix(matches) ? single.map((match) => [match]) : [single];
  }

  #replacesPrefix(matches: readonly ReadMatch[]): boolean {
    const { rewrite, redirect } = this.#route;
    const text = typeof rewrite === 'string' && matches.some(({ path }) => path.type === 'PathPrefix');
    return text || [rewrite, redirect].some((one) => typeof one === 'object' && one.prefix !== undefined);
  }

  #rule(matches: readonly ReadMatch[], at: string, places: [string, string][]): object {
    matches.forEach(({ pointer, pathPointer }, i) => {
      places.push([`${at}/matches/${i}`, pointer], [`${at}/matches/${i}/path`, pathPointer]);
      places.push([`${at}/matches/${i}/headers`, `${pointer}/headers`]);
      places.push([`${at}/matches/${i}/queryParams`, `${pointer}/query`]);
    });
    const filters = this.#filters(matches[0]);
    filters.forEach(([, pointer], i) => places.push([`${at}/filters/${i}`, pointer]));
    this.#backends.forEach(([, pointer], i) => places.push([`${at}/backendRefs/${i}`, pointer]));
    // Of calls they are in a Policy.
    const { timeout, retry } = this.#route.grpc === undefined ? this.#route : NOTHING;
    places.push([`${at}/timeouts`, `${this.#pointer}/timeout`], [`${at}/retry`, `${this.#pointer}/retry`]);
    return {
      matches: matches.flatMap((match) => match.matches),
      ...(filters.length > 0 && { filters: filters.map(([filter]) => filter) }),
      ...(this.#backends.length > 0 && { backendRefs: this.#backends.map(([ref]) => ref) }),
      ...(timeout !== undefined && { timeouts: timeoutsOf(timeout) }),
      ...(retry !== undefined && { retry: typeof retry === 'number' ? { attempts: retry } : retry }),
    };
  }

  #filters(match: ReadMatch | undefined): Located<object>[] {
    const { redirect, rewrite, headers, grpc } = this.#route;
    const cors = grpc === undefined ? this.#route.cors : undefined;
    const filters: Located<object>[] = [];
    const add = (field: string, filter: object | undefined): void => {
      if (filter !== undefined) filters.push([filter, `${this.#pointer}/${field}`]);
    };
    if (cors !== undefined) add('cors', readCors(cors));
    if (redirect !== undefined) add('redirect', readRedirect(redirect, this.#parents.securePort));
    if (rewrite !== undefined)
      add('rewrite', readRewrite(rewrite, match?.path.type === 'PathPrefix' ? 'prefix' : 'path'));
    add('headers/request', readHeaders('request', headers?.request));
    add('headers/response', readHeaders('response', headers?.response));
    return [...filters, ...this.#mirrors];
  }
}

const NOTHING: Pick<Route, 'timeout' | 'retry'> = {};

function timeoutsOf(timeout: NonNullable<Route['timeout']>): object {
  if (typeof timeout === 'string') return { request: timeout };
  const { request, backend } = timeout;
  return { ...(request !== undefined && { request }), ...(backend !== undefined && { backendRequest: backend }) };
}
