/** Who did not answer, and what was lost: never left out, or what is shown would look like all there is. */
import { paint, type Palette } from './paint.ts';
import type { SurveyResult } from './survey.ts';

/** Proxies that are named one by one. */
const NAMED_MAX = 10;

export function surveyLines({ unheard, lost }: Pick<SurveyResult, 'unheard' | 'lost'>, palette: Palette): string[] {
  const named = unheard.slice(0, NAMED_MAX).map(({ proxy, identity, kind, reason }) => {
    const what = kind === 'elsewhere' ? 'was not asked' : 'did not answer';
    return `${identity || 'A gateway'} (${proxy}) ${what}: ${reason}`;
  });
  const more = unheard.length - named.length;
  return [
    ...named,
    ...(more > 0 ? [`${more} more were not heard`] : []),
    ...(lost > 0 ? [`${lost} ${lost === 1 ? 'answer was' : 'answers were'} lost on the way, which was too slow`] : []),
  ].map((line) => paint(palette, 'red', line));
}
