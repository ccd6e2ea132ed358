/**
 * Cost of looking a client up. Budget: 1 µs with 100,000 networks, 100 ms of work to read them.
 * Run: `node src/filters/ip-access/filter.bench.ts`.
 */
import { bench, keep } from '../../../tools/bench.ts';
import { CidrSet } from '../../base/cidr.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { code } from './filter.ts';

const FEW = ['10.0.0.0/8', '192.168.0.0/16', '2001:db8::/32'];
const MANY = Array.from({ length: 100_000 }, (_, i) => `${1 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/24`);
const MANY_WIDE = Array.from(
  { length: 100_000 },
  (_, i) => `2a00:${(i >> 4).toString(16)}:${(i & 15).toString(16)}::/48`,
);

const match = { matchedPath: undefined };
for (const [name, deny] of Object.entries({ '3 networks': FEW, '200,000 networks': [...MANY, ...MANY_WIDE] })) {
  const filter = code.make({ allow: [], deny, allowFiles: [], denyFiles: [], of: 'client' }, makeEnv());
  for (const clientIp of ['203.0.113.9', '2001:db9:1:2:3:4:5:6']) {
    const x = makeExchange({ clientIp });
    bench(`${name}, ${clientIp} passes`, () => keep(filter.onRequest!(x, match)));
  }
}
bench('read 100,000 networks of IPv4', () => keep(new CidrSet(MANY)));
bench('read 100,000 networks of IPv6', () => keep(new CidrSet(MANY_WIDE)));
