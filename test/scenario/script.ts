/**
 * The language of `*.scenario.yaml`: what a client and an upstream send, byte
 * for byte, and what they must see. See README.md beside this file.
 */
import assert from 'node:assert/strict';
import {
  type Field,
  readRequest,
  readRequestHead,
  readResponse,
  readResponseHead,
  type Fields,
} from '../client/message.ts';
import { type Cut, cutsFrom, type Wire } from '../client/wire.ts';

/** One thing that one side does. Exactly one of the optional fields is set, except `body` beside `send`. */
export interface Step {
  /** A head: lines end in CRLF, the empty line is added. `$host` stands for the host of the case. */
  readonly send?: string;
  /** Follows the head of `send` as it is. */
  readonly body?: string;
  /** Exact bytes. */
  readonly raw?: string;
  /** `raw`, so many times, in one go. */
  readonly times?: number;
  /** Client: the next whole answer. */
  readonly answer?: AnswerWanted;
  /** Client: the next head alone, interim ones too. */
  readonly answerHead?: AnswerWanted;
  /** Upstream: the next whole request. */
  readonly request?: RequestWanted;
  /** Upstream: the next head alone. */
  readonly requestHead?: RequestWanted;
  /** The next bytes, exactly. */
  readonly bytes?: string;
  /** The peer ends (`end`), resets, or either. Nothing else may arrive before. */
  readonly closed?: 'end' | 'reset' | 'any';
  /** The peer ends after anything at all. */
  readonly gone?: true;
  /** Half-closes. */
  readonly end?: true;
  /** Sends RST. */
  readonly reset?: true;
  /** Tells the other side. */
  readonly signal?: string;
  /** Waits for the other side. */
  readonly wait?: string;
}

/** A value to match: exact, `~` and a pattern, or null for absent. */
type Want = string | number | null;

interface MessageWanted {
  readonly headers?: Readonly<Record<string, Want>>;
  readonly body?: Want;
  readonly trailers?: Readonly<Record<string, Want>>;
}

export interface AnswerWanted extends MessageWanted {
  readonly status: number;
  readonly reason?: string;
  /** Method of the request that this answers; GET. */
  readonly method?: string;
  readonly framing?: 'none' | 'length' | 'chunked' | 'close';
  /** Statuses of interim answers before it. */
  readonly interim?: readonly number[];
  /** Code of the problem that the gateway answers with. */
  readonly code?: string;
  /** What the echoing upstream saw. */
  readonly saw?: RequestWanted;
}

export interface RequestWanted extends MessageWanted {
  readonly method?: Want;
  readonly target?: Want;
}

export interface Stage {
  readonly host: string;
  /** Whether everything sent goes out at once, or byte by byte. */
  readonly cut: 'whole' | 'pieces';
  readonly signals: Signals;
}

/** Above this, single bytes take too long: twenty random pieces do. */
const EVERY_BYTE_MAX = 2_000;

export async function play(wire: Wire, steps: readonly Step[], stage: Stage): Promise<void> {
  for (const [i, step] of steps.entries()) {
    try {
      await playStep(wire, JSON.parse(JSON.stringify(step).replaceAll('$host', stage.host)) as Step, stage);
    } catch (error) {
      const message = `step ${i + 1} (${Object.keys(step).join(', ')}): ${(error as Error).message}`;
      throw new Error(message, { cause: error });
    }
  }
}

async function playStep(wire: Wire, step: Step, stage: Stage): Promise<void> {
  if (step.send !== undefined || step.raw !== undefined) return send(wire, step, stage);
  if (step.answer !== undefined) return checkAnswer(await readResponse(wire, step.answer.method ?? 'GET'), step.answer);
  if (step.answerHead !== undefined) {
    const head = await readResponseHead(wire);
    assert.ok(head !== undefined, 'No answer');
    return checkAnswer({ ...head, body: Buffer.alloc(0), trailers: [] }, step.answerHead);
  }
  if (step.request !== undefined) {
    const request = await readRequest(wire);
    assert.ok(request !== undefined, 'No request: the connection ended');
    return checkRequest(request, step.request);
  }
  if (step.requestHead !== undefined) {
    const head = await readRequestHead(wire);
    assert.ok(head !== undefined, 'No request: the connection ended');
    return checkRequest({ ...head, body: Buffer.alloc(0), trailers: [] }, step.requestHead);
  }
  if (step.bytes !== undefined) {
    const want = Buffer.from(step.bytes, 'latin1');
    const got = await wire.waitFor(want.length, 'bytes');
    assert.equal(got.subarray(0, want.length).toString('latin1'), step.bytes);
    await wire.readExactly(want.length, 'bytes');
    return;
  }
  if (step.closed !== undefined) return checkClosed(wire, step.closed);
  if (step.gone !== undefined) return void (await wire.peerLeft);
  if (step.end !== undefined) return wire.end();
  if (step.reset !== undefined) return wire.reset();
  if (step.signal !== undefined) return stage.signals.give(step.signal);
  if (step.wait !== undefined) return stage.signals.take(step.wait, wire.patienceMs);
  throw new Error('Unknown step');
}

