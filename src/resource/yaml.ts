/** The full YAML parser, for what plain-yaml.ts leaves: the only file that knows the `yaml` package. */
import { createRequire } from 'node:module';
import type * as Yaml from 'yaml';
import { type Place, placeOf, type Range } from './plain-yaml.ts';

const load = createRequire(import.meta.url);
let loaded: typeof Yaml | undefined;

/** The package, at first use: most configurations are plain, and loading it takes as long as reading 600 routes. */
function yaml(): typeof Yaml {
  loaded ??= load('yaml') as typeof Yaml;
  return loaded;
}

/** Aliases that one document may expand to: enough for people, too few for a bomb. */
const ALIASES_MAX = 100;

/** Mistakes said of one document: one broken line can look like a hundred. */
const MISTAKES_MAX = 5;

export interface Mistake {
  readonly place: Place;
  readonly code: 'yaml.syntax' | 'yaml.duplicate';
  readonly message: string;
}

export type YamlRead =
  | { readonly value: unknown; readonly mistakes: readonly [] }
  | { readonly value: undefined; readonly mistakes: readonly Mistake[] };

/** Reads one document in the core schema: no tags of anybody's own, every key a string, no key twice. */
export function readYaml(text: string): YamlRead {
  try {
    const document = parse(text);
    const found = [...document.errors, ...document.warnings];
    if (found.length === 0) return { value: document.toJS({ maxAliasCount: ALIASES_MAX }), mistakes: [] };
    const repeats = found.filter(({ code }) => code === 'DUPLICATE_KEY');
    // After a mistake in the grammar, what follows is guesswork; keys that repeat are each a mistake.
    const said =
      repeats.length === found.length ? repeats.slice(0, MISTAKES_MAX) : [found.find((one) => !repeats.includes(one))!];
    return {
      value: undefined,
      mistakes: said.map(({ code, message, pos }) => mistakeOf(text, { code, message, at: pos[0] })),
    };
  } catch (thrown) {
    // Aliases beyond the bound, and nesting that fills the stack.
    const why =
      thrown instanceof RangeError ? 'nested too deeply' : thrown instanceof Error ? thrown.message : 'unknown';
    return { value: undefined, mistakes: [mistake({ line: 0, column: 0 }, why)] };
  }
}

/** Where the text has what each of `paths` names, or the deepest part of it that is there. */
export function locateYaml(text: string, paths: readonly (readonly string[])[]): Place[] {
  let root: unknown;
  try {
    root = parse(text).contents;
  } catch {
    return paths.map(() => ({ line: 0, column: 0 }));
  }
  return paths.map((path) => {
    let node = root;
    let offset = offsetOf(node) ?? 0;
    for (const token of path) {
      const step = below(node, token);
      if (step === undefined) break;
      offset = step.offset ?? offset;
      node = step.value;
    }
    return placeOf(text, offset);
  });
}

/** Offsets of the items of the list at `path`: where each begins, and where its node ends. */
export function itemRangesOfYaml(text: string, path: readonly string[]): readonly Range[] {
  let node: unknown = parse(text).contents;
  for (const token of path) node = below(node, token)?.value;
  if (!yaml().isSeq(node)) return [];
  return node.items.map((item) => {
    const range = (item as Yaml.Node).range!;
    return [range[0], range[1]];
  });
}

/** YAML of plain values; strings that would read as something else are quoted. */
export function writeYaml(value: unknown): string {
  return yaml().stringify(value, { lineWidth: 120, aliasDuplicateObjects: false });
}

/** What is done to the value at `path` of a document. */
export type YamlEdit = { readonly path: readonly string[] } & (
  | { readonly set: unknown }
  | { readonly remove: true }
  /** A list of items that are there already, by their places, and of new ones. */
  | { readonly list: readonly ListItem[] }
);

type ListItem = { readonly kept: number } | { readonly value: unknown };

/** The text of one document with something else in it. What is not touched stays as it is written, as far as it can. */
export function editYaml(text: string, edits: readonly YamlEdit[]): string {
  let edited = text;
  for (const edit of edits) edited = cut(edited, edit) ?? rewritten(edited, edit);
  return edited;
}

