/**
 * What control planes that share a store let each other know: each writes notes of the proxies that it holds, and reads
 * those of the others. Who writes is the only one to change them, so that two never differ over a row.
 *
 *     live ── quiet for 5 s, or ended ──▶ lost ── 60 s or more ──▶ forgotten
 *
 * A lost one has no proxies any more. Its workloads are endpoints as before, until they have had the time to come to
 * another one. While the store is away nothing of this changes, and what there is to say is said when it is back.
 */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { ENDED, type KeptControl, type KeptNote, type Note, type NoteKind, type SharedStore } from './shared-store.ts';

export interface SharedRegistryOptions {
  readonly store: Pick<SharedStore, 'announce' | 'beat' | 'write' | 'controls' | 'notes' | 'end' | 'forget'>;
  /** Whether the store can be asked now. */
  readonly isOpen: () => boolean;
  /** Whether nobody else can share it: all others that stand in it are gone. */
  readonly isAlone: boolean;
  readonly id: string;
  /** For people. */
  readonly name: string;
  readonly leads: () => boolean;
  readonly clock: Clock;
  readonly log: Log;
  /** Told what others say, once; without a body: they do not any more. */
  hear(note: HeardNote): void;
}

export type HeardNote = Note & { readonly control: string; readonly controlName: string };

/** A control plane as operators see it. */
export interface ControlRow {
  readonly id: string;
  readonly name: string;
  readonly state: 'this' | 'live' | 'lost';
  readonly leads: boolean;
}

/** How often it says that it lives, and looks what others say, whether it was told of news or not. */
const BEAT_MS = 1_000;

/** Without a beat for so long it is lost. */
const LEASE_MS = 5_000;

/** For workloads of a lost one: a proxy waits for at most 30 s between two attempts to reach a control plane. */
const GRACE_MS = 60_000;

/** For each note of it, where that is longer: only so many proxies are let in each second (push/hub.ts). */
const GRACE_MS_EACH = 10;

/** Before it is written: what comes together is written together. Of plans that arrive everywhere there is more, and less hurry. */
const GATHER_MS: Readonly<Record<NoteKind, number>> = { workload: 10, proxy: 250 };

/** Notes in one statement. */
const WRITE_MAX = 1_000;

/** After so long nobody waits for the news that something was taken back; who was away for longer reads everything. */
const TAKEN_BACK_MS = 300_000;

interface Own {
  readonly kind: NoteKind;
  readonly name: string;
  /** Asked when it is written. */
  readonly body: () => string | undefined;
}

type OtherState = 'live' | 'lost' | 'forgotten';

interface Other {
  kept: KeptControl;
  state: OtherState;
  /** Without a beat, of the time in which the store could be read. */
  quietMs: number;
  /** Up to which its notes were read. */
  read: number;
  /** What it says of now, by kind and name. */
  readonly notes: Map<string, Note>;
}

export class SharedRegistry {
  readonly #options: SharedRegistryOptions;
  readonly #own = new Map<string, Own>();
  /** Not written yet. */
  readonly #due = new Map<string, Own>();
  readonly #others = new Map<string, Other>();
  #takenBack: { readonly revision: number; readonly atMs: number }[] = [];
  #revision = 0;
  #floor = 0;
  #isAnnounced = false;
  #isBeatDue = true;
  #readMs: number | undefined;
  #working: Promise<void> | undefined;
  #isAgain = false;
  #isClosed = false;
  #said = '';
  #cancelSoon: { readonly atMs: number; readonly cancel: () => void } | undefined;
  readonly #stopBeat: () => void;

  constructor(options: SharedRegistryOptions) {
    this.#options = options;
    this.#stopBeat = options.clock.every(BEAT_MS, () => this.#beat());
  }

  /** Resolves when what others have said is known, or cannot be. */
  async start(): Promise<void> {
    this.look();
    await this.#working;
  }

  /** This one first. One that is alone has none beside it: what went before it was itself. */
  get controls(): ControlRow[] {
    const { id, name, leads, isAlone } = this.#options;
    const others = [...this.#others.values()].flatMap(({ kept, state }): ControlRow[] =>
      isAlone || state === 'forgotten'
        ? []
        : [{ id: kept.id, name: kept.name, state, leads: state === 'live' && kept.leads }],
    );
    return [{ id, name, state: 'this', leads: leads() }, ...others];
  }

