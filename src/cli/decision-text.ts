/** A decision as a person reads it: a tree, in the order in which the request meets things. */
import { grpcCodeName } from '../base/grpc-codes.ts';
import { explainFilter } from '../compile/policy-view.ts';
import type { PlanFilter, PlanRetry } from '../ir/plan.ts';
import type { BackendVerdict, CandidateVerdict, Decision, ListenerVerdict, RuleVerdict } from './decision.ts';
import { paint, type Palette } from './paint.ts';
import { endpointName, percentText, placeText, shareOf } from './plan-text.ts';

/** Losers of one kind that are named; the rest is counted. */
const SHOWN_MAX = 12;

export interface TextOptions {
  readonly palette: Palette;
  /** Name every candidate. */
  readonly losers: 'all' | 'some';
  /** Files below it are named from there. */
  readonly cwd: string;
  /** What is known besides of the way that a backend is reached; undefined where nothing is. */
  readonly beyond?: (cluster: string) => Beyond | undefined;
  /** Lines about routes that are not for this client. */
  readonly passedOver?: readonly string[];
  /** Lines about what becomes of the request at filters. */
  readonly verdicts?: readonly string[];
}

export interface Beyond {
  /** `mTLS as spiffe://… to spiffe://…` */
  readonly transport: string;
  readonly endpoints: readonly string[];
  /** The next hop, indented. */
  readonly below: readonly string[];
}

export function decisionText(decision: Decision, options: TextOptions): string {
  const { request, rule, fault } = decision;
  const { palette } = options;
  return [
    paint(palette, 'bold', `${request.method} ${urlText(request)}`),
    ...listenerLines(decision.listeners, palette),
    ...pathLines(decision),
    ...candidateLines(decision.candidates, options),
    ...(options.passedOver ?? []),
    ...(rule === undefined ? (options.verdicts ?? []) : ruleLines(rule, options)),
    ...(fault === undefined
      ? []
      : [`${paint(palette, 'red', `answers ${fault.status}`)} ${fault.title} (${fault.code}: ${fault.detail})`]),
  ].join('\n');
}

function urlText({ scheme, host, port, target }: Decision['request']): string {
  const isDefault = port === (scheme === 'https' ? 443 : 80);
  return `${scheme}://${host}${isDefault ? '' : `:${port}`}${target}`;
}

const LISTENER_WHY: Readonly<Record<Exclude<ListenerVerdict['outcome'], 'chosen'>, string>> = {
  'other-protocol': 'speaks another protocol',
  'other-port': 'has another port',
  'other-hostname': 'has another hostname',
  'less-specific': 'would take the host, but another hostname fits it better',
  'not-asked': 'was left out by --listener',
};

function listenerLines(listeners: readonly ListenerVerdict[], palette: Palette): string[] {
  const chosen = listeners.find(({ outcome }) => outcome === 'chosen');
  const near = listeners.filter(({ outcome }) => outcome === 'other-hostname' || outcome === 'less-specific');
  const others = chosen === undefined ? listeners : near;
  const lines = others.slice(0, SHOWN_MAX).flatMap(({ listener, hostname, port, outcome }) => {
    if (outcome === 'chosen') return [];
    return [paint(palette, 'dim', `  - ${listener} (${hostname} on ${port}) ${LISTENER_WHY[outcome]}`)];
  });
  const head = chosen === undefined ? 'none' : `${chosen.listener} (hostname ${chosen.hostname}, port ${chosen.port})`;
  return [`listener  ${head}`, ...lines];
}

function pathLines({ request }: Decision): string[] {
  if (request.path === undefined) return [];
  const mark = request.target.indexOf('?');
  const written = mark < 0 ? request.target : request.target.slice(0, mark);
  return [`path      ${request.path}${request.path === written ? '' : `  (written ${written})`}`];
}

