/**
 * What an expression may name: variables with their types, functions with
 * theirs. The parser and the type checker of the library read it; what an
 * expression comes to is ours (compile.ts).
 */
import { Environment } from '@marcbachmann/cel-js';
import { EXPRESSION_CHARS_MAX, EXPRESSION_DEPTH_MAX } from '../base/limits.ts';

/** Fields of the variables, as the type checker knows them. `facts.ts` says where each comes from. */
export const FIELDS = {
  request: {
    id: 'string',
    method: 'string',
    scheme: 'string',
    host: 'string',
    path: 'string',
    query: 'map<string, string>',
    headers: 'map<string, string>',
  },
  source: {
    address: 'string',
    peer: 'string',
    identity: 'string',
    trustDomain: 'string',
    namespace: 'string',
    account: 'string',
  },
  client: {
    spiffe: 'string',
    subject: 'string',
    commonName: 'string',
    dns: 'list<string>',
    uri: 'list<string>',
    fingerprint: 'string',
    serverName: 'string',
  },
  identity: {
    subject: 'string',
    issuer: 'string',
    methods: 'list<string>',
    scopes: 'list<string>',
    claims: 'map<string, dyn>',
    workload: 'string',
  },
  consumer: { name: 'string', groups: 'list<string>', labels: 'map<string, string>' },
} as const;

/** Only of an exchange that has ended. */
const ENDED_FIELDS = {
  response: { status: 'int', fault: 'string', durationMs: 'double' },
  destination: { service: 'string', namespace: 'string' },
} as const;

const ALL_FIELDS = { ...FIELDS, ...ENDED_FIELDS };

export type FieldName = {
  [V in keyof typeof ALL_FIELDS]: `${V}.${keyof (typeof ALL_FIELDS)[V] & string}`;
}[keyof typeof ALL_FIELDS];

type Fields = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** What expressions of one kind may name. */
export interface Vocabulary {
  readonly environment: Environment;
  readonly fields: Fields;
}

const IN_CIDR = [
  'string.inCidr(string): bool',
  'string.inCidr(list<string>): bool',
  'inCidr(string, string): bool',
  'inCidr(string, list<string>): bool',
];

function vocabularyOf(fields: Fields): Vocabulary {
  const environment = new Environment({
    unlistedVariablesAreDyn: false,
    enableOptionalTypes: true,
    limits: { maxDepth: EXPRESSION_DEPTH_MAX, maxAstNodes: EXPRESSION_CHARS_MAX },
  });
  for (const [variable, named] of Object.entries(fields)) {
    const type = `${variable[0]!.toUpperCase()}${variable.slice(1)}`;
    environment.registerType(type, { fields: named });
    environment.registerVariable(variable, type);
  }
  environment.registerVariable('rule', 'string');
  // The library only checks: it never evaluates.
  for (const signature of IN_CIDR) environment.registerFunction(signature, () => false);
  return { environment, fields };
}

/** Of a request, before it has gone anywhere. */
export const REQUEST: Vocabulary = vocabularyOf(FIELDS);

/** Of an exchange that has ended. */
export const ENDED: Vocabulary = vocabularyOf(ALL_FIELDS);

export function isVariable(name: string): boolean {
  return Object.hasOwn(ALL_FIELDS, name);
}
