/**
 * The field lines of one message. Reads are answered from the bytes as they
 * came; edits are kept beside them. Lines that nobody changed are written on in
 * the form in which they arrived, and runs of them in one piece.
 *
 * One object may serve many messages in turn (a connection reuses its own): it is
 * valid until the exchange it belongs to ends. Copy strings that must live longer.
 */

/** What is to be done with a received line when the message is written on. */
const KEEP = 0;
/** Framing or hop-by-hop: readable, but never written on; the codec writes its own. */
const HOP = 1;
/** Besides what it was: it can come back. */
const REMOVED = 2;

/** Slots per field in {@link Headers}: name start, name end, value start, value end, disposition. */
const STRIDE = 5;

export class Headers {
  /** Latin-1 text that holds the lines `Name: value CRLF`; offsets point into it. */
  #raw = '';
  #at: number[] = [];
  /** The offsets are those of another object, which stays as it is: copied before the first change. */
  #atIsLent = false;
  #count = 0;
  /** Added lines: name, value, name, value … */
  #added: string[] | undefined;
  #edited = false;

  /** A list of fields made here, for tests and for answers of ours. */
  static of(fields: Iterable<readonly [name: string, value: string]>): Headers {
    const headers = new Headers();
    for (const [name, value] of fields) headers.add(name, value);
    return headers;
  }

  /** For what is sent many times: the lines of `received`, not read again. It must stay as it was received. */
  static like(received: Headers): Headers {
    const headers = new Headers();
    headers.#raw = received.#raw;
    headers.#at = received.#at;
    headers.#atIsLent = true;
    headers.#count = received.#count;
    return headers;
  }

  /** Forgets everything and reads from `raw` from now on. For codecs. */
  reset(raw: string): void {
    this.#raw = raw;
    this.#count = 0;
    this.#added = undefined;
    this.#edited = false;
  }