  /** Says it from now on. @param body  asked when it is written; undefined: it is taken back */
  tell(kind: NoteKind, name: string, body: (() => string | undefined) | undefined): void {
    // No database takes it as text, and nobody who means well has it.
    if (name.includes('\0')) return;
    // Only what is to outlive this process.
    if (this.#options.isAlone && kind === 'proxy') return;
    const key = `${kind} ${name}`;
    const own: Own = { kind, name, body: body ?? (() => undefined) };
    if (body !== undefined) this.#own.set(key, own);
    else if (!this.#own.delete(key)) return;
    this.#due.set(key, own);
    this.#soon(GATHER_MS[kind]);
  }

  /** Somebody has written something. @param by  id of who has, where it is known */
  heard(by: string): void {
    if (by !== this.#options.id) this.look();
  }

  /** Writes and reads what there is. Never rejects; what fails is tried again. */
  look(): void {
    if (this.#isClosed) return;
    this.#isAgain = this.#working !== undefined;
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
      if (this.#isAgain) this.look();
    });
  }

  /** Ends in good order: all is written, and others know that its proxies are on their way. */
  async close(): Promise<void> {
    const { store, isOpen, id } = this.#options;
    this.#isClosed = true;
    this.#stopBeat();
    this.#cancelSoon?.cancel();
    await this.#working;
    if (!isOpen()) return;
    try {
      await this.#write();
      await store.end(id);
    } catch {
      // Others find it out, and say so.
    }
  }

  #soon(delayMs: number): void {
    const { clock } = this.#options;
    const atMs = clock.nowMs() + delayMs;
    if (this.#cancelSoon !== undefined && this.#cancelSoon.atMs <= atMs) return;
    this.#cancelSoon?.cancel();
    const cancel = clock.after(delayMs, () => {
      this.#cancelSoon = undefined;
      this.look();
    });
    this.#cancelSoon = { atMs, cancel };
  }

  #beat(): void {
    const { isAlone } = this.#options;
    // Nobody looks whether it lives, and an embedded database that is not asked sleeps.
    if (isAlone && this.#due.size === 0 && this.#others.size === 0) return;
    this.#isBeatDue = !isAlone;
    this.look();
  }

  async #work(): Promise<void> {
    const { isOpen, log } = this.#options;
    if (!isOpen()) return;
    try {
      await this.#write();
      await this.#read();
      this.#said = '';
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      // That the store is away was said by it, and a failure is said once.
      if (isOpen() && reason !== this.#said) log.warn('Control planes could not tell each other what is', { reason });
      this.#said = reason;
    }
  }

  // === to the others ===

  async #write(): Promise<void> {
    const { store, id, name, leads } = this.#options;
    if (!this.#isAnnounced) {
      await store.announce(id, name);
      this.#isAnnounced = true;
      for (const [key, own] of this.#own) this.#due.set(key, own);
    }
    if (this.#isBeatDue) {
      this.#isBeatDue = false;
      if (!(await store.beat(id, leads()))) return this.#anew();
    }
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    while (this.#due.size > 0) if (!(await this.#writeSome())) return this.#anew();
  }

  /** Others have given it up while it could not be heard. */
  #anew(): Promise<void> {
    this.#isAnnounced = false;
    return this.#write();
  }

  async #writeSome(): Promise<boolean> {
    const { store, id, clock } = this.#options;
    const some = [...this.#due].slice(0, WRITE_MAX);
    for (const [key] of some) this.#due.delete(key);
    const notes = some.map(([, { kind, name, body }]): KeptNote => ({
      kind,
      name,
      body: body(),
      revision: ++this.#revision,
    }));
    const pastMs = clock.nowMs() - TAKEN_BACK_MS;
    this.#floor = this.#takenBack.findLast(({ atMs }) => atMs < pastMs)?.revision ?? this.#floor;
    try {
      if (!(await store.write(id, notes, this.#floor))) return false;
    } catch (error) {
      // Unless something newer is to be said meanwhile.
      for (const [key, own] of some) if (!this.#due.has(key)) this.#due.set(key, own);
      throw error;
    }
    this.#takenBack = this.#takenBack.filter(({ revision }) => revision > this.#floor);
    const last = notes.findLast(({ body }) => body === undefined);
    if (last !== undefined) this.#takenBack.push({ revision: last.revision, atMs: clock.nowMs() });
    return true;
  }

  // === from the others ===

  async #read(): Promise<void> {
    const { store, clock, id, isAlone } = this.#options;
    // Others that were there before are all there will be.
    const kept = isAlone && this.#readMs !== undefined ? this.#known() : await store.controls();
    const nowMs = clock.nowMs();
    // Time in which nobody could be heard counts for nobody.
    const passedMs = Math.min(nowMs - (this.#readMs ?? nowMs), 2 * BEAT_MS);
    this.#readMs = nowMs;
    for (const one of kept) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      if (one.id !== id) await this.#readOne(one, passedMs);
    }
    const there = new Set(kept.map((one) => one.id));
    for (const [control, other] of this.#others) {
      if (there.has(control)) continue;
      this.#turn(other, 'forgotten');
      this.#others.delete(control);
    }
  }

  #known(): KeptControl[] {
    return [...this.#others.values()].map(({ kept }) => kept);
  }

  async #readOne(now: KeptControl, passedMs: number): Promise<void> {
    const { isAlone, store, leads } = this.#options;
    const known = this.#others.get(now.id);
    const other: Other = known ?? { kept: now, state: 'live', quietMs: 0, read: 0, notes: new Map() };
    const isMoving = known === undefined || now.beat !== known.kept.beat;
    other.quietMs = isMoving ? 0 : other.quietMs + passedMs;
    if (isAlone || now.beat === ENDED) other.quietMs = Math.max(other.quietMs, LEASE_MS);
    other.kept = now;
    this.#turn(other, stateAfter(other.quietMs, Math.max(GRACE_MS, other.notes.size * GRACE_MS_EACH)));
    this.#others.set(now.id, other);
    await this.#readNotes(other);
    if (other.state !== 'forgotten' || !(isAlone || leads())) return;
    await store.forget(now);
    this.#others.delete(now.id);
  }

  async #readNotes(other: Other): Promise<void> {
    const { store } = this.#options;
    const { id, revision, floor } = other.kept;
    if (revision === other.read) return;
    // It was away for too long, or the other one began anew: what is not there any more was taken back.
    const stale = other.read < floor || revision < other.read ? new Set(other.notes.keys()) : undefined;
    if (stale !== undefined) other.read = 0;
    for (;;) {
      // oxlint-disable-next-line no-await-in-loop -- one after the other
      const some = await store.notes(id, other.read);
      for (const note of some) {
        stale?.delete(`${note.kind} ${note.name}`);
        this.#take(other, note);
      }
      if (some.length === 0) break;
      other.read = some.at(-1)!.revision;
    }
    other.read = Math.max(other.read, revision);
    for (const key of stale ?? []) this.#take(other, { ...other.notes.get(key)!, body: undefined });
  }

  #take(other: Other, note: Note): void {
    const key = `${note.kind} ${note.name}`;
    const isNew = note.body !== undefined || other.notes.has(key);
    if (note.body === undefined) other.notes.delete(key);
    else other.notes.set(key, note);
    if (isNew && isGood(note, other.state)) this.#hear(other, note);
  }

  /** What it says counts, or does not any more. */
  #turn(other: Other, state: OtherState): void {
    const { log } = this.#options;
    const before = other.state;
    if (before === state) return;
    other.state = state;
    const control = other.kept.name;
    if (state === 'lost' && this.#others.has(other.kept.id)) {
      log.warn('A control plane is gone: its proxies go to others', { control });
    } else if (state === 'live') log.info('A control plane is back', { control });
    for (const note of other.notes.values()) {
      const counts = isGood(note, state);
      if (counts !== isGood(note, before)) this.#hear(other, counts ? note : { ...note, body: undefined });
    }
  }

  #hear({ kept }: Other, { kind, name, body }: Note): void {
    this.#options.hear({ kind, name, body, control: kept.id, controlName: kept.name });
  }
}

function stateAfter(quietMs: number, graceMs: number): OtherState {
  if (quietMs < LEASE_MS) return 'live';
  return quietMs < LEASE_MS + graceMs ? 'lost' : 'forgotten';
}

/** Whether what it says counts. */
function isGood({ kind }: Note, state: OtherState): boolean {
  return state === 'live' || (state === 'lost' && kind === 'workload');
}
