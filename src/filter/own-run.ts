/**
 * One filter of a user, made for one rule: checks its options, calls its hooks
 * and makes sure of what they give back. The same in the thread of a worker of
 * the proxy, in a thread of its own and in a test. Nothing it does throws.
 */
import { check } from '../schema/schema.ts';
import { type BodyBound, WHOLE_BODY } from './filter.ts';
import type { DefinedFilter, OwnEnv, OwnHooks, OwnRefusal, OwnReply } from './own.ts';
import { type Edits, type ExchangeCopy, OwnExchange, OwnResponse, type ResponseCopy } from './own-exchange.ts';
import { checkField } from './own-fields.ts';

export const OWN_HOOKS = ['onRequest', 'onRequestBody', 'onResponse', 'onResponseBody', 'onEnd'] as const;
export type OwnHook = (typeof OWN_HOOKS)[number];

/** One call of a hook. Plain. */
export interface OwnCall {
  readonly hook: OwnHook;
  /** Names the exchange among all that this filter sees. */
  readonly exchange: number;
  readonly copy: ExchangeCopy;
  readonly response?: ResponseCopy;
  readonly body?: Uint8Array;
}

/** An exchange is over. Plain. */
export interface OwnEnd {
  readonly exchange: number;
  /** Only for a filter that looks at the end. */
  readonly copy: ExchangeCopy | undefined;
}

/** What came of a call. Plain. */
export interface Outcome {
  readonly verdict:
    | undefined
    | typeof WHOLE_BODY
    | OwnReply
    | OwnRefusal
    | { readonly kind: 'body'; readonly body: Uint8Array }
    | OutcomeFailed;
  readonly edits?: Edits | undefined;
}

export interface OutcomeFailed {
  readonly kind: 'failed';
  /** Event that is counted. */
  readonly event: 'failed' | 'timeout' | 'unavailable';
  /** What happened, without anything of the request. */
  readonly why: string;
}

/** What is known of a filter once it is made. Plain. */
export interface OwnShape {
  readonly hooks: readonly OwnHook[];
  readonly requestBound: BodyBound | undefined;
  readonly responseBound: BodyBound | undefined;
}

/** A filter is told no more of a body than this, whatever it asks for. */
const BODY_BYTES_MAX = 64 * 1024 * 1024;

const GOES_ON: Outcome = { verdict: undefined };

export class OwnInstance {
  readonly shape: OwnShape;
  readonly #hooks: OwnHooks;
  /** Exchanges that another hook will see. Bounded by the exchanges that the proxy has open. */
  readonly #open = new Map<number, OwnExchange>();
  readonly #keeps: boolean;

  private constructor(hooks: OwnHooks) {
    this.#hooks = hooks;
    const present = OWN_HOOKS.filter((name) => hooks[name] !== undefined);
    this.shape = {
      hooks: present,
      requestBound: boundOf(hooks.requestBound),
      responseBound: boundOf(hooks.responseBound),
    };
    this.#keeps = present.length > 1;
  }

  /** @returns in words why it cannot be made */
  static make(filter: DefinedFilter, options: unknown, env: OwnEnv): OwnInstance | string {
    const checked = filter.options === undefined ? noOptions(options) : checkOptions(filter.options, options);
    if (typeof checked === 'string') return checked;
    let knowsSecret = false;
    const secret = (name: string): string => {
      const value = env.secret(name);
      knowsSecret = true;
      return value;
    };
    try {
      const hooks: unknown = filter.make(checked.options as never, { ...env, secret });
      return shapeFlaw(hooks) ?? new OwnInstance(hooks as OwnHooks);
    } catch (error) {
      // What parsers say of a text has pieces of it.
      return `its make failed: ${knowsSecret ? placeOf(error) : messageOf(error)}`;
    }
  }

