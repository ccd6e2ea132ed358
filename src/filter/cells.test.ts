import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { FILTER_CELLS_BYTES } from '../base/limits.ts';
import { STEAL_MS } from './cell-locks.ts';
import { Cells, type Demand, DEMANDS_MAX, HOLD_FULL, HOLD_REFUSED, openCells } from './cells.ts';
import { type CellsTask, demandsOf } from './testing/cells-thread.ts';

const HERE = 100;

function open(bytes: number = FILTER_CELLS_BYTES): Cells {
  return openCells(new SharedArrayBuffer(bytes), { worker: HERE, randomBytes });
}

function thread(task: CellsTask): Worker {
  return new Worker(new URL('testing/cells-thread.ts', import.meta.url), { workerData: task });
}

async function said(worker: Worker): Promise<unknown> {
  return ((await once(worker, 'message')) as unknown[])[0];
}

function demand(cells: Cells, key: string, limit: Partial<Demand> = {}): Demand {
  cells.hash.read(cells.space('test'), key);
  const { lo, hi } = cells.hash;
  return { lo, hi, cost: 1, burst: 3, perUnitMs: 100, used: 0, waitMs: 0, ...limit };
}

// --- one worker ----------------------------------------------------------------------------------------------------

type Ask = readonly [atMs: number, cost: number, want: 'yes' | number];
const RATES: [rule: string, limit: Partial<Demand>, asks: readonly Ask[]][] = [
  [
    'a burst at once, then one each interval',
    { burst: 3, perUnitMs: 100 },
    [
      [1000, 1, 'yes'],
      [1000, 1, 'yes'],
      [1000, 1, 'yes'],
      [1000, 1, 100],
      [1050, 1, 50],
      [1100, 1, 'yes'],
      [1100, 1, 100],
    ],
  ],
  [
    'what is refused costs nothing',
    { burst: 1, perUnitMs: 100 },
    [
      [1000, 1, 'yes'],
      [1010, 1, 90],
      [1020, 1, 80],
      [1100, 1, 'yes'],
    ],
  ],
  [
    'a cost of several',
    { burst: 10, perUnitMs: 10 },
    [
      [1000, 7, 'yes'],
      [1000, 4, 10],
      [1000, 3, 'yes'],
      [1040, 5, 10],
      [1050, 5, 'yes'],
    ],
  ],
  [
    'a cost that never fits is never let through',
    { burst: 3, perUnitMs: 100 },
    [
      [1000, 4, 100],
      [1000, 3, 'yes'],
    ],
  ],
  [
    'nothing is saved up beyond the burst',
    { burst: 2, perUnitMs: 100 },
    [
      [1000, 1, 'yes'],
      [9000, 2, 'yes'],
      [9000, 1, 100],
    ],
  ],
  [
    'another worker may be a little ahead',
    { burst: 2, perUnitMs: 100 },
    [
      [1000.5, 1, 'yes'],
      [1000, 1, 'yes'],
      [1000.5, 1, 100],
    ],
  ],
];

for (const [rule, limit, asks] of RATES) {
  test(`cells: ${rule}`, () => {
    const cells = open();
    const one = demand(cells, 'a', limit);
    const got = asks.map(([atMs, cost]) => {
      one.cost = cost;
      return cells.spend([one], 1, atMs) ? 'yes' : Math.round(one.waitMs * 1e6) / 1e6;
    });
    assert.deepEqual(
      got,
      asks.map(([, , want]) => want),
    );
  });
}

test('cells: a rate that is no whole number of milliseconds lets exactly its number through', () => {
  const cells = open();
  for (const requests of [3, 7, 60, 997, 100_000]) {
    const one = demand(cells, `key ${requests}`, { burst: requests, perUnitMs: 60_000 / requests });
    const nowMs = 4_000_000_000.123;
    let got = 0;
    for (let i = 0; i < requests + 10; i++) if (cells.spend([one], 1, nowMs)) got++;
    assert.equal(got, requests);
    for (let i = 0; i < requests + 10; i++) if (cells.spend([one], 1, nowMs + 60_000)) got++;
    assert.equal(got, 2 * requests);
  }
});

test('cells: of several demands all are let through or none is counted', () => {
  const cells = open();
  const demands = Array.from({ length: DEMANDS_MAX }, (_, i) => demand(cells, `key ${i}`, { burst: 10 }));
  const tight = { ...demand(cells, 'tight', { burst: 2 }) };
  const all = [...demands.slice(1), tight];
  assert.deepEqual(
    [1, 2, 3, 4].map(() => cells.spend(all, all.length, 1)),
    [true, true, false, false],
  );
  assert.deepEqual(
    all.map(({ used }) => used),
    all.map(() => 2),
  );
  assert.ok(tight.waitMs > 0);
  assert.equal(demands[1]!.waitMs, 0);
});

