import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ControlOptions, GatewayOptions } from './command.ts';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

const CONTROL: ControlOptions = {
  path: '/home/user/conf',
  mesh: { host: '0.0.0.0', port: 15_010 },
  meshIssuer: undefined,
  admin: { host: '127.0.0.1', port: 9_900 },
  dataDir: undefined,
  logLevel: 'info',
  announce: 'text',
};

const CONTROLS: [rule: string, argv: string[], want: Partial<ControlOptions>][] = [
  ['a path is enough', [], {}],
  [
    'other addresses',
    ['--mesh', '[::1]:1', '--admin', '127.0.0.1:2'],
    { mesh: { host: '::1', port: 1 }, admin: { host: '127.0.0.1', port: 2 } },
  ],
  [
    'a folder, a level, JSON',
    ['--data', 'd', '--log-level', 'debug', '--json'],
    { dataDir: '/home/user/d', logLevel: 'debug', announce: 'json' },
  ],
];

for (const [rule, argv, want] of CONTROLS) {
  test(`fourways control: ${rule}`, async () => {
    const io = fakeIo();
    assert.equal(await runCommand(['control', 'conf', ...argv], io), 0);
    assert.deepEqual(io.controls, [{ ...CONTROL, ...want }]);
  });
}

const NEEDED = ['--name', 'shop/edge', '--control', '10.0.0.1:15010'];

const GATEWAY: GatewayOptions = {
  id: { trustDomain: 'cluster.local', namespace: 'shop', account: 'edge' },
  gateways: ['shop/edge'],
  control: ['10.0.0.1:15010'],
  tokenFile: undefined,
  admin: { host: '127.0.0.1', port: 9_901 },
  bind: undefined,
  address: '',
  zone: '',
  workers: 0,
  dataDir: '/home/user/.fourways/gateway-shop.edge',
  drainMs: 30_000,
  ticketKeysMs: 43_200_000,
  redisUrl: undefined,
  logLevel: 'info',
  announce: 'text',
};

const GATEWAYS: [rule: string, argv: string[], want: Partial<GatewayOptions>][] = [
  ['what is needed is enough', [], {}],
  ['several Gateways', ['--name', 'ops/inner'], { gateways: ['shop/edge', 'ops/inner'] }],
  [
    'another account',
    ['--account', 'door'],
    { id: { trustDomain: 'cluster.local', namespace: 'shop', account: 'door' } },
  ],
  ['the address of --bind is that of clients', ['--bind', '10.0.0.2'], { bind: '10.0.0.2', address: '10.0.0.2' }],
  ['unless it is said', ['--bind', '10.0.0.2', '--address', '1.2.3.4'], { bind: '10.0.0.2', address: '1.2.3.4' }],
];

for (const [rule, argv, want] of GATEWAYS) {
  test(`fourways gateway: ${rule}`, async () => {
    const io = fakeIo();
    assert.equal(await runCommand(['gateway', ...NEEDED, ...argv], io), 0);
    assert.deepEqual(io.gateways, [{ ...GATEWAY, ...want }]);
  });
}

const WRONG: [argv: string[], words: RegExp][] = [
  [['control'], /PATH|path/],
  [['control', 'conf', '--mesh', 'here'], /--mesh/],
  [['gateway', '--control', 'a:1'], /--name is missing/],
  [['gateway', '--name', 'edge', '--control', 'a:1'], /NAMESPACE\/NAME/],
  [['gateway', '--name', 'shop/edge'], /--control is missing/],
  [['gateway', ...NEEDED, '--bind', 'here'], /--bind is "here": must be an IP address/],
  [['gateway', ...NEEDED, '--address', 'here'], /--address is "here"/],
  [['gateway', ...NEEDED, 'conf'], /Unexpected argument/],
];

for (const [argv, words] of WRONG) {
  test(`fourways ${argv.join(' ')}: refused`, async () => {
    const io = fakeIo();
    assert.equal(await runCommand(argv, io), 2);
    assert.match(io.errLines.join('\n'), words);
  });
}
