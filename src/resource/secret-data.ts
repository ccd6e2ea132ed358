const REDACTED = '[redacted]';

/**
 * Values of a Secret. Whatever prints it prints `[redacted]`; only
 * {@link SecretData.get} gives a value away.
 */
export class SecretData {
  readonly #values: ReadonlyMap<string, string>;

  /** @param values  decoded, one character per byte where they are not UTF-8 */
  constructor(values: ReadonlyMap<string, string>) {
    this.#values = values;
  }

  get(key: string): string | undefined {
    return this.#values.get(key);
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  keys(): string[] {
    return [...this.#values.keys()];
  }

  toString(): string {
    return REDACTED;
  }

  toJSON(): Record<string, string> {
    return Object.fromEntries(this.keys().map((key) => [key, REDACTED]));
  }

  /** What `console.log` and `util.inspect` print. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return REDACTED;
  }
}