test('cells: a limit that was lowered is full, not over', () => {
  const cells = open();
  const before = demand(cells, 'a', { burst: 100 });
  before.cost = 100;
  assert.ok(cells.spend([before], 1, 1));
  const after = demand(cells, 'a', { burst: 2 });
  assert.equal(cells.spend([after], 1, 1), false);
  assert.equal(after.waitMs, 100);
});

test('cells: in a full table what runs out first is forgotten, and that is said', () => {
  const cells = open(64 * 1024);
  const heavy = demand(cells, 'heavy', { burst: 50, perUnitMs: 1_000, cost: 50 });
  assert.ok(cells.spend([heavy], 1, 1));
  let forgotten = 0;
  for (let i = 0; i < 20_000; i++) {
    assert.ok(cells.spend([demand(cells, `light ${i}`, { perUnitMs: 1_000 })], 1, 1));
    forgotten += cells.forgotten;
  }
  assert.ok(forgotten > 10_000, String(forgotten));
  heavy.cost = 1;
  assert.equal(cells.spend([heavy], 1, 1), false);
});

test('cells: what has run out makes room, and nothing is forgotten', () => {
  const cells = open(64 * 1024);
  let forgotten = 0;
  for (let i = 0; i < 20_000; i++) {
    cells.spend([demand(cells, `light ${i}`, { perUnitMs: 10 })], 1, 1 + i * 10);
    forgotten += cells.forgotten;
  }
  assert.equal(forgotten, 0);
});

test('cells: a count is never forgotten', () => {
  const cells = open(64 * 1024);
  const held = demand(cells, 'held');
  assert.ok(cells.hold(held, 1, 1) >= 0);
  for (let i = 0; i < 20_000; i++) cells.spend([demand(cells, `light ${i}`, { perUnitMs: 1e6 })], 1, 1);
  assert.equal(cells.hold(held, 1, 1), HOLD_REFUSED);
});

test('cells: holds are given back once, and there is an end of them', () => {
  const cells = open(256 * 1024);
  const one = demand(cells, 'a');
  const first = cells.hold(one, 2, 1);
  const second = cells.hold(one, 2, 1);
  assert.equal(cells.hold(one, 2, 1), HOLD_REFUSED);
  cells.release(first);
  cells.release(first);
  assert.equal(cells.held(one), 1);
  cells.release(second);
  assert.equal(cells.held(one), 0);

  const holds: number[] = [];
  for (let hold = cells.hold(one, 1e9, 1); hold >= 0; hold = cells.hold(one, 1e9, 1)) holds.push(hold);
  assert.equal(cells.hold(one, 1e9, 1), HOLD_FULL);
  assert.equal(holds.length, (256 * 1024) / 4 / 8);
  for (const hold of holds) cells.release(hold);
  assert.equal(cells.held(one), 0);
});

