/**
 * `npm run deps`: writes what each program loads, at its start and later, so that a
 * change of it is seen in review. No other rule keeps a data plane small for years.
 *
 * `--check` compares instead of writing.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { loadedBy } from './rooms.ts';

const ROOT = new URL('..', import.meta.url).pathname;

const PROGRAMS: readonly { readonly name: string; readonly entry: string; readonly what: string }[] = [
  { name: 'proxy', entry: 'src/main/worker.ts', what: 'a proxy worker' },
  { name: 'control', entry: 'src/main/up.ts', what: 'the control thread of "fourways up"' },
  { name: 'store', entry: 'src/store/pglite-thread.ts', what: 'the thread of the embedded store' },
  { name: 'cli', entry: 'src/cli/main.ts', what: 'the command line before it knows its command' },
];

/** Everything that `entry` loads: `node:net`, `npm yaml`, `src/base`; sorted. */
export function depsOf(root: string, entry: string, when: 'start' | 'ever'): string[] {
  const files = new Set<string>();
  const deps = new Set<string>();
  const queue = [resolve(root, entry)];
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (files.has(file)) continue;
    files.add(file);
    deps.add(relative(root, file).split('/').slice(0, 2).join('/'));
    for (const specifier of loadedBy(readFileSync(file, 'utf8'), when)) {
      if (specifier.startsWith('.')) queue.push(resolve(dirname(file), specifier));
      else deps.add(specifier.startsWith('node:') ? specifier : `npm ${packageOf(specifier)}`);
    }
  }
  return [...deps].toSorted();
}

function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

function main(check: boolean): void {
  mkdirSync(join(ROOT, 'deps'), { recursive: true });
  for (const { name, entry, what } of PROGRAMS) {
    const path = join(ROOT, 'deps', `${name}.txt`);
    const start = depsOf(ROOT, entry, 'start');
    const later = depsOf(ROOT, entry, 'ever').filter((dep) => !start.includes(dep));
    const lines = [
      `# What ${what} (${entry}) loads. Written by "npm run deps".`,
      '# at its start',
      ...start,
      ...(later.length === 0 ? [] : ['# later, or never', ...later]),
    ];
    const text = `${lines.join('\n')}\n`;
    if (!check) writeFileSync(path, text);
    else if (!existsSync(path) || readFileSync(path, 'utf8') !== text) {
      console.error(`deps/${name}.txt is not what ${entry} loads: run "npm run deps" and look at the difference`);
      process.exitCode = 1;
    }
  }
}

if (import.meta.main) main(process.argv.includes('--check'));
