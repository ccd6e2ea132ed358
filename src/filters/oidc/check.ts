import { parseDuration } from '../../base/duration.ts';
import type { ConfigIssue } from '../../filter/declaration.ts';
import type { OidcConfig, ProviderConfig } from './config.ts';

const DAY_MS = 86_400_000;

/** Of the durations, the shortest and the longest. */
const RANGES = {
  idle: [60_000, 90 * DAY_MS],
  max: [60_000, 90 * DAY_MS],
  refreshAhead: [0, 3_600_000],
  clockTolerance: [0, 600_000],
  timeout: [100, 60_000],
} as const;

/** Parameters that make the login safe are not for configurations. */
const OWN_PARAMETERS: ReadonlySet<string> = new Set([
  'client_id',
  'code_challenge',
  'code_challenge_method',
  'nonce',
  'redirect_uri',
  'request',
  'request_uri',
  'response_mode',
  'response_type',
  'scope',
  'state',
]);

export function check(config: OidcConfig): ConfigIssue[] {
  return [
    ...Object.entries(RANGES).flatMap(([name, range]) => durationIssue(name as keyof typeof RANGES, config, range)),
    ...config.providers.flatMap((provider, i) => providerIssues(provider, i)),
    ...config.claimHeaders.flatMap(({ header }, i) =>
      /^(?:host|cookie|authorization)$/i.test(header)
        ? [
            {
              pointer: `/claimHeaders/${i}/header`,
              message: `"${header}" may not be set from a claim: take another name`,
            },
          ]
        : [],
    ),
    ...(config.origin?.startsWith('http:') === true && config.cookie.transport === 'https'
      ? [{ pointer: '/origin', message: 'Cookies are for HTTPS: it should be https:, or cookie.transport "any"' }]
      : []),
    ...(config.base === '/' || config.base.endsWith('/')
      ? [{ pointer: '/base', message: `"${config.base}" ends in a slash: it should be a path such as "/oauth2"` }]
      : []),
  ];
}

function durationIssue(
  name: keyof typeof RANGES,
  config: OidcConfig,
  [minMs, maxMs]: readonly [number, number],
): ConfigIssue[] {
  const ms = parseDuration(config[name])!;
  if (ms >= minMs && ms <= maxMs) return [];
  const message = `"${config[name]}" is out of range: it should be from ${minMs}ms to ${maxMs / 1_000}s`;
  return [{ pointer: `/${name}`, message }];
}

function providerIssues({ issuer, parameters }: ProviderConfig, i: number): ConfigIssue[] {
  const issues: ConfigIssue[] = [];
  const pointer = `/providers/${i}`;
  if (!isSafeIssuer(issuer)) {
    issues.push({
      pointer: `${pointer}/issuer`,
      message: `"${issuer}" is not safe: it should be https:, or of the loopback`,
    });
  }
  for (const parameter of Object.keys(parameters)) {
    if (!OWN_PARAMETERS.has(parameter)) continue;
    const message = `"${parameter}" is set by the filter itself: leave it out`;
    issues.push({ pointer: `${pointer}/parameters/${parameter}`, message });
  }
  return issues;
}

function isSafeIssuer(issuer: string): boolean {
  if (!URL.canParse(issuer)) return false;
  const { protocol, hostname, username } = new URL(issuer);
  if (username !== '') return false;
  return protocol === 'https:' || hostname === 'localhost' || hostname === '[::1]' || /^127\.[0-9.]+$/.test(hostname);
}
