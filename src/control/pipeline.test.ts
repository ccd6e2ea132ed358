import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../base/testing/manual-clock.ts';
import type { Log, LogFields } from '../base/log.ts';
import type { Problem } from '../base/problem.ts';
import { type Compiled, Compiler } from '../compile/compile.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { Change } from '../ir/change.ts';
import type { PlanBundle } from '../ir/plan.ts';
import { bundleOf, CLUSTER, HTTP_LISTENER, HTTP_PORT, routeTo } from '../ir/testing/plans.ts';
import { MetricsReader } from '../observe/metrics-reader.ts';
import { WorkerMetrics } from '../observe/metrics.ts';
import { allocateSlab } from '../observe/slab.ts';
import type { Loaded } from '../source/source.ts';
import { Pipeline, type Published } from './pipeline.ts';

const PORTS = { '*:80': { state: 'bound', address: '0.0.0.0', port: 80 } } as const;

function bundle(host: string, routes = 1): PlanBundle {
  const names = Array.from({ length: routes }, (_, i) => [`HTTPRoute/shop/r${i}`, routeTo('web', host)]);
  return bundleOf({
    ports: { '*:80': HTTP_PORT },
    listeners: { web: HTTP_LISTENER },
    routes: Object.fromEntries(names),
    streams: {},
    clusters: { 'Service/shop/web/80': CLUSTER },
  });
}

/** What the compiler makes of a reading. */
const makers = new WeakMap<Loaded, () => Compiled>();

function madeBy(make: () => Compiled, more: Partial<Loaded> = {}): Loaded {
  const loaded: Loaded = { resources: [], problems: [], files: [], broken: 'no', seenMs: 0, ...more };
  makers.set(loaded, make);
  return loaded;
}

const NOTHING = new Compiler({ controllerName: 'test', bindDefault: '::', wallMs: () => 0 }).compile([]);

function compiled(bundle: PlanBundle, problems: readonly Problem[] = []): Compiled {
  return {
    bundle,
    problems,
    made: { routes: 0, clusters: 0 },
    mesh: NOTHING.mesh,
    callsOf: (question) => NOTHING.callsOf(question),
    services: () => [],
    gateways: NOTHING.gateways,
    wishes: [],
    nextChangeMs: undefined,
    certificates: () => [],
    policiesOf: () => undefined,
    sourceOf: () => undefined,
    withPlaces: (plan) => plan,
    statusOf: () => [],
  };
}

function reading(plan: PlanBundle, ...problems: Problem[]): Loaded {
  return madeBy(() => compiled(plan, problems));
}

function world() {
  const clock = new ManualClock();
  const lines: [level: string, message: string, fields: LogFields | undefined][] = [];
  const at = (level: string) => (message: string, fields?: LogFields) => void lines.push([level, message, fields]);
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const slab = allocateSlab();
  const reader = new MetricsReader();
  reader.join('main', slab);
  const changes: (Change & { answer(result?: Partial<ApplyResult>): void })[] = [];
  const published: Published[] = [];
  let hold = false;
  let nack: string | undefined;
  const pipeline = new Pipeline({
    compile: (loaded) => makers.get(loaded)!(),
    fleet: {
      apply(change) {
        const { version } = change.bundle.plan;
        const result: ApplyResult =
          nack === undefined ? { kind: 'ack', version, ports: PORTS } : { kind: 'nack', version, reason: nack };
        return new Promise((resolve) => {
          changes.push({ ...change, answer: () => resolve(result) });
          if (!hold) resolve(result);
        });
      },
    },
    clock,
    log,
    metrics: new WorkerMetrics({ slab, announce: (event) => reader.announced('main', event) }),
    onPublished: (now) => published.push(now),
  });
  return {
    pipeline,
    clock,
    lines,
    reader,
    changes,
    published,
    setHold: (on: boolean) => (hold = on),
    setNack: (reason: string | undefined) => (nack = reason),
    /** What was logged since the last call, without debug. */
    said: () => lines.splice(0).map(([level, message]) => `${level}: ${message}`),
  };
}

