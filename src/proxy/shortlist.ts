/**
 * Shortlist: the candidates that share a place in the path tree, best first.
 *
 * Short lists are scanned. A long one (hundreds of tenants told apart by a
 * header on the path `/`, or many regular expressions on one host) is cut up by
 * the one question that tells most of its members apart, so that a lookup looks
 * at those that answer it right and at those that do not ask.
 */
import type { RequestHead } from '../http/message.ts';
import { queryValue } from '../http/query.ts';
import { type Candidate, compareCandidates, headerValue, lossOf } from './candidate.ts';

/** Below this length, a scan is cheaper than asking the question. */
const INDEX_MIN = 8;

/** What is asked of a request to leave out most of a list. */
type Question =
  | { readonly of: 'header' | 'query'; readonly name: string }
  | { readonly of: 'method' }
  | { readonly of: 'segment' }
  | { readonly of: 'last-segment' };

interface Index {
  readonly question: Question;
  /** Places in the list by the answer they want, ascending. */
  readonly byAnswer: ReadonlyMap<string, readonly number[]>;
  /** Places of those that take any answer, ascending. */
  readonly rest: readonly number[];
}

export class Shortlist<R> {
  /** Best first. */
  readonly all: readonly Candidate<R>[];
  readonly #index: Index | undefined;

  /** Sorts; `candidates` is taken over. */
  constructor(candidates: Candidate<R>[]) {
    this.all = candidates.sort(compareCandidates);
    this.#index = candidates.length < INDEX_MIN ? undefined : makeIndex(this.all);
  }

  /** The first candidate that takes the request. */
  find(request: RequestHead): Candidate<R> | undefined {
    if (this.#index !== undefined) return this.#findByIndex(this.#index, request);
    for (const candidate of this.all) if (lossOf(candidate, request) === undefined) return candidate;
    return undefined;
  }

  /** Walks two ascending lists of places as one. */
  #findByIndex({ question, byAnswer, rest }: Index, request: RequestHead): Candidate<R> | undefined {
    const answer = answerOf(question, request);
    const wanted = answer === undefined ? NONE : (byAnswer.get(answer) ?? NONE);
    let i = 0;
    let k = 0;
    while (i < wanted.length || k < rest.length) {
      const place = k === rest.length || (i < wanted.length && wanted[i]! < rest[k]!) ? wanted[i++]! : rest[k++]!;
      const candidate = this.all[place]!;
      if (lossOf(candidate, request) === undefined) return candidate;
    }
    return undefined;
  }
}

const NONE: readonly number[] = [];

function answerOf(question: Question, request: RequestHead): string | undefined {
  switch (question.of) {
    case 'header':
      return headerValue(request.headers, question.name);
    case 'query':
      return queryValue(request.query, question.name);
    case 'method':
      return request.method;
    case 'segment': {
      const end = request.path.indexOf('/', 1);
      return end < 0 ? undefined : request.path.slice(1, end);
    }
    case 'last-segment':
      return request.path.slice(request.path.lastIndexOf('/') + 1);
  }
}

/** The answer that a candidate insists on; undefined when it takes several. */
function wants<R>(question: Question, candidate: Candidate<R>): string | undefined {
  switch (question.of) {
    case 'header':
      return candidate.headers.find(({ name, exact }) => name === question.name && exact !== undefined)?.exact;
    case 'query':
      return candidate.query.find(({ name, exact }) => name === question.name && exact !== undefined)?.exact;
    case 'method':
      return candidate.method;
    case 'segment': {
      // Only a segment that is whole in the literal start (`/users/…`) is insisted on.
      const literal = candidate.pathRegex?.literalPrefix ?? '';
      const end = literal.startsWith('/') ? literal.indexOf('/', 1) : -1;
      return end < 0 ? undefined : literal.slice(1, end);
    }
    case 'last-segment':
      return candidate.match.path.lastSegment;
  }
}

/** The question that leaves the fewest to look at, or undefined when none helps. */
function makeIndex<R>(all: readonly Candidate<R>[]): Index | undefined {
  let best: Index | undefined;
  let bestCost = all.length / 2;
  for (const question of questionsOf(all)) {
    const index = indexBy(question, all);
    const wanting = all.length - index.rest.length;
    const cost = index.rest.length + wanting / Math.max(1, index.byAnswer.size);
    if (cost < bestCost) {
      best = index;
      bestCost = cost;
    }
  }
  return best;
}

/** At most this many names are tried as a question when a list is made. */
const NAMES_MAX = 4;

function questionsOf<R>(all: readonly Candidate<R>[]): Question[] {
  const asked = new Map<string, { question: Question; count: number }>();
  const count = (question: Question, key: string): void => {
    const known = asked.get(key);
    if (known === undefined) asked.set(key, { question, count: 1 });
    else known.count++;
  };
  for (const { headers, query, method, pathRegex, match } of all) {
    for (const { name, exact } of headers) if (exact !== undefined) count({ of: 'header', name }, `h ${name}`);
    for (const { name, exact } of query) if (exact !== undefined) count({ of: 'query', name }, `q ${name}`);
    if (method !== undefined) count({ of: 'method' }, 'm');
    if (pathRegex !== undefined) count({ of: 'segment' }, 's');
    if (match.path.lastSegment !== undefined) count({ of: 'last-segment' }, 'l');
  }
  const byCount = [...asked.values()].sort((a, b) => b.count - a.count);
  return byCount.slice(0, NAMES_MAX).map(({ question }) => question);
}

function indexBy<R>(question: Question, all: readonly Candidate<R>[]): Index {
  const byAnswer = new Map<string, number[]>();
  const rest: number[] = [];
  all.forEach((candidate, place) => {
    const answer = wants(question, candidate);
    if (answer === undefined) {
      rest.push(place);
      return;
    }
    const places = byAnswer.get(answer);
    if (places === undefined) byAnswer.set(answer, [place]);
    else places.push(place);
  });
  return { question, byAnswer, rest };
}
