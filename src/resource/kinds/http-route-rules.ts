/** The rules of HTTPRoute and GRPCRoute that their CRDs say in CEL. */
import { parseDuration } from '../../base/duration.ts';
import { PATH_CHARACTERS } from '../fields.ts';
import type { Finding } from '../kind.ts';
import { distinctReferences, finding, servicePort } from '../rules.ts';
import type { GRPCRouteMatch, GRPCRouteSpec } from './grpc-route.ts';
import type { HTTPRouteFilter, HTTPRouteMatch, HTTPRouteRule, HTTPRouteSpec } from './http-route.ts';

/** Matches in all rules of one route. */
const MATCHES_MAX = 128;

export function httpRouteRules({ spec }: { readonly spec: HTTPRouteSpec }): Finding[] {
  const findings = routeRules(spec);
  spec.rules.forEach((rule, i) => ruleRules(rule, `/spec/rules/${i}`, findings));
  return findings;
}

export function grpcRouteRules({ spec }: { readonly spec: GRPCRouteSpec }): Finding[] {
  const findings = routeRules(spec);
  spec.rules.forEach(({ matches }, i) =>
    matches.forEach(({ method }, k) => findings.push(...methodRules(method, `/spec/rules/${i}/matches/${k}/method`))),
  );
  return findings;
}

/** What both kinds have in common. */
function routeRules({ parentRefs, rules }: Pick<HTTPRouteSpec, 'parentRefs'> & CommonRules): Finding[] {
  const findings = distinctReferences(parentRefs, '/spec/parentRefs');
  const matches = rules.reduce((sum, rule) => sum + rule.matches.length, 0);
  if (matches > MATCHES_MAX) {
    findings.push(
      finding('/spec/rules', `Expected at most ${MATCHES_MAX} matches in all rules together, got ${matches}`),
    );
  }
  rules.forEach(({ filters, backendRefs, sessionPersistence }, i) => {
    const pointer = `/spec/rules/${i}`;
    findings.push(...filterRules(filters, `${pointer}/filters`));
    backendRefs.forEach((backend, k) => {
      findings.push(...servicePort(backend, `${pointer}/backendRefs/${k}`));
      findings.push(...filterRules(backend.filters, `${pointer}/backendRefs/${k}/filters`));
    });
    findings.push(...sessionRules(sessionPersistence, `${pointer}/sessionPersistence`));
  });
  return findings;
}

interface CommonRules {
  readonly rules: readonly (Pick<HTTPRouteRule, 'filters' | 'backendRefs' | 'sessionPersistence'> & {
    readonly matches: readonly unknown[];
  })[];
}

const SERVICE = /^\.?[a-z_][a-z_0-9]*(?:\.[a-z_][a-z_0-9]*)*$/i;
const METHOD = /^[a-z_][a-z_0-9]*$/i;

function methodRules(match: GRPCRouteMatch['method'], pointer: string): Finding[] {
  if (match === undefined) return [];
  const { type, service, method } = match;
  if (service === undefined && method === undefined) {
    return [finding(pointer, 'Missing field "service": set it, or "method", or both')];
  }
  if (type !== 'Exact') return [];
  const findings: Finding[] = [];
  if (service !== undefined && !SERVICE.test(service)) {
    const shown = JSON.stringify(service);
    findings.push(finding(`${pointer}/service`, `Expected a service such as "shop.v1.Cart", got ${shown}`));
  }
  if (method !== undefined && !METHOD.test(method)) {
    findings.push(finding(`${pointer}/method`, `Expected a method such as "AddItem", got ${JSON.stringify(method)}`));
  }
  return findings;
}

function ruleRules(rule: HTTPRouteRule, pointer: string, findings: Finding[]): void {
  rule.matches.forEach(({ path }, i) => findings.push(...pathRules(path, `${pointer}/matches/${i}/path/value`)));
  rule.backendRefs.forEach((backend, i) => {
    findings.push(...prefixRules(backend.filters, rule.matches, `${pointer}/backendRefs/${i}/filters`));
  });
  findings.push(...prefixRules(rule.filters, rule.matches, `${pointer}/filters`));

  const redirect = rule.filters.findIndex(({ type }) => type === 'RequestRedirect');
  if (redirect >= 0 && rule.backendRefs.length > 0) {
    const message = 'Cannot redirect and forward: remove the RequestRedirect filter, or the backendRefs of the rule';
    findings.push(finding(`${pointer}/filters/${redirect}`, message));
  }
  findings.push(...timeoutRules(rule.timeouts, `${pointer}/timeouts`));
}

/** What an exact path or a prefix may not hold: it could not be told apart from another path. */
const PATH_PARTS: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/\/\//, '"//"'],
  [/\/\.\/|\/\.$/, 'a "." segment'],
  [/\/\.\.\/|\/\.\.$/, 'a ".." segment'],
  [/%2f/i, '"%2f"'],
  [/#/, '"#"'],
];

function pathRules({ type, value }: HTTPRouteMatch['path'], pointer: string): Finding[] {
  if (type === 'RegularExpression') return [];
  const shown = JSON.stringify(value);
  if (!value.startsWith('/')) return [finding(pointer, `Expected a path that begins with "/", got ${shown}`)];
  const bad = PATH_PARTS.find(([pattern]) => pattern.test(value));
  if (bad !== undefined) return [finding(pointer, `Expected a path without ${bad[1]}, got ${shown}`)];
  if (new RegExp(PATH_CHARACTERS).test(value)) return [];
  return [finding(pointer, `Expected a percent-encoded path, got ${shown}`)];
}

