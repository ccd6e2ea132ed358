import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { UpOptions } from './command.ts';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';
import { isRedisUrl } from './values.ts';

const DEFAULTS: UpOptions = {
  path: '/home/user/gateway',
  bind: undefined,
  admin: { host: '127.0.0.1', port: 9900 },
  workers: 0,
  dataDir: undefined,
  drainMs: 30_000,
  ticketKeysMs: 12 * 3_600_000,
  redisUrl: undefined,
  mesh: undefined,
  meshIssuer: undefined,
  zone: '',
  takeover: false,
  logLevel: 'info',
  announce: 'text',
};

const GOOD: [rule: string, argv: string[], want: Partial<UpOptions>][] = [
  ['a path is enough', [], {}],
  ['an IPv4 address to bind', ['--bind', '0.0.0.0'], { bind: '0.0.0.0' }],
  [
    'an issuer for it',
    ['--mesh-issuer', 'chain.pem', '--mesh-issuer-key', '/k.pem'],
    { meshIssuer: { chain: '/home/user/chain.pem', key: '/k.pem' } },
  ],
  ['a mesh', ['--mesh', '10.0.0.1:15010'], { mesh: { host: '10.0.0.1', port: 15_010 } }],
  ['an IPv6 address to bind', ['--bind', '::1'], { bind: '::1' }],
  ['an admin address', ['--admin', 'localhost:0'], { admin: { host: 'localhost', port: 0 } }],
  ['an IPv6 admin address stands in brackets', ['--admin=[::1]:9900'], { admin: { host: '::1', port: 9900 } }],
  ['a number of workers', ['--workers', '2'], { workers: 2 }],
  ['a folder is resolved', ['--data', '../state'], { dataDir: '/home/state' }],
  ['milliseconds', ['--drain', '500ms'], { drainMs: 500 }],
  ['seconds', ['--drain=10s'], { drainMs: 10_000 }],
  ['minutes', ['--drain=2m'], { drainMs: 120_000 }],
  ['hours', ['--drain=24h'], { drainMs: 86_400_000 }],
  ['no drain at all', ['--drain=0'], { drainMs: 0 }],
  ['keys of tickets', ['--ticket-keys', '1h'], { ticketKeysMs: 3_600_000 }],
  ['a Redis', ['--redis', 'redis://cache.test'], { redisUrl: 'redis://cache.test' }],
  [
    'a Redis by TLS, with everything',
    ['--redis=rediss://user:pass@cache.test:7000/3'],
    { redisUrl: 'rediss://user:pass@cache.test:7000/3' },
  ],
  ['take over', ['--takeover'], { takeover: true }],
  ['a log level', ['--log-level', 'debug'], { logLevel: 'debug' }],
  ['JSON', ['--json'], { announce: 'json' }],
];

for (const [rule, argv, want] of GOOD) {
  test(`up: ${rule}`, async () => {
    const io = fakeIo();
    assert.equal(await runCommand(['up', 'gateway', ...argv], io), 0);
    assert.deepEqual(io.ups, [{ ...DEFAULTS, ...want }]);
  });
}

const BAD: [rule: string, argv: string[], want: RegExp][] = [
  ['no path', [], /Name a file or a folder/],
  ['an empty path', [''], /The path is empty/],
  ['two paths', ['a', 'b'], /Unexpected argument "b"/],
  ['a name to bind', ['a', '--bind', 'localhost'], /--bind is "localhost": must be an IP address/],
  ['a port in bind', ['a', '--bind', '0.0.0.0:80'], /must be an IP address/],
  ['an admin address without port', ['a', '--admin', '127.0.0.1'], /--admin is "127.0.0.1": must be HOST:PORT/],
  ['a port above 65535', ['a', '--admin', '127.0.0.1:65536'], /must be HOST:PORT/],
  ['an IPv6 admin address without brackets', ['a', '--admin', '::1'], /write an IPv6 address in brackets/],
  ['a name in brackets', ['a', '--admin', '[localhost]:1'], /only an IPv6 address stands in brackets/],
  ['no workers', ['a', '--workers', '0'], /must be a whole number from 1 to 256/],
  ['many workers', ['a', '--workers', '257'], /must be a whole number/],
  ['workers in hex', ['a', '--workers', '0x2'], /must be a whole number/],
  ['half a worker', ['a', '--workers', '1.5'], /must be a whole number/],
  ['a negative number of workers', ['a', '--workers=-1'], /must be a whole number/],
  [
    'keys of tickets for less than a second',
    ['a', '--ticket-keys', '500ms'],
    /--ticket-keys is "500ms": must be at least 1s/,
  ],
  ['keys of tickets for more than a week', ['a', '--ticket-keys', '169h'], /must be at most 168h/],
  ['a Redis without a scheme', ['a', '--redis', 'cache.test:6379'], /--redis is not right: it must be redis:\/\//],
  ['an empty Redis', ['a', '--redis='], /--redis is not right/],
  ['a time without unit', ['a', '--drain', '30'], /must be a time such as 500ms, 30s/],
  ['a long time', ['a', '--drain', '25h'], /must be at most 24h/],
  ['a fraction of time', ['a', '--drain', '1.5s'], /must be a time/],
];

for (const [rule, argv, want] of BAD) {
  test(`up: refuses ${rule}`, async () => {
    const io = fakeIo();
    assert.equal(await runCommand(['up', ...argv], io), 2);
    assert.match(io.errLines.join('\n'), want);
    assert.deepEqual(io.ups, []);
  });
}

test('up: the password in a wrong address of a Redis is not repeated', async () => {
  const io = fakeIo();
  assert.equal(await runCommand(['up', 'a', '--redis', 'http://:planted-secret@cache.test'], io), 2);
  assert.doesNotMatch(JSON.stringify([io.errLines, io.outLines]), /planted/);
});

const REDIS_URLS: [url: string, want: boolean][] = [
  ['redis://cache.test', true],
  ['redis://cache.test/', true],
  ['redis://cache.test:6379/15', true],
  ['redis://:password@cache.test', true],
  ['rediss://user:password@cache.test:7000/0', true],
  ['redis://[::1]:6379', true],
  ['redis://p%40ss:p%2Fw@127.0.0.1', true],
  ['', false],
  ['redis:', false],
  ['redis://', false],
  ['redis://:password@', false],
  ['redis:///0', false],
  ['redis://cache.test/name', false],
  ['redis://cache.test/0/1', false],
  ['redis://cache.test/123456', false],
  ['redis://cache.test:65536', false],
  ['redis+tls://cache.test', false],
  ['https://cache.test', false],
  ['cache.test:6379', false],
  ['unix:///run/redis.sock', false],
];

for (const [url, want] of REDIS_URLS) {
  test(`isRedisUrl: "${url}" is ${want ? 'one' : 'none'}`, () => assert.equal(isRedisUrl(url), want));
}
