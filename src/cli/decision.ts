/**
 * Decision: what the gateway would do with one request, and why. Made by the code
 * that serves: the head parser, the path policy of the listener and its route
 * table. Nothing is sent.
 *
 * Its shape is what `fourways explain --json` prints.
 */
import { Fault, type FaultCode } from '../base/fault.ts';
import { CONNECTION_LIMITS } from '../base/limits.ts';
import type { Position } from '../base/problem.ts';
import { parseAuthority } from '../http/authority.ts';
import { emptyFacts, parseRequestHead } from '../http/h1/parse-head.ts';
import { Headers } from '../http/headers.ts';
import type { RequestHead } from '../http/message.ts';
import { checkQuery, normalisePath } from '../http/path.ts';
import { serviceNameOf } from '../http/proxy-target.ts';
import type { Plan, PlanBackend, PlanEndpoint, PlanFilter, PlanListener, PlanRule } from '../ir/plan.ts';
import { unknownName } from '../proxy/listener-choice.ts';
import { PortListeners } from '../proxy/listener-table.ts';
import { type Explained, RouteTables } from '../proxy/route-table.ts';
import { matchText, shareOf } from './plan-text.ts';

/** The request that is asked about. */
export interface Question {
  readonly method: string;
  readonly scheme: 'http' | 'https';
  /** What goes into Host. */
  readonly authority: string;
  /** Port that the client connects to. */
  readonly port: number;
  /** Path as written, with its query. */
  readonly target: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Key of a listener, or the start of one: only these are considered. */
  readonly listener: string | undefined;
  /** What chooses the listener in a sidecar; absent at a gateway, where port and host do. */
  readonly by?: ChosenBy;
}

export type ChosenBy =
  | { readonly kind: 'authority' }
  /** Of the handshake between two sidecars. */
  | { readonly kind: 'server-name'; readonly serverName: string };

export interface Decision {
  readonly plan: string;
  readonly request: {
    readonly method: string;
    readonly scheme: 'http' | 'https';
    readonly host: string;
    readonly port: number;
    /** As written. */
    readonly target: string;
    /** After the path policy of the listener: what is routed and forwarded. */
    readonly path: string | undefined;
  };
  readonly listeners: readonly ListenerVerdict[];
  /** Every match of every rule of the listener, in the order in which they are tried. */
  readonly candidates: readonly CandidateVerdict[];
  /** The rule that takes the request. */
  readonly rule: RuleVerdict | undefined;
  /** The answer of the gateway itself, when no rule takes the request. */
  readonly fault: FaultVerdict | undefined;
}

export interface ListenerVerdict {
  readonly listener: string;
  readonly hostname: string;
  readonly port: number;
  readonly outcome: 'chosen' | 'other-protocol' | 'other-port' | 'other-hostname' | 'less-specific' | 'not-asked';
}

export interface CandidateVerdict {
  readonly rule: string;
  readonly host: string;
  readonly match: string;
  readonly at: Position | undefined;
  readonly outcome: 'chosen' | 'host' | 'path' | 'method' | 'header' | 'query' | 'less-specific';
  /** In words. */
  readonly why: string;
}

export interface RuleVerdict {
  readonly rule: string;
  readonly at: Position | undefined;
  readonly filters: readonly PlanFilter[];
  readonly timeouts: PlanRule['timeouts'];
  readonly retry: PlanRule['retry'];
  /** What policies on the route say of tunnels; the rest is said by the listener. */
  readonly tunnel: PlanRule['tunnel'];
  readonly mirrors: PlanRule['mirrors'];
  readonly backends: readonly BackendVerdict[];
}

export interface BackendVerdict {
  readonly cluster: string | undefined;
  readonly weight: number;
  /** Of the requests of the rule, 0 to 1. */
  readonly share: number;
  readonly filters: readonly PlanFilter[];
  readonly endpoints: readonly PlanEndpoint[];
  readonly tls: string | undefined;
  /** Why this backend answers with an error. */
  readonly invalid: string | undefined;
}

