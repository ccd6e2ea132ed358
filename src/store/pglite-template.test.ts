import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { openFromTemplate } from './pglite-template.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-template-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const template = join(dir, 'cache', 'pglite.tar');

test('the first database leaves a template, the next ones are made of it and know nothing of each other', async () => {
  const first = await openFromTemplate(join(dir, 'a'), template);
  await first.query('create table mine (n int)');
  await first.close();
  const { mtimeMs, mode } = statSync(template);
  assert.equal(mode & 0o777, 0o600);

  const second = await openFromTemplate(join(dir, 'b'), template);
  assert.deepEqual((await second.query("select to_regclass('mine') as mine")).rows, [{ mine: null }]);
  await second.query('create table other (n int)');
  await second.close();
  assert.equal(statSync(template).mtimeMs, mtimeMs);

  const again = await openFromTemplate(join(dir, 'b'), template);
  assert.deepEqual((await again.query("select to_regclass('other')::text as other")).rows, [{ other: 'other' }]);
  await again.close();
});

test('a damaged template is thrown away, and the database is made without it', async () => {
  const broken = join(dir, 'broken.tar');
  writeFileSync(broken, 'no archive');
  const database = await openFromTemplate(join(dir, 'c'), broken);
  assert.deepEqual((await database.query('select 1 as one')).rows, [{ one: 1 }]);
  await database.close();
  assert.equal(existsSync(broken), false);
});
