/** What is kept on disk, and what a cold start makes of it. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { createLog, silentLog } from '../base/log.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import type { Resource } from '../resource/resource.ts';
import { openSource } from './open-source.ts';
import type { Loaded } from './source.ts';
import { TempFolder } from './testing/temp-folder.ts';
import { names, pathOf, route } from './testing/watched.ts';

/** A configuration folder and a data folder; each start is a new source, as after the death of the process. */
class Site implements Disposable {
  readonly folder = new TempFolder();
  readonly lines: string[] = [];

  get config(): string {
    return this.folder.in('config');
  }

  get kept(): string {
    return this.folder.in('data/last-good.json');
  }

  constructor() {
    mkdirSync(this.config);
  }

  write(name: string, text: string | Uint8Array): void {
    this.folder.write(`config/${name}`, text);
  }

  /** Reads, and waits until what was read is kept. */
  async run(): Promise<Loaded> {
    const clock = new ManualClock(Date.UTC(2026, 0, 1));
    const loaded = await this.start(clock);
    const before = this.#stamp();
    clock.advance(1_000);
    while (this.#stamp() === before && this.lines.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    return loaded;
  }

  start(clock: ManualClock | typeof systemClock = systemClock): Promise<Loaded> {
    const log = createLog({ level: 'warn', wallMs: () => 0, write: (line) => this.lines.push(line) });
    const data = { dir: this.folder.in('data'), owner: '1' };
    return openSource({ path: this.config, clock, log, data }).load();
  }

  #stamp(): number {
    return statSync(this.kept, { throwIfNoEntry: false })?.ino ?? 0;
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

function messages({ problems }: Loaded): string[] {
  return problems.map(({ message }) => message);
}

test('last good: a cold start without the folder serves what was kept, and says so', async () => {
  using site = new Site();
  site.write('a.yaml', `${route('a')}---\n${route('b')}`);
  await site.run();
  renameSync(site.config, site.folder.in('elsewhere'));
  const loaded = await site.start();
  assert.deepEqual(names(loaded), ['a', 'b']);
  assert.equal(loaded.broken, 'all');
  assert.deepEqual(messages(loaded), [
    `Cannot read "${site.config}": no such file or directory`,
    `Still serving the 2 resources that were read before "${site.config}" went away`,
  ]);
  assert.equal(loaded.resources[1]!.origin.line, 8);
});

test('last good: a cold start with broken parts serves what was kept of those', async () => {
  using site = new Site();
  site.write('a.yaml', `${route('a')}---\n${route('b')}`);
  site.write('c.yaml', route('c'));
  site.write('d.yaml', route('d'));
  await site.run();
  site.write('a.yaml', `${route('a', '/new')}---\n${route('b', 'wrong')}`);
  site.write('c.yaml', Uint8Array.of(0xff));
  site.folder.remove('config/d.yaml');
  const loaded = await site.start();
  assert.deepEqual(names(loaded), ['a', 'b', 'c']);
  assert.deepEqual([pathOf(loaded, 'a'), pathOf(loaded, 'b')], ['/new', '/b']);
  assert.deepEqual(messages(loaded), [
    'Expected a path that begins with "/", got "wrong"',
    'Still serving the version read at 2026-01-01T00:00:00.000Z: the new one has errors',
    `Cannot read "${site.config}/c.yaml": it is not UTF-8 text`,
    'Still serving the resource of the version read at 2026-01-01T00:00:00.000Z',
  ]);
});

test('last good: without anything kept, a broken document only removes itself', async () => {
  using site = new Site();
  site.write('a.yaml', `${route('a')}---\n${route('b', 'wrong')}`);
  const loaded = await site.start();
  assert.deepEqual(names(loaded), ['a']);
  assert.equal(loaded.broken, 'some');
});

test('last good: secrets, generations, ages and places in a short form survive', async () => {
  using site = new Site();
  site.write(
    's.yaml',
    'apiVersion: v1\nkind: Secret\nmetadata: { name: s }\ndata: { a: w6TDtg== , b: /w== }\nstringData: { c: "ü\\0" }\n',
  );
  site.write(
    'fourways.yaml',
    'routes: [{ name: x, to: "http://127.0.0.1:1" }, { name: y, to: "http://127.0.0.1:1" }]\n',
  );
  const first = await site.run();
  site.write(
    'g.yaml',
    route('g').replace('name: g', 'name: g, generation: 3, creationTimestamp: "2020-01-01T00:00:00Z"'),
  );
  await site.run();
  renameSync(site.config, site.folder.in('elsewhere'));
  const { resources } = await site.start();

  const secret = resources.find(({ kind }) => kind === 'Secret');
  assert.ok(secret?.kind === 'Secret');
  assert.deepEqual(
    ['a', 'b', 'c'].map((key) => secret.data.get(key)),
    ['äö', 'ÿ', 'ü\0'],
  );
  const metadata = Object.fromEntries(resources.map((resource) => [resource.metadata.name, resource.metadata]));
  assert.deepEqual([metadata['g']!.generation, metadata['g']!.creationMs], [3, Date.UTC(2020, 0, 1)]);
  assert.deepEqual([metadata['x']!.order, metadata['y']!.order, metadata['x']!.creationMs], [1, 2, undefined]);
  const specs = (all: readonly Resource[]): unknown[] =>
    all.map((resource) => ('spec' in resource ? resource.spec : 0));
  assert.deepEqual(specs(resources.filter(({ metadata: { name } }) => name !== 'g')), specs(first.resources));
});

test('last good: a spec that changed while nobody looked counts up, what came meanwhile is younger', async () => {
  using site = new Site();
  site.write('a.yaml', `${route('a')}---\n${route('b')}`);
  await site.run();
  site.write('a.yaml', `${route('a', '/new')}---\n${route('b')}---\n${route('c')}`);
  const { resources } = await site.start();
  assert.deepEqual(
    resources.map(({ metadata }) => metadata.generation),
    [2, 1, 1],
  );
  assert.deepEqual(
    resources.map(({ metadata }) => metadata.creationMs === undefined),
    [true, true, false],
  );
});

test('last good: the file is for its owner alone, and nothing is left beside it', async () => {
  using site = new Site();
  site.write('a.yaml', route('a'));
  await site.run();
  assert.equal(statSync(site.kept).mode & 0o777, 0o600);
  assert.equal(statSync(site.folder.in('data')).mode & 0o777, 0o700);
  assert.deepEqual(readdirSync(site.folder.in('data')), ['last-good.json']);
});

// What happened to the file, and the reason that is given for not using it.
const DAMAGES: [rule: string, damage: (text: string) => string, reason: string][] = [
  ['a torn file', (text) => text.slice(0, -100), 'its end is missing'],
  ['an altered file', (text) => text.replace('/a', '/b'), 'its checksum is wrong'],
  ['an empty file', () => '', 'its end is missing'],
  ['something else', () => '{}', 'its end is missing'],
];

for (const [rule, damage, reason] of DAMAGES) {
  test(`last good: ${rule} is not used, and that is said`, async () => {
    using site = new Site();
    site.write('a.yaml', route('a'));
    await site.run();
    writeFileSync(site.kept, damage(readFileSync(site.kept, 'utf8')));
    renameSync(site.config, site.folder.in('elsewhere'));
    const loaded = await site.start();
    assert.deepEqual(loaded.resources, []);
    assert.equal(messages(loaded)[0], `Cannot use what was kept in "${site.kept}": ${reason}`);
    assert.equal(loaded.problems[0]!.level, 'warning');
  });
}

test('last good: what another configuration left is not used', async () => {
  using site = new Site();
  site.write('a.yaml', route('a'));
  await site.run();
  const data = { dir: site.folder.in('data'), owner: '1' };
  const path = site.folder.in('another');
  const loaded = await openSource({ path, clock: systemClock, log: silentLog, data }).load();
  assert.deepEqual(loaded.resources, []);
});

test('last good: where it cannot be written, that is said and life goes on', async () => {
  using site = new Site();
  site.write('a.yaml', route('a'));
  site.folder.write('data', 'a file where a folder should be');
  const loaded = await site.run();
  assert.deepEqual(names(loaded), ['a']);
  assert.match(site.lines[0]!, /Cannot write .*last-good\.json/);
});
