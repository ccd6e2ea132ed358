import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SidecarOptions } from './command.ts';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

const NEEDED = ['--service', 'orders.shop', '--control', '10.0.0.1:15010'];

const DEFAULTS: SidecarOptions = {
  id: { trustDomain: 'cluster.local', namespace: 'shop', account: 'orders' },
  ports: {},
  control: ['10.0.0.1:15010'],
  tokenFile: undefined,
  address: '127.0.0.1',
  proxyPort: 15_008,
  forward: { host: '127.0.0.1', port: 15_001 },
  services: [],
  locals: [],
  capture: undefined,
  user: undefined,
  dryRun: false,
  admin: undefined,
  zone: '',
  workers: 0,
  dataDir: '/home/user/.fourways/sidecar-orders.shop',
  drainMs: 30_000,
  takeover: false,
  logLevel: 'info',
  announce: 'text',
};

const GOOD: [rule: string, argv: string[], want: Partial<SidecarOptions>][] = [
  ['what is needed is enough', NEEDED, {}],
  ['a take-over', [...NEEDED, '--takeover'], { takeover: true }],
  ['one port of the application', [...NEEDED, '--app', '8080'], { ports: { app: 8_080 } }],
  [
    'several, by name',
    [...NEEDED, '--app', 'http=8080', '--app', 'grpc=9090'],
    { ports: { http: 8_080, grpc: 9_090 } },
  ],
  ['several control planes', [...NEEDED, '--control', '[::1]:1'], { control: ['10.0.0.1:15010', '[::1]:1'] }],
  ['a token in a file', [...NEEDED, '--token-file', 'token'], { tokenFile: '/home/user/token' }],
  [
    'other ports',
    [...NEEDED, '--port', '1', '--proxy', '127.0.0.2:2'],
    { proxyPort: 1, forward: { host: '127.0.0.2', port: 2 } },
  ],
  [
    'services that it calls',
    [...NEEDED, '--call', 'web', '--call', 'pay.bank'],
    { services: ['web.default', 'pay.bank'] },
  ],
  [
    'ports of this host for services',
    [...NEEDED, '--local', 'db.shop:5432=5432', '--local', 'web=127.0.0.2:80'],
    {
      locals: [
        { service: 'db.shop', port: 5_432, at: { address: '127.0.0.1', port: 5_432 } },
        { service: 'web.default', port: undefined, at: { address: '127.0.0.2', port: 80 } },
      ],
    },
  ],
  [
    'transparent capture',
    [...NEEDED, '--capture', 'transparent', '--user', 'shop', '--dry-run'],
    { capture: { range: '127.240.0.0/16' }, user: 'shop', dryRun: true },
  ],
  [
    'addresses of another network',
    [...NEEDED, '--capture', 'transparent', '--capture-range', '10.96.0.0/12'],
    { capture: { range: '10.96.0.0/12' } },
  ],
  [
    'a trust domain',
    [...NEEDED, '--trust-domain', 'a.test'],
    { id: { trustDomain: 'a.test', namespace: 'shop', account: 'orders' } },
  ],
];

for (const [rule, argv, want] of GOOD) {
  test(`fourways sidecar: ${rule}`, async () => {
    const io = fakeIo();
    assert.equal(await runCommand(['sidecar', ...argv], io), 0);
    assert.deepEqual(io.sidecars, [{ ...DEFAULTS, ...want }]);
  });
}

const BAD: [rule: string, argv: string[], words: RegExp][] = [
  ['no service', NEEDED.slice(2), /--service is missing/],
  ['no control plane', NEEDED.slice(0, 2), /--control is missing/],
  ['a control plane without a port', ['--service', 'a', '--control', 'host'], /--control/],
  [
    'a service that cannot be one',
    ['--service', 'Orders', '--control', 'h:1'],
    /"Orders": must be the name of a Service/,
  ],
  ['a name of more parts', ['--service', 'orders.shop.svc', '--control', 'h:1'], /orders\.shop\.svc/],
  ['an address that is none', [...NEEDED, '--address', 'host'], /--address is "host": must be an IP address/],
  ['a port that is none', [...NEEDED, '--app', 'http=x'], /--app/],
  ['two ports without a name', [...NEEDED, '--app', '1', '--app', '2'], /--app is given twice/],
  ['a local port without a service', [...NEEDED, '--local', '=80'], /--local is "=80": must be NAME/],
  ['a local port that is none', [...NEEDED, '--local', 'db.shop=host:1'], /"host:1" must be a port, or an IP address/],
  ['a local port of too many', [...NEEDED, '--local', 'db.shop:70000=1'], /must be a whole number/],
  [
    'a local port twice',
    [...NEEDED, '--local', 'db.shop=1', '--local', 'web.shop=1'],
    /"web.shop=1": its service or its port is given twice/,
  ],
  ['a way of capture that there is not', [...NEEDED, '--capture', 'magic'], /--capture is "magic"/],
  [
    'a range without capture',
    [...NEEDED, '--capture-range', '10.0.0.0/8'],
    /--capture-range is of transparent capture/,
  ],
  ['a dry run of nothing', [...NEEDED, '--dry-run'], /--dry-run is of transparent capture/],
  ['a user without capture', [...NEEDED, '--user', 'shop'], /--user is of transparent capture here/],
  [
    'a range that is none',
    [...NEEDED, '--capture', 'transparent', '--capture-range', '10.0.0.1/8'],
    /"10.0.0.1\/8": must be a network of IPv4/,
  ],
  ['a command', [...NEEDED, 'node'], /"fourways run" starts a program/],
];

