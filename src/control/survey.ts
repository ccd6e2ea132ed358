/**
 * One question to many proxies, for whoever looks into a mesh: who is asked, what each says, and who says nothing. It ends by
 * itself: when all have ended, after its time, or when it has brought as much as anybody wants to read.
 */
import type { Ask, AskEnd, AskTo } from '../base/asking.ts';
import type { Clock } from '../base/clock.ts';
import { parseSpiffeId } from '../base/spiffe.ts';

export interface AskedProxy {
  /** Tells proxies of one identity apart. */
  readonly instance: string;
  /** SPIFFE ID; empty for one that is in no mesh. */
  readonly identity: string;
  readonly role: 'gateway' | 'sidecar';
  /** Instances of services behind it: `shop/orders`. */
  readonly services: readonly string[];
}

export interface Askable extends AskedProxy {
  readonly ask: AskTo;
}

/** The proxies that can be asked from here. */
export interface Askables {
  list(): readonly Askable[];
  /** Tells of each that comes later. @returns ends it */
  onJoined(told: (proxy: Askable) => void): () => void;
}

/** Which of them; what is not said is any. */
export interface ProxyChoice {
  /** `orders` or `orders.shop` */
  readonly service?: string | undefined;
  readonly namespace?: string | undefined;
  /** Its instance, the beginning of that, or its SPIFFE ID. */
  readonly proxy?: string | undefined;
}

/** How a survey ended: `done` when every proxy has. */
export type SurveyEnd = 'done' | 'time' | 'rows' | 'size';

/** A proxy that was asked and has not said all that it was asked for. */
export interface Unheard {
  readonly proxy: string;
  readonly identity: string;
  readonly kind: Exclude<AskEnd['kind'], 'done'>;
  /** For people. */
  readonly reason: string;
}

export type SurveyLine =
  /** Who is asked; another one for each that comes while it lasts. */
  | { readonly kind: 'asked'; readonly proxies: readonly AskedProxy[] }
  /** Of the proxy of this instance: as its topic has it, and how many before it were left out. */
  | { readonly kind: 'answer'; readonly proxy: string; readonly answer: object; readonly lost: number }
  /** Nothing has happened, and it goes on. */
  | { readonly kind: 'alive' }
  /** The last one. `lost`: answers of all proxies that were left out. */
  | { readonly kind: 'over'; readonly why: SurveyEnd; readonly lost: number; readonly unheard: readonly Unheard[] };

export interface SurveyBounds {
  readonly ms: number;
  readonly rows: number;
  /** Of all answers as JSON. */
  readonly chars: number;
}

export interface SurveyOptions {
  readonly clock: Clock;
  readonly ask: Ask;
  /** `lasts`: proxies answer until nobody wants to hear more; those that come meanwhile are asked, too. */
  readonly nature: 'ends' | 'lasts';
  readonly bounds: SurveyBounds;
  /** What counts against the bound in an answer of this topic. */
  readonly rowsOf: (answer: object) => number;
  /** @returns whether it was taken: an answer that is not is lost. The last line is taken always */
  readonly say: (line: SurveyLine) => boolean;
  /** After the last line. */
  readonly onOver: () => void;
}

/** Of a question that each proxy answers at once: so many are asked at a time, and their answers are read one behind the other. */
const AT_ONCE_MAX = 64;

/** So that whoever reads can tell a survey without news from one that is gone. */
const ALIVE_MS = 5_000;

const REASONS: Readonly<Record<SurveyEnd, string>> = {
  done: 'It was not heard to its end',
  time: 'It did not answer in the time that there was',
  rows: 'Others had said as much as may be said before',
  size: 'Others had said as much as may be said before',
};

export class Survey {
  readonly #options: SurveyOptions;
  /** What takes it back from each that has not ended. */
  readonly #running = new Map<Askable, () => void>();
  readonly #waiting: Askable[] = [];
  /** Those that have answered something. */
  readonly #heard = new Set<Askable>();
  readonly #unheard: Unheard[] = [];
  readonly #cancels: (() => void)[] = [];
  #rows = 0;
  #chars = 0;
  #lost = 0;
  #isAsking = false;
  #isOver = false;

  constructor(options: SurveyOptions) {
    this.#options = options;
  }

