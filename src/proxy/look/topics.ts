/** What whoever looks into a proxy may ask it, by topic. */
import type { Ask, Asker } from '../../base/asking.ts';
import { answerCalls, type CallsWork } from './calls.ts';
import { answerConnections, type ConnectionSources } from './connections.ts';
import { answerRequests, type RequestFilter, type RequestsWork } from './requests.ts';

/** How many questions about a topic are being answered. */
interface OpenGauge {
  add(amount: number): void;
}

export interface TopicsOptions extends CallsWork, RequestsWork {
  readonly connections: ConnectionSources;
  readonly asksOpen: (topic: Topic) => OpenGauge;
  /** Makes a filter of an expression. @returns a text that says what is wrong with it, and where */
  readonly requestFilter: (expression: string) => Promise<RequestFilter | string>;
}

/** @returns takes it back */
export function answerTopic(ask: Ask, asker: Asker, options: TopicsOptions): () => void {
  const gauge = isTopic(ask.topic) ? options.asksOpen(ask.topic) : undefined;
  let isOpen = true;
  gauge?.add(1);
  const close = (): void => {
    if (isOpen) gauge?.add(-1);
    isOpen = false;
  };
  const counted: Asker = {
    answer: (body, lost) => asker.answer(body, lost),
    end(end) {
      close();
      asker.end(end);
    },
  };
  const takeBack = answerBegun(ask, counted, options);
  return () => {
    close();
    takeBack();
  };
}

const TOPICS = ['connections', 'calls', 'requests'] as const;
type Topic = (typeof TOPICS)[number];

function isTopic(text: string): text is Topic {
  return TOPICS.some((topic) => topic === text);
}

function answerBegun({ topic, body }: Ask, asker: Asker, options: TopicsOptions): () => void {
  switch (topic) {
    case 'connections':
      return answerConnections(options.connections, asker);
    case 'calls':
      return answerCalls(asker, options);
    case 'requests':
      return whenFiltered(body, asker, options);
    default:
      asker.end({ kind: 'unsupported', reason: `Nothing is known of the topic "${topic.slice(0, 64)}"` });
      return ignore;
  }
}

/** Expressions are compiled by code that most proxies never load. */
function whenFiltered(body: object, asker: Asker, options: TopicsOptions): () => void {
  const { filter, headers } = body as { readonly filter?: unknown; readonly headers?: unknown };
  const shown = headers === true ? 'show' : 'omit';
  if (typeof filter !== 'string' || filter === '') {
    return answerRequests({ filter: undefined, headers: shown }, asker, options);
  }
  let takeBack: (() => void) | undefined;
  let isTakenBack = false;
  const begin = (made: RequestFilter | string): void => {
    if (isTakenBack) return;
    if (typeof made === 'string') asker.end({ kind: 'refused', reason: made });
    else takeBack = answerRequests({ filter: made, headers: shown }, asker, options);
  };
  options.requestFilter(filter).then(begin, (error: unknown) => begin(String(error)));
  return () => {
    isTakenBack = true;
    takeBack?.();
  };
}

const ignore = (): void => undefined;
