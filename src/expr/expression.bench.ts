/**
 * Cost of an expression for one request. Budget: 20 ns for a comparison, 100 ns
 * for a rule of four parts. Run: `node src/expr/expression.bench.ts`.
 */
import { bench, keep } from '../../tools/bench.ts';
import { identityOf } from '../filter/identity.ts';
import { makeExchange } from '../filter/testing/exchange.ts';
import { compileExpression } from './expression.ts';

const x = makeExchange({
  method: 'POST',
  url: 'https://shop.test/api/orders/17?debug=1',
  headers: { host: 'shop.test', accept: '*/*', 'user-agent': 'bench', 'x-tier': 'gold' },
  clientIp: '10.1.2.3',
  identity: identityOf({
    method: 'jwt',
    subject: 'ann',
    scopes: ['orders.read', 'orders.write'],
    claims: { level: 3, roles: ['dev', 'admin'] },
  }),
});

const SOURCES = [
  'request.method == "POST"',
  'request.method in ["POST", "PUT", "PATCH"]',
  'request.headers["x-tier"] == "gold"',
  'request.query["debug"] == "1"',
  'identity.claims.level >= 3',
  'identity.claims.roles.exists(r, r == "admin")',
  'request.path.startsWith("/api/")',
  'request.path.matches("^/api/orders/[0-9]+$")',
  'source.address.inCidr("10.0.0.0/8")',
  'request.method == "POST" && request.path.startsWith("/api/") && "orders.write" in identity.scopes && identity.claims.level > 2',
];

for (const source of SOURCES) {
  const evaluate = compileExpression(source, 'bool');
  if (evaluate(x) !== true) throw new Error(`Measures nothing: ${source}`);
  bench(source, () => keep(evaluate(x)));
}