for (const [rule, argv, words] of BAD) {
  test(`fourways sidecar: refused: ${rule}`, async () => {
    const io = fakeIo();
    assert.equal(await runCommand(['sidecar', ...argv], io), 2);
    assert.match(io.errLines.join('\n'), words);
    assert.deepEqual(io.sidecars, []);
  });
}

test('fourways run: what is behind -- is the command, options of its own included', async () => {
  const io = fakeIo();
  assert.equal(await runCommand(['run', ...NEEDED, '--', 'node', '--port', '80', 'app.js'], io), 0);
  assert.deepEqual(io.sidecars, [{ ...DEFAULTS, command: ['node', '--port', '80', 'app.js'] }]);
});

test('fourways run: refused without a command', async () => {
  const io = fakeIo();
  assert.equal(await runCommand(['run', ...NEEDED], io), 2);
  assert.match(io.errLines.join('\n'), /Expected a command behind "--"/);
});

const ADMIN = 'http://127.0.0.1:9900';

test('fourways token: prints the token and nothing else', async () => {
  const io = fakeIo({ answers: { [`${ADMIN}/tokens`]: { status: 200, body: '{"id":"1","token":"fwj_x"}' } } });
  assert.equal(await runCommand(['token', 'orders.shop', '--uses', '3', '--lasts', '10m'], io), 0);
  assert.deepEqual(io.outLines, ['fwj_x']);
  assert.deepEqual(io.posted[0]?.body, { namespace: 'shop', account: 'orders', uses: 3, lastsMs: 600_000 });
});

test('fourways token: what the control plane refuses is said', async () => {
  const refused = { status: 400, body: '{"detail":"it cannot be part of an identity"}' };
  const io = fakeIo({ answers: { [`${ADMIN}/tokens`]: refused } });
  assert.equal(await runCommand(['token', 'orders.shop'], io), 1);
  assert.match(io.errLines.join('\n'), /it cannot be part of an identity/);
});

const ROW = {
  instance: 'i',
  identity: 'spiffe://cluster.local/ns/shop/sa/orders',
  role: 'sidecar',
  software: '0.1.0',
  zone: '',
  services: ['shop/orders'],
  version: 'abcdefabcdefabcdef',
  wanted: 'abcdefabcdefabcdef',
  lagMs: 0,
  connectedMs: 65_000,
  control: '10.0.0.1:9901',
  isHere: true,
};

test('fourways proxies: a line each; what one refuses is said below', async () => {
  const proxies = [ROW, { ...ROW, services: [], wanted: 'f', refused: 'it does not like it', lagMs: 5_000 }];
  const io = fakeIo({ answers: { [`${ADMIN}/proxies`]: { status: 200, body: JSON.stringify({ proxies }) } } });
  assert.equal(await runCommand(['proxies'], io), 0);
  const [head, first, second, last] = io.outLines.join('\n').split('\n');
  assert.match(head!, /^SERVICE +IDENTITY +PLAN +LAG +CERTIFICATE +CONNECTED +VERSION$/);
  assert.match(first!, /^shop\/orders +spiffe:\S+ +abcdefabcdef +- +65s +0\.1\.0$/);
  assert.match(second!, /^sidecar +.* refused /);
  assert.equal(last, 'i refuses: it does not like it');
});

test('fourways proxies: which control plane has each, where there are several', async () => {
  const proxies = [ROW, { ...ROW, control: '10.0.0.2:9901', isHere: false }];
  const io = fakeIo({ answers: { [`${ADMIN}/proxies`]: { status: 200, body: JSON.stringify({ proxies }) } } });
  assert.equal(await runCommand(['proxies'], io), 0);
  const [head, first, second] = io.outLines.join('\n').split('\n');
  assert.match(head!, /VERSION +CONTROL$/);
  assert.match(first!, / 10\.0\.0\.1:9901$/);
  assert.match(second!, / 10\.0\.0\.2:9901$/);
});
