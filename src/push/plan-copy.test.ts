import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Fault } from '../base/fault.ts';
import type { PlanBundle } from '../ir/plan.ts';
import { PlanCopy, type PlanCopyOptions } from './plan-copy.ts';
import { planOf } from './testing/plain-feeds.ts';

const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders';

class Folder implements AsyncDisposable {
  readonly dir: string;
  readonly path: string;

  constructor(dir: string) {
    this.dir = dir;
    this.path = join(dir, 'plan');
  }

  static async make(): Promise<Folder> {
    return new Folder(await mkdtemp(join(tmpdir(), 'fourways-copy-')));
  }

  copy(options: Partial<PlanCopyOptions> = {}): PlanCopy {
    return PlanCopy.open({ path: this.path, identity: ORDERS, ...options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true });
  }
}

async function kept(folder: Folder, bundle: PlanBundle, options: Partial<PlanCopyOptions> = {}): Promise<PlanCopy> {
  const copy = folder.copy(options);
  copy.keep(bundle);
  await copy.settled();
  return copy;
}

function reasonOf(read: PlanBundle | Fault | undefined): string {
  assert.ok(read instanceof Fault);
  assert.equal(read.code, 'push.copy-unusable');
  return read.detail;
}

test('PlanCopy: there is none at first', async () => {
  await using folder = await Folder.make();
  assert.equal(await folder.copy().read(), undefined);
});

test('PlanCopy: what was kept is read by the next process, with its secrets', async () => {
  await using folder = await Folder.make();
  await kept(folder, planOf('a.test', 'b.test'));
  assert.deepEqual(await folder.copy().read(), planOf('a.test', 'b.test'));
});

test('PlanCopy: of many, the last is on the disk, and nothing lies beside it', async () => {
  await using folder = await Folder.make();
  const copy = folder.copy();
  for (let i = 0; i < 50; i++) copy.keep(planOf(`n${i}.test`));
  await copy.settled();
  assert.deepEqual(await copy.read(), planOf('n49.test'));
  assert.deepEqual(readdirSync(folder.dir).toSorted(), ['plan', 'state.key']);
});

test('PlanCopy: nothing can be read in the file, and nobody else may read it', async () => {
  await using folder = await Folder.make();
  await kept(folder, planOf('a.test'));
  const bytes = readFileSync(folder.path);
  for (const word of ['KEY', 'CERTIFICATE', 'a.test', 'cluster.local']) assert.equal(bytes.includes(word), false, word);
  assert.equal(statSync(folder.path).mode & 0o777, 0o600);
  assert.equal(statSync(join(folder.dir, 'state.key')).mode & 0o777, 0o600);
  const before = readFileSync(folder.path);
  await kept(folder, planOf('a.test'));
  assert.notDeepEqual(readFileSync(folder.path), before, 'a nonce is never used twice');
});

test('PlanCopy: a key may be given', async () => {
  await using folder = await Folder.make();
  const keyFile = join(folder.dir, 'given.key');
  writeFileSync(keyFile, 'ab'.repeat(32));
  await kept(folder, planOf('a.test'), { keyFile });
  assert.deepEqual(await folder.copy({ keyFile }).read(), planOf('a.test'));
  assert.match(reasonOf(await folder.copy().read()), /changed, or sealed with another key/);
  writeFileSync(keyFile, 'short');
  assert.throws(() => folder.copy({ keyFile }), /Cannot read the state key/);
});

const DAMAGES: [rule: string, damage: (bytes: Buffer) => Buffer, why: RegExp][] = [
  ['a changed byte in the midst', (bytes) => flip(bytes, bytes.length >> 1), /changed/],
  ['a changed byte of the nonce', (bytes) => flip(bytes, 22), /changed/],
  ['a changed byte of the tag', (bytes) => flip(bytes, bytes.length - 1), /changed/],
  ['a missing end', (bytes) => bytes.subarray(0, -20), /changed/],
  ['an end after the header', (bytes) => bytes.subarray(0, 30), /cut off/],
  ['an empty file', () => Buffer.alloc(0), /another format/],
  [
    'another format',
    (bytes) => Buffer.concat([Buffer.from('fourways plan copy 2\n'), bytes.subarray(21)]),
    /another format/,
  ],
  ['a file of something else', () => Buffer.from('{"plan": {}}'), /another format/],
];

for (const [rule, damage, why] of DAMAGES) {
  test(`PlanCopy: ${rule} is refused`, async () => {
    await using folder = await Folder.make();
    const copy = await kept(folder, planOf('a.test'));
    writeFileSync(folder.path, damage(readFileSync(folder.path)));
    assert.match(reasonOf(await copy.read()), why);
    copy.keep(planOf('b.test'));
    await copy.settled();
    assert.deepEqual(await copy.read(), planOf('b.test'), 'the next plan replaces it');
  });
}

test('PlanCopy: a copy of another identity is refused', async () => {
  await using folder = await Folder.make();
  await kept(folder, planOf('a.test'), { identity: 'spiffe://cluster.local/ns/shop/sa/bank' });
  assert.match(reasonOf(await folder.copy().read()), /it is of "spiffe:.*bank"/);
});

test('PlanCopy: its size is bounded, in writing and in reading', async () => {
  await using folder = await Folder.make();
  const { plan } = planOf('a.test');
  const large = { plan, secrets: { 'Secret/shop/s#v': { value: 'x'.repeat(600_000) } } };
  const bounded = await kept(folder, large, { bytesMax: 500_000 });
  assert.match(bounded.fault!.detail, /more than 500000 bytes/);
  assert.equal(await bounded.read(), undefined);
  await kept(folder, large);
  assert.match(reasonOf(await bounded.read()), /at most 500000 are taken/);
});

test('PlanCopy: a folder that cannot be written is said, and the proxy goes on', async () => {
  await using folder = await Folder.make();
  const copy = folder.copy();
  await rm(folder.dir, { recursive: true });
  writeFileSync(folder.dir, 'a file');
  copy.keep(planOf('a.test'));
  await copy.settled();
  assert.match(copy.fault!.detail, /^Cannot write ".*plan": /);
});

test('PlanCopy: 50 MB are kept and read', async () => {
  await using folder = await Folder.make();
  const secrets = Object.fromEntries(
    Array.from({ length: 500 }, (_, i) => [`Secret/shop/s${i}#v`, { value: `${i} `.repeat(50_000).slice(0, 100_000) }]),
  );
  const bundle = { plan: planOf('a.test').plan, secrets };
  const copy = await kept(folder, bundle);
  assert.equal(copy.fault, undefined);
  assert.deepEqual(await folder.copy().read(), bundle);
});

function flip(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[at]! ^= 1;
  return changed;
}
