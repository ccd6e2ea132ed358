import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, Type } from '../schema/schema.ts';
import { CONSUMER_HEADER_FIELDS, ConsumerHeaders, ConsumerName, consumerOf, GroupNames, Labels } from './consumer.ts';
import { identityOf } from './identity.ts';
import { linesOf, makeExchange } from './testing/exchange.ts';

const Config = Type.Object(CONSUMER_HEADER_FIELDS, { additionalProperties: false });

function sent(config: object, consumer: Partial<ReturnType<typeof consumerOf>> | undefined, headers = {}): string[] {
  const checked = check(Config, config);
  assert.deepEqual(checked.issues, []);
  const known = consumer && consumerOf({ name: 'acme', groups: [], labels: {}, ...consumer });
  const x = makeExchange({
    headers,
    ...(known !== undefined && { identity: identityOf({ method: 'apiKey', subject: 'id', consumer: known }) }),
  });
  new ConsumerHeaders(checked.value!).write(x);
  return linesOf(x.request.headers);
}

const FORGED = {
  'X-Consumer': 'root',
  a: '1',
  x_consumer: 'root',
  'X-Consumer_Groups': 'admin',
  x_consumer_groups: 'b',
};
type Row = [rule: string, config: object, consumer: Parameters<typeof sent>[1], headers: object, want: string[]];
const ROWS: Row[] = [
  ['the name', {}, {}, {}, ['x-consumer: acme']],
  ['and the groups', {}, { groups: ['gold', 'eu'] }, {}, ['x-consumer: acme', 'x-consumer-groups: gold,eu']],
  ['what a client sends is replaced, in every spelling', {}, {}, FORGED, ['a: 1', 'x-consumer: acme']],
  ['what a client sends is taken out when nobody is known', {}, undefined, FORGED, ['a: 1']],
  ['and when nothing is sent', { sendConsumer: false }, { groups: ['gold'] }, FORGED, ['a: 1']],
  ['under another name', { consumerHeader: 'X-Who' }, {}, { 'x-who': 'root', x_who: 'b' }, ['x-who: acme']],
  [
    'what could break out of the line is encoded',
    {},
    { name: 'a\r\nx-admin: 1', groups: ['b,admin', '\ud800', 'ü', 'a b'] },
    {},
    ['x-consumer: a%0D%0Ax-admin%3A%201', 'x-consumer-groups: b%2Cadmin,%EF%BF%BD,%C3%BC,a%20b'],
  ],
];

for (const [rule, config, consumer, headers, want] of ROWS) {
  test(`consumer headers: ${rule}`, () => assert.deepEqual(sent(config, consumer, headers), want));
}

const SCHEMAS: [schema: 'name' | 'groups' | 'labels' | 'header', value: unknown, want: 'accepted' | 'refused'][] = [
  ['name', 'acme/eu@2', 'accepted'],
  ['name', '', 'refused'],
  ['name', 'a b', 'refused'],
  ['name', 'a,b', 'refused'],
  ['name', 'a\r\nb', 'refused'],
  ['name', 'a\0', 'refused'],
  ['name', 'ü', 'refused'],
  ['name', 'a'.repeat(129), 'refused'],
  ['groups', ['gold', 'eu-west'], 'accepted'],
  ['groups', ['gold,admin'], 'refused'],
  ['groups', Array.from({ length: 33 }, (_, i) => `g${i}`), 'refused'],
  ['labels', { team: 'any text: ü\n' }, 'accepted'],
  ['labels', { 'a b': '' }, 'refused'],
  ['labels', JSON.parse('{"__proto__":"x"}'), 'refused'],
  ['header', 'x-consumer-username', 'accepted'],
  ['header', 'authorization', 'refused'],
  ['header', 'x_consumer', 'refused'],
];

const BY_NAME = {
  name: ConsumerName,
  groups: GroupNames,
  labels: Labels,
  header: CONSUMER_HEADER_FIELDS.consumerHeader,
};

for (const [schema, value, want] of SCHEMAS) {
  test(`consumer ${schema}: ${JSON.stringify(value).slice(0, 40)} is ${want}`, () => {
    assert.equal(check(BY_NAME[schema], value).issues.length === 0 ? 'accepted' : 'refused', want);
  });
}
