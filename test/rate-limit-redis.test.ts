/**
 * Two gateways, of one and of two workers, that count in one Redis: what they let through together, what each does
 * while Redis is away, and that they count together again. Its password is planted, and searched wherever they speak.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { RedisServer } from '../src/store/testing/redis-server.ts';
import { DOOR_HOST, Fourways, freePort, pause } from './client/fourways.ts';
import { Load } from './client/load.ts';
import { gateway, gatewayClass, httpRoute, prefixRule, service, writeManifests } from './client/manifests.ts';
import { answering, type Origin, startOrigin } from './client/origin.ts';

const PASSWORD = 'PLANTED-password-of-redis';
const LIMIT = 30;
const OVERSHOOT = 12;
/** After a call that failed, a worker does not believe Redis for a second. */
const DOUBT_MS = 1_100;

/** Statuses that are right while Redis is away, and how many requests both gateways together let through then. */
const ROWS: readonly {
  readonly whenAway: string;
  readonly away: readonly number[];
  readonly admitted: (count: number, of: number) => boolean;
}[] = [
  { whenAway: 'open', away: [200], admitted: (count, of) => count === of },
  { whenAway: 'closed', away: [503], admitted: (count) => count === 0 },
  // Half of the limit at each of the two.
  { whenAway: 'local', away: [200, 429], admitted: (count) => count === LIMIT },
];

interface Running {
  readonly fourways: Fourways;
  readonly port: number;
  readonly workers: number;
}

const scratch = mkdtempSync(join(tmpdir(), 'fourways-rate-limit-'));
const running: Running[] = [];
let redis: RedisServer;
let origin: Origin;