  /** Leaves the turn only when the hook does. */
  call({ hook, exchange, copy, response: answer, body }: OwnCall): Outcome | Promise<Outcome> {
    if (this.#hooks[hook] === undefined) return GOES_ON;
    const x = this.#exchange(exchange, copy);
    const response = answer === undefined ? undefined : new OwnResponse(answer);
    const settle = (said: unknown): Outcome => {
      const verdict = verdictOf(hook, said);
      return { verdict, edits: x.takeEdits(response) };
    };
    try {
      const said = this.#run(hook, x, response, body);
      if (!isThenable(said)) return settle(said);
      return Promise.resolve(said).then(settle).catch(failure);
    } catch (error) {
      return failure(error);
    }
  }

  /** The exchange is over. @param copy  undefined where there is no hook for it */
  end(exchange: number, copy: ExchangeCopy | undefined): void {
    const known = this.#open.get(exchange);
    this.#open.delete(exchange);
    if (copy === undefined || this.#hooks.onEnd === undefined) return;
    known?.refresh(copy);
    const x = known ?? new OwnExchange(copy);
    try {
      const said: unknown = this.#hooks.onEnd(x);
      if (isThenable(said)) Promise.resolve(said).catch(() => undefined);
    } catch {
      // Nobody is there any more whom it could concern.
    }
  }

  /** @returns in words what went wrong */
  close(): string | undefined {
    this.#open.clear();
    try {
      this.#hooks.close?.();
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  #exchange(id: number, copy: ExchangeCopy): OwnExchange {
    const known = this.#open.get(id);
    if (known !== undefined) {
      known.refresh(copy);
      return known;
    }
    const x = new OwnExchange(copy);
    if (this.#keeps) this.#open.set(id, x);
    return x;
  }

  #run(hook: OwnHook, x: OwnExchange, response: OwnResponse | undefined, body: Uint8Array | undefined): unknown {
    const hooks = this.#hooks;
    switch (hook) {
      case 'onRequest':
        return hooks.onRequest!(x);
      case 'onRequestBody':
        return hooks.onRequestBody!(x, bufferOf(body!));
      case 'onResponse':
        return hooks.onResponse!(x, response!);
      case 'onResponseBody':
        return hooks.onResponseBody!(x, response!, bufferOf(body!));
      case 'onEnd':
        return undefined;
    }
  }
}

/** The same memory. */
export function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function';
}

function noOptions(options: unknown): { readonly options: unknown } | string {
  if (options === undefined || (isRecord(options) && Object.keys(options).length === 0)) return { options: {} };
  return 'options: Expected none, because the filter declares no schema for them';
}

function checkOptions(schema: NonNullable<DefinedFilter['options']>, options: unknown): { options: unknown } | string {
  try {
    const { value, issues } = check(schema, options ?? {});
    const [first] = issues;
    return first === undefined ? { options: value } : `options${first.pointer}: ${first.message}`;
  } catch (error) {
    return `its schema of options cannot be used: ${messageOf(error)}`;
  }
}

function shapeFlaw(hooks: unknown): string | undefined {
  if (!isRecord(hooks)) return 'its make gave back no object with hooks';
  const known: readonly string[] = [...OWN_HOOKS, 'requestBound', 'responseBound', 'close'];
  for (const [name, value] of Object.entries(hooks)) {
    if (!known.includes(name)) return `its make gave back "${name}", which is no hook: ${known.join(', ')}`;
    const isBound = name.endsWith('Bound');
    if (value !== undefined && !(isBound ? isBodyBound(value) : typeof value === 'function')) {
      return `its make gave back "${name}", which is not ${isBound ? 'a bound' : 'a function'}`;
    }
  }
  return undefined;
}

function isBodyBound(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { bytesMax, beyond } = value;
  const isSize = Number.isInteger(bytesMax) && (bytesMax as number) >= 0 && (bytesMax as number) <= BODY_BYTES_MAX;
  return isSize && (beyond === 'refuse' || beyond === 'pass');
}

function boundOf(bound: BodyBound | undefined): BodyBound | undefined {
  return bound === undefined ? undefined : { bytesMax: bound.bytesMax, beyond: bound.beyond };
}

/** What a hook gave back, as one of the things that it may give back. */
function verdictOf(hook: OwnHook, said: unknown): Outcome['verdict'] {
  if (said === undefined) return undefined;
  const ofBody = hook === 'onRequestBody' || hook === 'onResponseBody';
  if (said === WHOLE_BODY && !ofBody) return WHOLE_BODY;
  if (ofBody && typeof said === 'string') return { kind: 'body', body: Buffer.from(said) };
  if (ofBody && said instanceof Uint8Array) return { kind: 'body', body: said };
  if (!isRecord(said)) return nonsense(hook);
  if (said['kind'] === 'reply') return replyOf(said) ?? nonsense(hook);
  if (said['kind'] === 'refusal') return refusalOf(said) ?? nonsense(hook);
  return nonsense(hook);
}

function nonsense(hook: OwnHook): OutcomeFailed {
  return { kind: 'failed', event: 'failed', why: `${hook} gave back what it may not` };
}

function replyOf(said: Readonly<Record<string, unknown>>): OwnReply | undefined {
  const { status, headers, body } = said;
  if (!isStatus(status, 200) || !(typeof body === 'string' || body instanceof Uint8Array)) return undefined;
  const lines = fieldLines(headers);
  return lines === undefined ? undefined : { kind: 'reply', status, headers: lines, body };
}

function refusalOf(said: Readonly<Record<string, unknown>>): OwnRefusal | undefined {
  const { status, code, title, detail, headers, members } = said;
  if (!isStatus(status, 400) || typeof code !== 'string' || typeof title !== 'string') return undefined;
  if (typeof detail !== 'string' || !isRecord(members) || !/^[a-z][a-z0-9-]{0,62}$/.test(code)) return undefined;
  const lines = fieldLines(headers);
  if (lines === undefined) return undefined;
  return { kind: 'refusal', status, code, title, detail, headers: lines, members: plainCopy(members) };
}

/** @throws when there is no JSON of it */
function plainCopy(members: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return JSON.parse(JSON.stringify(members)) as Readonly<Record<string, unknown>>;
}

function isStatus(status: unknown, least: number): status is number {
  return typeof status === 'number' && Number.isInteger(status) && status >= least && status <= 599;
}

/** @throws {TypeError} on a line that may not be sent */
function fieldLines(headers: unknown): [string, string][] | undefined {
  if (!Array.isArray(headers)) return undefined;
  return headers.map((line: unknown): [string, string] => {
    const [name, value] = Array.isArray(line) ? (line as unknown[]) : [];
    checkField(name as string, value as string);
    return [name as string, value as string];
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function failure(error: unknown): Outcome {
  return { verdict: { kind: 'failed', event: 'failed', why: placeOf(error) } };
}

/**
 * What an error may say of a request: its class and where it was thrown. Its message may hold what the client sent.
 */
export function placeOf(error: unknown): string {
  if (!(error instanceof Error)) return 'it threw what is no Error';
  const name = /^[A-Za-z]{1,64}$/.test(error.name) ? error.name : 'Error';
  const { stack = '' } = error;
  if (error instanceof SyntaxError) {
    // Begins with a picture of the line, if it is known.
    const [, location, line] = /^((?:file:\/\/)?\/[^\s()?]+)[^\s():]*:(\d+)\n/.exec(stack) ?? [];
    if (location !== undefined) return `${name} at ${baseOf(location)}:${line}`;
  }
  for (const [, location, line, column] of stack.matchAll(
    /(?<=[\s(])((?:file:\/\/)?\/[^\s()?]+)[^\s():]*:(\d+):(\d+)\)?$/gm,
  )) {
    if (!OUR_FOLDER.test(location!)) return `${name} at ${baseOf(location!)}:${line}:${column}`;
  }
  return name;
}

function baseOf(location: string): string {
  return location.slice(location.lastIndexOf('/') + 1);
}

/** Files of ours by which every call of a hook goes. */
const OUR_FOLDER = /\/own-(?:run|exchange|fields|thread|local)\.[jt]s$|\/filter\/own\.[jt]s$/;

/** For what has to do with no request and no secret: an error while a filter is loaded or made. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return `it threw ${typeof error === 'string' ? JSON.stringify(error) : 'no Error'}`;
  const place = placeOf(error);
  const at = place.includes(' at ') ? place.slice(place.indexOf(' at ')) : '';
  return `${error.message === '' ? error.name : error.message}${at}`;
}
