/**
 * Problem: something an operator wrote that is wrong or doubtful. Problems are
 * collected, never thrown; each one says where it is, what is there and what
 * should be there.
 */

/** A place in a file. Lines and columns count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export type ProblemLevel = 'error' | 'warning';

export interface Problem {
  readonly level: ProblemLevel;
  /** Stable code for machines, `area.what`, for example `field.unknown` or `reference.no-grant`. */
  readonly code: string;
  /** Who owns it: `HTTPRoute shop/web`. Absent when the text could not be read as a resource. */
  readonly resource?: string;
  readonly at?: Position;
  /** JSON pointer of the field inside the resource: `/spec/rules/0/matches/0/path`. */
  readonly field?: string;
  /** Action or state first, then what is, then what should be. Sentence case, no full stop. */
  readonly message: string;
  /** The other owners, where two resources are in each other's way. */
  readonly related?: readonly RelatedOwner[];
}

export interface RelatedOwner {
  readonly resource: string;
  readonly at?: Position;
}

/** `file:line:column: error: message (HTTPRoute shop/web, /spec/rules/0)`, plus one line per related owner. */
export function formatProblem(problem: Problem): string {
  const { level, resource, at, field, message, related = [] } = problem;
  const where = at === undefined ? '' : `${at.file}:${at.line}:${at.column}: `;
  const owner = [resource, field].filter((part) => part !== undefined && part !== '').join(', ');
  const lines = [`${where}${level}: ${message}${owner === '' ? '' : ` (${owner})`}`];
  for (const other of related) {
    const place = other.at === undefined ? '' : ` at ${other.at.file}:${other.at.line}:${other.at.column}`;
    lines.push(`  see also: ${other.resource}${place}`);
  }
  return lines.join('\n');
}

/** Who is there and could not be read, as problems name them: that they do not exist is not the problem to solve. */
export function unreadOf(problems: readonly Problem[]): ReadonlySet<string> {
  return new Set(
    problems.flatMap(({ level, resource }) => (level === 'error' && resource !== undefined ? [resource] : [])),
  );
}

/**
 * The candidate nearest to `word`, for "did you mean". Undefined when none is
 * within a third of the word's length (Damerau-Levenshtein, adjacent swaps count one).
 */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) >= bestDistance) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1);
      next.push(cost);
    }
    before = row;
    row = next;
  }
  return row[b.length]!;
}
