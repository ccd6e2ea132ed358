import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

const PURGE = 'http://127.0.0.1:9900/cache/purge';
const PURGED = { [PURGE]: { status: 200, body: '{"workers":2,"purged":3}' } };

const PURGES: [args: string[], posted: object][] = [
  [['--url', 'https://shop.test/a'], { by: 'url', value: 'https://shop.test/a' }],
  [['--prefix', 'https://shop.test/'], { by: 'prefix', value: 'https://shop.test/' }],
  [['--tag', 'products'], { by: 'tag', value: 'products' }],
  [['--all', '--policy', 'shop/cache'], { by: 'all', policy: 'shop/cache' }],
];

for (const [args, posted] of PURGES) {
  test(`cache: purge ${args.join(' ')}`, async () => {
    const io = fakeIo({ answers: PURGED });
    assert.equal(await runCommand(['cache', 'purge', ...args], io), 0);
    assert.deepEqual(io.posted, [{ url: PURGE, body: posted }]);
    assert.deepEqual(io.outLines, ['Purged 3 answers in 2 workers']);
  });
}

test('cache: what caches hold', async () => {
  const zone = { owner: 'Policy shop/cache', entries: 7, bytes: 1_572_864, bytesMax: 134_217_728, filling: 0 };
  const body = JSON.stringify({ workers: 2, zones: [zone] });
  const io = fakeIo({ answers: { 'http://127.0.0.1:9900/cache': { status: 200, body } } });
  assert.equal(await runCommand(['cache', 'stats'], io), 0);
  assert.match(io.outLines.join('\n'), /^Policy shop\/cache +7 +1\.5 +128\.0 +1 %\n\nin 2 workers$/m);
  assert.equal(await runCommand(['cache', 'stats', '--json'], io), 0);
  assert.equal(io.outLines.at(-1), body);
});

const WRONG: [args: string[], code: number, message: RegExp][] = [
  [[], 2, /Expected stats or purge/],
  [['clear'], 2, /not "clear"/],
  [['purge'], 2, /Expected one of --url/],
  [['purge', '--all', '--tag', 'a'], 2, /Expected one of --url/],
  [['stats', '--all'], 2, /--all is for purge/],
  [['purge', '--url', '/a'], 1, /"\/a" is no URL/],
];

for (const [args, code, message] of WRONG) {
  test(`cache: ${args.join(' ') || 'no word'} is refused`, async () => {
    const detail = '"/a" is no URL';
    const io = fakeIo({ answers: { [PURGE]: { status: 400, body: JSON.stringify({ detail }) } } });
    assert.equal(await runCommand(['cache', ...args], io), code);
    assert.match(io.errLines.join('\n'), message);
  });
}
