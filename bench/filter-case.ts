/** Filters under load, each against the empty chain and, where it has the same thing, against nginx. */
import { createHmac, generateKeyPairSync, hash, scryptSync } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { makeEnv } from '../src/filter/testing/exchange.ts';
import { OidcConfig } from '../src/filters/oidc/config.ts';
import { code as oidcCode } from '../src/filters/oidc/filter.ts';
import { Store } from '../src/filters/oidc/store.ts';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import { check } from '../src/schema/schema.ts';
import type { Manifest } from '../test/client/manifests.ts';
import type { ClientCertificate, Scenario } from './scenario.ts';

export interface FilterCase {
  /** `filters` of one Policy on the route. @param dir  where its files may be written; it is the folder of the manifests */
  filters(dir: string): Readonly<Record<string, unknown>>;
  /** Further objects: Secrets. */
  readonly manifests?: readonly Manifest[];
  /** The same in nginx: lines of `http` and of `location`. Absent: nginx proxies as ever. */
  readonly nginx?: { readonly http?: string; readonly server?: string; readonly location: string };
}

interface NamedCase {
  readonly name: string;
  readonly about: string;
  readonly headers?: readonly string[];
  readonly path?: string;
  readonly bodyBytes?: number;
  /** Sent with POST. */
  readonly body?: Buffer;
  /** Clients speak TLS and show it. */
  readonly clientCertificate?: ClientCertificate;
  readonly filter: FilterCase;
}

/** As `fourways keys create` makes them, of the number of the key instead of chance. */
function keyOf(n: number): string {
  return `bench_${hash('sha256', `key ${n}`, 'base64url')}`;
}

const KEYS = 1_000_000;

function writeKeys(dir: string): string {
  const lines = Array.from(
    { length: KEYS },
    (_, n) =>
      `{"id":"${n.toString(16).padStart(16, '0')}","sha256":"${hash('sha256', keyOf(n))}","consumer":"consumer-${n % 1_000}"}\n`,
  );
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'keys.jsonl'), lines.join(''));
  return 'keys.jsonl';
}

const JWT_SECRET = 'a-secret-of-the-bench-that-is-long-enough';

function jwt(): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { iss: 'https://id.test', aud: 'bench', sub: 'alice', groups: ['staff'], exp: 4_102_444_800 };
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')}`;
}

const PASSWORD = 'a password of the bench';

/** As `fourways keys passwd` writes it, at little cost. */
function usersLine(): string {
  const salt = Buffer.from('salt of a bench!');
  const base64 = (bytes: Buffer): string => bytes.toString('base64').replaceAll('=', '');
  return `alice:$scrypt$ln=14,r=8,p=1$${base64(salt)}$${base64(scryptSync(PASSWORD, salt, 32, { N: 2 ** 14, r: 8, p: 1 }))}`;
}

function writeOpenapi(dir: string): string {
  mkdirSync(dir, { recursive: true });
  const operation = {
    parameters: [
      { name: 'id', in: 'path', required: true, schema: { type: 'integer', minimum: 1 } },
      { name: 'limit', in: 'query', schema: { type: 'integer', maximum: 100 } },
    ],
    responses: { 200: { description: 'An order' } },
  };
  const document = {
    openapi: '3.1.0',
    info: { title: 'Orders', version: '1' },
    paths: { '/orders/{id}': { get: operation } },
  };
  // No `.json`: that would be read as a manifest.
  writeFileSync(join(dir, 'openapi.txt'), JSON.stringify(document));
  return 'openapi.txt';
}

function writeOwn(dir: string): string {
  mkdirSync(dir, { recursive: true });
  const own = new URL('../src/filter/own.ts', import.meta.url).href;
  const made = "make: () => ({ onRequest: (x) => void x.request.headers.set('x-own', 'yes') })";
  writeFileSync(
    join(dir, 'stamp.mts'),
    `import { defineFilter } from ${JSON.stringify(own)};\nexport default defineFilter({ name: 'stamp', ${made} });\n`,
  );
  return './stamp.mts';
}

