/** Who did not answer, and what was lost: never left out, or what is shown would look like all there is. */
import { paint, type Palette } from './paint.ts';
import type { SurveyResult } from './survey.ts';

/** Proxies that are named one by one. */
const NAMED_MAX = 10;

export function surveyLines({ unheard, lost }: Pick<SurveyResult, 'unheard' | 'lost'>, palette: Palette): string[] {
  const named = unheard
    .slice(0, NAMED_MAX)
    .map(({ proxy, identity, reason }) => `${identity || 'A gateway'} (${proxy}) did not answer: ${reason}`);
  const more = unheard.length - named.length;
  return [
    ...named,
    ...(more > 0 ? [`${more} more did not answer`] : []),
    ...(lost > 0 ? [`${lost} ${lost === 1 ? 'answer was' : 'answers were'} lost on the way, which was too slow`] : []),
  ].map((line) => paint(palette, 'red', line));
}
