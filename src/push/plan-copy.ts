/**
 * The plan that a proxy serves, on its disk, for a start without a control plane.
 *
 *     header line | nonce 12 | AES-256-GCM over the lines of the bundle | tag 16
 *
 * The first of these lines says what the copy is of, each other one has a part
 * or a secret. Secrets are inside, so all of it is sealed; the tag covers the
 * header too, and nothing of a file is believed before the tag was checked (NIST
 * SP 800-38D section 5.2.2). An older copy put in place of a newer one cannot be
 * told from it: it was a plan of this proxy, and the control plane mends it.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { Fault } from '../base/fault.ts';
import type { PlanBundle } from '../ir/plan.ts';
import { versionOf } from '../ir/version.ts';
import { replaceFile } from '../store/replace-file.ts';
import { readStateKey } from '../store/state-key.ts';
import { isPartName } from './delta-pieces.ts';
import { pushFault } from './faults.ts';
import { type Kind, KINDS } from './inventory.ts';

/** Changes with the form of the lines: another one is refused. */
const HEADER = Buffer.from('fourways plan copy 1\n');
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** A little above the largest delta that is taken. A larger plan is served and not kept. */
const COPY_BYTES_MAX = 320 * 1024 * 1024;

/** Text that is sealed at once, about: a millisecond, then the loop gets its turn. */
const SLICE_CHARS = 256 * 1024;

export interface PlanCopyOptions {
  readonly path: string;
  /** A file with 32 bytes in base64 or hex. Without one a key is made, beside the copy, mode 0600. */
  readonly keyFile?: string;
  /** Of whom the plan is: a copy of another identity is not served. */
  readonly identity: string;
  readonly bytesMax?: number;
}

/** First line. */
interface Title {
  readonly identity: string;
  readonly version: string;
}

type Line = readonly [kind: Kind, name: string, part: unknown];

export class PlanCopy {
  readonly #options: PlanCopyOptions;
  readonly #key: Uint8Array;
  #next: PlanBundle | undefined;
  #writing: Promise<void> | undefined;
  #fault: Fault | undefined;

  private constructor(options: PlanCopyOptions, key: Uint8Array) {
    this.#options = options;
    this.#key = key;
  }

  /** @throws {Error} with words for the operator when the key cannot be read or made */
  static open(options: PlanCopyOptions): PlanCopy {
    const key = readStateKey({ value: undefined, file: options.keyFile, dir: dirname(options.path) });
    return new PlanCopy(options, key);
  }

  /** Why the newest plan is not kept; undefined when it is. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  /** @returns undefined when there is none */
  async read(): Promise<PlanBundle | Fault | undefined> {
    const { path, bytesMax = COPY_BYTES_MAX } = this.#options;
    let bytes: Buffer;
    try {
      await using file = await open(path, 'r');
      const { size } = await file.stat();
      if (size > bytesMax) return this.#unusable(`it has ${size} bytes, and at most ${bytesMax} are taken`);
      bytes = await file.readFile();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code === 'ENOENT' ? undefined : this.#unusable(`it cannot be read: ${code}`);
    }
    const text = this.#opened(bytes);
    return text instanceof Fault ? text : this.#bundleIn(text);
  }

  /** Returns at once. Of several that are kept while one is written, the last is. */
  keep(bundle: PlanBundle): void {
    this.#next = bundle;
    this.#writing ??= this.#writeAll();
  }

  /** Resolves when what was to be kept is on the disk, or could not be. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #writeAll(): Promise<void> {
    while (this.#next !== undefined) {
      const bundle = this.#next;
      this.#next = undefined;
      // oxlint-disable-next-line no-await-in-loop -- one file
      this.#fault = await this.#write(bundle);
    }
    this.#writing = undefined;
  }

  async #write(bundle: PlanBundle): Promise<Fault | undefined> {
    const { path } = this.#options;
    try {
      await replaceFile({ path, owner: `${basename(path)}.new` }, this.#sealed(bundle));
      return undefined;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return pushFault('push.copy-unusable', `Cannot write "${path}": ${code ?? message}`);
    }
  }

  async *#sealed(bundle: PlanBundle): AsyncGenerator<Uint8Array> {
    const { identity, bytesMax = COPY_BYTES_MAX } = this.#options;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(HEADER);
    yield Buffer.concat([HEADER, nonce]);
    let size = HEADER.length + NONCE_BYTES + TAG_BYTES;
    const title: Title = { identity, version: bundle.plan.version };
    let text = `${JSON.stringify(title)}\n`;
    for (const line of linesOf(bundle)) {
      text += `${JSON.stringify(line)}\n`;
      if (text.length < SLICE_CHARS) continue;
      const piece = cipher.update(text, 'utf8');
      size += piece.length;
      if (size > bytesMax) throw new Error(`the plan has more than ${bytesMax} bytes`);
      yield piece;
      text = '';
      await yieldToLoop();
    }
    yield cipher.update(text, 'utf8');
    yield Buffer.concat([cipher.final(), cipher.getAuthTag()]);
  }

  #opened(bytes: Buffer): string | Fault {
    const start = HEADER.length + NONCE_BYTES;
    if (!bytes.subarray(0, HEADER.length).equals(HEADER)) return this.#unusable('it has another format');
    if (bytes.length < start + TAG_BYTES) return this.#unusable('it is cut off');
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(HEADER.length, start))
      .setAAD(HEADER)
      .setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const text = decipher.update(bytes.subarray(start, -TAG_BYTES));
      return Buffer.concat([text, decipher.final()]).toString('utf8');
    } catch {
      return this.#unusable('it was changed, or sealed with another key');
    }
  }

  /** What is read here was written here: the tag says so. */
  #bundleIn(text: string): PlanBundle | Fault {
    const [first = '', ...lines] = text.split('\n');
    const { identity, version } = JSON.parse(first) as Title;
    if (identity !== this.#options.identity) return this.#unusable(`it is of "${identity}"`);
    const parts = Object.fromEntries(KINDS.map((kind) => [kind, {}])) as Record<Kind, Record<string, unknown>>;
    for (const line of lines) {
      if (line === '') continue;
      const [kind, name, part] = JSON.parse(line) as Line;
      if (isPartName(name)) parts[kind][name] = part;
    }
    const { secrets, ...named } = parts;
    const bundle = { plan: { version, ...named }, secrets } as unknown as PlanBundle;
    return versionOf(bundle.plan) === version ? bundle : this.#unusable('its parts do not have its version');
  }

  #unusable(why: string): Fault {
    return pushFault('push.copy-unusable', `Cannot use the plan kept in "${this.#options.path}": ${why}`);
  }
}

function* linesOf({ plan, secrets }: PlanBundle): Generator<Line> {
  for (const kind of KINDS) {
    const named = kind === 'secrets' ? secrets : plan[kind];
    for (const [name, part] of Object.entries(named)) yield [kind, name, part];
  }
}
