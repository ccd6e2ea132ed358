/**
 * Tricks with paths, through a real proxy to a real upstream. What was let
 * through is read the way lenient servers read it: none of them may find what was
 * denied, or anything but what was allowed.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { posix } from 'node:path';
import { test } from 'node:test';
import { clusterTo, Harness, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { authorize, AuthorizeConfig } from './config.ts';
import { looseForms } from './path-pattern.ts';

const TRICKS = [
  '/admin',
  '/admin/',
  '/admin/users',
  '/ADMIN/users',
  '/Admin',
  '//admin',
  '/admin//users',
  '///admin///',
  '/./admin',
  '/open/../admin',
  '/open/%2e%2e/admin',
  '/open/.%2E/admin',
  '/public/../admin',
  '/public/%2e%2e/admin',
  '/%61dmin',
  '/%61%64%6d%69%6e/users',
  '/%2561dmin',
  '/%252561dmin',
  '/admin%2Fusers',
  '/admin%2f',
  '/%2fadmin',
  '/%2Fadmin%2Fusers',
  '/open%2f..%2fadmin',
  '/public/..%2fadmin',
  '/public%2f..%2fadmin',
  '/public/..%5cadmin',
  '/public/%5c../admin',
  '/public/..;/admin',
  '/public/..%3b/admin',
  '/public/..;x=1/admin',
  '/public/.;/../admin',
  '/admin;x=1',
  '/admin;jsessionid=1/users',
  '/;x/admin',
  '/admin%3bx=1',
  '/admin%3Bx/users',
  '/public/%252e%252e/admin',
  '/public/%252e%252e%252fadmin',
  '/public/%25252e%25252e/admin',
  '/public/..%252fadmin',
  '/public/%2e%252e/admin',
  '/public\\..\\admin',
  '\\admin',
  '/admin\\users',
  '/public/%c0%ae%c0%ae/admin',
  '/public/%u002e%u002e/admin',
  '/admin%00',
  '/admin%00.png',
  '/admin?x=/public',
  '/public?x=/../admin',
  '/admin#/public',
  '/admin%23/public',
  '/admin%3f/public',
  '/admin.',
  '/admin./users',
  '/admin...',
  '/.../admin',
  '/admin%20',
  '/admin%20.%20/users',
  '/%20admin',
  '/admin%09',
  '/admin%0a',
  '/admin%2520',
  '/public/..%20/admin',
  '/public/%252e%252e%2520/admin',
  '/../admin',
  '/public/a/../../admin',
  '/public//../admin',
  '/public/;/../admin',
  'http://shop.test/admin',
  'http://shop.test/%61dmin',
  'admin',
  '*',
];

const HARMLESS = ['/public', '/public/a', '/public/a.b/c%20d', '/open/x', '/administrator', '/open/admin'];

/** How servers read a path: each a step that some take and some do not, in this order. */
const STEPS: readonly ((path: string) => string)[] = [
  (path) => unescaped(path),
  (path) => unescaped(path),
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replace(/[?#\0].*$/s, ''),
  (path) => path.replaceAll(/;[^/]*/g, ''),
  (path) => path.replaceAll(/(?<=\/)[\0- ]+|[\0- ]+(?=\/|$)/g, ''),
  (path) => path.replaceAll(/\/+/g, '/'),
  (path) => posix.normalize(path),
  (path) => path.replaceAll(/[\0- .]+(?=\/|$)/g, ''),
  (path) => path.replaceAll(/\/+/g, '/'),
  (path) => path.toLowerCase(),
];

function unescaped(path: string): string {
  return path.replaceAll(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}

/** What all servers together may read: every choice of steps. */
function readings(path: string): Set<string> {
  let paths = new Set([path]);
  for (const step of STEPS) paths = new Set([...paths, ...[...paths].map(step)]);
  return paths;
}

interface Asked {
  readonly status: number;
  /** Paths that the upstream got. */
  readonly got: readonly string[];
}

class Site implements AsyncDisposable {
  readonly #upstream: Upstream;
  readonly #proxy: Harness;
  readonly #got: string[];

  private constructor(upstream: Upstream, proxy: Harness, got: string[]) {
    this.#upstream = upstream;
    this.#proxy = proxy;
    this.#got = got;
  }

  static async start(stated: object): Promise<Site> {
    const got: string[] = [];
    const upstream = await Upstream.start((request, answer) => {
      got.push(request.url!);
      answer.end('ok');
    });
    const proxy = new Harness([authorize]);
    const { value: config } = check(AuthorizeConfig, stated);
    await proxy.start({
      routes: { r: routeOf(ruleTo({ filters: [{ filter: 'authorize', config, owner: 'Policy d/p' }] })) },
      clusters: { c: clusterTo([upstream.port]) },
    });
    return new Site(upstream, proxy, got);
  }

  /** A request as an attacker writes it: byte by byte. */
  async ask(target: string): Promise<Asked> {
    const { length } = this.#got;
    const socket = net.connect(this.#proxy.port, '127.0.0.1');
    socket.write(`GET ${target} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n`, 'latin1');
    let answer = '';
    socket.setEncoding('latin1').on('data', (text: string) => (answer += text));
    await once(socket, 'close');
    return {
      status: Number(/^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1]),
      got: this.#got.slice(length),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#proxy[Symbol.asyncDispose]();
    await this.#upstream[Symbol.asyncDispose]();
  }
}

const isUnder = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

test('authorize: what is denied is reached by no spelling', async () => {
  await using site = await Site.start({ rules: [{ effect: 'deny', paths: ['/admin/**'] }] });
  for (const target of HARMLESS) assert.deepEqual((await site.ask(target)).got, [target], target);
  let refused = 0;
  for (const target of TRICKS) {
    const { status, got } = await site.ask(target);
    refused += Number(status === 403);
    for (const path of got) {
      const found = [...readings(path.split('?')[0]!)].filter((reading) => isUnder(reading, '/admin'));
      assert.deepEqual(found, [], `${target} was let through as ${path}`);
    }
    if (got.length === 0) assert.ok(status === 403 || status === 400 || status === 404, `${target}: ${status}`);
  }
  assert.ok(refused > 25, `only ${refused} were refused by the filter`);
});

test('authorize: by what is allowed, nothing else is reached', async () => {
  await using site = await Site.start({ rules: [{ paths: ['/public/**'] }] });
  for (const target of HARMLESS) {
    const { got, status } = await site.ask(target);
    assert.deepEqual(got, isUnder(target, '/public') ? [target] : [], target);
    assert.equal(status, got.length === 1 ? 200 : 403, target);
  }
  for (const target of TRICKS) {
    for (const path of (await site.ask(target)).got) {
      const found = [...readings(path.split('?')[0]!)].filter((reading) => !isUnder(reading, '/public'));
      assert.deepEqual(found, [], `${target} was let through as ${path}`);
    }
  }
});

test('authorize: the path that is authorised is the path that is forwarded', async () => {
  const paths = new Map([
    ['/%70ublic', '/public'],
    ['/a/../public', '/public'],
    ['/./public', '/public'],
    ['http://shop.test/public', '/public'],
  ]);
  await using site = await Site.start({ rules: [{ when: 'request.path == "/public"' }] });
  for (const [target, want] of paths) {
    const { got } = await site.ask(`${target}?q=%2e%2e`);
    assert.deepEqual(got, [`${want}?q=%2e%2e`], target);
  }
  for (const target of ['/public/', '/public;x', '/Public', '//public', '/public%2F']) {
    assert.deepEqual((await site.ask(target)).got, [], target);
  }
});

const LOOSE: readonly [path: string, ...want: string[]][] = [
  ['/a%2523b%3fc', '/a#b?c', '/a'],
  ['/', '/'],
  ['/admin', '/admin'],
  ['/shop.Orders/GetOrder', '/shop.orders/getorder'],
  ['/Admin/', '/admin'],
  ['/a//b', '/a/b'],
  ['/a;x=1/b;y', '/a/b'],
  ['/a%2Fb%5Cc', '/a/b/c'],
  ['/a%252e%252e%252fb', '/a/b'],
  ['/a./b', '/a/b'],
  ['/a...', '/a'],
  ['/.../b', '/b'],
  ['/a.b/.well-known', '/a.b/.well-known'],
  ['/a%20.%09/%0Ab', '/a/b'],
  ['/a/..%20/b', '/b'],
  ['/a/%252e%252e/b', '/b'],
  ['/%25252561', '/%61'],
  ['/%C3%84', '/ä'],
  ['/%FF%41', '/\u00ffa'],
];

for (const [path, ...want] of LOOSE) {
  test(`looseForms: ${path} is ${want.join(' or ')}`, () => assert.deepEqual(looseForms(path), want));
}

test('authorize: a path of any length and spelling is read in no time', () => {
  // Twice the longest request line that listeners take by default.
  const pieces = [
    '%25',
    '/',
    ';',
    '%252e%252e/',
    'A',
    '%2f',
    '%',
    '\\',
    '%C3%84',
    '/..;',
    '//',
    '?',
    '%FF',
    '%20',
    '.',
    '%20.',
  ];
  for (const piece of pieces) {
    const path = `/${piece.repeat(Math.floor(32_768 / piece.length))}`;
    const start = process.cpuUsage();
    looseForms(path);
    const { user } = process.cpuUsage(start);
    assert.ok(user < 100_000, `${piece}: ${user} us`);
  }
});
