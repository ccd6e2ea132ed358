/** How streams of one connection ended lately: frames for them may still be under way (RFC 9113 section 5.1). */

/** Ids are consecutive, so that many streams are remembered: more than may be open at once by default, twice over. */
const SLOTS = 256;

export class ClosedStreams {
  /** Id of the last stream of each slot; negative when we have reset it. */
  #ids: Int32Array | undefined;

  note(id: number, how: 'ended' | 'reset-here'): void {
    this.#ids ??= new Int32Array(SLOTS);
    this.#ids[(id >> 1) & (SLOTS - 1)] = how === 'ended' ? id : -id;
  }

  /** `unknown`: never opened, or forgotten. */
  how(id: number): 'ended' | 'reset-here' | 'unknown' {
    const noted = this.#ids?.[(id >> 1) & (SLOTS - 1)];
    if (noted === id) return 'ended';
    return noted === -id ? 'reset-here' : 'unknown';
  }
}