export interface FaultVerdict {
  readonly code: string;
  readonly status: number;
  readonly title: string;
  readonly detail: string;
}

/** Nobody can be asked, because several addresses have this port. */
export interface Ambiguous {
  readonly ambiguous: readonly string[];
}

/** A decision with what it was made of, for who goes on from it. */
export interface Made {
  readonly decision: Decision;
  /** As it was routed; absent where no rule took it. */
  readonly taken?: { readonly request: RequestHead; readonly rule: PlanRule; readonly matchedPath: string | undefined };
}

export function decide(plan: Plan, question: Question): Decision | Ambiguous {
  const made = makeDecision(plan, question);
  return 'ambiguous' in made ? made : made.decision;
}

export function makeDecision(plan: Plan, question: Question): Made | Ambiguous {
  const read = readHead(question);
  const host = 'request' in read ? read.request.host : '';
  const { by } = question;
  const listeners = by === undefined ? chooseListener(plan, question, host) : chooseByName(plan, { question, by });
  if ('ambiguous' in listeners) return listeners;
  const decision = { plan: plan.version, listeners: listeners.verdicts, candidates: [], rule: undefined };
  const refused = (fault: FaultVerdict): Made => ({ decision: { ...decision, request, fault } });
  const request = requestOf(question, read);
  if ('fault' in read) return refused(read.fault);
  if (listeners.chosen === undefined) {
    return refused(by === undefined ? noListener(listeners.verdicts) : noService(question, by));
  }

  const listener = plan.listeners[listeners.chosen]!;
  const path = normalisePath(read.request.path, listener.settings.path);
  if (typeof path !== 'string') return refused(faultOf('request.path-invalid', path.refused));
  const flaw = checkQuery(read.request.query);
  if (flaw !== undefined) return refused(faultOf('request.path-invalid', flaw.refused));
  read.request.path = path;
  const { taken, ...choice } = chooseRule(plan, listeners.chosen, read.request);
  return { decision: { ...decision, request: { ...request, path }, ...choice }, ...(taken !== undefined && { taken }) };
}

function requestOf({ method, scheme, port, target }: Question, read: HeadRead): Decision['request'] {
  return { method, scheme, host: 'request' in read ? read.request.host : '', port, target, path: undefined };
}

type HeadRead = { readonly request: RequestHead } | { readonly fault: FaultVerdict };

/** Writes the request as a client would, and has it read by the parser that reads clients. */
function readHead({ method, scheme, authority, target, headers }: Question): HeadRead {
  const fields = [['Host', authority] as const, ...headers].map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const text = `${method} ${target} HTTP/1.1\r\n${Buffer.from(fields, 'utf8').toString('latin1')}\r\n`;
  const facts = emptyFacts();
  const parsed = new Headers();
  parsed.reset(text);
  const limits = { headersMax: CONNECTION_LIMITS.headersMax };
  const fault = parseRequestHead(text, { start: 0, end: text.length - 2 }, { facts, headers: parsed, limits });
  if (fault !== undefined) return { fault: faultVerdict(fault) };
  const parsedAuthority = parseAuthority(authority);
  if (parsedAuthority === undefined)
    return { fault: faultOf('request.host-invalid', 'Host is not a host name or address') };
  const mark = target.indexOf('?');
  return {
    request: {
      method,
      scheme,
      authority,
      host: parsedAuthority.host,
      path: mark < 0 ? target : target.slice(0, mark),
      query: mark < 0 ? '' : target.slice(mark),
      headers: parsed,
      bodyLength: 0,
      upgrade: facts.upgrade,
      expectContinue: facts.expectContinue,
    },
  };
}

function faultOf(code: FaultCode, detail: string): FaultVerdict {
  return faultVerdict(new Fault(code, detail));
}

