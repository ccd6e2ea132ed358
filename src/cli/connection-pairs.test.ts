import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AskedProxy } from '../control/survey.ts';
import type { ConnectionRow, ConnectionTls } from '../ir/connection.ts';
import { concerns, openConnections, provedConnections, type SeenConnection } from './connection-pairs.ts';

const idOf = (name: string): string => `spiffe://td/ns/shop/sa/${name}`;

function proxyOf(name: string): AskedProxy {
  return { instance: `${name}-1`, identity: idOf(name), role: 'sidecar', services: [`shop/${name}`] };
}

function tlsOf(own: string, peer: string, changes: Partial<ConnectionTls> = {}): ConnectionTls {
  const shown = (name: string): ConnectionTls['own'] => ({
    identity: idOf(name),
    serial: `0${name}`,
    notAfterMs: name.length,
  });
  return {
    version: 'TLSv1.3',
    cipher: 'TLS_AES_128_GCM_SHA256',
    speaks: 'h2',
    resumed: false,
    binding: 'b1',
    own: shown(own)!,
    peer: shown(peer)!,
    ...changes,
  };
}

const BASE = { kind: 'mtls', openMs: 1, requests: 3, isMesh: true } as const;

function client(tls: Partial<ConnectionTls> = {}, row: Partial<ConnectionRow> = {}): SeenConnection {
  const addresses = { local: '10.0.0.1:4000', remote: '10.0.0.2:15008' };
  const part = 'Service/shop/orders/80';
  return {
    proxy: proxyOf('web'),
    row: {
      ...BASE,
      direction: 'out',
      part,
      ...addresses,
      tls: tlsOf('web', 'orders', { group: 'X25519', ...tls }),
      ...row,
    },
  };
}

function server(tls: Partial<ConnectionTls> = {}, row: Partial<ConnectionRow> = {}): SeenConnection {
  const addresses = { local: '10.0.0.2:15008', remote: '10.0.0.1:4000' };
  const part = 'Inbound/shop/orders/80';
  return {
    proxy: proxyOf('orders'),
    row: { ...BASE, direction: 'in', part, ...addresses, tls: tlsOf('orders', 'web', tls), ...row },
  };
}

test('provedConnections: two ends with one key are one connection, wherever their addresses lead', () => {
  const behindNat = { remote: '192.0.2.1:9' };
  assert.deepEqual(provedConnections([server({}, behindNat), client()]), [
    {
      client: idOf('web'),
      server: idOf('orders'),
      service: 'shop/orders:80',
      protocol: 'h2',
      version: 'TLSv1.3',
      cipher: 'TLS_AES_128_GCM_SHA256',
      group: 'X25519',
      provedBy: 'both',
      flaws: [],
      clientAddress: '10.0.0.1:4000',
      serverAddress: '10.0.0.2:15008',
      untilMs: 3,
      requests: 3,
    },
  ]);
});

const HALVES: [provedBy: string, seen: SeenConnection[]][] = [
  ['client', [client()]],
  ['server', [server()]],
];

for (const [provedBy, seen] of HALVES) {
  test(`provedConnections: of one end alone, its ${provedBy}, both names are known`, () => {
    const [one, more] = provedConnections(seen);
    assert.equal(more, undefined);
    assert.deepEqual(
      [one!.client, one!.server, one!.provedBy, one!.flaws],
      [idOf('web'), idOf('orders'), provedBy, []],
    );
    assert.deepEqual([one!.clientAddress, one!.serverAddress], ['10.0.0.1:4000', '10.0.0.2:15008']);
  });
}

const FLAWED: [rule: string, seen: SeenConnection[], flaw: RegExp][] = [
  ['other keys at one pair of addresses', [client(), server({ binding: 'b2' })], /somebody is in between/],
  ['another cipher', [client(), server({ cipher: 'TLS_AES_256_GCM_SHA384' })], /other ciphers/],
  [
    'another certificate of the client',
    [client(), server({ peer: { identity: idOf('mallory'), serial: '1', notAfterMs: 9 } })],
    /the server has seen another certificate/,
  ],
  [
    'another certificate of the server',
    [client({ peer: { identity: idOf('orders'), serial: 'ff', notAfterMs: 9 } }), server()],
    /the client has seen another certificate/,
  ],
];

for (const [rule, seen, flaw] of FLAWED) {
  test(`provedConnections: ${rule} is a flaw`, () => {
    const [one, more] = provedConnections(seen);
    assert.equal(more, undefined);
    assert.match(one!.flaws.join(), flaw);
  });
}

test('provedConnections: loopback of two hosts is no pair unless the names are, too', () => {
  const local = { local: '127.0.0.1:4000', remote: '127.0.0.1:15008' };
  const other = { local: '127.0.0.1:15008', remote: '127.0.0.1:4000' };
  const stranger = { identity: idOf('billing'), serial: '2', notAfterMs: 9 };
  const apart = provedConnections([client({}, local), server({ binding: 'b2', peer: stranger }, other)]);
  assert.deepEqual(
    apart.map(({ provedBy, flaws }) => [provedBy, flaws.length]),
    [
      ['client', 0],
      ['server', 0],
    ],
  );
  const [same] = provedConnections([client({}, local), server({ binding: 'b2' }, other)]);
  assert.equal(same!.flaws.length, 1);
});

test('provedConnections: what is none between services, and what is no mTLS, is not there', () => {
  assert.deepEqual(provedConnections([client({}, { isMesh: false }), server({}, { kind: 'tls' })]), []);
});

test('openConnections: what is between services and no mTLS, with why', () => {
  const clear = { kind: 'clear', why: 'the port is permissive', part: 'Inbound/shop/orders/80@clear' } as const;
  const seen = [
    server({}, clear),
    server({}, { kind: 'local' }),
    client({}, { kind: 'clear', isMesh: false }),
    client(),
  ];
  assert.deepEqual(openConnections(seen), [
    {
      kind: 'clear',
      direction: 'in',
      proxy: idOf('orders'),
      service: 'shop/orders:80',
      remote: '10.0.0.1:4000',
      why: 'the port is permissive',
    },
  ]);
});

const CONCERNS: [name: string, namespace: string | undefined, service: string, identities: string[], want: boolean][] =
  [
    ['orders', 'shop', 'shop/orders:80', [], true],
    ['orders', undefined, 'shop/orders:80', [], true],
    ['orders', 'other', 'shop/orders:80', [], false],
    ['order', 'shop', 'shop/orders:80', [], false],
    ['web', 'shop', 'shop/orders:80', [idOf('web')], true],
    ['web', 'other', 'shop/orders:80', [idOf('web')], false],
    ['web', undefined, '', [], false],
  ];

for (const [name, namespace, service, identities, want] of CONCERNS) {
  test(`concerns: ${name}.${namespace ?? '*'} ${want ? 'has' : 'has nothing'} to do with ${service} of ${identities.join()}`, () => {
    assert.equal(concerns({ name, namespace }, { service, identities }), want);
  });
}
