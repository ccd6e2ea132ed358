/** Consumers as configurations and key files write them, and how upstreams are told of them. */
import type { Headers } from '../http/headers.ts';
import { Type } from '../schema/schema.ts';
import type { Exchange } from './filter.ts';
import type { Consumer } from './identity.ts';

/** Visible ASCII without a comma: such a word stands in a header line, and in a list there, as it is. */
const WORD = '^[\\x21-\\x2b\\x2d-\\x7e]+$';

export const ConsumerName = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: WORD,
  expected: 'a name of visible ASCII characters without commas',
  description: 'Whom the credentials belong to.',
});

const GroupName = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: WORD,
  expected: 'a name of visible ASCII characters without commas',
});

export const GroupNames = Type.Array(GroupName, {
  maxItems: 32,
  default: [],
  description: 'Groups that the consumer is in.',
});

export const Labels = Type.Record(
  Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$' }),
  Type.String({ maxLength: 256 }),
  { maxProperties: 32, default: {}, description: 'What else is known of the consumer.' },
);

/** Frozen, as identities are. */
export function consumerOf({ name, groups, labels }: Consumer): Consumer {
  return Object.freeze({ name, groups: Object.freeze([...groups]), labels: Object.freeze({ ...labels }) });
}

/** Fields of a filter's configuration that {@link ConsumerHeaders} reads. */
export const CONSUMER_HEADER_FIELDS = {
  sendConsumer: Type.Boolean({
    default: true,
    description:
      'Whether the upstream is told the consumer and its groups, in the two headers below. What clients send in these is taken out in any case.',
  }),
  consumerHeader: headerName('x-consumer', 'Name of the header for the name of the consumer.'),
  groupsHeader: headerName('x-consumer-groups', 'Name of the header for its groups, with commas between them.'),
};

function headerName(name: string, description: string): ReturnType<typeof Type.String> {
  return Type.String({
    default: name,
    minLength: 1,
    maxLength: 64,
    pattern: '^[Xx]-[A-Za-z0-9]+(-[A-Za-z0-9]+){0,3}$',
    expected: `a header name such as "${name}", beginning with "x-" and of at most five words`,
    description,
  });
}

interface ConsumerHeadersConfig {
  readonly sendConsumer: boolean;
  readonly consumerHeader: string;
  readonly groupsHeader: string;
}

/**
 * Tells upstreams who is asking. They believe these headers, so whatever a
 * client sends in them is taken out, also spelt with underscores.
 */
export class ConsumerHeaders {
  readonly #config: ConsumerHeadersConfig;
  /** Lower case. */
  readonly #names: readonly string[];

  constructor(config: ConsumerHeadersConfig) {
    this.#config = config;
    this.#names = [config.consumerHeader.toLowerCase(), config.groupsHeader.toLowerCase()];
  }

  write({ request: { headers }, identity }: Pick<Exchange, 'request' | 'identity'>): void {
    for (const name of this.#names) headers.deleteAlike(name);
    const consumer = identity?.consumer;
    if (consumer !== undefined && this.#config.sendConsumer) this.#add(headers, consumer);
  }

  #add(headers: Headers, consumer: Consumer): void {
    const { name, groups } = wordsOf(consumer);
    headers.add(this.#config.consumerHeader, name);
    if (groups !== undefined) headers.add(this.#config.groupsHeader, groups);
  }
}

interface ConsumerWords {
  readonly name: string;
  readonly groups: string | undefined;
}

/** Put together once for each consumer: methods keep theirs from request to request. */
const WORDS = new WeakMap<Consumer, ConsumerWords>();

function wordsOf(consumer: Consumer): ConsumerWords {
  let words = WORDS.get(consumer);
  if (words === undefined) {
    const { name, groups } = consumer;
    words = { name: headerWord(name), groups: groups.length === 0 ? undefined : groups.map(headerWord).join(',') };
    WORDS.set(consumer, words);
  }
  return words;
}

/** Consumers that other methods name, tokens for one, may hold anything: what is no {@link WORD} is percent-encoded. */
function headerWord(text: string): string {
  if (/^[\x21-\x2b\x2d-\x7e]*$/.test(text)) return text;
  return encodeURIComponent(text.toWellFormed());
}
