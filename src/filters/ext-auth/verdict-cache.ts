import { hash } from 'node:crypto';
import { parseDuration } from '../../base/duration.ts';
import { Fault } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import type { Decision } from './verdict.ts';

/** A longer verdict, such as a page that refuses, is asked for again: all entries together are at most 40 MB by default. */
const VERDICT_CHARS_MAX = 4_096;

interface Entry {
  readonly said: Decision;
  readonly untilMs: number;
}

/** Verdicts by key, for a while. The one that was asked for the longest time ago makes room. */
export class VerdictCache {
  readonly #env: Env;
  readonly #ttlMs: number;
  readonly #entriesMax: number;
  readonly #entries = new Map<string, Entry>();

  constructor({ ttl, entriesMax }: { readonly ttl: string; readonly entriesMax: number }, env: Env) {
    this.#env = env;
    this.#ttlMs = parseDuration(ttl)!;
    this.#entriesMax = entriesMax;
  }

  get(key: string): Decision | undefined {
    const name = nameOf(key);
    const entry = this.#entries.get(name);
    if (entry === undefined) return undefined;
    this.#entries.delete(name);
    if (entry.untilMs <= this.#env.nowMs()) return undefined;
    this.#entries.set(name, entry);
    return entry.said;
  }

  put(key: string, said: Decision): void {
    if (charsOf(said) > VERDICT_CHARS_MAX) return;
    const name = nameOf(key);
    this.#entries.delete(name);
    this.#entries.set(name, { said, untilMs: this.#env.nowMs() + this.#ttlMs });
    if (this.#entries.size <= this.#entriesMax) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      break;
    }
  }
}

/** As it is held: bodies and values of headers are most of it. */
function charsOf(said: Decision): number {
  const fields = said.kind === 'allowed' ? [...said.request, ...said.answer] : [];
  let chars = 0;
  for (const { value } of fields) chars += value.length;
  if (said.kind === 'refused' && !(said.answer instanceof Fault)) {
    chars += said.answer.body.length;
    for (const [, value] of said.answer.headers) chars += value.length;
  }
  return chars;
}

/** Keys are made of credentials, so they are not kept; and however long they are, an entry is not. */
function nameOf(key: string): string {
  return hash('sha256', key, 'base64');
}
