/** What running proxies say, read line by line from the admin API. */
import type { AskedProxy, SurveyEnd, SurveyLine, Unheard } from '../control/survey.ts';
import { portKey } from '../ir/key.ts';
import { detailOf, reachFailure } from './admin.ts';
import { CommandFailure, type Io } from './command.ts';
import { readHostPort } from './values.ts';

export interface SurveyQuestion {
  /** `HOST:PORT` as written by the user. */
  readonly admin: string;
  readonly path: '/connections' | '/requests';
  /** What is undefined is left out. */
  readonly query: Readonly<Record<string, string | undefined>>;
}

/** How it ended: also `enough` as whoever reads said, `interrupted` by the user, `cut` by the other end. */
type SurveyHow = SurveyEnd | 'enough' | 'interrupted' | 'cut';

export interface SurveyResult {
  readonly how: SurveyHow;
  /** Those that were asked, by their instance. */
  readonly proxies: ReadonlyMap<string, AskedProxy>;
  /** Instances of those that have said anything. */
  readonly heard: ReadonlySet<string>;
  /** Answers that were left out on the way. */
  readonly lost: number;
  readonly unheard: readonly Unheard[];
}

/** Takes one answer. */
export type TakeAnswer = (answer: object, proxy: AskedProxy) => 'more' | 'enough';

/**
 * @throws {UsageError} when `admin` is no address
 * @throws {CommandFailure} when nobody answers there, or refuses
 */
export async function followSurvey(io: Io, question: SurveyQuestion, take: TakeAnswer): Promise<SurveyResult> {
  const { host, port } = readHostPort('--admin', question.admin);
  const given = Object.entries(question.query).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  const query = new URLSearchParams(given).toString();
  const url = `http://${portKey(host, port)}${question.path}`;
  const reading = new Reading(take);
  const followed = await io
    .follow(query === '' ? url : `${url}?${query}`, (line) => reading.line(line))
    .catch((error: unknown) => {
      throw reachFailure(url, error);
    });
  if (followed.status !== 200 && followed.how !== 'interrupted') {
    throw new CommandFailure(detailOf(followed.body) ?? `Cannot read ${url}: status ${followed.status}`);
  }
  return reading.result(followed.how);
}

class Reading {
  readonly #take: TakeAnswer;
  readonly #proxies = new Map<string, AskedProxy>();
  readonly #heard = new Set<string>();
  #lost = 0;
  #over: Extract<SurveyLine, { kind: 'over' }> | undefined;

  constructor(take: TakeAnswer) {
    this.#take = take;
  }

  line(text: string): 'more' | 'enough' {
    const line = JSON.parse(text) as SurveyLine;
    switch (line.kind) {
      case 'asked':
        for (const proxy of line.proxies) this.#proxies.set(proxy.instance, proxy);
        break;
      case 'answer': {
        this.#heard.add(line.proxy);
        this.#lost += line.lost;
        const proxy = this.#proxies.get(line.proxy);
        if (proxy !== undefined) return this.#take(line.answer, proxy);
        break;
      }
      case 'over':
        this.#over = line;
        break;
      case 'alive':
        break;
    }
    return 'more';
  }

  result(how: 'ended' | 'enough' | 'interrupted'): SurveyResult {
    const over = this.#over;
    return {
      how: how === 'ended' ? (over?.why ?? 'cut') : how,
      proxies: this.#proxies,
      heard: this.#heard,
      lost: over?.lost ?? this.#lost,
      unheard: over?.unheard ?? [],
    };
  }
}
