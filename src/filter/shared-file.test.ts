import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Env, LoweredFile } from './env.ts';
import { FileNotRead, SharedFiles } from './shared-file.ts';
import { makeEnv, type TestEnv } from './testing/exchange.ts';

const FILE: LoweredFile = { file: '/etc/list' };

/** A disk with one file, as several filters of one proxy see it. */
class Disk {
  text: string | Error = 'a b c';
  readonly readings: string[] = [];
  readonly #cells = new SharedArrayBuffer(8);
  readonly #watchers = new Set<() => void>();

  env(parts: Partial<Env> = {}): TestEnv {
    return makeEnv({
      cells: this.#cells,
      readFile: () => {
        if (this.text instanceof Error) throw this.text;
        return Buffer.from(this.text);
      },
      watchFile: (_, onChange) => {
        // One of its own for each use, as the file system has it.
        const watcher = (): void => onChange();
        this.#watchers.add(watcher);
        return () => void this.#watchers.delete(watcher);
      },
      ...parts,
    });
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  change(text: string | Error): void {
    this.text = text;
    for (const watcher of this.#watchers) watcher();
  }

  /** A word at a time. */
  readonly files = new SharedFiles<readonly string[]>(
    function* (this: Disk, bytes: Buffer): Generator<undefined, readonly string[]> {
      this.readings.push(bytes.toString());
      const words: string[] = [];
      for (const word of bytes.toString().split(' ')) {
        if (word === 'wrong') throw new Error(`line 1: Expected a word`);
        words.push(word);
        yield;
      }
      return words;
    }.bind(this),
  );
}

function settle(env: TestEnv): void {
  for (let i = 0; i < 20; i++) env.advance(1);
}

test('shared file: one reading serves all', () => {
  const disk = new Disk();
  const uses = [disk.env(), disk.env()].map((env) => disk.files.open(env, FILE));
  assert.deepEqual(disk.readings, ['a b c']);
  assert.equal(uses[0]!.value, uses[1]!.value);
});

test('shared file: proxies with other cells read for themselves', () => {
  const disk = new Disk();
  disk.files.open(disk.env(), FILE);
  disk.files.open(disk.env({ cells: new SharedArrayBuffer(8) }), FILE);
  assert.equal(disk.readings.length, 2);
});

test('shared file: a change is read once, in steps, and holds when it is read whole', () => {
  const disk = new Disk();
  const env = disk.env();
  const use = disk.files.open(env, FILE);
  disk.files.open(disk.env(), FILE);
  disk.change('d e');
  env.advance(1);
  assert.deepEqual(use.value, ['a', 'b', 'c']);
  settle(env);
  assert.deepEqual(use.value, ['d', 'e']);
  assert.deepEqual(disk.readings, ['a b c', 'd e']);
  assert.equal(env.counts.get('file_read'), 1);
});

test('shared file: what changes while it is read is read again', () => {
  const disk = new Disk();
  const env = disk.env();
  const use = disk.files.open(env, FILE);
  disk.change('d e f');
  env.advance(1);
  disk.change('g');
  settle(env);
  assert.deepEqual(use.value, ['g']);
});

for (const [rule, change, reason] of [
  ['is wrong', 'd wrong', 'line 1: Expected a word'],
  ['is gone', Object.assign(new Error('no /etc/list'), { code: 'ENOENT' }), 'no such file'],
] as const) {
  test(`shared file: what was read holds while the file ${rule}`, () => {
    const disk = new Disk();
    const env = disk.env();
    const use = disk.files.open(env, FILE);
    disk.change(change);
    settle(env);
    assert.deepEqual(use.value, ['a', 'b', 'c']);
    assert.deepEqual(env.warnings, [`Cannot read /etc/list: ${reason}; what it said before still holds`]);
    assert.equal(env.counts.get('file_refused'), 1);
    disk.change('d');
    settle(env);
    assert.deepEqual(use.value, ['d']);
  });

  test(`shared file: a file that ${rule} at first fails whoever asks, until it is right`, () => {
    const disk = new Disk();
    const [env, other] = [disk.env(), disk.env()];
    disk.text = change;
    const uses = [env, other].map((one) => disk.files.open(one, FILE));
    const warning = `Cannot read /etc/list: ${reason}; requests that need it answer 500 until it is right`;
    for (const use of uses) assert.throws(() => use.value, FileNotRead);
    assert.deepEqual([...env.warnings, ...other.warnings], [warning], 'said once');
    disk.change('still wrong');
    settle(env);
    assert.throws(() => uses[0]!.value, FileNotRead);
    assert.equal(env.warnings.length, 2);
    disk.change('d');
    settle(env);
    for (const use of uses) assert.deepEqual(use.value, ['d']);
    disk.change(Object.assign(new Error('gone'), { code: 'ENOENT' }));
    settle(env);
    assert.deepEqual(uses[0]!.value, ['d'], 'the last good one holds');
    for (const use of uses) use.close();
    assert.equal(disk.watchers, 0);
  });
}

test('shared file: it is read on when the one that began has gone, and forgotten with the last', () => {
  const disk = new Disk();
  const [first, second] = [disk.env(), disk.env()];
  const one = disk.files.open(first, FILE);
  const other = disk.files.open(second, FILE);
  disk.change('d e f');
  first.advance(1);
  one.close();
  settle(first);
  settle(second);
  assert.deepEqual(other.value, ['d', 'e', 'f']);
  assert.equal(disk.watchers, 1);
  other.close();
  assert.equal(disk.watchers, 0);
  disk.files.open(disk.env(), FILE);
  assert.equal(disk.readings.length, 3);
});

test('shared file: nothing is read on when nobody is left', () => {
  const disk = new Disk();
  const env = disk.env();
  const use = disk.files.open(env, FILE);
  disk.change('d e');
  use.close();
  settle(env);
  assert.deepEqual(disk.readings, ['a b c']);
});
