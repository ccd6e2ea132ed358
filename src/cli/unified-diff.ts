/** A unified diff of two texts, for people and for `git apply`: what changed between lines that are the same at both ends. */

const CONTEXT_LINES = 3;

/** Cells of the table by which lines are matched. Beyond: all of the middle is replaced, which is right and less pretty. */
const CELLS_MAX = 4_000_000;

export interface Change {
  readonly file: string;
  /** Undefined: the file is new. */
  readonly before: string | undefined;
  readonly after: string;
}

interface Line {
  readonly mark: ' ' | '-' | '+';
  readonly text: string;
}

/** Empty when nothing changed. */
export function unifiedDiff({ file, before, after }: Change): string {
  if (before === after) return '';
  const lines = compared(linesOf(before ?? ''), linesOf(after));
  const head = [`--- ${before === undefined ? '/dev/null' : `a/${file}`}`, `+++ b/${file}`];
  return `${[...head, ...hunks(lines)].join('\n')}\n`;
}

/** With `\ No newline` where the last one has no end. */
function linesOf(text: string): string[] {
  if (text === '') return [];
  if (text.endsWith('\n')) return text.slice(0, -1).split('\n');
  const lines = text.split('\n');
  lines.push(`${lines.pop()!}\n\\ No newline at end of file`);
  return lines;
}

function compared(a: readonly string[], b: readonly string[]): Line[] {
  let start = 0;
  while (start < a.length && start < b.length && a[start] === b[start]) start++;
  let end = 0;
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  const marked = (mark: Line['mark'], lines: readonly string[]): Line[] => lines.map((text) => ({ mark, text }));
  const middle: [string[], string[]] = [a.slice(start, a.length - end), b.slice(start, b.length - end)];
  const isLarge = middle[0].length * middle[1].length > CELLS_MAX;
  return [
    ...marked(' ', a.slice(0, start)),
    ...(isLarge ? [...marked('-', middle[0]), ...marked('+', middle[1])] : matched(...middle)),
    ...marked(' ', a.slice(a.length - end)),
  ];
}

/** By the longest common subsequence. */
function matched(a: readonly string[], b: readonly string[]): Line[] {
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      const at = i * width + j;
      longest[at] = a[i] === b[j] ? longest[at + width + 1]! + 1 : Math.max(longest[at + width]!, longest[at + 1]!);
    }
  }
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push({ mark: ' ', text: a[i++]! });
      j++;
    } else if (j === b.length || (i < a.length && longest[(i + 1) * width + j]! >= longest[i * width + j + 1]!)) {
      lines.push({ mark: '-', text: a[i++]! });
    } else {
      lines.push({ mark: '+', text: b[j++]! });
    }
  }
  return lines;
}

function hunks(lines: readonly Line[]): string[] {
  const changed = lines.flatMap(({ mark }, i) => (mark === ' ' ? [] : [i]));
  const spans: { start: number; end: number }[] = [];
  for (const at of changed) {
    const [start, end] = [Math.max(0, at - CONTEXT_LINES), Math.min(lines.length, at + CONTEXT_LINES + 1)];
    const last = spans.at(-1);
    if (last !== undefined && start <= last.end) last.end = end;
    else spans.push({ start, end });
  }
  return spans.flatMap(({ start, end }) => {
    const own = lines.slice(start, end);
    const range = (mark: '-' | '+'): string => {
      const isOf = (line: Line): boolean => line.mark === ' ' || line.mark === mark;
      const count = own.filter(isOf).length;
      const first = lines.slice(0, start).filter(isOf).length + (count === 0 ? 0 : 1);
      return `${mark}${first},${count}`;
    };
    return [`@@ ${range('-')} ${range('+')} @@`, ...own.map(({ mark, text }) => `${mark}${text}`)];
  });
}