/** Only the lines that are meant; undefined where they hold something else as well. */
function cut(text: string, edit: YamlEdit): string | undefined {
  const document = parse(text);
  if ('list' in edit) return listCut(text, document.getIn(edit.path, true), edit.list);
  const parent = document.getIn(edit.path.slice(0, -1), true);
  const name = edit.path.at(-1)!;
  if (!yaml().isMap(parent) || parent.flow === true || parent.items.length < 2) return undefined;
  const pair = parent.items.find(({ key }) => yaml().isScalar(key) && key.value === name);
  const key = pair?.key ?? parent.items[0]!.key;
  const start = lineStartOf(text, offsetOf(key) ?? 0);
  const indent = text.slice(start, offsetOf(key));
  if (indent.trim() !== '') return undefined;
  const end = pair === undefined ? start : lineEndOf(text, (pair.value as Yaml.Node).range![1]);
  const line =
    'set' in edit
      ? writeYaml({ [name]: edit.set })
          .replaceAll(/^/gm, indent)
          .trimEnd()
      : undefined;
  return text.slice(0, start) + (line === undefined ? '' : `${line}\n`) + text.slice(end);
}

/** Of a list with a dash before each item; each goes with the comments before it. */
function listCut(text: string, list: unknown, wanted: readonly ListItem[]): string | undefined {
  if (!yaml().isSeq(list) || list.flow === true || list.items.length === 0) return undefined;
  const ranges = list.items.map((item) => (item as Yaml.Node).range!);
  const first = text.lastIndexOf('-', ranges[0]![0] - 1);
  const from = lineStartOf(text, first);
  const indent = text.slice(from, first);
  if (indent.trim() !== '') return undefined;
  const ends = ranges.map((range) => lineEndOf(text, range[1]));
  const pieces = wanted.map((item) => {
    if ('kept' in item) return text.slice(item.kept === 0 ? from : ends[item.kept - 1], ends[item.kept]);
    return writeYaml([item.value]).replaceAll(/^(?=.)/gm, indent);
  });
  return text.slice(0, from) + pieces.map(lineOf).join('') + text.slice(ends.at(-1));
}

function lineOf(piece: string): string {
  return piece.endsWith('\n') ? piece : `${piece}\n`;
}

function lineStartOf(text: string, offset: number): number {
  return text.lastIndexOf('\n', offset - 1) + 1;
}

/** Behind the line on which the last of the content before `offset` stands. */
function lineEndOf(text: string, offset: number): number {
  const end = text.indexOf('\n', text.slice(0, offset).trimEnd().length);
  return end === -1 ? text.length : end + 1;
}

function rewritten(text: string, edit: YamlEdit): string {
  const document = parse(text);
  if ('remove' in edit) document.deleteIn(edit.path);
  else if ('set' in edit) document.setIn(edit.path, document.createNode(edit.set));
  else {
    const list = document.getIn(edit.path, true);
    const items = yaml().isSeq(list) ? list.items : [];
    const next = edit.list.map((item) => ('kept' in item ? items[item.kept] : document.createNode(item.value)));
    if (yaml().isSeq(list)) list.items = next;
    else document.setIn(edit.path, document.createNode(next));
  }
  return document.toString({ lineWidth: 120 });
}

function parse(text: string): ReturnType<typeof Yaml.parseDocument> {
  return yaml().parseDocument(text, {
    schema: 'core',
    uniqueKeys: true,
    stringKeys: true,
    resolveKnownTags: false,
    prettyErrors: false,
    logLevel: 'silent',
  });
}

function offsetOf(node: unknown): number | undefined {
  return (node as Yaml.Node | null | undefined)?.range?.[0];
}

function below(node: unknown, token: string): { offset: number | undefined; value: unknown } | undefined {
  const { isMap, isScalar, isSeq } = yaml();
  if (isSeq(node)) {
    const item = node.items[Number(token)];
    return item === undefined ? undefined : { offset: offsetOf(item), value: item };
  }
  if (!isMap(node)) return undefined;
  const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === token);
  return pair === undefined ? undefined : { offset: offsetOf(pair.key), value: pair.value };
}

interface Found {
  readonly code: string;
  readonly message: string;
  readonly at: number;
}

function mistakeOf(text: string, { code, message, at }: Found): Mistake {
  const place = placeOf(text, at);
  if (code !== 'DUPLICATE_KEY') return mistake(place, message);
  const key = /[^\s:]+/y;
  key.lastIndex = at;
  const name = (key.exec(text)?.[0] ?? '').replaceAll(/^["']|["']$/g, '');
  return { place, code: 'yaml.duplicate', message: `Duplicate field "${name}": it stands above already` };
}

function mistake(place: Place, why: string): Mistake {
  // What stands behind a colon is text of the document, which may be a secret.
  const rule = why.split(/: |\n/, 1)[0]!;
  return { place, code: 'yaml.syntax', message: `Cannot read YAML: ${rule.charAt(0).toLowerCase()}${rule.slice(1)}` };
}
