/**
 * What one policy keeps in one worker. Bounded by bytes: an answer that needs
 * room takes it from those that were used least, if it is wanted more than they
 * are.
 *
 * Entries stand by URI, below it by what else is part of the key, below it as
 * variants. So everything that is known of a URI is found at once, which
 * invalidation needs (RFC 9111 section 4.4).
 */
import type { Marks } from '../../filter/marks.ts';
import type { Headers } from '../../http/headers.ts';
import type { Flight } from './flight.ts';
import { type Purge, Purges, type Since } from './purges.ts';
import type { Stored } from './stored.ts';

export interface CacheKey {
  /** `https://shop.test/cart?id=1`, as clients know it. */
  readonly uri: string;
  /** Rule, rewritten target, fields, identity: what else chooses an answer. */
  readonly extra: string;
}

/** Newest first. */
interface Resource {
  readonly key: CacheKey;
  variants: Stored[];
}

export interface ZoneLimits {
  readonly bytesMax: number;
  readonly variantsMax: number;
}

/** Keys whose answers are not to be kept. At the bound the oldest is forgotten: costs one wait of others, no more. */
const PASSES_MAX = 8_192;

/** Keys that were refused for want of room and may come again. */
const WANTED_MAX = 1_024;

/** Answers that are looked at to make room for one. Beyond, the one is too large for now. */
const VICTIMS_MAX = 1_024;

export interface ZoneFigures {
  readonly entries: number;
  readonly bytes: number;
  readonly bytesMax: number;
  readonly filling: number;
}

export class Zone {
  readonly #uris = new Map<string, Map<string, Resource>>();
  /** The hand of the clock is at the begin; what was used since it passed goes to the end. */
  readonly #ring = new Map<Stored, Resource>();
  readonly #tags = new Map<string, Set<Stored>>();
  readonly #passes = new Map<string, number>();
  readonly #wanted = new Map<string, number>();
  /** Of requests that run: one for each key at most. */
  readonly flights = new Map<string, Flight>();
  readonly #purges = new Purges();
  readonly #marks: Marks;
  #limits: ZoneLimits = { bytesMax: 0, variantsMax: 1 };
  #bytes = 0;
  #filling = 0;
  #evicted: (count: number) => void = () => undefined;

  constructor(marks: Marks) {
    this.#marks = marks;
  }

  /** Filters of one policy agree on these; a new plan may say something else. */
  configure(limits: ZoneLimits, evicted: (count: number) => void): void {
    this.#limits = limits;
    this.#evicted = evicted;
    this.#shrinkTo(limits.bytesMax);
  }