test('Pipeline: what is published is what every member has applied, and not before', async () => {
  const { pipeline, changes, published, setHold } = world();
  setHold(true);
  const one = bundle('one.test');
  pipeline.offer(reading(one));
  await turn();
  assert.equal(changes.length, 1);
  assert.equal(changes[0]!.delta.from, undefined);
  assert.equal(published.length, 0);
  changes[0]!.answer();
  await pipeline.settled();
  assert.equal(pipeline.published?.compiled.bundle, one);
  assert.equal(pipeline.published.ports, PORTS);
  assert.equal(published.length, 1);
  assert.deepEqual(pipeline.outcome, { kind: 'applied', version: one.plan.version });
});

test('Pipeline: of what is offered while a change runs, the newest is taken', async () => {
  const { pipeline, changes, setHold } = world();
  setHold(true);
  const [one, two, three] = [bundle('one.test'), bundle('two.test'), bundle('three.test')] as const;
  pipeline.offer(reading(one));
  await turn();
  pipeline.offer(reading(two));
  pipeline.offer(reading(three));
  setHold(false);
  changes[0]!.answer();
  await pipeline.settled();
  assert.deepEqual(
    changes.map(({ delta }) => [delta.from, delta.to]),
    [
      [undefined, one.plan.version],
      [one.plan.version, three.plan.version],
    ],
  );
});

test('Pipeline: what is offered twice in one turn is compiled once', async () => {
  const { pipeline, changes } = world();
  pipeline.offer(reading(bundle('one.test')));
  pipeline.offer(reading(bundle('two.test')));
  await pipeline.settled();
  assert.equal(changes.length, 1);
});

test('Pipeline: a refused change leaves what is served, and the next one starts from that', async () => {
  const { pipeline, changes, reader, setNack, said } = world();
  const [one, two, three] = [bundle('one.test'), bundle('two.test'), bundle('three.test')] as const;
  pipeline.offer(reading(one));
  await pipeline.settled();
  assert.equal(reader.value('fourways_config_last_reload_successful', []), 1);
  said();

  setNack('Worker 2: it does not like it');
  pipeline.offer(reading(two));
  await pipeline.settled();
  assert.equal(pipeline.published?.compiled.bundle, one);
  assert.deepEqual(pipeline.outcome, { kind: 'refused', reason: 'Worker 2: it does not like it' });
  assert.equal(reader.value('fourways_config_last_reload_successful', []), 0);
  assert.equal(reader.value('fourways_config_reloads_total', ['refused']), 1);
  assert.deepEqual(said(), [
    'error: Configuration refused, the last good one goes on serving: Worker 2: it does not like it',
  ]);

  setNack(undefined);
  pipeline.offer(reading(three));
  await pipeline.settled();
  assert.equal(changes.at(-1)!.delta.from, one.plan.version);
  assert.equal(reader.value('fourways_config_last_reload_successful', []), 1);
  assert.deepEqual(said(), ['info: Configuration applied', 'info: The newest configuration is served again']);
});

test('Pipeline: a compiler that throws leaves what is served', async () => {
  const { pipeline, said } = world();
  pipeline.offer(reading(bundle('one.test')));
  await pipeline.settled();
  said();
  const outcome = pipeline.next();
  pipeline.offer(
    madeBy(() => {
      throw new Error('a defect');
    }),
  );
  assert.deepEqual(await outcome, { kind: 'refused', reason: 'The compiler failed: a defect' });
  assert.deepEqual(said(), [
    'error: The compiler failed: please report it',
    'error: Configuration refused, the last good one goes on serving: The compiler failed: a defect',
  ]);
  pipeline.offer(reading(bundle('two.test')));
  await pipeline.settled();
  assert.equal(pipeline.outcome?.kind, 'applied');
});

test('Pipeline: the same plan again is published without asking the fleet', async () => {
  const { pipeline, changes, published, reader } = world();
  pipeline.offer(reading(bundle('one.test')));
  await pipeline.settled();
  const again = reading(bundle('one.test'));
  pipeline.offer(again);
  await pipeline.settled();
  assert.equal(changes.length, 1);
  assert.equal(published.length, 2);
  assert.equal(pipeline.published?.loaded, again, 'its status may differ: generations, problems');
  assert.equal(reader.value('fourways_config_reloads_total', ['unchanged']), 1);
});

