/**
 * The process in which a configuration module (`fourways.config.ts`) runs: it
 * loads the module, makes its default export plain and sends it, with the name
 * of every file that took part. Started by load-config.ts, which also ends it.
 */
import { readFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Position } from '../base/problem.ts';
import type { ModuleFailure } from '../source/module.ts';
import { plainValue } from './config-value.ts';
import { ownExport } from './own-exports.ts';

/** What the process says, in order: any number of files, then one result. */
export type ConfigMessage =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'value'; readonly value: unknown }
  | ModuleFailure;

/** Files of the operator that were loaded, in order. */
const files = new Set<string>();

/** An import that did not resolve, for its place in the text: the error itself names none. */
let unresolved: { readonly specifier: string; readonly parent: string } | undefined;

function post(message: ConfigMessage): void {
  process.send!(message);
}

registerHooks({
  resolve(specifier, context, next) {
    const ours = ownExport(specifier);
    if (ours !== undefined) return { url: ours, shortCircuit: true };
    try {
      const found = next(specifier, context);
      track(found.url);
      return found;
    } catch (error) {
      if (context.parentURL !== undefined) unresolved ??= { specifier, parent: context.parentURL };
      throw error;
    }
  },
});

function track(url: string): void {
  if (!url.startsWith('file:') || url.includes('/node_modules/')) return;
  const path = fileURLToPath(url);
  if (files.has(path)) return;
  files.add(path);
  post({ kind: 'file', path });
}

async function run(path: string): Promise<void> {
  try {
    const { default: exported } = (await import(pathToFileURL(path).href)) as { default?: unknown };
    if (exported === undefined) {
      return post({ kind: 'failed', code: 'module.value', reason: 'it has no default export' });
    }
    // A function may read a file or ask a service first.
    const value = await (typeof exported === 'function' ? (exported as () => unknown)() : exported);
    post(plainValue(value, path));
  } catch (error) {
    post(failure(error));
  }
}

function failure(error: unknown): ModuleFailure {
  const at = placeOf(error);
  const code = error instanceof SyntaxError ? 'module.syntax' : 'module.failed';
  return { kind: 'failed', code, reason: reasonOf(error), ...(at !== undefined && { at }) };
}

function reasonOf(error: unknown): string {
  if (unresolved !== undefined) return `cannot find "${unresolved.specifier}"`;
  if (error instanceof Error) return error.message === '' ? error.name : error.message;
  return `it threw ${typeof error === 'string' ? JSON.stringify(error) : String(error)}`;
}

function placeOf(error: unknown): Position | undefined {
  if (unresolved !== undefined) return placeOfText(unresolved.parent, unresolved.specifier);
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  return placeOfHeader(stack) ?? placeOfFrame(stack) ?? (error instanceof SyntaxError ? placeOfSyntax() : undefined);
}

/** Where a quoted specifier stands in the module that imports it. */
function placeOfText(url: string, specifier: string): Position | undefined {
  const file = fileURLToPath(url);
  const text = readFileSync(file, 'utf8');
  const at = [`'${specifier}'`, `"${specifier}"`].map((quoted) => text.indexOf(quoted)).find((index) => index >= 0);
  if (at === undefined) return undefined;
  const before = text.slice(0, at).split('\n');
  return { file, line: before.length, column: before.at(-1)!.length + 1 };
}

/** Syntax errors begin with a picture: `FILE:LINE`, the line, carets below. The picture has no column but theirs. */
function placeOfHeader(stack: string): Position | undefined {
  const lines = stack.split('\n', 8);
  const head = /^(.+):(\d+)$/.exec(lines[0] ?? '');
  if (head === null) return undefined;
  const carets = lines.find((line) => /^\s*\^+\s*$/.test(line));
  return { file: pathOf(head[1]!), line: Number(head[2]), column: carets === undefined ? 1 : carets.indexOf('^') + 1 };
}

/** The first frame in a file of the operator. */
function placeOfFrame(stack: string): Position | undefined {
  for (const [, location, line, column] of stack.matchAll(/(file:\/\/[^\s)]+|\/[^\s)]+):(\d+):(\d+)\)?$/gm)) {
    const file = pathOf(location!);
    if (files.has(file)) return { file, line: Number(line), column: Number(column) };
  }
  return undefined;
}

/** Node does not say where a syntax error in a JavaScript module is, but its TypeScript parser does. */
function placeOfSyntax(): Position | undefined {
  for (const file of [...files].toReversed()) {
    try {
      stripTypeScriptTypes(readFileSync(file, 'utf8'), { sourceUrl: file });
    } catch (error) {
      const at = error instanceof Error ? placeOfHeader(error.stack ?? '') : undefined;
      if (at !== undefined) return at;
    }
  }
  return undefined;
}

function pathOf(location: string): string {
  return location.startsWith('file:') ? fileURLToPath(location) : location;
}

// An error that nobody waits for: a rejected promise, a throw in a timer.
process.on('uncaughtException', (error) => post(failure(error)));
await run(process.argv[2]!);