/** Filters that act on what the others left; two of them would depend on an order that is not defined. */
const ONCE = ['CORS', 'RequestHeaderModifier', 'ResponseHeaderModifier', 'RequestRedirect', 'URLRewrite'] as const;

function filterRules(filters: readonly HTTPRouteFilter[], pointer: string): Finding[] {
  const findings: Finding[] = [];
  for (const type of ONCE) {
    const [first, second] = filters.flatMap((filter, i) => (filter.type === type ? [i] : []));
    if (first === undefined || second === undefined) continue;
    findings.push(finding(`${pointer}/${second}`, `Duplicate filter ${type}: item ${first} is one already`));
  }
  const rewrite = filters.findIndex(({ type }) => type === 'URLRewrite');
  if (rewrite >= 0 && filters.some(({ type }) => type === 'RequestRedirect')) {
    findings.push(
      finding(`${pointer}/${rewrite}`, 'Cannot rewrite and redirect: remove URLRewrite or RequestRedirect'),
    );
  }
  filters.forEach((filter, i) => findings.push(...oneFilterRules(filter, `${pointer}/${i}`)));
  return findings;
}

function oneFilterRules(filter: HTTPRouteFilter, pointer: string): Finding[] {
  switch (filter.type) {
    case 'RequestMirror':
      return mirrorRules(filter.requestMirror, `${pointer}/requestMirror`);
    case 'CORS':
      return (['allowOrigins', 'allowMethods', 'allowHeaders'] as const).flatMap((field) => {
        const list: readonly string[] = filter.cors[field];
        if (!list.includes('*') || list.length === 1) return [];
        return [
          finding(`${pointer}/cors/${field}`, `Expected "*" alone, got ${list.length} items: remove the others or "*"`),
        ];
      });
    case 'ExternalAuth':
      return servicePort(filter.externalAuth.backendRef, `${pointer}/externalAuth/backendRef`);
    case 'RequestHeaderModifier':
    case 'ResponseHeaderModifier':
    case 'RequestRedirect':
    case 'URLRewrite':
    case 'ExtensionRef':
      return [];
  }
}

type Mirror = Extract<HTTPRouteFilter, { type: 'RequestMirror' }>['requestMirror'];

function mirrorRules({ backendRef, percent, fraction }: Mirror, pointer: string): Finding[] {
  const findings = servicePort(backendRef, `${pointer}/backendRef`);
  if (percent !== undefined && fraction !== undefined) {
    findings.push(finding(`${pointer}/fraction`, 'Cannot mirror by percent and by fraction: remove one of them'));
  }
  if (fraction !== undefined && fraction.numerator > fraction.denominator) {
    const message = `Expected a numerator of at most ${fraction.denominator} (the denominator), got ${fraction.numerator}`;
    findings.push(finding(`${pointer}/fraction/numerator`, message));
  }
  return findings;
}

/** A prefix can only be replaced when it is known which one matched. */
function prefixRules(
  filters: readonly HTTPRouteFilter[],
  matches: readonly HTTPRouteMatch[],
  pointer: string,
): Finding[] {
  if (matches.length === 1 && matches[0]!.path.type === 'PathPrefix') return [];
  return filters.flatMap((filter, i) => {
    const field = filter.type === 'RequestRedirect' ? 'requestRedirect' : 'urlRewrite';
    const modifier =
      filter.type === 'RequestRedirect'
        ? filter.requestRedirect.path
        : filter.type === 'URLRewrite'
          ? filter.urlRewrite.path
          : undefined;
    if (modifier?.type !== 'ReplacePrefixMatch') return [];
    const got = matches.length === 1 ? `a match of type ${matches[0]!.path.type}` : `${matches.length} matches`;
    const message = `ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix, got ${got}`;
    return [finding(`${pointer}/${i}/${field}/path`, message)];
  });
}

function timeoutRules(timeouts: HTTPRouteRule['timeouts'], pointer: string): Finding[] {
  const { request, backendRequest } = timeouts ?? {};
  if (request === undefined || backendRequest === undefined) return [];
  const requestMs = parseDuration(request)!;
  // 0s stands for no timeout.
  if (requestMs === 0 || parseDuration(backendRequest)! <= requestMs) return [];
  return [
    finding(`${pointer}/backendRequest`, `Expected at most ${request} (timeouts.request), got ${backendRequest}`),
  ];
}

function sessionRules(session: HTTPRouteRule['sessionPersistence'], pointer: string): Finding[] {
  if (session?.cookieConfig === undefined) return [];
  const findings: Finding[] = [];
  if (session.type !== 'Cookie') {
    findings.push(finding(`${pointer}/cookieConfig`, `Expected no cookieConfig with type ${session.type}: remove it`));
  }
  if (session.cookieConfig.lifetimeType === 'Permanent' && session.absoluteTimeout === undefined) {
    const message = 'Missing field "absoluteTimeout": a Permanent cookie needs the time when it ends';
    findings.push(finding(`${pointer}/absoluteTimeout`, message));
  }
  return findings;
}
