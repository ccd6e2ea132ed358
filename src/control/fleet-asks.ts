/** Questions to all members of a fleet as one: each answers for itself, and the end comes when the last of them has ended. */
import type { Ask, AskEnd, Asker } from '../base/asking.ts';
import type { Member } from './member.ts';

interface Open {
  readonly ask: Ask;
  readonly asker: Asker;
  /** What takes it back from each member that has not ended it. */
  readonly running: Map<Member, () => void>;
  /** Whether one of them came to a good end; else the last other end. */
  end: AskEnd;
}

export class FleetAsks {
  readonly #open = new Set<Open>();

  /** @param members  those that live; later ones are told by {@link FleetAsks.joined} */
  ask(ask: Ask, asker: Asker, members: readonly Member[]): () => void {
    const open: Open = { ask, asker, running: new Map(), end: { kind: 'gone', reason: 'No worker lives' } };
    this.#open.add(open);
    // All of them first: one that ends at once is not the last.
    for (const member of members) open.running.set(member, ignore);
    for (const member of members) this.#begin(open, member);
    if (members.length === 0) this.#finish(open);
    return () => this.#takeBack(open);
  }

  /** One that died was replaced: it is asked what is being asked. */
  joined(member: Member): void {
    for (const open of this.#open) {
      open.running.set(member, ignore);
      this.#begin(open, member);
    }
  }

  #begin(open: Open, member: Member): void {
    const takeBack = member.ask(open.ask, {
      answer: (body, lost) => {
        if (open.running.has(member)) open.asker.answer(body, lost);
      },
      end: (end) => this.#ended(open, member, end),
    });
    if (open.running.has(member)) open.running.set(member, takeBack);
  }

  #ended(open: Open, member: Member, end: AskEnd): void {
    if (!open.running.delete(member)) return;
    if (open.end.kind !== 'done') open.end = end;
    if (open.running.size === 0) this.#finish(open);
  }

  #finish(open: Open): void {
    if (this.#open.delete(open)) open.asker.end(open.end);
  }

  #takeBack(open: Open): void {
    if (!this.#open.delete(open)) return;
    const running = [...open.running.values()];
    open.running.clear();
    for (const takeBack of running) takeBack();
  }
}

const ignore = (): void => undefined;
