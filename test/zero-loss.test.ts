/**
 * Nothing is lost while everything changes: routes, certificates, backends, and
 * at the end the program itself. Real processes, real sockets, steady load.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import { DOOR_HOST, Fourways, freePort, type StatusItem } from './client/fourways.ts';
import { Load } from './client/load.ts';
import {
  gateway,
  gatewayClass,
  httpRoute,
  type Manifest,
  prefixRule,
  service,
  tlsSecret,
  writeManifests,
} from './client/manifests.ts';
import { answering, ok, type Origin, startOrigin } from './client/origin.ts';
import type { RawClient, Target } from './client/raw-client.ts';

const ROUTE_EDITS = 300;
const CERTIFICATE_SWAPS = 20;
const BACKEND_CHANGES = 30;
/** An edit that is not served after this long has been lost. */
const APPLY_MS_MAX = 10_000;
const HOST = 'shop.test';
const GAP_MS = 2;

const dir = mkdtempSync(join(tmpdir(), 'fourways-zero-loss-'));
const config = join(dir, 'config');
const origins: Origin[] = [];
let program: Fourways;
let plain: Target;
let tls: Target;

before(async () => {
  for (let i = 0; i < 3; i++) origins.push(await startOrigin(answering(answerOf(i))));
  const [httpPort, httpsPort] = [await freePort(DOOR_HOST), await freePort(DOOR_HOST)];
  plain = { host: DOOR_HOST, port: httpPort };
  tls = { host: DOOR_HOST, port: httpsPort, tls: { rejectUnauthorized: false, servername: HOST } };
  writeManifests(config, 'gateway.yaml', [
    gatewayClass(),
    gateway({ name: 'plain', port: httpPort }),
    gateway({ name: 'secure', port: httpsPort, tlsSecret: 'shop' }),
  ]);
  writeManifests(config, 'service.yaml', service('shop', origins));
  writeSecret(certificateOf(0));
  writeRoute(0);
  // Neighbours that nobody touches: an edit must not cost in proportion to them, nor disturb them.
  const others = Array.from({ length: 50 }, (_, i) =>
    httpRoute({ name: `other-${i}`, gateway: 'plain', hostnames: [`o${i}.test`], rules: [prefixRule('/', 'shop')] }),
  );
  writeManifests(config, 'others.yaml', others);
  program = await Fourways.start({ config, workers: 2, logLevel: 'warn', drain: '10s' });
});

after(async () => {
  await program?.stop('SIGKILL');
  for (const origin of origins) await origin.close();
  rmSync(dir, { recursive: true, force: true });
});

test(`${ROUTE_EDITS} edits of a route: no failed request, and no answer of an old rule once the new one was reported`, async () => {
  let applied = 0;
  const load = steady(plain, {
    connections: 12,
    judge: (revision, startedMs) =>
      revision >= revisionAt(startedMs) ? undefined : `Revision ${revision} after ${applied} was reported`,
  });
  const base = generationOf(await program.status());
  for (let revision = 1; revision <= ROUTE_EDITS; revision++) {
    writeRoute(revision);
    await untilStatus((items) => observedOf(items) >= base + revision, `revision ${revision}`);
    applied = revision;
    reported.push({ revision, atMs: performance.now() });
  }
  await load.more(50);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.ok(load.requests > ROUTE_EDITS, `Only ${load.requests} requests: the load did not run beside the edits`);
});

test(`${CERTIFICATE_SWAPS} certificate swaps: every handshake and request succeeds, the new certificate is served`, async () => {
  // While a swap is under way, either is right.
  let served: readonly string[] = [certificateOf(0).serial];
  let servedSinceMs = 0;
  const load = steady(tls, {
    connections: 6,
    renewEvery: 5,
    judge: () => undefined,
    onOpen: (client, openingMs) => {
      const serial = serialOf(client);
      return openingMs < servedSinceMs || served.includes(serial) ? undefined : `${serial} after ${served.join()}`;
    },
  });
  for (let swap = 1; swap <= CERTIFICATE_SWAPS; swap++) {
    const certificate = certificateOf(swap);
    served = [...served, certificate.serial];
    writeSecret(certificate);
    // A Secret has no status: the first connection with the new certificate tells that it is there.
    await untilServed(certificate.serial);
    [served, servedSinceMs] = [[certificate.serial], performance.now()];
    await load.more(10);
  }
  await load.stop();
  assert.deepEqual(load.failures, []);
});

test(`${BACKEND_CHANGES} backends added and drained: no failed request, and none to a backend that was taken out`, async () => {
  const load = steady(plain, { connections: 12, judge: () => undefined });
  for (let change = 0; change < BACKEND_CHANGES; change++) {
    const out = change % origins.length;
    writeManifests(
      config,
      'service.yaml',
      service(
        'shop',
        origins.filter((_, i) => i !== out),
      ),
    );
    await untilQuiet(out, load);
    // Nobody is there any more: who is still sent there fails.
    const port = origins[out]!.port;
    await origins[out]!.close();
    await load.more(30);
    origins[out] = await startOrigin(answering(answerOf(out)), { port });
    writeManifests(config, 'service.yaml', service('shop', origins));
    const before_ = hits[out]!;
    await until(() => hits[out]! > before_ || load.failures.length > 0, 'the backend to be used again');
  }
  await load.stop();
  assert.deepEqual(load.failures, []);
});

