/** Documents that point nowhere are worse than none: every relative link of a Markdown file must lead to a file. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';

const ROOT = new URL('..', import.meta.url).pathname;
const PAGES = globSync('{*.md,{.github,bench,changes,docs,examples,src,test,tools}/**/*.md}', { cwd: ROOT });

/** Bound of a room's README: who reads more reads the code. */
const ROOM_LINES_MAX = 20;

function linksOf(page: string): string[] {
  // Code may look like a link.
  const text = readFileSync(join(ROOT, page), 'utf8')
    .replaceAll(/^```[^]*?^```/gm, '')
    .replaceAll(/`[^`\n]*`/g, '');
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target!);
}

test('docs: every relative link leads to a file', () => {
  assert.ok(PAGES.length > 20);
  const dead = PAGES.flatMap((page) =>
    linksOf(page)
      .filter((target) => !/^(?:[a-z]+:|#)/.test(target))
      .filter((target) => !existsSync(resolve(ROOT, dirname(page), decodeURI(target.split('#')[0]!))))
      .map((target) => `${page}: ${target}`),
  );
  assert.deepEqual(dead, []);
});

test('docs: the list of decisions names every decision', () => {
  const listed = linksOf('docs/decisions/README.md').toSorted();
  const there = readdirSync(join(ROOT, 'docs/decisions')).filter((file) => /^\d{4}-/.test(file));
  assert.deepEqual(listed, there.toSorted());
});

test('docs: every decision has a number of its own, which its heading says', () => {
  const pages = readdirSync(join(ROOT, 'docs/decisions')).filter((file) => /^\d{4}-/.test(file));
  const numbers = pages.map((file) => file.slice(0, 4));
  assert.deepEqual(
    numbers.filter((number, i) => numbers.indexOf(number) !== i),
    [],
  );
  for (const file of pages.filter((name) => !name.startsWith('0000'))) {
    const heading = readFileSync(join(ROOT, 'docs/decisions', file), 'utf8').split('\n', 1)[0]!;
    assert.ok(heading.startsWith(`# ${file.slice(0, 4)}: `), `${file}: ${heading}`);
  }
});

test('docs: every room has a README that can be read in a minute', () => {
  const rooms = readdirSync(join(ROOT, 'src'));
  assert.ok(rooms.length > 5);
  for (const room of rooms) {
    const readme = join(ROOT, 'src', room, 'README.md');
    assert.ok(existsSync(readme), `src/${room} has no README.md`);
    const lines = readFileSync(readme, 'utf8').trimEnd().split('\n').length;
    assert.ok(lines <= ROOM_LINES_MAX, `src/${room}/README.md has ${lines} lines`);
  }
});