/** What is told apart on the right path first: that is where people look. */
function candidateLines(candidates: readonly CandidateVerdict[], options: TextOptions): string[] {
  const { palette, losers } = options;
  if (candidates.length === 0) return [];
  const far = (candidate: CandidateVerdict): boolean => candidate.outcome === 'path' || candidate.outcome === 'host';
  const shown = losers === 'all' ? candidates : candidates.filter((candidate) => !far(candidate));
  const cut = losers === 'all' ? shown : shown.slice(0, SHOWN_MAX);
  const left = candidates.length - cut.length;
  return [
    `rules     ${candidates.length} ${candidates.length === 1 ? 'match was' : 'matches were'} considered`,
    ...cut.map((candidate) => candidateLine(candidate, options)),
    ...(left === 0 ? [] : [paint(palette, 'dim', `  - ${left} more on other paths or hosts (--all names them)`)]),
  ];
}

function candidateLine(
  { rule, host, match, at, outcome, why }: CandidateVerdict,
  { palette, cwd }: TextOptions,
): string {
  const text = `${rule} [${host} ${match}] ${why} (${placeText(at, cwd)})`;
  return outcome === 'chosen' ? paint(palette, 'green', `  + ${text}`) : `  - ${text}`;
}

function ruleLines(
  { rule, at, filters, timeouts, retry, tunnel = {}, mirrors, backends }: RuleVerdict,
  options: TextOptions,
): string[] {
  const { palette, cwd } = options;
  const { requestMs, backendRequestMs } = timeouts;
  const { idleMs, maxMs } = tunnel;
  return [
    `rule      ${paint(palette, 'green', rule)} (${placeText(at, cwd)})`,
    ...filterLines(filters, cwd),
    ...(options.verdicts ?? []),
    ...(requestMs === undefined ? [] : [`  timeout ${requestMs} ms for the whole exchange`]),
    ...(backendRequestMs === undefined ? [] : [`  timeout ${backendRequestMs} ms for one attempt`]),
    ...(idleMs === undefined
      ? []
      : [`  tunnel  ${idleMs === 0 ? 'may be silent for ever' : `ends after ${idleMs} ms of silence`}`]),
    ...(maxMs === undefined ? [] : [`  tunnel  ${maxMs === 0 ? 'may last for ever' : `ends after ${maxMs} ms`}`]),
    ...(retry === undefined ? [] : [`  retry   up to ${retry.attempts} more when ${retriedOn(retry)}`]),
    ...mirrors.map(({ cluster, share }) => `  mirror  ${percentText(share)} to ${cluster}`),
    ...backends.flatMap((backend) => backendLines(backend, options)),
  ];
}

function retriedOn({ codes: statuses, grpcCodes = [] }: PlanRetry): string {
  const codes = [...statuses.map(String), ...grpcCodes.map(grpcCodeName)];
  return codes.length === 0 ? 'an attempt is lost' : `an attempt is lost or answered ${codes.join(', ')}`;
}

function filterLines(filters: readonly PlanFilter[], cwd: string): string[] {
  return filters.flatMap(({ filter, config, owner, at, audit, alternative }) => {
    const words = explainFilter(filter, config);
    const said = words.length === 0 ? ` ${JSON.stringify(config)}` : '';
    const how = [...(audit === true ? ['audit only'] : []), ...(alternative === undefined ? [] : ['one of several'])];
    const mode = how.length === 0 ? '' : `, ${how.join(', ')}`;
    return [
      `  filter  ${filter}${said} of ${owner}${mode} (${placeText(at, cwd)})`,
      ...words.map((word) => `            ${word}`),
    ];
  });
}

function backendLines(backend: BackendVerdict, { palette, cwd, beyond }: TextOptions): string[] {
  const { cluster = 'invalid backend', share, weight, filters, endpoints, tls, invalid } = backend;
  const total = endpoints.reduce((sum, endpoint) => sum + endpoint.weight, 0);
  const more = beyond?.(cluster);
  const how = more?.transport ?? (tls === undefined ? '' : `, TLS as ${tls}`);
  return [
    `backend   ${cluster} gets ${percentText(share)} (weight ${weight})${how}`,
    ...(invalid === undefined ? [] : [paint(palette, 'red', `  answers an error: ${invalid}`)]),
    ...filterLines(filters, cwd),
    ...(more?.endpoints ??
      endpoints.map(
        (endpoint) => `  endpoint ${endpointName(endpoint)} gets ${percentText(shareOf(endpoint.weight, total))}`,
      )),
    ...(endpoints.length === 0 && invalid === undefined ? [paint(palette, 'red', '  no endpoint: answers 503')] : []),
    ...(more?.below ?? []),
  ];
}