/** JSON of about this length. */
function orders(bytes: number): string {
  const one = (id: number): object => ({ id, sku: hash('sha256', `sku ${id}`).slice(0, 12), state: 'paid' });
  return JSON.stringify(Array.from({ length: Math.ceil(bytes / 50) }, (_, id) => one(id)));
}

const SESSION_KEY = 'a-key-of-cookies-for-the-bench-that-is-long';

const SECRETS: Manifest = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'bench', namespace: 'default' },
  stringData: {
    jwt: JWT_SECRET,
    users: usersLine(),
    'api-key': keyOf(1),
    session: SESSION_KEY,
    signing: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }),
  },
};

const OIDC = {
  providers: [{ name: 'id', issuer: 'https://id.test', clientId: 'shop' }],
  keys: [{ name: 'bench', key: 'session' }],
  claimHeaders: [{ claim: 'email', header: 'X-Email' }],
  cookie: { transport: 'any' },
};

/** What a browser has after a login, sealed as the filter does it, for the Policy of the bench. */
function sessionCookie(): string {
  const env = makeEnv({
    secret: () => SESSION_KEY,
    fetch: () => Promise.reject(new TypeError('away')),
    wallMs: () => Date.now(),
    owner: 'Policy default/bench',
  });
  const config = check(OidcConfig, OIDC).value!;
  const filter = oidcCode.make(config, env);
  const prefix = /cookie-name="([^"]+)"/.exec(filter.challenge!)![1]!;
  filter.close?.();
  const nowS = Math.floor(Date.now() / 1_000);
  const session = {
    id: 'bench',
    turn: 0,
    provider: 'id',
    issuer: 'https://id.test',
    clientId: 'shop',
    subject: 'alice',
    claims: { sub: 'alice', email: 'alice@shop.test', groups: ['staff'] },
    scopes: ['openid'],
    startS: nowS,
    freshS: nowS,
    idToken: 'x'.repeat(900),
  };
  const store = new Store({ config, provider: config.providers[0]!, prefix, secrets: [SESSION_KEY] }, env);
  return store
    .sessionLines(session, new Map())!
    .map((line) => line.replace(/;.*/, ''))
    .join('; ');
}

function clientOf(uri: string): ClientCertificate {
  const ca = makeCertificate({ kind: 'ca' });
  const { certificatePem, privateKeyPem } = makeCertificate({ kind: 'client', uris: [uri], issuer: ca });
  return { certificatePem, privateKeyPem, caPem: ca.leafPem };
}

function networks(first: string): string[] {
  return Array.from({ length: 10 }, (_, i) => `${first}.${20 + i}.0.0/16`);
}