  /** Back to the lines as they were received. For codecs. */
  restore(): void {
    this.#added = undefined;
    if (!this.#edited) return;
    this.#edited = false;
    const at = this.#at;
    for (let i = 4; i < this.#count * STRIDE; i += STRIDE) at[i]! &= HOP;
  }

  /** Records one received line by its offsets. For codecs, which have checked it. */
  push(nameStart: number, nameEnd: number, valueStart: number, valueEnd: number): void {
    const at = this.#ownAt();
    const i = this.#count++ * STRIDE;
    at[i] = nameStart;
    at[i + 1] = nameEnd;
    at[i + 2] = valueStart;
    at[i + 3] = valueEnd;
    at[i + 4] = KEEP;
  }

  /** Marks the line pushed last as framing or hop-by-hop. For codecs. */
  markLastHop(): void {
    this.#ownAt()[(this.#count - 1) * STRIDE + 4] = HOP;
  }

  /** Marks every received line of this name as hop-by-hop (RFC 9110 section 7.6.1). */
  markHop(lowerName: string): void {
    for (let i = this.#find(lowerName, 0); i >= 0; i = this.#find(lowerName, i + STRIDE)) this.#ownAt()[i + 4] = HOP;
  }

  /** Value of the first line of this name. `lowerName` must be lower case. */
  get(lowerName: string): string | undefined {
    const i = this.#find(lowerName, 0);
    if (i >= 0) return this.#raw.slice(this.#at[i + 2], this.#at[i + 3]);
    const added = this.#added;
    if (added === undefined) return undefined;
    for (let k = 0; k < added.length; k += 2) if (isNamed(added[k]!, lowerName)) return added[k + 1];
    return undefined;
  }

  /** Values of all lines of this name, in order. */
  getAll(lowerName: string): string[] {
    const values: string[] = [];
    for (let i = this.#find(lowerName, 0); i >= 0; i = this.#find(lowerName, i + STRIDE)) {
      values.push(this.#raw.slice(this.#at[i + 2], this.#at[i + 3]));
    }
    const added = this.#added ?? [];
    for (let k = 0; k < added.length; k += 2) if (isNamed(added[k]!, lowerName)) values.push(added[k + 1]!);
    return values;
  }

  /** All values of this name joined with `, ` (RFC 9110 section 5.3), or undefined when there is none. */
  combined(lowerName: string): string | undefined {
    const i = this.#find(lowerName, 0);
    if (this.#added === undefined) {
      if (i < 0) return undefined;
      if (this.#find(lowerName, i + STRIDE) < 0) return this.#raw.slice(this.#at[i + 2], this.#at[i + 3]);
    }
    const values = this.getAll(lowerName);
    return values.length === 0 ? undefined : values.join(', ');
  }

  has(lowerName: string): boolean {
    return this.#find(lowerName, 0) >= 0 || this.get(lowerName) !== undefined;
  }

  /** Adds a line after all others. Name and value must be valid (RFC 9110 section 5.5). */
  add(name: string, value: string): void {
    (this.#added ??= []).push(name, value);
  }

  /** One line of this name with this value, whatever was there. */
  set(name: string, value: string): void {
    this.delete(name.toLowerCase());
    this.add(name, value);
  }

  delete(lowerName: string): void {
    for (let i = this.#find(lowerName, 0); i >= 0; i = this.#find(lowerName, i + STRIDE)) {
      this.#ownAt()[i + 4]! |= REMOVED;
      this.#edited = true;
    }
    const added = this.#added;
    if (added === undefined) return;
    for (let k = added.length - 2; k >= 0; k -= 2) if (isNamed(added[k]!, lowerName)) added.splice(k, 2);
  }

  /** Like {@link delete}, whether hyphens of the name are hyphens or underscores: CGI takes both for one (RFC 3875 section 4.1.18). */
  deleteAlike(lowerName: string): void {
    const at = this.#ownAt();
    const { length } = lowerName;
    for (let i = 0; i < this.#count * STRIDE; i += STRIDE) {
      const start = at[i]!;
      if (at[i + 1]! - start !== length || !alikeName(this.#raw, start, lowerName)) continue;
      at[i + 4]! |= REMOVED;
      this.#edited = true;
    }
    const added = this.#added;
    if (added === undefined) return;
    for (let k = added.length - 2; k >= 0; k -= 2) {
      if (added[k]!.length === length && alikeName(added[k]!, 0, lowerName)) added.splice(k, 2);
    }
  }

  /** Takes out every end-to-end field whose name, in lower case, is `unwanted`. */
  deleteWhere(unwanted: (lowerName: string) => boolean): void {
    let names: Set<string> | undefined;
    this.forEach((name) => {
      const lowerName = name.toLowerCase();
      if (unwanted(lowerName)) (names ??= new Set()).add(lowerName);
    });
    if (names !== undefined) for (const name of names) this.delete(name);
  }

  /** Calls `visit` for each end-to-end line in order, edits included; names as they are written. */
  forEach(visit: (name: string, value: string) => void): void {
    const at = this.#at;
    for (let i = 0; i < this.#count * STRIDE; i += STRIDE) {
      if (at[i + 4] !== KEEP) continue;
      visit(this.#raw.slice(at[i], at[i + 1]), this.#raw.slice(at[i + 2], at[i + 3]));
    }
    const added = this.#added ?? [];
    for (let k = 0; k < added.length; k += 2) visit(added[k]!, added[k + 1]!);
  }

  /** The end-to-end lines as HTTP/1.1 writes them, each with its CRLF; framing and hop-by-hop lines left out. */
  toLines(): string {
    const at = this.#at;
    const end = this.#count * STRIDE;
    const raw = this.#raw;
    let lines = '';
    let runStart = -1;
    for (let i = 0; i < end; i += STRIDE) {
      if (at[i + 4] === KEEP) {
        if (runStart < 0) runStart = at[i]!;
      } else if (runStart >= 0) {
        lines += raw.slice(runStart, at[i]);
        runStart = -1;
      }
    }
    if (runStart >= 0) lines += raw.slice(runStart, this.#lastLineEnd());
    const added = this.#added;
    if (added !== undefined) for (let k = 0; k < added.length; k += 2) lines += `${added[k]}: ${added[k + 1]}\r\n`;
    return lines;
  }

  /** An independent copy with the same end-to-end lines. */
  copy(): Headers {
    const copy = new Headers();
    this.forEach((name, value) => copy.add(name, value));
    return copy;
  }

  /** No `toLines` is longer than so many characters. */
  get charsMax(): number {
    let chars = this.#raw.length;
    const added = this.#added;
    if (added !== undefined)
      for (let k = 0; k < added.length; k += 2) chars += added[k]!.length + added[k + 1]!.length + 4;
    return chars;
  }

  /** The offsets, to be changed. */
  #ownAt(): number[] {
    if (this.#atIsLent) {
      this.#at = this.#at.slice(0, this.#count * STRIDE);
      this.#atIsLent = false;
    }
    return this.#at;
  }

  #lastLineEnd(): number {
    const valueEnd = this.#at[(this.#count - 1) * STRIDE + 3]!;
    return this.#raw.indexOf('\n', valueEnd) + 1;
  }

  /** Slot of the next line of this name that was not removed, from slot `from`; -1 when there is none. */
  #find(lowerName: string, from: number): number {
    const at = this.#at;
    const end = this.#count * STRIDE;
    const length = lowerName.length;
    for (let i = from; i < end; i += STRIDE) {
      const start = at[i]!;
      if (at[i + 1]! - start === length && (at[i + 4]! & REMOVED) === 0 && sameName(this.#raw, start, lowerName))
        return i;
    }
    return -1;
  }
}

const HYPHEN = 0x2d;
const UNDERSCORE = 0x5f;

/** Compares a received name, a token of any case, with a lower-case one of the same length. */
function sameName(raw: string, start: number, lowerName: string): boolean {
  for (let k = 0; k < lowerName.length; k++) {
    const c = raw.charCodeAt(start + k);
    if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== lowerName.charCodeAt(k)) return false;
  }
  return true;
}

/** Without a text of its own for the name in lower case. */
function isNamed(name: string, lowerName: string): boolean {
  return name.length === lowerName.length && sameName(name, 0, lowerName);
}

function hyphenated(c: number): number {
  return c === UNDERSCORE ? HYPHEN : c;
}

/** Like {@link sameName}, and an underscore in either is a hyphen. */
function alikeName(text: string, start: number, lowerName: string): boolean {
  for (let k = 0; k < lowerName.length; k++) {
    const c = text.charCodeAt(start + k);
    if (hyphenated(c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== hyphenated(lowerName.charCodeAt(k))) return false;
  }
  return true;
}
