/**
 * Secrets that an operator wrote and credentials that clients sent are planted
 * with marks, and searched wherever the program says something: log, access log
 * with everything that can be asked of it, metrics, admin API, answers, and what
 * the commands print of the same configuration.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHmac, generateKeyPairSync, randomBytes, scryptSync } from 'node:crypto';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import {
  gateway,
  gatewayClass,
  httpRoute,
  type Manifest,
  prefixRule,
  service,
  writeManifests,
} from './client/manifests.ts';

const LAUNCHER = fileURLToPath(new URL('../bin/fourways', import.meta.url));

/** In every planted value, and in nothing else. */
const MARK = 'PLANTED';

const PASSWORD = `${MARK}-password`;
const SALT = Buffer.from('a salt of a test');
const USERS = `alice:${usersHash()}`;
const JWT_SECRET = `${MARK}-secret-of-tokens-that-is-long-enough`;
/** With the mark of its first line: the rest of a PEM is never the same. */
const SIGNING_KEY = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  type: 'pkcs8',
  format: 'pem',
}) as string;
const WORD = `${MARK}-word-of-a-filter`;
const COOKIE_KEY = randomBytes(32).toString('base64');
const TOKEN = tokenOf({ iss: 'https://id.test', aud: 'a', sub: 'alice', exp: 4_102_444_800, pad: `${MARK}-claim` });

interface Plant {
  readonly filters: Readonly<Record<string, unknown>>;
  /** Values of the Secret `planted`. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Files beside the manifests. */
  readonly files?: Readonly<Record<string, string>>;
  /** Requests, each with its credentials: one that is right, and others. */
  readonly requests: readonly { readonly path?: string; readonly headers: Readonly<Record<string, string>> }[];
  /** Status of the first one, so that a plant that does not take is noticed. */
  readonly first: number;
}

