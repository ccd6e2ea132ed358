/** Problems as a person reads them: the message, then the line it is about with a mark under the place. */
import { formatProblem, type Position, type Problem } from '../base/problem.ts';
import { paint, type Palette } from './paint.ts';

/** Columns of a source line that are shown. */
const WIDTH_MAX = 100;

/** Text of a file, or undefined when it cannot be read any more. */
export type ReadText = (file: string) => Promise<string | undefined>;

/**
 * One problem, several lines:
 *
 *     gateway/routes.yaml:12:15: error: Field is unknown … (HTTPRoute default/web, /spec/rules/0)
 *        12 |         - pth: { type: Exact }
 *           |           ^
 */
export async function excerptOf(problem: Problem, palette: Palette, readText: ReadText): Promise<string> {
  const colour = problem.level === 'error' ? 'red' : 'yellow';
  const text = formatProblem(problem).replace(`${problem.level}: `, `${paint(palette, colour, `${problem.level}:`)} `);
  const source = problem.at === undefined ? undefined : await readText(problem.at.file);
  if (problem.at === undefined || source === undefined) return text;
  const [first, ...others] = text.split('\n');
  return [first, ...marked(problem.at, source, palette), ...others].join('\n');
}

function marked({ line, column }: Position, source: string, palette: Palette): string[] {
  const full = source.split(/\r?\n/)[line - 1];
  if (full === undefined || full.trim() === '') return [];
  // A long line is shown around its column.
  const from = column > WIDTH_MAX ? column - WIDTH_MAX / 2 : 0;
  const shown = visible(full.slice(from, from + WIDTH_MAX));
  const number = String(line).padStart(5);
  const mark = `${' '.repeat(Math.max(0, column - 1 - from))}^`;
  return [
    `${paint(palette, 'dim', `${number} |`)} ${shown}`,
    `${paint(palette, 'dim', `${' '.repeat(5)} |`)} ${paint(palette, 'cyan', mark)}`,
  ];
}

/** Tabs as one column, so that the mark stands right; control bytes of a hostile file never reach the terminal. */
function visible(text: string): string {
  return text.replaceAll('\t', ' ').replaceAll(/[\u0000-\u001f\u007f-\u009f]/g, '\uFFFD');
}