  get figures(): ZoneFigures {
    return { entries: this.#ring.size, bytes: this.#bytes, bytesMax: this.#limits.bytesMax, filling: this.#filling };
  }

  find({ uri, extra }: CacheKey, request: Headers): Stored | undefined {
    const resource = this.#uris.get(uri)?.get(extra);
    if (resource === undefined) return undefined;
    const { variants } = resource;
    for (let i = 0; i < variants.length; i++) {
      const stored = variants[i]!;
      if (stored.answers(request)) return this.#isTrue(stored) ? stored : undefined;
    }
    return undefined;
  }

  /** Whether no worker has heard since that it may be another thing now. What is not is forgotten. */
  #isTrue(stored: Stored): boolean {
    const { slot, mark } = stored.since!;
    if (this.#marks.read(slot) === mark) return true;
    this.remove(stored);
    return false;
  }

  /** To be asked when an answer is asked for, and to be given back with it. */
  since({ uri }: CacheKey): Since {
    const slot = this.#marks.slotOf(uri);
    return { purges: this.#purges.count, slot, mark: this.#marks.read(slot) };
  }

  /** Whether an answer is of yesterday by now, though it comes today. */
  isPurged({ uri }: CacheKey, { purges, slot, mark }: Since, tags: readonly string[]): boolean {
    return this.#marks.read(slot) !== mark || this.#purges.hit(purges, uri, tags);
  }

  /** The fields that chose the newest answer of this key. */
  varyOf({ uri, extra }: CacheKey): readonly string[] {
    return this.#uris.get(uri)?.get(extra)?.variants[0]?.vary ?? [];
  }

  /** @returns false when there is no room for it now */
  put(key: CacheKey, stored: Stored, since: Since): boolean {
    const before = this.#uris
      .get(key.uri)
      ?.get(key.extra)
      ?.variants.find((variant) => variant.isVariantOf(stored));
    if (before !== undefined) this.remove(before);
    if (!this.#makeRoom(key, stored)) return false;
    const resource = this.#resourceOf(key);
    // Who sends ever new values only pushes out other variants of the same thing.
    if (resource.variants.length >= this.#limits.variantsMax) {
      this.#drop(resource.variants.at(-1)!, resource);
      this.#evicted(1);
    }
    stored.since = since;
    resource.variants.unshift(stored);
    this.#ring.set(stored, resource);
    this.#bytes += stored.bytes + keyBytes(key);
    for (const tag of stored.tags) {
      const tagged = this.#tags.get(tag);
      if (tagged === undefined) this.#tags.set(tag, new Set([stored]));
      else tagged.add(stored);
    }
    this.#passes.delete(textOf(key));
    return true;
  }

  /** Takes the place of what was there; the body is the same one. */
  replace(key: CacheKey, before: Stored, after: Stored): void {
    const { since } = before;
    after.hits = before.hits;
    this.remove(before);
    this.put(key, after, since!);
  }

  remove(stored: Stored): void {
    const resource = this.#ring.get(stored);
    if (resource === undefined) return;
    this.#drop(stored, resource);
    if (resource.variants.length > 0) return;
    const { uri, extra } = resource.key;
    const resources = this.#uris.get(uri);
    resources?.delete(extra);
    if (resources?.size === 0) this.#uris.delete(uri);
  }

  /** Whether it is in the store still. */
  holds(stored: Stored): boolean {
    return this.#ring.has(stored);
  }

  // --- answers that are not to be kept -----------------------------------------------------------------------------

  /** The next requests for it do not wait for each other. */
  pass(key: CacheKey, untilMs: number): void {
    const text = textOf(key);
    this.#passes.delete(text);
    if (this.#passes.size >= PASSES_MAX) this.#passes.delete(firstOf(this.#passes.keys())!);
    this.#passes.set(text, untilMs);
  }

  isPassed(key: CacheKey, nowMs: number): boolean {
    if (this.#passes.size === 0) return false;
    const untilMs = this.#passes.get(textOf(key));
    return untilMs !== undefined && nowMs < untilMs;
  }

  // --- bytes of answers that are on their way ----------------------------------------------------------------------

  /** A quarter of the bound on top of it may be on its way. @returns false when that is used up */
  beginFilling(bytes: number): boolean {
    if (this.#filling + bytes > this.#limits.bytesMax / 4) return false;
    this.#filling += bytes;
    return true;
  }

  endFilling(bytes: number): void {
    this.#filling -= bytes;
  }

  // --- purges ------------------------------------------------------------------------------------------------------

  /** @returns how many answers were forgotten */
  purge(purge: Purge): number {
    this.#purges.add(purge);
    switch (purge.kind) {
      case 'uri':
        return this.#removeAll([...(this.#uris.get(purge.value)?.values() ?? [])].flatMap(variantsOf));
      case 'prefix': {
        const found = [...this.#uris].filter(([uri]) => uri.startsWith(purge.value));
        return this.#removeAll(found.flatMap(([, resources]) => [...resources.values()].flatMap(variantsOf)));
      }
      case 'tag':
        return this.#removeAll([...(this.#tags.get(purge.value) ?? [])]);
      case 'all':
        this.#passes.clear();
        return this.#removeAll([...this.#ring.keys()]);
    }
  }

  /** What is known of the URI is not true any more, in no worker. @returns how many answers were forgotten here */
  invalidate(uri: string): number {
    this.#marks.raise(uri);
    return this.purge({ kind: 'uri', value: uri });
  }

  #removeAll(found: readonly Stored[]): number {
    for (const stored of found) this.remove(stored);
    return found.length;
  }

  // --- room --------------------------------------------------------------------------------------------------------

  #resourceOf(key: CacheKey): Resource {
    let resources = this.#uris.get(key.uri);
    if (resources === undefined) this.#uris.set(key.uri, (resources = new Map()));
    let resource = resources.get(key.extra);
    if (resource === undefined) resources.set(key.extra, (resource = { key, variants: [] }));
    return resource;
  }

  #drop(stored: Stored, resource: Resource): void {
    this.#ring.delete(stored);
    this.#bytes -= stored.bytes + keyBytes(resource.key);
    resource.variants = resource.variants.filter((variant) => variant !== stored);
    for (const tag of stored.tags) {
      const tagged = this.#tags.get(tag);
      tagged?.delete(stored);
      if (tagged?.size === 0) this.#tags.delete(tag);
    }
  }

  /**
   * The victims are those that were not used since the hand passed last. What
   * they were used for before weighs against the wish: the more of them must go,
   * the oftener the answer must have been asked for. So one large answer that
   * nobody asks for twice does not push out many small ones.
   */
  #makeRoom(key: CacheKey, stored: Stored): boolean {
    const need = stored.bytes + keyBytes(key);
    const { bytesMax } = this.#limits;
    if (need > bytesMax) return false;
    let free = bytesMax - this.#bytes;
    if (free >= need) return true;
    const victims: Stored[] = [];
    let uses = 0;
    let looks = 0;
    for (const [victim, resource] of this.#ring) {
      if (free >= need || looks++ >= VICTIMS_MAX) break;
      if (victim.hits > 1) {
        victim.hits >>= 1;
        this.#ring.delete(victim);
        this.#ring.set(victim, resource);
        continue;
      }
      victims.push(victim);
      uses += victim.hits;
      free += victim.bytes + keyBytes(resource.key);
    }
    if (free < need || uses > this.#wish(key)) return false;
    for (const victim of victims) this.remove(victim);
    this.#evicted(victims.length);
    return true;
  }

  /** How often room was wanted for it. */
  #wish(key: CacheKey): number {
    const text = textOf(key);
    const times = (this.#wanted.get(text) ?? 0) + 1;
    this.#wanted.delete(text);
    if (this.#wanted.size >= WANTED_MAX) this.#wanted.delete(firstOf(this.#wanted.keys())!);
    this.#wanted.set(text, times);
    return times;
  }

  #shrinkTo(bytesMax: number): void {
    let count = 0;
    for (const stored of this.#ring.keys()) {
      if (this.#bytes <= bytesMax) break;
      this.remove(stored);
      count++;
    }
    if (count > 0) this.#evicted(count);
  }
}

function variantsOf({ variants }: Resource): readonly Stored[] {
  return variants;
}

function textOf({ uri, extra }: CacheKey): string {
  return `${uri}\n${extra}`;
}

/** Of the texts of the key, which may stand twice in memory. */
function keyBytes({ uri, extra }: CacheKey): number {
  return 2 * (uri.length + extra.length);
}

function firstOf<T>(values: Iterable<T>): T | undefined {
  for (const value of values) return value;
  return undefined;
}
