import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import { test } from 'node:test';
import { CidrSet, isCidr, networkOf, plainIp } from './cidr.ts';
import { seededRandom } from './random.ts';

const HELD: [rule: string, cidrs: string[], yes: string[], no: string[]][] = [
  ['an IPv4 network', ['10.0.0.0/8'], ['10.0.0.0', '10.255.1.2'], ['11.0.0.0', '9.255.255.255', '::a00:1']],
  ['a network inside a byte', ['192.168.16.0/20'], ['192.168.31.255'], ['192.168.32.0', '192.168.15.1']],
  ['one address', ['192.0.2.1'], ['192.0.2.1'], ['192.0.2.2']],
  ['bits behind the prefix do not count', ['10.1.2.3/8'], ['10.9.9.9'], ['11.1.2.3']],
  ['all of IPv4', ['0.0.0.0/0'], ['1.2.3.4', '::ffff:1.2.3.4'], ['::1']],
  ['an IPv6 network', ['2001:db8::/32'], ['2001:db8::1', '2001:DB8:ffff::'], ['2001:db9::1', '10.0.0.1']],
  ['a network inside a group', ['fe80::/10'], ['fe80::1', 'febf::1'], ['fec0::1']],
  ['a long prefix', ['2001:db8::ff00/120'], ['2001:db8::ffff'], ['2001:db8::fe00']],
  ['all of IPv6', ['::/0'], ['::1', 'ffff::'], ['1.2.3.4', '::ffff:1.2.3.4']],
  [
    'mapped addresses are IPv4',
    ['10.0.0.0/8'],
    ['::ffff:10.1.2.3', '::FFFF:a01:203'],
    ['::10.1.2.3', '::ffff:11.0.0.1'],
  ],
  ['mapped networks are IPv4', ['::ffff:10.0.0.0/104'], ['10.1.2.3'], ['11.0.0.0']],
  ['any of several', ['10.0.0.0/8', '::1/128'], ['10.0.0.1', '::1', '0:0:0:0:0:0:0:1'], ['::2']],
  ['nothing is in no network', [], [], ['10.0.0.1']],
  [
    'what is not an address is nowhere',
    ['0.0.0.0/0', '::/0'],
    [],
    ['', 'localhost', '1.2.3', '[::1]', '1.2.3.4:80', 'unknown'],
  ],
];

for (const [rule, cidrs, yes, no] of HELD) {
  test(`CidrSet: ${rule}`, () => {
    const set = new CidrSet(cidrs);
    for (const ip of yes) assert.equal(set.has(ip), true, ip);
    for (const ip of no) assert.equal(set.has(ip), false, ip);
  });
}

