import { faultKinds } from '../../base/fault.ts';
import { EXPRESSION_CHARS_MAX } from '../../base/limits.ts';
import { checkBeside, declareFilter } from '../../filter/declaration.ts';
import { durationField } from '../../filter/fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

const AMOUNT_MAX = 1_000_000_000;

const Limit = Type.Object(
  {
    name: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$',
        expected: 'a name of letters, digits, "-", "_" and "."',
        description: 'Name in headers, answers and logs. Default: what it allows, such as `100-per-1m`.',
      }),
    ),
    requests: Type.Optional(
      Type.Integer({ minimum: 1, maximum: AMOUNT_MAX, description: 'Requests per time. Either this or `units`.' }),
    ),
    units: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: AMOUNT_MAX,
        description: 'Budget per time, of which each request takes `cost`.',
      }),
    ),
    per: durationField({ description: 'The time, 1ms to 720h.' }),
    burst: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: AMOUNT_MAX,
        description:
          'How much may be used at once; it comes back at the rate of the limit. Default: all of `requests` or `units`.',
      }),
    ),
    key: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: EXPRESSION_CHARS_MAX,
        description:
          'Expression (CEL) for a text: requests with the same text count together, and so do all for which it has no value. Default: the address of the client.',
      }),
    ),
    when: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: EXPRESSION_CHARS_MAX,
        description: 'Expression (CEL): the limit is for requests for which it is true or has no value. Default: all.',
      }),
    ),
    cost: Type.Optional(
      Type.Union(
        [
          Type.Integer({ minimum: 1, maximum: AMOUNT_MAX }),
          Type.String({ minLength: 1, maxLength: EXPRESSION_CHARS_MAX }),
        ],
        {
          expected: 'a number or an expression',
          description:
            'Units that a request takes: a number, or an expression (CEL) for one. Without a value, or below 0, it is 1. Default: 1.',
        },
      ),
    ),
  },
  { additionalProperties: false },
);

const Global = Type.Object(
  {
    proxies: Type.Integer({
      minimum: 1,
      maximum: 1_000,
      description:
        'How many proxies there are at most, those of a rolling upgrade included. `maxOvershoot` is dealt among them, and a share of a limit is one part of so many.',
    }),
    maxOvershoot: Type.Integer({
      minimum: 1,
      maximum: AMOUNT_MAX,
      description:
        'By how much all proxies together may exceed a limit, for each key. More lets proxies ask Redis less often. At least twice the number of all worker threads counts.',
    }),
    whenAway: Type.Enum(['open', 'closed', 'local'], {
      default: 'local',
      description:
        'While Redis is away: `open` lets everything through, `closed` refuses everything with 503, `local` gives each proxy its share of the limit.',
    }),
  },
  { additionalProperties: false, description: 'For scope `global`, which needs it.' },
);

export const RateLimitConfig = Type.Object(
  {
    limits: Type.Array(Limit, {
      minItems: 1,
      maxItems: 8,
      description: 'A request must keep all of them. What one refuses counts against none.',
    }),
    scope: Type.Enum(['local', 'global'], {
      default: 'local',
      description:
        '`local`: exact over all worker threads of one proxy. `global`: over all proxies that share a Redis, which is given with `--redis`.',
    }),
    global: Type.Optional(Global),
    together: Type.Enum(['policy', 'rule'], {
      default: 'policy',
      description: 'Which requests count together: those of all rules that the policy acts on, or those of each rule.',
    }),
    headers: Type.Enum(['all', 'refused', 'none'], {
      default: 'all',
      description: 'Which answers carry `RateLimit` and `RateLimit-Policy`. `Retry-After` is on every refusal.',
    }),
    ipv6Prefix: Type.Integer({
      minimum: 16,
      maximum: 128,
      default: 64,
      description: 'Clients with IPv6 count by the first so many bits of their address, where `key` is left out.',
    }),
  },
  { additionalProperties: false, description: 'Limits how often requests are let through.' },
);
export type RateLimitConfig = Static<typeof RateLimitConfig>;
export type LimitConfig = RateLimitConfig['limits'][number];

/** What it is called where it has no name of its own. */
export function limitName({ name, requests, units, per }: LimitConfig): string {
  return name ?? `${requests ?? units}-per-${per}`;
}

export const RATE_LIMIT_FAULTS = faultKinds({
  'rate-limit.exceeded': {
    blame: 'client',
    retry: 'never',
    status: 429,
    grpc: 8,
    title: 'Too many requests',
    advice: 'A limit of rateLimit is used up; log and answer name it. Retry-After says when to come again.',
  },
  'rate-limit.undecidable': {
    blame: 'dependency',
    retry: 'never',
    status: 503,
    grpc: 14,
    title: 'The request cannot be counted now',
    advice:
      'Redis is away and whenAway of rateLimit is "closed". See "redis" in the log and fourways_filter_events_total.',
  },
});

export const rateLimit = declareFilter({
  name: 'rateLimit',
  phase: 'limit',
  config: RateLimitConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: RATE_LIMIT_FAULTS,
  events: {
    refused: 'Requests that a limit refused.',
    forgotten: 'Keys that were forgotten because the table was full: they begin anew.',
    no_key: 'Requests for which the expression of a key had no value.',
    away: 'Requests that were decided without Redis, as `whenAway` says.',
    redis_lost: 'Times that Redis went away.',
    redis_back: 'Times that Redis came back.',
  },
  explain: ({ limits, scope, global, together }) => [
    ...limits.map((limit) => {
      const { requests, units, per, burst, key, when, cost } = limit;
      const amount = requests === undefined ? `${units} units (${cost ?? 1} each)` : `${requests} requests`;
      const parts = [`${amount} in ${per}`, `for each ${key ?? 'client address'}`];
      if (burst !== undefined) parts.push(`at most ${burst} at once`);
      if (when !== undefined) parts.push(`when ${when}`);
      return `${limitName(limit)}: ${parts.join(', ')}`;
    }),
    `counted over ${together === 'policy' ? 'all rules of the policy' : 'this rule'}, ${
      scope === 'local' || global === undefined
        ? 'in each proxy'
        : `in all proxies by Redis, overshoot at most ${global.maxOvershoot}, without Redis ${global.whenAway}`
    }`,
  ],
  check: checkBeside<RateLimitConfig>(import.meta.url),
  load: async () => (await import('./filter.ts')).code,
});
