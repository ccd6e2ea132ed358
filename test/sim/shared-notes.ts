/** The database of the simulation: notes of control planes to each other, as the real one keeps them. It answers at once. */
import { ENDED, type KeptControl, type KeptNote, type SharedStore } from '../../src/control/shared-store.ts';

interface Kept {
  control: KeptControl;
  readonly notes: Map<string, KeptNote>;
}

export class SharedNotes implements Pick<
  SharedStore,
  'announce' | 'beat' | 'write' | 'controls' | 'notes' | 'end' | 'forget'
> {
  readonly #kept = new Map<string, Kept>();
  readonly #onWritten: (by: string) => void;

  /** @param onWritten  called when one has written something, with its id */
  constructor(onWritten: (by: string) => void) {
    this.#onWritten = onWritten;
  }

  announce(id: string, name: string): Promise<void> {
    const control = { id, name, beat: 0, leads: false, revision: 0, floor: 0 };
    if (!this.#kept.has(id)) this.#kept.set(id, { control, notes: new Map() });
    return Promise.resolve();
  }

  beat(id: string, leads: boolean): Promise<boolean> {
    return this.#change(id, { leads });
  }

  write(id: string, notes: readonly KeptNote[], floor: number): Promise<boolean> {
    const kept = this.#kept.get(id);
    for (const note of notes) kept?.notes.set(`${note.kind} ${note.name}`, note);
    this.#onWritten(id);
    return this.#change(id, { floor, revision: notes.at(-1)?.revision ?? 0 });
  }

  controls(): Promise<readonly KeptControl[]> {
    return Promise.resolve([...this.#kept.values()].map(({ control }) => control));
  }

  notes(control: string, after: number): Promise<readonly KeptNote[]> {
    const notes = [...(this.#kept.get(control)?.notes.values() ?? [])];
    return Promise.resolve(
      notes.filter(({ revision }) => revision > after).toSorted((a, b) => a.revision - b.revision),
    );
  }

  async end(id: string): Promise<void> {
    await this.#change(id, { beat: ENDED });
  }

  forget({ id, beat }: Pick<KeptControl, 'id' | 'beat'>): Promise<void> {
    if (this.#kept.get(id)?.control.beat === beat) this.#kept.delete(id);
    return Promise.resolve();
  }

  /** @returns whether it is there */
  #change(id: string, change: Partial<KeptControl>): Promise<boolean> {
    const kept = this.#kept.get(id);
    if (kept !== undefined) kept.control = { ...kept.control, beat: kept.control.beat + 1, ...change };
    return Promise.resolve(kept !== undefined);
  }
}
