/**
 * What was found out of credentials lately, by their digest: a check takes
 * 30 ms and more, and clients send the same with every request. Good and bad
 * apart, so that no flood of guesses puts those in use out.
 */
import type { Identity } from '../../filter/identity.ts';

const GOOD_MAX = 10_000;
const BAD_MAX = 1_000;

interface Verdict {
  readonly identity: Identity | 'bad';
  readonly atMs: number;
}

export class VerdictCache {
  readonly #good = new Map<string, Verdict>();
  readonly #bad = new Map<string, Verdict>();

  get(digest: string, sinceMs: number): Identity | 'bad' | undefined {
    const verdict = this.#good.get(digest) ?? this.#bad.get(digest);
    return verdict === undefined || verdict.atMs <= sinceMs ? undefined : verdict.identity;
  }

  set(digest: string, verdict: Verdict): void {
    const [verdicts, max] = verdict.identity === 'bad' ? [this.#bad, BAD_MAX] : [this.#good, GOOD_MAX];
    verdicts.delete(digest);
    if (verdicts.size >= max) verdicts.delete(verdicts.keys().next().value!);
    verdicts.set(digest, verdict);
  }
}
