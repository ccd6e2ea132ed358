/**
 * Cost of deciding on a request. Budget: 1 µs for ten rules, all of which have to be looked at.
 * Run: `node src/filters/authorize/filter.bench.ts`.
 */
import { bench, keep } from '../../../tools/bench.ts';
import { identityOf } from '../../filter/identity.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { AuthorizeConfig } from './config.ts';
import { code } from './filter.ts';

const match = { matchedPath: undefined };
const x = makeExchange({
  method: 'POST',
  url: 'https://shop.test/api/orders/17/items',
  clientIp: '10.1.2.3',
  identity: identityOf({
    method: 'jwt',
    subject: 'ann',
    scopes: ['orders.read', 'orders.write'],
    claims: { role: 'staff', level: 3 },
    consumer: { name: 'app', groups: ['gold', 'beta'], labels: {} },
  }),
});

const times = (count: number, rule: (i: number) => object): object[] =>
  Array.from({ length: count }, (_, i) => rule(i));

const CASES: readonly [name: string, rules: readonly object[]][] = [
  ['1 rule', [{ methods: ['POST'], paths: ['/api/**'] }]],
  [
    '10 rules by method, path and group',
    [
      ...times(4, (i) => ({ effect: 'deny', paths: [`/internal${i}/**`], methods: ['POST'] })),
      ...times(5, (i) => ({ paths: [`/api/v${i}/**`], groups: ['gold'] })),
      { methods: ['GET', 'POST'], paths: ['/api/orders/**'], groups: ['silver', 'gold'], scopes: ['orders.write'] },
    ],
  ],
  [
    '10 rules with expressions',
    [
      ...times(4, (i) => ({ effect: 'deny', when: `identity.claims.level > ${i + 10}` })),
      ...times(5, (i) => ({ when: `request.method == "PUT" && request.path.startsWith("/api/v${i}/")` })),
      { when: 'request.method == "POST" && "orders.write" in identity.scopes && identity.claims.role == "staff"' },
    ],
  ],
  ['10 rules by claim', times(10, (i) => ({ claims: { role: [i === 9 ? 'staff' : `r${i}`] } }))],
  ['200 rules by path', times(200, (i) => ({ paths: [i === 199 ? '/api/**' : `/api/v${i}/**`] }))],
];

for (const [name, rules] of CASES) {
  const { value: config } = check(AuthorizeConfig, { rules });
  const filter = code.make(config!, makeEnv());
  if (filter.onRequest!(x, match) !== undefined) throw new Error(`Measures a refusal: ${name}`);
  bench(name, () => keep(filter.onRequest!(x, match)));
}