before(async () => {
  redis = await RedisServer.start({ password: PASSWORD });
  origin = await startOrigin(answering(() => 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
  // One is told by the option, the other by the variable.
  running.push(
    ...(await Promise.all([startNumber(1, { redis: redis.url }), startNumber(2, { env: { REDIS_URL: redis.url } })])),
  );
});

after(async () => {
  await Promise.all(running.map(({ fourways }) => fourways.stop()));
  await origin[Symbol.asyncDispose]();
  await redis[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

async function startNumber(workers: number, how: { redis?: string; env?: Record<string, string> }): Promise<Running> {
  const port = await freePort(DOOR_HOST);
  const config = join(scratch, `config-${workers}`);
  writeManifests(config, 'all.yaml', [
    gatewayClass(),
    gateway({ port }),
    ...service('web', [{ host: origin.host, port: origin.port }]),
    ...ROWS.flatMap(({ whenAway }) => [
      httpRoute({ name: whenAway, rules: [prefixRule(`/${whenAway}`, 'web')] }),
      {
        apiVersion: 'fourways.io/v1alpha1',
        kind: 'Policy',
        metadata: { name: whenAway, namespace: 'default' },
        spec: {
          targetRefs: [{ kind: 'HTTPRoute', name: whenAway }],
          filters: {
            rateLimit: {
              limits: [{ requests: LIMIT, per: '1h', key: 'request.path' }],
              scope: 'global',
              global: { proxies: 2, maxOvershoot: OVERSHOOT, whenAway },
            },
          },
        },
      },
    ]),
  ]);
  const fourways = await Fourways.start({ config, workers, data: join(scratch, `data-${workers}`), ...how });
  return { fourways, port, workers };
}

/** What both gateways answer on a path, from several connections each, which are renewed so that every worker gets some. */
class Both {
  readonly statuses = new Map<number, number>();
  readonly #loads: readonly Load[];

  constructor(path: string, right: readonly number[]) {
    this.#loads = running.map(
      ({ port }) =>
        new Load({
          target: { host: DOOR_HOST, port },
          host: 'a.test',
          path,
          connections: 4,
          gapMs: 2,
          renewEvery: 10,
          judge: ({ status }) => {
            this.statuses.set(status, this.count(status) + 1);
            return right.includes(status) ? undefined : `${path}: status ${status}`;
          },
        }),
    );
  }

  count(status: number): number {
    return this.statuses.get(status) ?? 0;
  }

  get requests(): number {
    return this.#loads.reduce((sum, { requests }) => sum + requests, 0);
  }

  more(count: number): Promise<unknown> {
    return Promise.all(this.#loads.map((load) => load.more(count)));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#loads.map((load) => load.stop()));
    assert.deepEqual(
      this.#loads.flatMap(({ failures }) => failures),
      [],
    );
  }
}

/** As many as the limit allows at least, and never more than was declared on top. */
async function assertExact(path: string): Promise<void> {
  const both = new Both(path, [200, 429]);
  await both.more(150);
  await both.stop();
  const admitted = both.count(200);
  assert.ok(admitted >= LIMIT && admitted <= LIMIT + OVERSHOOT, `${path}: ${admitted} let through`);
}

async function events({ fourways }: Running): Promise<ReadonlyMap<string, number>> {
  const text = await fourways.adminText('/metrics');
  const found = text.matchAll(/^fourways_filter_events_total\{([^}]*rateLimit[^}]*)\} (\d+)/gm);
  return new Map([...found].map(([, labels, count]) => [/event="(\w+)"/.exec(labels!)![1]!, Number(count)]));
}

function countSaid({ fourways }: Running, what: string): number {
  return fourways.output().split(what).length - 1;
}

test('two gateways let through together what the limit allows, and at most maxOvershoot more', async () => {
  for (const { whenAway } of ROWS) await assertExact(`/${whenAway}/first`);
});

test('Redis is killed under load: each limit does what it declares, and nothing else fails', async () => {
  const loads = ROWS.map(({ whenAway, away }) => new Both(`/${whenAway}/killed`, [200, 429, ...away]));
  await Promise.all(loads.map((load) => load.more(40)));
  await redis.kill();
  for (const { fourways, workers } of running) {
    await fourways.until(() => fourways.output().split('Redis is away: it is tried').length > workers, 'all know');
  }
  await Promise.all(loads.map((load) => load.more(40)));
  await Promise.all(loads.map((load) => load.stop()));
  assert.ok(loads[ROWS.findIndex(({ whenAway }) => whenAway === 'closed')]!.count(503) > 0);

  for (const { whenAway, away, admitted } of ROWS) {
    const both = new Both(`/${whenAway}/away`, away);
    await both.more(100);
    await both.stop();
    assert.ok(admitted(both.count(200), both.requests), `${whenAway}: ${both.count(200)} of ${both.requests}`);
  }
});

test('Redis is away: metrics count it, and each worker has warned once for each policy', async () => {
  for (const one of running) {
    const counted = await events(one);
    const { workers } = one;
    assert.equal(countSaid(one, 'Redis is away: it is tried'), workers);
    let said = 0;
    for (const { whenAway } of ROWS) {
      const times = one.fourways
        .output()
        .split('\n')
        .filter((line) => line.includes('rateLimit decides as whenAway says') && line.includes(`default/${whenAway}`));
      assert.ok(times.length >= 1 && times.length <= workers, `${whenAway}: ${times.length} times`);
      said += times.length;
    }
    assert.equal(counted.get('redis_lost'), said);
    assert.ok(counted.get('away')! >= 100);
  }
});

test('Redis is started again under load: both count together again, exactly', async () => {
  const loads = ROWS.map(({ whenAway, away }) => new Both(`/${whenAway}/back`, [200, 429, ...away]));
  await Promise.all(loads.map((load) => load.more(10)));
  await redis.resume();
  for (const one of running) {
    await one.fourways.until(() => countSaid(one, 'Redis is back') === one.workers, 'all are back');
  }
  await pause(DOUBT_MS);
  await Promise.all(loads.map((load) => load.more(10)));
  await Promise.all(loads.map((load) => load.stop()));
  for (const { whenAway } of ROWS) await assertExact(`/${whenAway}/again`);
  for (const one of running) {
    const counted = await events(one);
    assert.equal(counted.get('redis_back'), counted.get('redis_lost'));
  }
});

test('the password of Redis is in no output, metric, status or plan', async () => {
  for (const { fourways, workers } of running) {
    const texts = [
      fourways.output(),
      ...(await Promise.all(['/metrics', '/status', '/plan'].map((path) => fourways.adminText(path)))),
    ];
    const data = join(scratch, `data-${workers}`);
    const files = readdirSync(data, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
    assert.notEqual(files.length, 0);
    texts.push(...files.map((file) => readFileSync(join(file.parentPath, file.name), 'latin1')));
    for (const text of texts) assert.doesNotMatch(text, /PLANTED/);
    // The others would not notice a password that was never there.
    assert.match(texts[0]!, new RegExp(`redis://127\\.0\\.0\\.1:${redis.port}`));
  }
});
