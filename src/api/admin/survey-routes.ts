/** Paths of the admin API that ask running proxies, and pass on what each says while it comes: one JSON object a line. */
import { isChosen, type ProxyChoice, Survey, type SurveyBounds, type SurveyOptions } from '../../control/survey.ts';
import type { ConnectionsAnswer } from '../../ir/connection.ts';
import type { TapAnswer } from '../../ir/observed.ts';
import type { Asked, Content, LineSource, Route } from './routes.ts';
import type { AdminView } from './view.ts';

const LINE_TYPES = ['application/x-ndjson'] as const;

/** Connections are read at once; a large mesh takes a while. */
const CONNECTIONS_BOUNDS: SurveyBounds = { ms: 30_000, rows: 250_000, chars: 256 * 1024 * 1024 };

/** Of live requests, unless it is said otherwise; and at most. */
const REQUESTS_DEFAULT = { seconds: 60, rows: 10_000 } as const;
const REQUESTS_MAX = { seconds: 3_600, rows: 1_000_000 } as const;
const REQUESTS_CHARS_MAX = 1024 * 1024 * 1024;

const CHOICE = ['service', 'namespace', 'proxy'] as const;

export const SURVEY_ROUTES: readonly Route[] = [
  {
    path: '/connections',
    summary: 'Live connections of every proxy, as lines: ?service=, ?namespace=, ?proxy= choose proxies',
    types: LINE_TYPES,
    answer: (view, asked) =>
      surveyed(view, asked, {
        names: CHOICE,
        question: () => ({
          ask: { topic: 'connections', body: {} },
          nature: 'ends',
          bounds: CONNECTIONS_BOUNDS,
          rowsOf: (answer) => (answer as ConnectionsAnswer).rows.length,
        }),
      }),
  },
  {
    path: '/requests',
    summary:
      'Live requests of every proxy, as lines: ?filter= in CEL, ?seconds=, ?rows=, ?headers=show; proxies are chosen as in /connections',
    types: LINE_TYPES,
    answer: (view, asked) =>
      surveyed(view, asked, { names: [...CHOICE, 'filter', 'seconds', 'rows', 'headers'], question: requestsQuestion }),
  },
];

type Question = Pick<SurveyOptions, 'ask' | 'nature' | 'bounds' | 'rowsOf'>;

interface SurveyRoute {
  /** Of parameters. */
  readonly names: readonly string[];
  /** @returns a text that says what is wrong */
  readonly question: (query: URLSearchParams) => Promise<Question | string> | Question;
}

async function surveyed(view: AdminView, { query }: Asked, { names, question }: SurveyRoute): Promise<Content> {
  const stray = [...query.keys()].find((name) => !names.includes(name));
  if (stray !== undefined) return badRequest(`There is no parameter "${stray}": known are ${names.join(', ')}`);
  const made = await question(query);
  if (typeof made === 'string') return badRequest(made);
  const choice: ProxyChoice = Object.fromEntries(CHOICE.map((name) => [name, query.get(name) ?? undefined]));
  if (!view.proxiesToAsk.list().some((proxy) => isChosen(proxy, choice))) {
    return { status: 404, detail: 'No proxy that is connected here is meant: GET /proxies lists them' };
  }
  return { status: 200, contentType: LINE_TYPES[0], begin: sourceOf(view, made, choice) };
}

function sourceOf({ proxiesToAsk }: AdminView, question: Question, choice: ProxyChoice): LineSource {
  return (to, clock) => {
    const survey = new Survey({
      ...question,
      clock,
      say: (line) => (line.kind === 'over' ? (to.end(line), true) : to.line(line)),
      onOver: () => stop(),
    });
    const stop = proxiesToAsk.onJoined((proxy) => {
      if (isChosen(proxy, choice)) survey.joined(proxy);
    });
    survey.begin(proxiesToAsk.list().filter((proxy) => isChosen(proxy, choice)));
    return () => {
      stop();
      survey.close();
    };
  };
}

/** The expression is checked here, and not only by each proxy: one that is wrong is an answer and no stream. */
async function requestsQuestion(query: URLSearchParams): Promise<Question | string> {
  const filter = query.get('filter') ?? '';
  if (filter !== '') {
    const { checkEnded } = await import('../../expr/ended.ts');
    const flaw = checkEnded(filter);
    if (flaw !== undefined) return flaw;
  }
  const headers = query.get('headers') ?? 'omit';
  if (headers !== 'show' && headers !== 'omit') return 'Expected "headers" as "show"';
  const seconds = countOf(query, 'seconds');
  const rows = countOf(query, 'rows');
  if (typeof seconds === 'string') return seconds;
  if (typeof rows === 'string') return rows;
  return {
    ask: { topic: 'requests', body: { filter, headers: headers === 'show' } },
    nature: 'lasts',
    bounds: { ms: seconds * 1_000, rows, chars: REQUESTS_CHARS_MAX },
    rowsOf: (answer) => (answer as TapAnswer).requests.length,
  };
}

function countOf(query: URLSearchParams, name: keyof typeof REQUESTS_MAX): number | string {
  const text = query.get(name);
  if (text === null) return REQUESTS_DEFAULT[name];
  const count = Number(text);
  const isCount = /^\d{1,9}$/.test(text) && count >= 1 && count <= REQUESTS_MAX[name];
  return isCount ? count : `Expected "${name}" from 1 to ${REQUESTS_MAX[name]}`;
}

function badRequest(detail: string): Content {
  return { status: 400, detail };
}