function faultVerdict({ kind: { code, status, title }, detail }: Fault): FaultVerdict {
  return { code, status, title, detail };
}

function noListener(verdicts: readonly ListenerVerdict[]): FaultVerdict {
  const bound = verdicts.some(({ outcome }) => outcome === 'other-hostname');
  return faultOf('route.none', bound ? 'No listener of the port has this hostname' : 'No listener has this port');
}

function noService({ authority }: Question, by: ChosenBy): FaultVerdict {
  if (by.kind === 'server-name') return faultOf('route.none', `No listener has the server name ${by.serverName}`);
  return faultVerdict(unknownName(serviceNameOf(authority, HTTP_PORT)));
}

interface ListenerChoice {
  readonly chosen: string | undefined;
  readonly verdicts: readonly ListenerVerdict[];
}

/** By protocol and port, then by hostname as the proxy does it (one port, the most specific hostname). */
function chooseListener(plan: Plan, question: Question, host: string): ListenerChoice | Ambiguous {
  const asked = Object.entries(plan.listeners).filter(([key]) => isAsked(key, question.listener));
  const open = asked.filter(([, listener]) => outcomeByPort(plan, listener, question) === undefined);
  const winners = [...Map.groupBy(open, ([, { port }]) => port).values()].flatMap((listeners) => {
    const winner = new PortListeners(listeners.map(([key, { hostname }]) => [hostname, key] as const)).find(host);
    return winner === undefined ? [] : [winner];
  });
  if (winners.length > 1) return { ambiguous: winners.toSorted() };
  const chosen = winners[0];
  const verdicts = Object.entries(plan.listeners).map(([key, listener]): ListenerVerdict => {
    const { port } = plan.ports[listener.port]!;
    const outcome = outcomeOf({ plan, question, chosen, host }, key, listener);
    return { listener: key, hostname: listener.hostname, port, outcome };
  });
  return { chosen, verdicts };
}

/** As sidecars do it: by the authority of a request to the forward proxy, or by the server name of a handshake. */
function chooseByName(
  plan: Plan,
  { question, by }: { readonly question: Question; readonly by: ChosenBy },
): ListenerChoice {
  const here = Object.entries(plan.listeners).filter(([, { chosenBy }]) => chosenBy === by.kind);
  const rows = here.flatMap(([key, { hostname, alsoNamed = [] }]) =>
    [hostname, ...alsoNamed].map((name) => [name, key] as const),
  );
  const name = by.kind === 'authority' ? serviceNameOf(question.authority, HTTP_PORT) : by.serverName;
  const chosen = name === undefined ? undefined : new PortListeners(rows).find(name);
  const verdicts = here.map(([key, { hostname, publicPort }]): ListenerVerdict => {
    return { listener: key, hostname, port: publicPort, outcome: key === chosen ? 'chosen' : 'other-hostname' };
  });
  return { chosen, verdicts };
}

/** RFC 9110 section 4.2.1. */
const HTTP_PORT = 80;

interface Asked {
  readonly plan: Plan;
  readonly question: Question;
  readonly chosen: string | undefined;
  readonly host: string;
}

function outcomeOf(
  { plan, question, chosen, host }: Asked,
  key: string,
  listener: PlanListener,
): ListenerVerdict['outcome'] {
  if (key === chosen) return 'chosen';
  if (!isAsked(key, question.listener)) return 'not-asked';
  const byPort = outcomeByPort(plan, listener, question);
  if (byPort !== undefined) return byPort;
  const takes = new PortListeners([[listener.hostname, key]]).find(host) !== undefined;
  return takes ? 'less-specific' : 'other-hostname';
}

/** `start`, `default/start`, `Gateway/default/start` and `Gateway/default/start/http` all name `Gateway/default/start/http`. */
export function isAsked(key: string, listener: string | undefined): boolean {
  return listener === undefined || `/${key}/`.includes(`/${listener}/`);
}