const CASES: readonly NamedCase[] = [
  {
    name: 'ip-access',
    about: 'ten networks to let in, ten to keep out',
    filter: {
      filters: () => ({
        ipAccess: { allow: ['127.0.0.0/8', ...networks('10')], deny: networks('172') },
      }),
      nginx: {
        location: [
          ...networks('172').map((net) => `deny ${net};`),
          ...networks('10').map((net) => `allow ${net};`),
          'allow 127.0.0.0/8; deny all;',
        ].join(' '),
      },
    },
  },
  {
    name: 'authorize',
    about: 'ten rules, of which the last one allows',
    filter: {
      filters: () => ({
        authorize: {
          rules: [
            ...Array.from({ length: 4 }, (_, i) => ({ effect: 'deny', paths: [`/internal${i}/**`] })),
            ...Array.from({ length: 5 }, (_, i) => ({ methods: ['PUT'], paths: ['/**'], subjects: [`user${i}`] })),
            { methods: ['GET', 'POST'], when: 'request.path.startsWith("/") && source.address.inCidr("127.0.0.0/8")' },
          ],
        },
      }),
    },
  },
  {
    name: 'api-key',
    about: `one of ${KEYS} keys`,
    headers: [`x-api-key: ${keyOf(123_456)}`],
    filter: { filters: (dir) => ({ apiKey: { file: writeKeys(dir) } }) },
  },
  {
    name: 'jwt',
    about: 'a token that was checked before',
    headers: [`authorization: Bearer ${jwt()}`],
    filter: {
      filters: () => ({
        jwt: {
          issuers: [
            {
              issuer: 'https://id.test',
              audiences: ['bench'],
              secretKeys: [{ secret: { name: 'bench', key: 'jwt' } }],
            },
          ],
        },
      }),
      manifests: [SECRETS],
    },
  },
  {
    name: 'oidc',
    about: 'a session in a cookie that was opened before',
    headers: [`cookie: ${sessionCookie()}`],
    filter: { filters: () => ({ oidc: OIDC }), manifests: [SECRETS] },
  },
  {
    name: 'mtls',
    about: 'a client certificate, over TLS, from a script that is slower than the proxies; nginx: ssl_verify_client',
    clientCertificate: clientOf('spiffe://bench.test/ns/default/sa/load'),
    filter: { filters: () => ({ mtls: { allow: [{ spiffe: ['spiffe://bench.test/*'] }] } }) },
  },
  {
    name: 'rate-limit',
    about: 'two windows by address, exact over all workers; nginx: one, over its workers',
    filter: {
      filters: () => ({
        rateLimit: {
          limits: [
            { requests: 1_000_000, per: '1s' },
            { requests: 1_000_000_000, per: '1h' },
          ],
        },
      }),
      nginx: {
        http: 'limit_req_zone $binary_remote_addr zone=bench:10m rate=1000000r/s;',
        location: 'limit_req zone=bench burst=1000000 nodelay;',
      },
    },
  },
  {
    name: 'concurrency',
    about: 'requests at a time; nginx: limit_conn',
    filter: {
      filters: () => ({ concurrency: { max: 10_000 } }),
      nginx: {
        http: 'limit_conn_zone $binary_remote_addr zone=benchconn:10m;',
        location: 'limit_conn benchconn 10000;',
      },
    },
  },
  {
    name: 'compress',
    about: 'gzip of 16 KB of text, level 5 on both sides',
    headers: ['accept-encoding: gzip'],
    bodyBytes: 16_384,
    filter: {
      filters: () => ({ compress: { types: ['*'] } }),
      nginx: { location: 'gzip on; gzip_types *; gzip_comp_level 5; gzip_proxied any;' },
    },
  },
  {
    name: 'basic',
    about: 'a password that was checked a moment ago; nginx checks an MD5 crypt each time',
    headers: [`authorization: Basic ${Buffer.from(`alice:${PASSWORD}`).toString('base64')}`],
    filter: {
      filters: () => ({ basic: { secret: { name: 'bench', key: 'users' }, cacheSeconds: 3_600 } }),
      manifests: [SECRETS],
    },
  },
  {
    name: 'identity-header',
    about: 'a signed header for the consumer of a key',
    headers: [`x-api-key: ${keyOf(1)}`],
    filter: {
      filters: () => ({
        apiKey: { keys: [{ consumer: 'shop', secret: { name: 'bench', key: 'api-key' } }] },
        identityHeader: {
          token: { key: { name: 'bench', key: 'signing' }, issuer: 'https://edge.test', audience: ['origin'] },
        },
      }),
      manifests: [SECRETS],
    },
  },
  {
    name: 'ext-auth',
    about: 'an authorizer that says yes (the origin), asked for each request; nginx: auth_request',
    filter: {
      filters: () => ({ extAuth: { backend: { name: 'origin', port: 80 }, http: { path: { value: '/verify' } } } }),
      nginx: {
        server: 'location = /verify { internal; proxy_pass http://origin; }',
        location: 'auth_request /verify;',
      },
    },
  },
  {
    name: 'validate',
    about: 'parameters of a path and a query against an OpenAPI document',
    path: '/orders/42?limit=10',
    filter: {
      filters: (dir) => ({ validate: { file: writeOpenapi(dir), requests: 'enforce' } }),
    },
  },
  {
    name: 'transform',
    about: 'a header by an expression',
    filter: {
      filters: () => ({ transform: { request: { setHeaders: [{ name: 'x-caller', value: 'source.address' }] } } }),
    },
  },
  {
    name: 'headers',
    about: 'three request headers and two of the answer set; nginx: proxy_set_header and add_header',
    filter: {
      filters: () => ({
        headers: {
          request: { set: ['a', 'b', 'c'].map((name) => ({ name: `x-${name}`, value: name })) },
          response: { set: ['d', 'e'].map((name) => ({ name: `x-${name}`, value: name })) },
        },
      }),
      nginx: {
        location:
          'proxy_set_header x-a a; proxy_set_header x-b b; proxy_set_header x-c c; proxy_set_header Host $host; proxy_set_header Connection ""; add_header x-d d; add_header x-e e;',
      },
    },
  },
  {
    name: 'own-none',
    about: 'an own filter in TypeScript that sets a header, in the thread of the proxy',
    filter: {
      filters: (dir) => ({ own: { use: [{ module: writeOwn(dir), guard: 'none' }] } }),
    },
  },
  {
    name: 'direct-response',
    about: 'a text from the configuration; nginx: return 200',
    filter: {
      filters: () => ({ directResponse: { status: 200, body: 'x'.repeat(100) } }),
      nginx: { location: `return 200 "${'x'.repeat(100)}";` },
    },
  },
  {
    name: 'cors',
    about: 'a request of another origin; nginx: map and add_header',
    headers: ['origin: https://www.shop.test'],
    filter: {
      filters: () => ({ cors: { allowOrigins: ['https://*.shop.test'], allowCredentials: true } }),
      nginx: {
        http: String.raw`map $http_origin $bench_origin { default ""; "~^https://[^/]+\.shop\.test$" $http_origin; }`,
        location:
          'add_header Access-Control-Allow-Origin $bench_origin; add_header Access-Control-Allow-Credentials true; add_header Vary Origin;',
      },
    },
  },
  {
    name: 'body-limit',
    about: 'POST of 4 KB where 1 MiB may come; nginx: client_max_body_size',
    body: Buffer.alloc(4_096, 'x'),
    filter: {
      filters: () => ({ bodyLimit: { bytesMax: 1_048_576 } }),
      nginx: { location: 'client_max_body_size 1m;' },
    },
  },
  {
    name: 'decompress',
    about: 'POST of 16 KB of JSON as gzip; nginx passes it on as it is',
    headers: ['content-encoding: gzip', 'content-type: application/json'],
    body: gzipSync(orders(16_384)),
    filter: { filters: () => ({ decompress: {} }) },
  },
  {
    name: 'rewrite',
    about: 'another prefix and another host; nginx: rewrite and proxy_set_header',
    path: '/a/b?c=d',
    filter: {
      filters: () => ({ rewrite: { hostname: 'inner.test', path: { kind: 'prefix', value: '/new' } } }),
      nginx: {
        location:
          'rewrite ^/(.*)$ /new/$1 break; proxy_set_header Host inner.test; proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme;',
      },
    },
  },
  {
    name: 'redirect',
    about: 'to HTTPS; nginx: return 301',
    path: '/a/b?c=d',
    filter: {
      filters: () => ({ redirect: { scheme: 'https', statusCode: 301 } }),
      nginx: { location: 'return 301 https://$host$request_uri;' },
    },
  },
  {
    name: 'mock',
    about: 'one of two described answers; nginx: return 200',
    path: '/orders/42',
    filter: {
      filters: () => ({
        mock: {
          responses: [
            { path: '/orders', example: [] },
            { path: '/orders/{id}', example: { id: 42, state: 'paid' } },
          ],
        },
      }),
      nginx: { location: `default_type application/json; return 200 '{"id":42,"state":"paid"}';` },
    },
  },
  {
    name: 'cache',
    about: 'an answer from the cache, while nginx proxies each',
    filter: { filters: () => ({ cache: { defaults: [{ lifetime: '1h' }] } }) },
  },
];

/** @param plain  what a scenario is without a filter */
export function filterScenarios(plain: Omit<Scenario, 'name' | 'about'>): Scenario[] {
  return CASES.map(
    ({ name, about, headers = [], path, body, bodyBytes = plain.bodyBytes, clientCertificate, filter }) => ({
      ...plain,
      name: `filter-${name}`,
      about: `filter: ${about}`,
      headers,
      bodyBytes,
      ...(path !== undefined && { path }),
      ...(body !== undefined && { body }),
      ...(clientCertificate !== undefined && { clientCertificate, tls: true, load: 'mtls' as const }),
      filter,
      only: ['fourways', 'fourways-empty', 'nginx'],
    }),
  );
}