test('hash: many keys that are alike fall evenly, and elsewhere in another process', () => {
  const [cells, other] = [open(), open()];
  const [space, otherSpace] = [cells.space('a'), other.space('a')];
  const seen = new Set<string>();
  const sets = new Map<number, number>();
  let same = 0;
  for (let i = 0; i < 100_000; i++) {
    const key = `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
    cells.hash.read(space, key);
    other.hash.read(otherSpace, key);
    if (cells.hash.lo === other.hash.lo) same++;
    seen.add(`${cells.hash.hi},${cells.hash.lo}`);
    const set = (cells.hash.hi >>> 0) % 1_000;
    sets.set(set, (sets.get(set) ?? 0) + 1);
  }
  assert.equal(seen.size, 100_000);
  assert.ok(same < 3);
  // 100 are expected, with a deviation of 10.
  for (const count of sets.values()) assert.ok(count > 40 && count < 170, String(count));
});

test('hash: neither length nor the end of a prefix can be passed off as another', () => {
  const cells = open();
  const texts = ['', 'a', 'ab', 'abc', 'a\0', 'ab\0', '\0', '\0\0', 'é', '\u0100a'];
  const results = ['x', 'xa', 'xab', 'xabc'].flatMap((prefix) =>
    texts.map((text) => {
      cells.hash.read(cells.space(prefix), text);
      return `${cells.hash.hi},${cells.hash.lo}`;
    }),
  );
  assert.equal(new Set(results).size, results.length);
});

// --- several workers -----------------------------------------------------------------------------------------------

const THREADS = 4;

test('cells: workers that ask for one key at a time get exactly its number', async () => {
  const buffer = new SharedArrayBuffer(FILTER_CELLS_BYTES);
  const limits = [30_000, 20_011];
  const workers = Array.from({ length: THREADS }, (_, i) =>
    thread({ buffer, worker: i + 1, what: 'spend', tries: 20_000, limits }),
  );
  const got = (await Promise.all(workers.map(said))) as number[];
  const sum = got.reduce((a, b) => a + b, 0);
  assert.equal(sum, 20_011, String(got));
  // The wider limit was charged for what both let through, and for nothing else.
  const cells = openCells(buffer, { worker: HERE, randomBytes });
  const [wide] = demandsOf(cells, limits);
  wide!.cost = 0;
  assert.ok(cells.spend([wide!], 1, 1));
  assert.equal(wide!.used, 20_011);
});

test('cells: workers hold exactly the number of a key, and what a dead one held comes back', async () => {
  const buffer = new SharedArrayBuffer(FILTER_CELLS_BYTES);
  const workers = Array.from({ length: THREADS }, (_, i) =>
    thread({ buffer, worker: i + 1, what: 'hold', tries: 5_000, limits: [7_777] }),
  );
  const got = (await Promise.all(workers.map(said))) as number[];
  assert.equal(
    got.reduce((a, b) => a + b, 0),
    7_777,
  );
  await Promise.all(workers.map((worker) => worker.terminate()));
  const cells = openCells(buffer, { worker: HERE, randomBytes });
  const [one] = demandsOf(cells, [7_777]);
  assert.equal(cells.hold(one!, 7_777, 1), HOLD_REFUSED);
  cells.recover(1);
  assert.equal(cells.held(one!), 7_777 - got[0]!);
  // Whoever takes the number of a dead worker gives back what it held.
  for (const worker of [2, 3, 4]) void new Cells(buffer, { worker, randomBytes });
  assert.equal(cells.held(one!), 0);
});

for (const what of ['stop-inside-spend', 'stop-inside-hold'] as const) {
  test(`cells: a worker that dies inside a lock (${what}) holds the others up for a moment only`, async () => {
    const buffer = new SharedArrayBuffer(FILTER_CELLS_BYTES);
    const cells = openCells(buffer, { worker: HERE, randomBytes });
    const [one] = demandsOf(cells, [1_000]);
    assert.ok(cells.spend([one!], 1, 1));
    const dead = thread({ buffer, worker: 1, what, tries: 0, limits: [1_000] });
    assert.equal(await said(dead), 'stopped');
    await dead.terminate();
    const startMs = performance.now();
    assert.ok(cells.spend([one!], 1, 1));
    const waitedMs = performance.now() - startMs;
    assert.ok(waitedMs >= STEAL_MS - 5 && waitedMs < 20 * STEAL_MS, String(waitedMs));
    assert.equal(cells.stolen, 1);
    assert.equal(one!.used, 2);
    assert.ok(cells.spend([one!], 1, 1));
    assert.equal(cells.stolen, 1);
  });
}

test('cells: after a worker died inside a lock, what others hold is counted anew', async () => {
  const buffer = new SharedArrayBuffer(FILTER_CELLS_BYTES);
  const cells = openCells(buffer, { worker: HERE, randomBytes });
  const [one] = demandsOf(cells, [10]);
  assert.ok(cells.hold(one!, 10, 1) >= 0);
  assert.ok(cells.hold(one!, 10, 1) >= 0);
  const dead = thread({ buffer, worker: 1, what: 'stop-inside-hold', tries: 0, limits: [10] });
  await said(dead);
  await dead.terminate();
  cells.recover(1);
  assert.equal(cells.held(one!), 2);
  assert.equal(cells.stolen, 0);
});

test('cells: workers that are ended at any moment leave nothing behind', async () => {
  const buffer = new SharedArrayBuffer(FILTER_CELLS_BYTES);
  const cells = openCells(buffer, { worker: HERE, randomBytes });
  const limits = [1e9, 1e9];
  const [, one] = demandsOf(cells, limits);
  const mine = cells.hold(one!, 1e9, 1);
  for (let round = 0; round < 6; round++) {
    const worker = thread({ buffer, worker: 1 + (round % 2), what: 'endless', tries: round % 3, limits });
    await said(worker);
    for (let i = 0; i < 2_000; i++) cells.release(cells.hold(one!, 1e9, 1));
    await worker.terminate();
    cells.recover(1 + (round % 2));
    assert.equal(cells.held(one!), 1, `round ${round}`);
  }
  cells.release(mine);
  assert.equal(cells.held(one!), 0);
});
