/** What running proxies say, read line by line from the admin API. */
import type { AskedProxy, SurveyEnd, SurveyLine, Unheard } from '../control/survey.ts';
import { portKey } from '../ir/key.ts';
import { detailOf, reachFailure } from './admin.ts';
import { CommandFailure, type Io } from './command.ts';
import { readHostPort } from './values.ts';

export interface SurveyQuestion {
  /** `HOST:PORT` each as written by the user: of several control planes each has proxies of its own. */
  readonly admins: readonly string[];
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
  const reading = new Reading(take);
  const ended = new AbortController();
  const hows = await Promise.all(
    question.admins.map(async (admin) => {
      const how = await followOne(io, { ...question, admin, signal: ended.signal }, reading);
      if (how === 'enough') ended.abort();
      return how;
    }),
  );
  return reading.result(WORST_FIRST.find((how) => hows.includes(how)) ?? 'done');
}

const WORST_FIRST: readonly SurveyHow[] = ['interrupted', 'enough', 'cut', 'size', 'rows', 'time'];

interface OneQuestion extends SurveyQuestion {
  readonly admin: string;
  readonly signal: AbortSignal;
}

async function followOne(io: Io, question: OneQuestion, reading: Reading): Promise<SurveyHow> {
  const { host, port } = readHostPort('--admin', question.admin);
  const given = Object.entries(question.query).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
  const query = new URLSearchParams(given).toString();
  const url = `http://${portKey(host, port)}${question.path}`;
  const part = reading.part();
  const asked = query === '' ? url : `${url}?${query}`;
  const followed = await io
    .follow(asked, (line) => part.line(line), question.signal)
    .catch((error: unknown) => {
      throw reachFailure(url, error);
    });
  if (followed.status !== 200 && followed.how !== 'interrupted') {
    throw new CommandFailure(detailOf(followed.body) ?? `Cannot read ${url}: status ${followed.status}`);
  }
  return followed.how === 'ended' ? part.why : followed.how;
}

/** What one control plane says. */
interface Part {
  line(text: string): 'more' | 'enough';
  /** How it ended by itself. */
  readonly why: SurveyEnd | 'cut';
}

class Reading {
  readonly #take: TakeAnswer;
  readonly #proxies = new Map<string, AskedProxy>();
  readonly #heard = new Set<string>();
  readonly #unheard: Unheard[] = [];
  #lost = 0;

  constructor(take: TakeAnswer) {
    this.#take = take;
  }

  part(): Part {
    let why: Part['why'] = 'cut';
    let lost = 0;
    return {
      line: (text) => {
        const line = JSON.parse(text) as SurveyLine;
        if (line.kind === 'answer') lost += line.lost;
        if (line.kind !== 'over') return this.#line(line);
        why = line.why;
        // With those that were lost on this side of the proxies.
        this.#lost += line.lost - lost;
        this.#unheard.push(...line.unheard);
        return 'more';
      },
      get why() {
        return why;
      },
    };
  }

  #line(line: Exclude<SurveyLine, { kind: 'over' }>): 'more' | 'enough' {
    if (line.kind === 'asked') for (const proxy of line.proxies) this.#proxies.set(proxy.instance, proxy);
    if (line.kind !== 'answer') return 'more';
    this.#heard.add(line.proxy);
    this.#lost += line.lost;
    const proxy = this.#proxies.get(line.proxy);
    return proxy === undefined ? 'more' : this.#take(line.answer, proxy);
  }

  result(how: SurveyHow): SurveyResult {
    // One that is elsewhere for one control plane is not for the one that it is connected to.
    const reached = new Set(this.#heard);
    for (const { kind, proxy } of this.#unheard) if (kind !== 'elsewhere') reached.add(proxy);
    const unheard = this.#unheard.filter(({ kind, proxy }) => kind !== 'elsewhere' || !reached.has(proxy));
    return { how, proxies: this.#proxies, heard: this.#heard, lost: this.#lost, unheard };
  }
}
