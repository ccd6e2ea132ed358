/**
 * What filters make of a request that is only asked about: made and run as the proxy does, on an exchange of no
 * connection. Only those that decide by the request and by who asks; the others need credentials, counts or other
 * services.
 */
import { Fault } from '../base/fault.ts';
import type { Position } from '../base/problem.ts';
import type { Env } from '../filter/env.ts';
import type { Exchange, FilterCode, Verdict } from '../filter/filter.ts';
import { type Identity, identityOf } from '../filter/identity.ts';
import { scopesOf } from '../filters/jwt/claims.ts';
import { FILTERS_BY_NAME } from '../filters/list.ts';
import { Headers } from '../http/headers.ts';
import type { RequestHead } from '../http/message.ts';
import type { ClientFacts } from '../http/stream.ts';
import type { PlanFilter } from '../ir/plan.ts';
import { makeChain } from '../proxy/chain.ts';

export interface FilterVerdict {
  readonly filter: string;
  /** `Policy shop/who` */
  readonly owner: string;
  readonly at: Position | undefined;
  /** `not-run`: what it decides is not known here. `assumed`: it is content with who was said to ask. */
  readonly outcome: 'passes' | 'refuses' | 'answers' | 'assumed' | 'not-run';
  /** In words. */
  readonly why: string;
  /** Of what it answers. */
  readonly status: number | undefined;
  /** It only notes what it would do. */
  readonly audit: boolean;
  /** False where who asks would be found out by a filter that was not run. */
  readonly certain: boolean;
}

/** Who asks, as far as it was said. */
export interface Asking {
  /** SPIFFE ID that the verified certificate of the connection carries; undefined where there is none. */
  readonly peer: string | undefined;
  /** Claims of a user; undefined where nobody was said to ask. */
  readonly claims: Readonly<Record<string, unknown>> | undefined;
}

export interface Tried {
  readonly verdicts: readonly FilterVerdict[];
  /** As it goes on, changed by those that ran. */
  readonly request: RequestHead;
  /** What surely does not go on. */
  readonly end: FilterVerdict | undefined;
}

/** Where a request is tried: the rule that took it, and what it is behind. */
export interface TrialPlace {
  readonly rule: string;
  readonly matchedPath: string | undefined;
  readonly listenerPort: number;
  readonly asking: Asking;
  /** Epoch time for filters that look at it. */
  readonly wallMs: () => number;
}

const RUN: ReadonlySet<string> = new Set(['authorize', 'cors', 'directResponse', 'headers', 'redirect', 'rewrite']);

const AUTHENTICATE: ReadonlySet<string> = new Set(['apiKey', 'basic', 'jwt', 'mtls', 'oidc']);

/** What gateways tell sidecars of the user. */
const USER_CONTEXT: ReadonlySet<string> = new Set(['userContext', 'signUserContext']);

/** Why others are not run. */
const NOT_RUN: Readonly<Record<string, string>> = {
  ipAccess: 'decides by the address of the client',
  own: 'is a program of its own',
  extAuth: 'asks another service',
  rateLimit: 'counts',
  concurrency: 'counts',
};

const WHO_ASKS: Readonly<Record<string, string>> = {
  userContext: 'believes the gateway who asks (--claim), where applications have handed it on',
  signUserContext: 'tells services who asks (--claim)',
};

/** @param filters  in running order. `request` is changed: pass a copy */
export async function tryFilters(
  filters: readonly PlanFilter[],
  request: RequestHead,
  place: TrialPlace,
): Promise<Tried> {
  const exchange = new TriedExchange(request, place);
  const verdicts: FilterVerdict[] = [];
  let isSure = true;
  for (const planned of filters) {
    // Without a user they do nothing.
    if (USER_CONTEXT.has(planned.filter) && place.asking.claims === undefined) continue;
    const verdict = RUN.has(planned.filter)
      ? // oxlint-disable-next-line no-await-in-loop -- one sees what the one before has changed
        await run(planned, { exchange, place, isSure })
      : notRun(planned, place.asking);
    verdicts.push(verdict);
    if (verdict.outcome === 'not-run' && AUTHENTICATE.has(planned.filter)) isSure = false;
    const ends = verdict.outcome === 'refuses' || verdict.outcome === 'answers';
    if (ends && verdict.certain && !verdict.audit) return { verdicts, request, end: verdict };
  }
  return { verdicts, request, end: undefined };
}

function common({ filter, owner, at, audit }: PlanFilter): Pick<FilterVerdict, 'filter' | 'owner' | 'at' | 'audit'> {
  return { filter, owner, at, audit: audit === true };
}

