/** What is wrong in a document, and where. */

export class WrongPart extends Error {
  override readonly name = 'WrongPart';
  /** JSON pointer into the document: `/paths/~1users/get/parameters/0`. */
  readonly pointer: string;

  constructor(pointer: string, cause: unknown) {
    super((cause as Error).message, { cause });
    this.pointer = pointer;
  }
}

/** Does what a part of a document needs. @throws {WrongPart} where it is wrong; the innermost part is named */
export function within<T>(pointer: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw error instanceof WrongPart ? error : new WrongPart(pointer, error);
  }
}

/** One step of a JSON pointer (RFC 6901 section 3). */
export function step(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}