const NOT_CIDRS = ['', '/8', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/-1', '10.0.0.0/8/8', '10.0.0/8'];
const NOT_CIDRS_6 = ['::/129', '::ffff:10.0.0.0/90', '1.2.3.4::/16', ':::/0', '1::2::3/8', 'fe80::1%eth0/64', 'x/8'];

for (const text of [...NOT_CIDRS, ...NOT_CIDRS_6]) {
  test(`isCidr: "${text}" is refused`, () => {
    assert.equal(isCidr(text), false);
    assert.throws(() => new CidrSet([text]), RangeError);
  });
}

const PLAIN: [text: string, want: string | undefined][] = [
  ['192.0.2.1', '192.0.2.1'],
  ['::ffff:192.0.2.1', '192.0.2.1'],
  ['::FFFF:C000:0201', '192.0.2.1'],
  ['2001:DB8::1', '2001:db8::1'],
  ['fe80::1%eth0', 'fe80::1'],
  ['192.0.2.01', undefined],
  ['192.0.2.256', undefined],
  ['192.0.2', undefined],
  ['1:2:3:4:5:6:7', undefined],
  ['1:2:3:4:5:6:7:8:9', undefined],
  ['12345::', undefined],
  ['localhost', undefined],
];

for (const [text, want] of PLAIN) {
  test(`plainIp: "${text}" is ${want ?? 'refused'}`, () => assert.equal(plainIp(text), want));
}

test('addresses and networks read as in node:net', () => {
  const random = seededRandom(1, 2, 3, 4);
  const parts = ['1', '255', '0', 'ffff', 'fe80', ':', '::', '.', '.', ':', '10', '2001', 'db8', '256', '01'];
  let addresses = 0;
  for (let round = 0; round < 30_000; round++) {
    const text = Array.from({ length: 1 + (random.bits32() % 12) }, () => parts[random.bits32() % parts.length]).join(
      '',
    );
    assert.equal(plainIp(text) !== undefined, isIP(text) !== 0, text);
    addresses += Number(isIP(text) !== 0);
  }
  assert.ok(addresses > 100, `only ${addresses} addresses: the test looks at too little`);

  const group = (): string => (random.bits32() % 4).toString(16);
  const address = (): string => Array.from({ length: 8 }, group).join(':');
  for (let round = 0; round < 2_000; round++) {
    const [network, bits, ip] = [address(), random.bits32() % 129, address()];
    const theirs = new BlockList();
    theirs.addSubnet(network, bits, 'ipv6');
    assert.equal(new CidrSet([`${network}/${bits}`]).has(ip), theirs.check(ip, 'ipv6'), `${ip} in ${network}/${bits}`);
  }
});

test('CidrSet: a large set holds what its networks hold, nested ones too', () => {
  const random = seededRandom(5, 6, 7, 8);
  for (const family of ['ipv4', 'ipv6'] as const) {
    // Few first bits differ, so that networks lie inside one another and addresses are near their ends.
    const address = (): string =>
      family === 'ipv4'
        ? `10.${random.bits32() % 4}.${random.bits32() % 256}.${random.bits32() % 256}`
        : `2001:db8::${(random.bits32() % 8).toString(16)}:${(random.bits32() % 65_536).toString(16)}`;
    const theirs = new BlockList();
    const networks = Array.from({ length: 500 }, () => {
      const [ip, bits] = [address(), (family === 'ipv4' ? 24 : 120) + (random.bits32() % 9)];
      theirs.addSubnet(ip, bits, family);
      return `${ip}/${bits}`;
    });
    const set = new CidrSet(networks);
    assert.ok(set.size < 500, 'nothing was nested: the test looks at too little');
    let held = 0;
    for (let round = 0; round < 20_000; round++) {
      const ip = address();
      assert.equal(set.has(ip), theirs.check(ip, family), ip);
      held += Number(set.has(ip));
    }
    assert.ok(held > 500 && held < 19_500, `${held} of 20000 held`);
  }
});

const NETWORKS: [ip: string, bits6: number, same: string[], other: string[]][] = [
  ['192.0.2.1', 64, ['::ffff:192.0.2.1'], ['192.0.2.2', '::ffff:192.0.2.2']],
  ['2001:db8:1:2::1', 64, ['2001:DB8:1:2:ffff:ffff:ffff:ffff', '2001:db8:1:2::'], ['2001:db8:1:3::1', '2001:db8:1:2']],
  ['2001:db8:1:2::1', 48, ['2001:db8:1:ffff::1'], ['2001:db8:2:2::1']],
  ['2001:db8:1:2::1', 56, ['2001:db8:1:ff::1'], ['2001:db8:1:100::1']],
  ['2001:db8:1:2::1', 128, ['2001:db8:1:2:0:0:0:1'], ['2001:db8:1:2::2']],
];

for (const [ip, bits6, same, other] of NETWORKS) {
  test(`networkOf: ${ip} by ${bits6} bits`, () => {
    for (const one of same) assert.equal(networkOf(one, bits6), networkOf(ip, bits6), one);
    for (const one of other) assert.notEqual(networkOf(one, bits6), networkOf(ip, bits6), one);
  });
}
