/** What a filter of a user is lent, in whatever thread it runs. */
import { randomBytes } from 'node:crypto';
import { systemClock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Upstream } from '../filter/env.ts';
import type { InstanceSpec } from '../filter/own-program.ts';
import type { OwnAnswer, OwnEnv, OwnQuestion } from '../filter/own.ts';
import { linesOf } from '../filter/own-fields.ts';
import { Headers } from '../http/headers.ts';

/** What leads out of the filter. */
export interface OwnOutlets {
  count(event: string, count: number): void;
  warn(message: string, fields: Readonly<Record<string, string | number>>): void;
  ask(upstream: string, question: OwnQuestion): Promise<OwnAnswer>;
}

/** Events that one filter may count: each is a series of the metrics. */
const EVENTS_MAX = 32;

const EVENT = /^[a-z][a-z0-9_-]{0,62}$/;

export function ownEnv(spec: InstanceSpec, outlets: OwnOutlets): OwnEnv {
  const events = new Set<string>();
  const { secrets, upstreams, owner, rule } = spec;
  return {
    nowMs: () => systemClock.nowMs(),
    wallMs: () => systemClock.wallMs(),
    randomBytes,
    after: (delayMs, run) => systemClock.after(delayMs, run),
    count(event, count = 1) {
      if (!EVENT.test(event)) throw new TypeError('Expected an event of lower-case letters, digits, "-" and "_"');
      if (events.size < EVENTS_MAX) events.add(event);
      if (events.has(event) && Number.isFinite(count)) outlets.count(event, count);
    },
    warn: (message, fields = {}) => outlets.warn(String(message), fields),
    secret(name) {
      const value = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
      if (value === undefined) throw new Error(`The policy names no secret "${name}"`);
      return value;
    },
    upstream(name) {
      if (!upstreams.includes(name)) throw new Error(`The policy names no upstream "${name}"`);
      return { ask: (question) => outlets.ask(name, question) };
    },
    fetch: (url, init) => fetch(url, init),
    owner,
    rule,
  };
}

const QUESTION_MS = 1_000;
const ANSWER_BYTES_MAX = 1024 * 1024;

/** @throws {Error} with what the fault says */
export async function askUpstream(upstream: Upstream, question: OwnQuestion): Promise<OwnAnswer> {
  const {
    method = 'GET',
    target,
    headers = {},
    body,
    timeoutMs = QUESTION_MS,
    answerBytesMax = ANSWER_BYTES_MAX,
  } = question;
  const answer = await upstream.ask({
    method,
    target,
    headers: Headers.of(Object.entries(headers)),
    ...(body !== undefined && { body: Buffer.from(body as Uint8Array) }),
    timeoutMs,
    answerBytesMax,
  });
  if (answer instanceof Fault) throw new Error(`${answer.code}: ${answer.kind.title}`);
  return { status: answer.status, headers: linesOf(answer.headers), body: answer.body };
}
