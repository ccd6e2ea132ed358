/** What a check of `fourways doctor` has found, and how it is shown. */
import { paint, type Paint, type Palette } from './paint.ts';
import { formatTable } from './table.ts';

export type Level = 'ok' | 'warning' | 'problem';

export interface Row {
  readonly check: string;
  readonly level: Level;
  /** In one line. */
  readonly found: string;
  /** What to do about it: a command, or a field. */
  readonly fix?: string;
}

const PAINTS: Readonly<Record<Level, Paint>> = { ok: 'green', warning: 'yellow', problem: 'red' };

export type Counts = Readonly<Record<Level, number>>;

export function countsOf(rows: readonly Row[]): Counts {
  const count = (level: Level): number => rows.filter((row) => row.level === level).length;
  return { ok: count('ok'), warning: count('warning'), problem: count('problem') };
}

export function rowsText(rows: readonly Row[], palette: Palette): string {
  const cells = rows.map(({ level, check, found }) => [level, check, found]);
  const [head, ...lines] = formatTable(['', 'CHECK', 'FOUND'], cells).split('\n');
  const shown = lines.flatMap((line, i) => {
    const { level, fix } = rows[i]!;
    const painted = paint(palette, PAINTS[level], level) + line.slice(level.length);
    return fix === undefined ? [painted] : [painted, `         ${paint(palette, 'cyan', 'do:')} ${fix}`];
  });
  return [head, ...shown, '', countsText(countsOf(rows))].join('\n');
}

function countsText({ ok, warning, problem }: Counts): string {
  const many = (count: number, word: string): string => `${count} ${word}${count === 1 ? '' : 's'}`;
  return `${many(problem, 'problem')}, ${many(warning, 'warning')}, ${ok} ok`;
}