async function send(wire: Wire, step: Step, { cut }: Stage): Promise<void> {
  const head = step.send === undefined ? '' : `${step.send.trimEnd().replaceAll('\n', '\r\n')}\r\n\r\n`;
  const text = `${head}${step.body ?? ''}${(step.raw ?? '').repeat(step.times ?? 1)}`;
  const bytes = Buffer.from(text, 'latin1');
  await wire.sendCut(bytes, cut === 'whole' ? 'whole' : pieces(bytes));
}

function pieces(bytes: Buffer): Cut {
  return bytes.length <= EVERY_BYTE_MAX ? 'every-byte' : cutsFrom(bytes.length, bytes.length, 20);
}

async function checkClosed(wire: Wire, how: 'end' | 'reset' | 'any'): Promise<void> {
  const rest = await wire.readToEnd('the end of the connection', 'reset-is-end');
  assert.equal(rest.toString('latin1'), '', 'Bytes before the end of the connection');
  if (how !== 'any') assert.equal(wire.state, how === 'end' ? 'ended' : 'reset');
}

interface Message extends Fields {
  readonly body: Buffer;
  readonly trailers: readonly Field[];
}

function checkAnswer(
  got: Message & { status: number; reason: string; framing?: string; interim?: readonly { status: number }[] },
  want: AnswerWanted,
): void {
  const body = got.body.toString('latin1');
  assert.equal(got.status, want.status, `Answer is ${got.status} ${got.reason}: ${body.slice(0, 300)}`);
  if (want.reason !== undefined) assert.equal(got.reason, want.reason);
  if (want.framing !== undefined) assert.equal(got.framing, want.framing, 'framing');
  if (want.interim !== undefined) {
    assert.deepEqual(
      (got.interim ?? []).map(({ status }) => status),
      want.interim,
    );
  }
  if (want.code !== undefined) assert.equal((JSON.parse(body) as { code?: string }).code, want.code);
  if (want.saw !== undefined) checkRequest(seenBy(got.body.toString('utf8')), want.saw);
  checkMessage(got, want);
}

/** The echoing upstream tells as JSON what arrived. */
function seenBy(body: string): Message & { method: string; target: string } {
  const seen = JSON.parse(body) as {
    method: string;
    target: string;
    headers: Field[];
    body: string;
    trailers: Field[];
  };
  return { ...seen, ...asFields(seen.headers), body: Buffer.from(seen.body, 'latin1') };
}

function asFields(headers: readonly Field[]): Fields {
  const all = (name: string): string[] => headers.filter(([n]) => n.toLowerCase() === name).map(([, v]) => v);
  return { headers, all, header: (name) => all(name)[0] };
}

function checkRequest(got: Message & { method: string; target: string }, want: RequestWanted): void {
  if (want.method !== undefined) checkValue([got.method], want.method, 'method');
  if (want.target !== undefined) checkValue([got.target], want.target, 'target');
  checkMessage(got, want);
}

function checkMessage(got: Message, want: MessageWanted): void {
  for (const [name, value] of Object.entries(want.headers ?? {})) checkValue(got.all(name.toLowerCase()), value, name);
  const trailers = asFields(got.trailers);
  for (const [name, value] of Object.entries(want.trailers ?? {})) {
    checkValue(trailers.all(name.toLowerCase()), value, `trailer ${name}`);
  }
  if (want.body !== undefined) checkValue([got.body.toString('latin1')], want.body, 'body');
}

function checkValue(got: readonly string[], want: Want, what: string): void {
  if (want === null) return assert.deepEqual(got, [], what);
  const text = String(want);
  if (text.startsWith('~')) return assert.match(got.join(', '), new RegExp(text.slice(1)), what);
  assert.equal(got.join(', '), text, what);
}

/** How the two sides of a case wait for each other. */
export class Signals {
  readonly #given = new Set<string>();
  readonly #waiting = new Map<string, () => void>();

  give(name: string): void {
    this.#given.add(name);
    this.#waiting.get(name)?.();
  }

  async take(name: string, patienceMs: number): Promise<void> {
    if (this.#given.has(name)) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve, reject) => {
      this.#waiting.set(name, resolve);
      timer = setTimeout(() => reject(new Error(`No signal "${name}" for ${patienceMs} ms`)), patienceMs);
    }).finally(() => clearTimeout(timer));
  }
}