function notRun(planned: PlanFilter, { claims }: Asking): FilterVerdict {
  const { filter } = planned;
  const base = { ...common(planned), status: undefined, certain: true };
  if (USER_CONTEXT.has(filter)) return { ...base, outcome: 'assumed', why: WHO_ASKS[filter]! };
  if (!AUTHENTICATE.has(filter)) return { ...base, outcome: 'not-run', why: NOT_RUN[filter] ?? 'changes what passes' };
  if (claims !== undefined)
    return { ...base, outcome: 'assumed', why: 'is content with who was said to ask (--claim)' };
  return { ...base, outcome: 'not-run', why: 'asks for credentials (--claim NAME=VALUE says who asks)' };
}

async function run(
  planned: PlanFilter,
  { exchange, place, isSure }: { readonly exchange: Exchange; readonly place: TrialPlace; readonly isSure: boolean },
): Promise<FilterVerdict> {
  const { filter } = planned;
  const code = (await FILTERS_BY_NAME.get(filter)!.load()) as FilterCode;
  let unmade: unknown;
  // Without the audit, which would keep what it decides to itself.
  const { audit: _, ...enforced } = planned;
  const chain = makeChain([enforced], {
    filters: new Map([[filter, code]]),
    envOf: () => envOf(enforced, place),
    onUnmade: (_planned, error) => (unmade = error),
  });
  let said: Verdict;
  for (const link of chain.onRequest) {
    // oxlint-disable-next-line no-await-in-loop -- in their order
    const answer = await link.filter.onRequest!(exchange, { matchedPath: place.matchedPath });
    if (answer instanceof Fault || (typeof answer === 'object' && 'kind' in answer)) said = answer;
  }
  chain.close();
  const base = { ...common(planned), certain: isSure || filter !== 'authorize' };
  if (unmade !== undefined) return { ...base, outcome: 'refuses', why: 'it cannot be made', status: 500 };
  if (said === undefined) return { ...base, outcome: 'passes', why: 'lets it through', status: undefined };
  if (said instanceof Fault) {
    const { code: fault, status } = said.kind;
    return { ...base, outcome: 'refuses', why: `${fault}: ${said.detail}`, status };
  }
  return { ...base, outcome: 'answers', why: said.reason, status: said.status };
}

/** What filters that decide by the request alone may need. */
function envOf({ owner }: PlanFilter, { rule, wallMs }: TrialPlace): Env {
  const absent = (): never => {
    throw new Error('A filter that is tried may not ask for this');
  };
  return {
    nowMs: () => 0,
    wallMs,
    randomBytes: (count) => Buffer.alloc(count),
    after: () => () => undefined,
    count: () => undefined,
    warn: () => undefined,
    secret: absent,
    ownIdentity: () => undefined,
    readFile: absent,
    watchFile: absent,
    upstream: absent,
    refetch: absent,
    shared: (make) => make(),
    fetch: absent,
    cells: NO_CELLS,
    marks: NO_CELLS,
    worker: { number: 1, of: 1 },
    redis: undefined,
    programs: { open: absent, close: () => undefined },
    owner,
    rule,
    isAudited: false,
  };
}

const NO_CELLS = new SharedArrayBuffer(0);

class TriedExchange implements Exchange {
  readonly request: RequestHead;
  readonly asked: Exchange['asked'];
  readonly rule: Exchange['rule'];
  readonly clientIp = '';
  readonly client: ClientFacts;
  readonly requestId = '';
  readonly listenerPort: number;
  readonly identity: Identity | undefined;
  kept: unknown[] | undefined;

  constructor(request: RequestHead, { rule, listenerPort, asking: { peer, claims } }: TrialPlace) {
    this.request = request;
    const { authority, path, query } = request;
    this.asked = { authority, path, query, told: '' };
    this.rule = { name: rule };
    this.listenerPort = listenerPort;
    this.client = peer === undefined ? NO_CLIENT : { ...NO_CLIENT, clientCertificate: certificateOf(peer) };
    const { sub } = claims ?? {};
    this.identity =
      claims === undefined
        ? undefined
        : identityOf({ method: 'jwt', subject: typeof sub === 'string' ? sub : '', claims, scopes: scopesOf(claims) });
  }

  note(): void {}
}

const NO_CLIENT: ClientFacts = {
  peerIp: '',
  peerPort: 0,
  scheme: 'http',
  serverName: '',
  tlsVersion: '',
  tlsCipher: '',
};

function certificateOf(peer: string): NonNullable<ClientFacts['clientCertificate']> {
  return { subject: '', commonName: '', dns: [], uri: [peer], fingerprint: '', der: Buffer.alloc(0) };
}

/** The head once more, for another trial. */
export function copyRequest(request: RequestHead): RequestHead {
  const fields: [string, string][] = [];
  request.headers.forEach((name, value) => fields.push([name, value]));
  return { ...request, headers: Headers.of(fields) };
}