function outcomeByPort(
  plan: Plan,
  listener: PlanListener,
  question: Question,
): 'other-protocol' | 'other-port' | undefined {
  const port = plan.ports[listener.port]!;
  if (port.port !== question.port && listener.publicPort !== question.port) return 'other-port';
  return listener.stream === undefined && port.protocol === (question.scheme === 'https' ? 'tls' : 'http')
    ? undefined
    : 'other-protocol';
}

function chooseRule(
  plan: Plan,
  listenerKey: string,
  request: RequestHead,
): Pick<Decision, 'candidates' | 'rule' | 'fault'> & Pick<Made, 'taken'> {
  const { tables } = RouteTables.empty<PlanRule>().with({ set: plan.routes, remove: [] }, (rule) => rule);
  const table = tables.listener(listenerKey);
  const rows = table?.explain(request) ?? [];
  const candidates = rows.map((row) => verdictOf(row));
  const chosen = rows.find(({ outcome }) => outcome.kind === 'chosen')?.candidate;
  if (chosen !== undefined) {
    const { rule, matchedPath } = chosen;
    return { candidates, rule: ruleVerdict(plan, rule), fault: undefined, taken: { request, rule, matchedPath } };
  }
  const detail = candidates.length === 0 ? 'The listener has no routes' : 'No rule of the listener takes the request';
  return { candidates, rule: undefined, fault: faultOf('route.none', detail) };
}

function verdictOf({ candidate, host, outcome }: Explained<PlanRule>): CandidateVerdict {
  return {
    rule: candidate.rule.name,
    host,
    match: matchText(candidate.match),
    at: candidate.rule.at,
    outcome: outcome.kind,
    why: whyOf({ candidate, host, outcome }),
  };
}

function whyOf({ candidate, host, outcome }: Explained<PlanRule>): string {
  switch (outcome.kind) {
    case 'chosen':
      return 'takes the request';
    case 'host':
      return `the host is not ${host}`;
    case 'path':
      return `the path does not match ${candidate.match.path.narrowedBy ?? candidate.match.path.value}`;
    case 'method':
      return `the method is not ${candidate.match.method}`;
    case 'header':
      return `the header ${outcome.name} is missing or different`;
    case 'query':
      return `the query parameter ${outcome.name} is missing or different`;
    case 'less-specific':
      return `matches too, but ${outcome.than.rule.name} goes first`;
  }
}

function ruleVerdict(plan: Plan, rule: PlanRule): RuleVerdict {
  const total = rule.backends.reduce((sum, { weight }) => sum + weight, 0);
  return {
    rule: rule.name,
    at: rule.at,
    filters: rule.filters,
    timeouts: rule.timeouts,
    retry: rule.retry,
    tunnel: rule.tunnel,
    mirrors: rule.mirrors,
    backends: rule.backends.map((backend) => backendVerdict(plan, backend, total)),
  };
}

function backendVerdict(plan: Plan, { target, weight, filters }: PlanBackend, total: number): BackendVerdict {
  const common = { weight, share: shareOf(weight, total), filters };
  if (target.kind === 'invalid') return { ...common, ...INVALID, invalid: target.why };
  return { ...common, ...clusterVerdict(plan, target.cluster) };
}

type ClusterVerdict = Pick<BackendVerdict, 'cluster' | 'endpoints' | 'tls' | 'invalid'>;

/** A backend without a cluster. */
export const INVALID = { cluster: undefined, endpoints: [], tls: undefined } as const satisfies Partial<ClusterVerdict>;

export function clusterVerdict({ clusters }: Plan, key: string): ClusterVerdict {
  const cluster = clusters[key];
  return {
    cluster: key,
    endpoints: cluster?.endpoints ?? [],
    tls: cluster?.tls?.serverName,
    invalid: cluster?.tls?.state === 'invalid' ? 'its TLS policy is broken' : undefined,
  };
}