test('Pipeline: a change is one line with names, figures and times', async () => {
  const { pipeline, clock, lines, changes, setHold, reader } = world();
  pipeline.offer(reading(bundle('one.test')));
  await pipeline.settled();
  clock.advance(1_000);
  lines.length = 0;

  setHold(true);
  const many = bundle('two.test', 15);
  const make = (): Compiled => {
    clock.advance(5);
    return compiled(many);
  };
  pipeline.offer(madeBy(make, { seenMs: 998 }));
  await turn();
  clock.advance(3);
  changes.at(-1)!.answer();
  await pipeline.settled();
  assert.deepEqual(lines, [
    [
      'info',
      'Configuration applied',
      {
        version: many.plan.version.slice(0, 12),
        added: [...Array.from({ length: 10 }, (_, i) => `HTTPRoute/shop/r${i + 1}`), 'and 4 more'],
        changed: ['HTTPRoute/shop/r0'],
        removed: [],
        loadMs: 2,
        compileMs: 5,
        applyMs: 3,
        problems: 0,
      },
    ],
  ]);
  assert.equal(reader.value('fourways_config_apply_duration_seconds', []), 2);
});

test('Pipeline: a problem is said when it is new and when it is gone, wherever its line moves', async () => {
  const { pipeline, reader, said } = world();
  const at = (line: number) => ({ file: 'a.yaml', line, column: 1 });
  const typo = { level: 'error', code: 'field.unknown', message: 'Unknown field "hots"' } as const;
  const warning = { level: 'warning', code: 'route.shadowed', message: 'Never matches' } as const;

  pipeline.offer(reading(bundle('one.test'), { ...typo, at: at(3) }, warning));
  await pipeline.settled();
  assert.deepEqual(said(), [
    'error: a.yaml:3:1: Unknown field "hots"',
    'warn: Never matches',
    'info: Configuration applied',
  ]);
  assert.equal(reader.value('fourways_config_problems', ['error']), 1);

  pipeline.offer(reading(bundle('two.test'), { ...typo, at: at(9) }));
  await pipeline.settled();
  assert.deepEqual(said(), ['info: Resolved: Never matches', 'info: Configuration applied']);
  assert.deepEqual(pipeline.problems, [{ ...typo, at: at(9) }]);
});

test('Pipeline: very many problems are counted, not all written', async () => {
  const { pipeline, said } = world();
  const problems = Array.from({ length: 60 }, (_, i): Problem => ({ level: 'error', code: 'x', message: `Bad ${i}` }));
  pipeline.offer(reading(bundle('one.test'), ...problems));
  await pipeline.settled();
  const lines = said();
  assert.equal(lines.length, 52);
  assert.match(lines[50]!, /^warn: And 10 more problems/);
});

test('Pipeline: what cannot be read is said once, and counts as refused until it can', async () => {
  const { pipeline, reader, said } = world();
  const wrong: Problem = { level: 'error', code: 'yaml.syntax', message: 'Unexpected end' };
  const one = bundle('one.test');
  const broken = (): Loaded => madeBy(() => compiled(one), { broken: 'some', problems: [wrong] });
  pipeline.offer(reading(one));
  await pipeline.settled();
  said();

  pipeline.offer(broken());
  await pipeline.settled();
  pipeline.offer(broken());
  await pipeline.settled();
  const refused = 'parts of it cannot be read; of these, what they said before is served';
  assert.equal(pipeline.refused, refused);
  assert.deepEqual(pipeline.problems, [wrong]);
  assert.equal(reader.value('fourways_config_last_reload_successful', []), 0);
  assert.deepEqual(said(), [
    'error: Unexpected end',
    `error: Configuration refused, the last good one goes on serving: ${refused}`,
  ]);

  pipeline.offer(reading(one));
  await pipeline.settled();
  assert.equal(pipeline.refused, undefined);
  assert.deepEqual(said(), ['info: Resolved: Unexpected end', 'info: The newest configuration is served again']);
});

test('Pipeline: a port that changes its state is published with the plan that is served', async () => {
  const { pipeline, published } = world();
  pipeline.portsChanged({});
  assert.equal(published.length, 0);
  pipeline.offer(reading(bundle('one.test')));
  await pipeline.settled();
  pipeline.portsChanged({});
  assert.deepEqual(
    published.map(({ ports }) => ports),
    [PORTS, {}],
  );
});

/** Lets everything run that needs no outside event. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
