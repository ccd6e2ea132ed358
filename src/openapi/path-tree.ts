/** Path templates (`/users/{id}/files/{name}.json`) by segments: a look-up does not grow with their number. */

export interface PathMatch<T> {
  readonly value: T;
  /** What stands for each name of the template, in its order; percent-encoded as it came. */
  readonly parts: readonly string[];
}

interface TreeNode<T> {
  readonly literals: Map<string, TreeNode<T>>;
  /** Segments with names inside, those with more fixed characters first. */
  readonly patterns: { readonly pieces: readonly string[]; readonly fixed: number; readonly node: TreeNode<T> }[];
  leaf: T | undefined;
}

function node<T>(): TreeNode<T> {
  return { literals: new Map(), patterns: [], leaf: undefined };
}

export class PathTree<T> {
  readonly #root: TreeNode<T> = node();

  /** @returns what is there already, where another template takes the same paths */
  add(template: string, value: T): T | undefined {
    let at = this.#root;
    for (const segment of segmentsOf(template)) at = step(at, segment);
    const before = at.leaf;
    at.leaf ??= value;
    return before;
  }

  /** Fixed segments count before names (OpenAPI 3.1.1 section 4.8.8.2). */
  find(path: string): PathMatch<T> | undefined {
    const parts: string[] = [];
    const value = search(this.#root, segmentsOf(path), 0, parts);
    return value === undefined ? undefined : { value, parts };
  }
}

function segmentsOf(path: string): string[] {
  return (path.startsWith('/') ? path.slice(1) : path).split('/');
}

function step<T>(from: TreeNode<T>, segment: string): TreeNode<T> {
  const pieces = segment.split(/\{[^{}]*\}/).map(written);
  if (pieces.length === 1) {
    const literal = pieces[0]!;
    let next = from.literals.get(literal);
    if (next === undefined) from.literals.set(literal, (next = node()));
    return next;
  }
  const same = from.patterns.find((known) => known.pieces.join('\n') === pieces.join('\n'));
  if (same !== undefined) return same.node;
  const made = { pieces, fixed: pieces.join('').length, node: node<T>() };
  from.patterns.push(made);
  from.patterns.sort((a, b) => b.fixed - a.fixed);
  return made.node;
}

/** As a path in normal form has it. */
function written(literal: string): string {
  return /[^\x21-\x7e]/.test(literal) ? encodeURI(literal) : literal;
}

function search<T>(from: TreeNode<T>, segments: readonly string[], at: number, parts: string[]): T | undefined {
  if (at === segments.length) return from.leaf;
  const segment = segments[at]!;
  const literal = from.literals.get(segment);
  const found = literal && search(literal, segments, at + 1, parts);
  if (found !== undefined) return found;
  for (const { pieces, node: next } of from.patterns) {
    const before = parts.length;
    if (!take(segment, pieces, parts)) continue;
    const value = search(next, segments, at + 1, parts);
    if (value !== undefined) return value;
    parts.length = before;
  }
  return undefined;
}

/** Fixed pieces are found from the left, the last one at the end; no name is empty. */
function take(segment: string, pieces: readonly string[], parts: string[]): boolean {
  const last = pieces.length - 1;
  const suffix = pieces[last]!;
  const end = segment.length - suffix.length;
  if (!segment.startsWith(pieces[0]!) || !segment.endsWith(suffix)) return false;
  const taken: string[] = [];
  let start = pieces[0]!.length;
  for (let i = 1; i <= last; i++) {
    // Two names without anything between them: the first one gets a character.
    const next = i === last ? end : pieces[i] === '' ? start + 1 : segment.indexOf(pieces[i]!, start + 1);
    if (next <= start || next > end) return false;
    taken.push(segment.slice(start, next));
    start = next + pieces[i]!.length;
  }
  parts.push(...taken);
  return true;
}