  begin(proxies: readonly Askable[]): void {
    const { clock, bounds, say } = this.#options;
    this.#cancels.push(
      clock.after(bounds.ms, () => this.#finish('time')),
      clock.every(ALIVE_MS, () => say({ kind: 'alive' })),
    );
    this.#add(proxies);
  }

  /** One has come that is meant, too. */
  joined(proxy: Askable): void {
    if (!this.#isOver && this.#options.nature === 'lasts') this.#add([proxy]);
  }

  /** Nobody listens any more: no proxy is asked any longer. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const cancel of this.#cancels) cancel();
    const running = [...this.#running.values()];
    this.#running.clear();
    for (const takeBack of running) takeBack();
  }

  #add(proxies: readonly Askable[]): void {
    this.#options.say({ kind: 'asked', proxies: proxies.map(shownProxy) });
    this.#waiting.push(...proxies);
    this.#askNext();
  }

  /** As many as may be asked now; with nobody left it is done. */
  #askNext(): void {
    // One that ends at once comes here again.
    if (this.#isAsking) return;
    this.#isAsking = true;
    const max = this.#options.nature === 'ends' ? AT_ONCE_MAX : Number.POSITIVE_INFINITY;
    while (!this.#isOver && this.#running.size < max) {
      const proxy = this.#waiting.shift();
      if (proxy === undefined) break;
      this.#put(proxy);
    }
    this.#isAsking = false;
    if (this.#running.size === 0) this.#finish('done');
  }

  #put(proxy: Askable): void {
    // It may end at once.
    this.#running.set(proxy, ignore);
    const takeBack = proxy.ask(this.#options.ask, {
      answer: (answer, lost) => this.#answered(proxy, answer, lost),
      end: (end) => this.#ended(proxy, end),
    });
    if (this.#running.has(proxy)) this.#running.set(proxy, takeBack);
    else if (this.#isOver) takeBack();
  }

  #answered(proxy: Askable, answer: object, lost: number): void {
    if (!this.#running.has(proxy)) return;
    const { bounds, rowsOf, say } = this.#options;
    this.#heard.add(proxy);
    this.#lost += lost;
    if (!say({ kind: 'answer', proxy: proxy.instance, answer, lost })) this.#lost++;
    this.#rows += rowsOf(answer);
    this.#chars += JSON.stringify(answer).length;
    if (this.#rows >= bounds.rows) this.#finish('rows');
    else if (this.#chars >= bounds.chars) this.#finish('size');
  }

  #ended(proxy: Askable, end: AskEnd): void {
    if (!this.#running.delete(proxy)) return;
    if (end.kind !== 'done') this.#miss(proxy, end);
    this.#askNext();
  }

  #miss({ instance, identity }: Askable, { kind, reason }: Exclude<AskEnd, { kind: 'done' }>): void {
    this.#unheard.push({ proxy: instance, identity, kind, reason });
  }

  #finish(why: SurveyEnd): void {
    if (this.#isOver) return;
    const { nature, say, onOver } = this.#options;
    for (const proxy of [...this.#running.keys(), ...this.#waiting]) {
      // One that goes on for as long as somebody listens has been heard when it has said anything.
      if (nature === 'lasts' && this.#heard.has(proxy)) continue;
      this.#miss(proxy, { kind: 'silent', reason: REASONS[why] });
    }
    this.close();
    say({ kind: 'over', why, lost: this.#lost, unheard: this.#unheard });
    onOver();
  }
}

export function isChosen({ instance, identity, services }: AskedProxy, choice: ProxyChoice): boolean {
  const { namespace, account } = parseSpiffeId(identity) ?? {};
  if (choice.namespace !== undefined && choice.namespace !== namespace) return false;
  if (choice.proxy !== undefined && choice.proxy !== identity && !instance.startsWith(choice.proxy)) return false;
  if (choice.service === undefined) return true;
  const [name, of = namespace] = choice.service.split('.');
  // One that has just come has not told yet of what stands behind it: its account has the name of its service.
  return services.includes(`${of}/${name}`) || (account === name && namespace === of);
}

function shownProxy({ instance, identity, role, services }: Askable): AskedProxy {
  return { instance, identity, role, services };
}

const ignore = (): void => undefined;
