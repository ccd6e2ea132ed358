import { type TapAnswer, TAPPED_SECOND_MAX, type TappedRequest } from '../ir/observed.ts';
import type { AskedProxy } from '../control/survey.ts';
import { ADMIN_DEFAULT, ADMINS_OPTION } from './admin.ts';
import { defineCommand, type ExitCode, type Io, type Options, UsageError, type Values } from './command.ts';
import { readService } from './sidecar-options.ts';
import { followSurvey, type SurveyResult } from './survey.ts';
import { surveyLines } from './survey-text.ts';
import { RequestTable } from './tap-text.ts';
import { readCount } from './values.ts';

const SECONDS_MAX = 3_600;
const REQUESTS_MAX = 1_000_000;

const OPTIONS = {
  service: {
    type: 'string',
    value: 'NAME.NAMESPACE',
    description: 'Only the proxies of this service; without a namespace, of any',
  },
  namespace: { type: 'string', value: 'NAME', description: 'Only the proxies of this namespace' },
  proxy: {
    type: 'string',
    value: 'PROXY',
    description: 'Only this one: its instance, how that begins, or its SPIFFE ID',
  },
  limit: { type: 'string', value: 'N', description: 'End after so many requests' },
  seconds: { type: 'string', value: 'N', description: `End after so many seconds; at most ${SECONDS_MAX}` },
  headers: { type: 'boolean', description: 'Header fields of each request, too, without those that may hold a secret' },
  admin: ADMINS_OPTION,
} as const satisfies Options;

export const tap = defineCommand({
  name: 'tap',
  summary: 'Show live requests of all proxies, chosen by an expression',
  usage:
    'fourways tap [EXPRESSION] [--service NAME.NAMESPACE] [--namespace NAME] [--proxy PROXY] [--limit N] [--seconds N] [--admin HOST:PORT]...',
  details: [
    'Each request stands there when it has ended: at the proxy that has sent it (out), at the one that has taken it in (in), at the',
    'gateway (edge). EXPRESSION is in CEL, as in policies, and each proxy decides by it what it tells. Besides what policies know',
    'it may name response.status, response.fault, response.durationMs, destination.service and destination.namespace:',
    '',
    `    fourways tap 'destination.service == "orders" && response.status >= 500'`,
    '',
    `Of each proxy at most ${TAPPED_SECOND_MAX} requests a second are shown, the others are counted. Bodies and queries are never shown.`,
    'Ctrl-C ends it, at every proxy.',
  ].join('\n'),
  json:
    'A line for each request, `{ timeMs, direction, protocol, source, service, endpoint, method, host, path, status, grpcStatus, fault, ' +
    'durationMs, upstreamMs, attempts, bytesIn, bytesOut, route, user, requestId, traceId, headers?, proxy: { instance, identity, role, ' +
    'services } }`, and at its end `{ over: { why, shown, left, lost, heard, unheard } }`; `left` are requests beyond what a proxy shows.',
  options: OPTIONS,

  async run({ values, positionals: [expression = '', more] }, io) {
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}": write the expression in quotes`);
    if (expression !== '') await checkExpression(expression);
    const { admin = [ADMIN_DEFAULT], service, namespace, proxy, headers } = values;
    if (service !== undefined) readService('--service', service);
    const { limit, seconds } = boundsOf(values);
    const tapping = new Tapping(io, { limit, form: values.json === true ? 'json' : 'text' });
    const result = await followSurvey(
      io,
      {
        admins: admin,
        path: '/requests',
        query: {
          service,
          namespace,
          proxy,
          filter: expression === '' ? undefined : expression,
          headers: headers === true ? 'show' : undefined,
          seconds: String(seconds),
          rows: String(limit),
        },
      },
      (answer, of) => tapping.take(answer as TapAnswer, of),
    );
    return tapping.over(result);
  },
});

function boundsOf({ limit, seconds }: Values<typeof OPTIONS>): { readonly limit: number; readonly seconds: number } {
  return {
    limit: limit === undefined ? REQUESTS_MAX : readCount('--limit', limit, { min: 1, max: REQUESTS_MAX }),
    seconds: seconds === undefined ? SECONDS_MAX : readCount('--seconds', seconds, { min: 1, max: SECONDS_MAX }),
  };
}

/** @throws {UsageError} with a mark under the place, before anybody is asked */
async function checkExpression(source: string): Promise<void> {
  const { flawOfEnded } = await import('../expr/ended.ts');
  const flaw = flawOfEnded(source);
  if (flaw === undefined) return;
  const { message, start } = flaw;
  if (start === undefined) throw new UsageError(`The expression is not right: ${message}`);
  const before = source.slice(0, start);
  const from = before.lastIndexOf('\n') + 1;
  const [line = ''] = source.slice(from).split('\n', 1);
  const mark = `${' '.repeat(start - from)}^`;
  throw new UsageError(`The expression is not right: ${message}\n  ${line.replaceAll('\t', ' ')}\n  ${mark}`);
}

/** What was shown, and what was not. */
class Tapping {
  readonly #io: Io;
  readonly #limit: number;
  readonly #form: 'text' | 'json';
  readonly #table: RequestTable;
  #shown = 0;
  #left = 0;

  constructor(io: Io, { limit, form }: { readonly limit: number; readonly form: 'text' | 'json' }) {
    this.#io = io;
    this.#limit = limit;
    this.#form = form;
    this.#table = new RequestTable(io);
  }

  take({ requests, left }: TapAnswer, proxy: AskedProxy): 'more' | 'enough' {
    this.#left += left;
    for (const request of requests) {
      this.#show(request, proxy);
      if (++this.#shown >= this.#limit) return 'enough';
    }
    return 'more';
  }

  /** @returns 1 when nobody could be heard */
  over(result: SurveyResult): ExitCode {
    const { how, heard, lost, unheard } = result;
    const said = { why: how, shown: this.#shown, left: this.#left, lost, heard: heard.size, unheard };
    if (this.#form === 'json') this.#io.out(JSON.stringify({ over: said }));
    else for (const line of this.#overLines(result)) this.#io.err(line);
    return heard.size === 0 || how === 'cut' ? 1 : 0;
  }

  #show(request: TappedRequest, proxy: AskedProxy): void {
    if (this.#form === 'json') this.#io.out(JSON.stringify({ ...request, proxy }));
    else for (const line of this.#table.lines(request, proxy)) this.#io.out(line);
  }

  #overLines(result: SurveyResult): string[] {
    const { heard, how } = result;
    const requests = `${this.#shown} ${this.#shown === 1 ? 'request' : 'requests'}`;
    const beyond = `${this.#left} more were not shown: of each proxy at most ${TAPPED_SECOND_MAX} a second are`;
    return [
      `${requests} of ${heard.size} ${heard.size === 1 ? 'proxy' : 'proxies'}${HOW[how] ?? ''}`,
      ...(this.#left > 0 ? [beyond] : []),
      ...surveyLines(result, this.#io),
    ];
  }
}

const HOW: Partial<Readonly<Record<SurveyResult['how'], string>>> = {
  time: '; the time is over',
  size: '; that is more than is sent at once',
  cut: '; the connection was cut',
};