test('a drain: what runs is answered, what waits is closed politely, the program ends with 0', async () => {
  const load = steady(plain, { connections: 12, judge: () => undefined });
  await load.more(50);
  load.expectEnd();
  const ended = program.stop('SIGTERM');
  await load.ended();
  assert.deepEqual(load.failures, []);
  assert.deepEqual(await ended, { code: 0, signal: null });
});

/** Requests that each origin has seen. */
const hits = [0, 0, 0];
/** When which revision was reported as applied, oldest first. */
const reported: { readonly revision: number; readonly atMs: number }[] = [];

function answerOf(origin: number): Parameters<typeof answering>[0] {
  return (request) => {
    hits[origin]!++;
    return ok('.', `X-Revision: ${request.header('x-revision') ?? '-1'}`);
  };
}

function steady(
  target: Target,
  options: {
    readonly connections: number;
    readonly renewEvery?: number;
    readonly judge: (revision: number, startedMs: number) => string | undefined;
    readonly onOpen?: (client: RawClient, openingMs: number) => string | undefined;
  },
): Load {
  const { judge, renewEvery = 200, ...rest } = options;
  return new Load({
    target,
    host: HOST,
    path: '/a',
    gapMs: GAP_MS,
    renewEvery,
    ...rest,
    judge: (answer, startedMs) => {
      if (answer.status !== 200) return `Status ${answer.status}: ${answer.body.toString().slice(0, 300)}`;
      return judge(Number(answer.header('x-revision')), startedMs);
    },
  });
}

/** The revision that was reported as applied before this moment. */
function revisionAt(ms: number): number {
  for (let i = reported.length - 1; i >= 0; i--) if (reported[i]!.atMs <= ms) return reported[i]!.revision;
  return 0;
}

function writeRoute(revision: number): void {
  const filters = [
    {
      type: 'RequestHeaderModifier',
      requestHeaderModifier: { set: [{ name: 'X-Revision', value: String(revision) }] },
    },
  ];
  const rules = [prefixRule('/', 'shop', { filters })];
  const both: Manifest = {
    ...httpRoute({ name: 'shop', hostnames: [HOST], rules }),
    spec: { parentRefs: [{ name: 'plain' }, { name: 'secure' }], hostnames: [HOST], rules },
  };
  writeManifests(config, 'shop.yaml', [both]);
}

interface Certificate {
  readonly certificate: string;
  readonly key: string;
  readonly serial: string;
}

const certificates = new Map<number, Certificate>();

function certificateOf(nth: number): Certificate {
  const known = certificates.get(nth);
  if (known !== undefined) return known;
  const { certificatePem, privateKeyPem } = makeCertificate({ hosts: [HOST] });
  const serial = new X509Certificate(certificatePem).serialNumber;
  const made = { certificate: certificatePem, key: privateKeyPem, serial };
  certificates.set(nth, made);
  return made;
}

function writeSecret(certificate: Certificate): void {
  writeManifests(config, 'secret.yaml', [tlsSecret('shop', certificate)]);
}

function serialOf(client: RawClient): string {
  return (client.socket as TLSSocket).getPeerX509Certificate()?.serialNumber ?? 'none';
}

async function untilServed(serial: string): Promise<void> {
  const { RawClient: Client } = await import('./client/raw-client.ts');
  // Both workers take connections: several in a row must have it.
  let inARow = 0;
  await until(async () => {
    await using client = await Client.open(tls);
    inARow = serialOf(client) === serial ? inARow + 1 : 0;
    return inARow >= 8;
  }, 'the new certificate');
}

/** Waits until the origin gets no more requests although the load goes on. */
async function untilQuiet(origin: number, load: Load): Promise<void> {
  await until(async () => {
    const before_ = hits[origin]!;
    await load.more(60);
    return hits[origin] === before_ || load.failures.length > 0;
  }, 'the backend to be left alone');
}

interface RouteStatus {
  readonly parents?: readonly {
    readonly conditions: readonly { readonly type: string; readonly observedGeneration?: number }[];
  }[];
}

function routeOf(items: readonly StatusItem[]): StatusItem & { metadata: { generation?: number } } {
  const route = items.find(({ kind, metadata }) => kind === 'HTTPRoute' && metadata.name === 'shop');
  assert.ok(route !== undefined, 'No status of the route');
  return route;
}

function generationOf(items: readonly StatusItem[]): number {
  return routeOf(items).metadata.generation ?? 1;
}

/** The generation that every parent speaks of. */
function observedOf(items: readonly StatusItem[]): number {
  const { parents = [] } = (routeOf(items).status ?? {}) as RouteStatus;
  const observed = parents.flatMap(({ conditions }) =>
    conditions.filter(({ type }) => type === 'Accepted').map(({ observedGeneration }) => observedGeneration ?? 0),
  );
  return Math.min(...observed, observed.length === 0 ? 0 : Number.MAX_SAFE_INTEGER);
}

async function untilStatus(holds: (items: readonly StatusItem[]) => boolean, what: string): Promise<void> {
  await until(async () => holds(await program.status()), what);
}

function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  return program.until(holds, what, APPLY_MS_MAX);
}
