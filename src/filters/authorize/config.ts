import { faultKinds } from '../../base/fault.ts';
import { EXPRESSION_CHARS_MAX } from '../../base/limits.ts';
import { checkBeside, declareFilter } from '../../filter/declaration.ts';
import { type Static, Type } from '../../schema/schema.ts';

/** Names of one kind; one of them is enough. */
const Names = { minItems: 1, maxItems: 256 };

const Name = Type.String({
  minLength: 1,
  maxLength: 256,
  pattern: '^[^*]*\\*?$',
  expected: 'a name, or the beginning of one with "*" behind it',
  description: 'A name. `*` at its end stands for any rest, and alone for any name.',
});

const ClaimValue = Type.Union([Type.String({ maxLength: 1024 }), Type.Number(), Type.Boolean()], {
  expected: 'a text, a number, or true or false',
});

const Rule = Type.Object(
  {
    name: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        pattern: '^[A-Za-z0-9]([-A-Za-z0-9_. ]*[A-Za-z0-9])?$',
        expected: 'a name of letters, digits, "-", "_", "." and spaces',
        description: 'For log and `explain`. Default: its place, `rule 1`.',
      }),
    ),
    effect: Type.Enum(['allow', 'deny'], {
      default: 'allow',
      description: 'What becomes of a request that it matches.',
    }),
    methods: Type.Optional(
      Type.Array(
        Type.String({
          minLength: 1,
          maxLength: 32,
          pattern: "^[!#$%&'*+.^_`|~0-9A-Z-]+$",
          expected: 'a method in capitals, such as "GET"',
        }),
        { minItems: 1, maxItems: 32, description: 'Methods.' },
      ),
    ),
    hosts: Type.Optional(
      Type.Array(
        Type.String({
          minLength: 1,
          maxLength: 253,
          pattern: '^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$',
          expected: 'a lower-case host name such as "shop.test" or "*.shop.test"',
        }),
        {
          ...Names,
          description: 'Host names without port. `*.shop.test` takes one label or more before `.shop.test`.',
        },
      ),
    ),
    paths: Type.Optional(
      Type.Array(
        Type.String({
          minLength: 1,
          maxLength: 1024,
          pattern: '^/[\\x21\\x24-\\x3b\\x3d\\x40-\\x5b\\x5d\\x5f\\x61-\\x7a\\x7e]*$',
          expected: 'a percent-encoded path without query',
        }),
        {
          ...Names,
          description:
            'Paths: `/admin` is that path, `/admin/**` it and all below it, `/users/*/keys` has a star for any part of one segment.',
        },
      ),
    ),
    subjects: Type.Optional(Type.Array(Name, { ...Names, description: 'Subjects of the identity.' })),
    consumers: Type.Optional(Type.Array(Name, { ...Names, description: 'Names of consumers.' })),
    groups: Type.Optional(Type.Array(Name, { ...Names, description: 'Groups of the consumer: one of them.' })),
    workloads: Type.Optional(
      Type.Array(
        Type.String({
          minLength: 1,
          maxLength: 2048,
          pattern: '^(\\*|spiffe://[^/*]+/([^*]*/)?\\*|spiffe://[^/*]+/[^*]+)$',
          expected: 'a SPIFFE ID such as "spiffe://cluster.local/ns/shop/sa/web", or "*" behind its last slash',
        }),
        { ...Names, description: 'SPIFFE IDs of the workload that calls; `*` behind a slash stands for any rest.' },
      ),
    ),
    scopes: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
        ...Names,
        description: 'Scopes of the identity: all of them.',
      }),
    ),
    claims: Type.Optional(
      Type.Record(Type.String({ minLength: 1, maxLength: 256 }), Type.Array(ClaimValue, Names), {
        minProperties: 1,
        maxProperties: 32,
        description: 'For each claim, values of which it is one, or, when it is a list, holds one.',
      }),
    ),
    when: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: EXPRESSION_CHARS_MAX,
        expected: 'an expression',
        description: 'Expression (CEL) that is true.',
      }),
    ),
  },
  { additionalProperties: false, description: 'Everything that is said must be so.' },
);
export type Rule = Static<typeof Rule>;

export const AuthorizeConfig = Type.Object(
  {
    rules: Type.Array(Rule, {
      maxItems: 256,
      default: [],
      description: 'Whatever their order: a request that one rule denies is refused, whichever allow it.',
    }),
    default: Type.Optional(
      Type.Enum(['allow', 'deny'], {
        description: 'Of a request that no rule matches. Left out: `deny` as soon as a rule allows, else `allow`.',
      }),
    ),
    reveal: Type.Boolean({
      default: false,
      description: 'Whether the answer names the rule that refused the request, as member `rule`.',
    }),
  },
  { additionalProperties: false, description: 'Says who may do what.' },
);
export type AuthorizeConfig = Static<typeof AuthorizeConfig>;

export const authorizeFaults = faultKinds({
  'authorize.denied': {
    blame: 'policy',
    retry: 'never',
    status: 403,
    grpc: 7,
    title: 'The request is not allowed',
    advice:
      'A rule of an authorize filter on the route denies the request, or none allows it; the log says which. "fourways explain" shows the rules.',
  },
});

export const authorize = declareFilter({
  name: 'authorize',
  phase: 'authorise',
  config: AuthorizeConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: authorizeFaults,
  events: {
    denied: 'Requests that a rule denied.',
    undecided: 'Requests that were refused because the expression of a rule that denies could not be evaluated.',
    not_allowed: 'Requests that no rule allowed.',
  },
  explain: (config) => [
    ...config.rules.map((rule, i) => `${rule.effect} "${ruleName(rule, i)}": ${conditionsOf(rule)}`),
    `${defaultOf(config)} what no rule matches`,
  ],
  check: checkBeside(import.meta.url),
  load: async () => (await import('./filter.ts')).code,
});

export function ruleName({ name }: Rule, index: number): string {
  return name ?? `rule ${index + 1}`;
}

/** As Istio has it: a list of who may is one of who else may not. */
export function defaultOf({ default: stated, rules }: AuthorizeConfig): 'allow' | 'deny' {
  return stated ?? (rules.some(({ effect }) => effect === 'allow') ? 'deny' : 'allow');
}

/** How many values of one kind `explain` names. */
const NAMED_MAX = 8;

function conditionsOf(rule: Rule): string {
  const { methods, hosts, paths, subjects, consumers, groups, workloads, scopes, claims = {}, when } = rule;
  const lists = { methods, hosts, paths, subjects, consumers, groups, workloads, scopes };
  return [
    ...Object.entries(lists).flatMap(([kind, values]) => (values === undefined ? [] : [`${kind} ${listed(values)}`])),
    ...Object.entries(claims).map(([claim, values]) => `claim ${claim} ${listed(values)}`),
    ...(when === undefined ? [] : [`when ${when}`]),
  ].join('; ');
}

function listed(values: readonly unknown[]): string {
  const more = values.length - NAMED_MAX;
  return [...values.slice(0, NAMED_MAX), ...(more > 0 ? [`${more} more`] : [])].join(', ');
}