const PLANTS: Readonly<Record<string, Plant>> = {
  'api-key': {
    filters: {
      apiKey: {
        from: [{ header: 'x-api-key' }, { query: 'key' }, { cookie: 'key' }],
        keys: [{ consumer: 'shop', secret: { name: 'planted', key: 'api-key' } }],
      },
    },
    secrets: { 'api-key': `${MARK}-api-key-of-the-shop-0123456789` },
    requests: [
      { headers: { 'x-api-key': `${MARK}-api-key-of-the-shop-0123456789` } },
      { path: `?key=${MARK}-api-key-of-the-shop-0123456789`, headers: {} },
      { path: `?key=${MARK}-wrong`, headers: { cookie: `key=${MARK}-other` } },
      { headers: { 'x-api-key': `${MARK}-wrong` } },
      { headers: { cookie: `key=${MARK}-wrong` } },
    ],
    first: 200,
  },
  basic: {
    filters: { basic: { secret: { name: 'planted', key: 'users' } } },
    // `fourways keys passwd` of the password below, at the least cost.
    secrets: { users: USERS },
    requests: [
      { headers: { authorization: `Basic ${btoa(`alice:${PASSWORD}`)}` } },
      { headers: { authorization: `Basic ${btoa(`alice:${MARK}-wrong`)}` } },
      { headers: { authorization: `Basic ${btoa(`${MARK}-user:${MARK}-wrong`)}` } },
      { headers: { authorization: `Basic ${MARK}` } },
    ],
    first: 200,
  },
  jwt: {
    filters: {
      jwt: {
        from: [{ header: 'authorization', scheme: 'Bearer' }, { query: 'token' }],
        issuers: [
          { issuer: 'https://id.test', audiences: ['a'], secretKeys: [{ secret: { name: 'planted', key: 'jwt' } }] },
        ],
      },
    },
    secrets: { jwt: JWT_SECRET },
    requests: [
      { headers: { authorization: `Bearer ${TOKEN}` } },
      { path: `?token=${TOKEN}`, headers: {} },
      { path: `?token=${TOKEN}x`, headers: {} },
      { headers: { authorization: `Bearer ${MARK}` } },
    ],
    first: 200,
  },
  'identity-header': {
    filters: {
      apiKey: { keys: [{ consumer: 'shop', secret: { name: 'planted', key: 'api-key' } }] },
      identityHeader: {
        token: { key: { name: 'planted', key: 'signing' }, issuer: 'https://edge.test', audience: ['a'] },
      },
    },
    secrets: { signing: SIGNING_KEY },
    requests: [{ headers: { 'x-api-key': `${MARK}-api-key-of-the-shop-0123456789` } }],
    first: 200,
  },
  own: ownPlant('worker'),
  'own-none': ownPlant('none'),
  'own-make': {
    // What JSON.parse says of a text that is none begins with that text.
    filters: { own: { use: [{ module: './parser.ts', secrets: { word: { name: 'planted', key: 'own' } } }] } },
    secrets: { own: WORD },
    files: { 'parser.ts': ownModule('parser', "make: (_, env) => JSON.parse(env.secret('word')) as never") },
    requests: [{ headers: { 'x-word': WORD } }],
    first: 500,
  },
  'ext-auth': {
    filters: {
      extAuth: { backend: { name: 'nobody', kind: 'Backend' }, http: { path: { value: '/verify' } }, timeout: '200ms' },
    },
    requests: [{ headers: { authorization: `Bearer ${MARK}-token`, cookie: `session=${MARK}` } }],
    first: 503,
  },
  cache: {
    filters: {
      apiKey: { from: [{ query: 'key' }], keys: [{ consumer: 'shop', secret: { name: 'planted', key: 'api-key' } }] },
      cache: { perIdentity: true, key: { headers: ['x-session'] }, defaults: [{ lifetime: '1h' }] },
    },
    // Each is asked twice: the second answer comes from the store, under a key with the query or the header in it.
    requests: ['', `${MARK}-session`].flatMap((session) => {
      const request = { path: `?key=${MARK}-api-key-of-the-shop-0123456789`, headers: { 'x-session': session } };
      return [request, request];
    }),
    first: 200,
  },
  oidc: {
    filters: {
      oidc: {
        providers: [
          {
            name: 'id',
            issuer: 'http://127.0.0.1:1',
            clientId: 'shop',
            clientSecret: { name: 'planted', key: 'client' },
          },
        ],
        keys: [{ name: 'planted', key: 'cookie' }],
        base: '/oidc',
      },
    },
    secrets: { client: `${MARK}-client-secret`, cookie: COOKIE_KEY },
    requests: [
      { headers: { accept: 'text/html', cookie: `fw=${MARK}; __Host-fw=${MARK}` } },
      { path: `/callback?code=${MARK}-code&state=${MARK}-state`, headers: { accept: 'text/html' } },
    ],
    // As a script asks: it is not sent to log in.
    first: 401,
  },
};

/** A filter that compares what it was lent, and fails in every way with that and with the request in its hands. */
function ownPlant(guard: 'worker' | 'none'): Plant {
  // An error that nobody catches ends a worker of the proxy where it has no thread of its own.
  const acts = ['throw', 'reject', 'refuse', 'ask', 'field', ...(guard === 'worker' ? ['timer'] : [])];
  const hooks = `make: (_, env) => ({
    async onRequest(x) {
      const word = env.secret('word');
      const said = x.request.headers.get('x-word');
      switch (x.request.query) {
        case '?act=throw': throw new Error(word);
        case '?act=reject': return Promise.reject(word);
        case '?act=refuse': return refuse({ status: 403, code: 'refused', title: 'No' });
        case '?act=ask': return void (await env.upstream('nobody').ask({ target: '/' + word, headers: { word } }));
        case '?act=field': return void x.request.headers.set('x-word', word + '\\n');
        case '?act=timer': setTimeout(() => { throw new Error(word + said); }, 1); return new Promise(() => undefined);
        default: return said === word ? undefined : refuse({ status: 403, code: 'unknown-word', title: 'No' });
      }
    },
  })`;
  const lent = {
    secrets: { word: { name: 'planted', key: 'own' } },
    upstreams: { nobody: { name: 'nobody', kind: 'Backend' } },
  };
  return {
    filters: { own: { use: [{ module: './keeper.ts', guard, ...lent }] } },
    secrets: { own: WORD },
    files: { 'keeper.ts': ownModule('keeper', hooks) },
    requests: [
      { headers: { 'x-word': WORD } },
      ...acts.map((act) => ({ path: `?act=${act}`, headers: { 'x-word': WORD, cookie: `word=${MARK}` } })),
    ],
    first: 200,
  };
}

