/** Filters under load, each against the empty chain and, where it has the same thing, against nginx. */
import { createHmac, hash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '../test/client/manifests.ts';
import type { Scenario } from './scenario.ts';

export interface FilterCase {
  /** `filters` of one Policy on the route. @param dir  where its files may be written; it is the folder of the manifests */
  filters(dir: string): Readonly<Record<string, unknown>>;
  /** Further objects: Secrets. */
  readonly manifests?: readonly Manifest[];
  /** The same in nginx: lines of `http` and of `location`. Absent: nginx proxies as ever. */
  readonly nginx?: { readonly http?: string; readonly location: string };
}

interface NamedCase {
  readonly name: string;
  readonly about: string;
  readonly headers?: readonly string[];
  readonly bodyBytes?: number;
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

const SECRETS: Manifest = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 'bench', namespace: 'default' },
  stringData: { jwt: JWT_SECRET },
};

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
    name: 'cache',
    about: 'an answer from the cache, while nginx proxies each',
    filter: { filters: () => ({ cache: { defaults: [{ lifetime: '1h' }] } }) },
  },
];

/** @param plain  what a scenario is without a filter */
export function filterScenarios(plain: Omit<Scenario, 'name' | 'about'>): Scenario[] {
  return CASES.map(({ name, about, headers = [], bodyBytes = plain.bodyBytes, filter }) => ({
    ...plain,
    name: `filter-${name}`,
    about: `filter: ${about}`,
    headers,
    bodyBytes,
    filter,
    only: ['fourways', 'fourways-empty', 'nginx'],
  }));
}
