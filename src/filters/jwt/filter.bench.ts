/**
 * Cost of a request whose token was verified before. Budget: 2 µs.
 * Run: `node src/filters/jwt/filter.bench.ts`.
 */
import { bench, keep } from '../../../tools/bench.ts';
import type { TestExchange } from '../../filter/testing/exchange.ts';
import { Headers } from '../../http/headers.ts';
import { asking, claimsOf, issuerOf, makeFilter, makeKey, sign } from './testing/tokens.ts';

const key = await makeKey('RS256');
const token = await sign(key, claimsOf({ scope: 'read write', email: 'alice@shop.test', groups: ['a', 'b', 'c'] }));

/** Reads its head anew each time, as a connection does: values are pieces of one text. */
function arriving(): { x: TestExchange; again: () => void } {
  const headers = new Headers();
  const lines = { host: 'shop.test', accept: '*/*', 'user-agent': 'bench', authorization: `Bearer ${token}` };
  const raw = Object.entries(lines)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('');
  const bytes = Buffer.from(raw);
  const x = asking(token);
  const again = (): void => {
    headers.reset(bytes.toString('latin1'));
    let at = 0;
    for (const [name, value] of Object.entries(lines)) {
      headers.push(at, at + name.length, at + name.length + 2, at + name.length + 2 + value.length);
      at += name.length + value.length + 4;
    }
  };
  return { x: { ...x, request: { ...x.request, headers } }, again };
}

const { x, again } = arriving();
bench(`the head of the request alone (a token of ${token.length} bytes)`, () => {
  again();
  keep(x);
});

for (const [name, more] of [
  ['as it is', {}],
  ['with two claims as headers', { claimHeaders: ['sub', 'email'].map((claim) => ({ claim, header: `x-${claim}` })) }],
] as const) {
  const { filter } = makeFilter({ issuers: [issuerOf([key])], ...more });
  again();
  await filter.authenticate!(x);
  bench(`a known token, ${name}, with the head`, () => {
    again();
    keep(filter.authenticate!(x));
    filter.onRequest?.(x, { matchedPath: '/' });
  });
}