function ownModule(name: string, make: string): string {
  return `import { defineFilter, refuse } from 'fourways/filter';\nexport default defineFilter({ name: '${name}', ${make} });\n`;
}

/** As `fourways keys passwd` writes it, at little cost. */
function usersHash(): string {
  const base64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
  const derived = scryptSync(PASSWORD, SALT, 32, { N: 2 ** 14, r: 8, p: 1 });
  return `$scrypt$ln=14,r=8,p=1$${base64(SALT)}$${base64(derived)}`;
}

function tokenOf(claims: object): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')}`;
}

const scratch = mkdtempSync(join(tmpdir(), 'fourways-planted-'));
const config = join(scratch, 'config');
const origin = createServer((_, answer) => answer.end('ok'));
let port = 0;
let program: Fourways;

before(async () => {
  await once(origin.listen(0, '127.0.0.1'), 'listening');
  port = await freePort(DOOR_HOST);
  const backend = { host: '127.0.0.1', port: (origin.address() as AddressInfo).port };
  const names = Object.keys(PLANTS);
  writeManifests(config, 'gateway.yaml', [
    gatewayClass(),
    gateway({ address: DOOR_HOST, port }),
    ...service('origin', [backend]),
    {
      apiVersion: 'fourways.io/v1alpha1',
      kind: 'Backend',
      metadata: { name: 'nobody', namespace: 'default' },
      spec: { endpoints: [{ address: '127.0.0.1', port: 1 }] },
    },
    ...names.map((name) => httpRoute({ name, rules: [prefixRule(`/${name}`, 'origin')] })),
    policy(
      { name: 'log', kind: 'Gateway', target: 'gw' },
      {
        listener: { accessLog: { query: 'keep', samplePercent: 100, linesPerSecond: 1_000_000 } },
      },
    ),
    ...Object.entries(PLANTS).map(([name, { filters }]) =>
      policy({ name, kind: 'HTTPRoute', target: name }, { filters }),
    ),
  ]);
  const secrets = Object.assign({}, ...Object.values(PLANTS).map((plant) => plant.secrets ?? {})) as object;
  writeManifests(config, 'secret.yaml', [
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'planted', namespace: 'default' }, stringData: secrets },
  ]);
  for (const { files = {} } of Object.values(PLANTS)) {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(config, name), text, { mode: 0o600 });
  }
  const env = { REDIS_URL: `redis://:${MARK}-password@127.0.0.1:1` };
  program = await Fourways.start({ config, workers: 1, logLevel: 'debug', env });
});

after(async () => {
  await program.stop('SIGKILL');
  origin.close();
  rmSync(scratch, { recursive: true, force: true });
});

function policy(
  { name, kind, target }: { readonly name: string; readonly kind: string; readonly target: string },
  spec: object,
): Manifest {
  return {
    apiVersion: 'fourways.io/v1alpha1',
    kind: 'Policy',
    metadata: { name, namespace: 'default' },
    spec: { targetRefs: [{ kind, name: target }], ...spec },
  };
}

/** What may not be anywhere: the mark, as it is and in the usual disguises. */
const DISGUISES = [
  MARK,
  TOKEN.slice(0, 80),
  Buffer.from(MARK).toString('base64').slice(0, 9),
  Buffer.from(MARK).toString('hex'),
];

function assertClean(text: string, where: string): void {
  for (const disguise of DISGUISES) {
    const at = text.indexOf(disguise);
    assert.equal(at, -1, `${where} says ${JSON.stringify(text.slice(Math.max(0, at - 120), at + 120))}`);
  }
}

for (const [name, { requests, first }] of Object.entries(PLANTS)) {
  test(`planted secrets: ${name}: answers say nothing of them`, async () => {
    const statuses: number[] = [];
    for (const { path = '', headers } of requests) {
      const answer = await fetch(`http://${DOOR_HOST}:${port}/${name}${path}`, { headers, redirect: 'manual' });
      statuses.push(answer.status);
      assertClean(await answer.text(), 'The body of an answer');
      assertClean(JSON.stringify([...answer.headers]), 'The head of an answer');
    }
    assert.equal(statuses[0], first, program.output());
  });
}

test('planted secrets: the admin API says nothing of them', async () => {
  for (const path of ['/plan', '/status', '/metrics', '/certificates', '/cache', '/endpoints', '/version', '/']) {
    const answer = await fetch(program.admin + path);
    assertClean(await answer.text(), path);
  }
});

test('planted secrets: "fourways cache stats" says nothing of what is kept', () => {
  for (const json of [[], ['--json']]) {
    const { stdout, stderr, status } = spawnSync(
      LAUNCHER,
      ['cache', 'stats', '--admin', new URL(program.admin).host, ...json],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stdout + stderr);
    // The others would not notice answers that were not kept.
    assert.match(stdout, json.length === 0 ? /default\/cache +2 / : /"entries":2/);
    assertClean(stdout + stderr, 'cache stats');
  }
});

test('planted secrets: the log and the access log say nothing of them', async () => {
  const asked = Object.values(PLANTS).reduce((sum, { requests }) => sum + requests.length, 0);
  await program.until(() => program.output().split('"request_id"').length > asked, 'all lines are written');
  assertClean(program.output(), 'The log');
});

const COMMANDS: readonly (readonly string[])[] = [
  ['check', config],
  ['check', config, '--json'],
  ['show', config],
  ['show', config, '--expanded'],
  ['show', 'plan', config],
  ['show', 'status', config],
  ['routes', config],
  ...Object.keys(PLANTS).flatMap((name) => [
    ['show', config, '--policies', name],
    ['show', config, '--policies', name, '--json'],
  ]),
];

for (const args of COMMANDS) {
  const words = args.map((word) => (word === config ? 'PATH' : word)).join(' ');
  test(`planted secrets: "fourways ${words}" says nothing of them`, () => {
    const { stdout, stderr, status } = spawnSync(LAUNCHER, args, { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
    assertClean(stdout + stderr, words);
  });
}

test('planted secrets: "fourways explain" says nothing of them', () => {
  for (const name of Object.keys(PLANTS)) {
    const { stdout, stderr, status } = spawnSync(
      LAUNCHER,
      ['explain', 'GET', `http://${DOOR_HOST}:${port}/${name}`, '--config', config],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stdout + stderr);
    assertClean(stdout + stderr, 'explain');
  }
});

test('planted secrets: problems of a wrong configuration say nothing of them', async () => {
  const wrong = join(scratch, 'wrong');
  writeManifests(wrong, 'secret.yaml', [
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'planted' },
      stringData: { key: `${MARK}-a`, number: [MARK] },
    },
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'tls' },
      type: 'kubernetes.io/tls',
      stringData: { 'tls.crt': MARK, 'tls.key': MARK },
    },
  ]);
  for (const json of [[], ['--json']]) {
    const { stdout, stderr, status } = spawnSync(LAUNCHER, ['check', wrong, ...json], { encoding: 'utf8' });
    assert.equal(status, 1, stdout + stderr);
    assertClean(stdout + stderr, 'check');
  }
});
