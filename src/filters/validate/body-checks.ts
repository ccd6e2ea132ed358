/** What the `content` of an operation demands of bodies. */
import { entriesOf, isNode } from '../../openapi/document.ts';
import { step, within } from '../../openapi/wrong.ts';
import { bodyCheckOf, type CheckBody, FORM_TYPE, mediaOf, type MediaContext, MULTIPART_TYPE } from './media.ts';

/** Types whose checks are kept; thrown away when there are more, which only ranges take. */
const TYPES_MAX = 32;

/** `unknown`: there is no such type. `stream`: nothing of it is looked at. */
type Asked = CheckBody | 'stream' | 'unknown';

export class BodyChecks {
  readonly content: unknown;
  readonly #context: MediaContext;
  readonly #checks = new Map<string, Asked>();

  /** @throws {WrongPart} on a schema that is not valid */
  constructor(content: unknown, pointer: string, context: MediaContext) {
    this.content = content;
    this.#context = context;
    for (const [range, media] of entriesOf(content)) {
      within(`${pointer}/content${step(range)}`, () => {
        for (const type of typesIn(range)) if (context.reads(type)) bodyCheckOf(type, media, context);
      });
    }
  }

  /** Whether anything is said of bodies. */
  get isDescribed(): boolean {
    return isNode(this.content);
  }

  /** Value of Accept. */
  get types(): string {
    return entriesOf(this.content)
      .map(([type]) => type)
      .join(', ');
  }

  of(type: string): Asked {
    let asked = this.#checks.get(type);
    if (asked !== undefined) return asked;
    const media = mediaOf(this.content, type);
    if (media === undefined) return 'unknown';
    asked = (this.#context.reads(type) ? bodyCheckOf(type, media, this.#context) : undefined) ?? 'stream';
    if (this.#checks.size >= TYPES_MAX) this.#checks.clear();
    this.#checks.set(type, asked);
    return asked;
  }
}

/** Of each kind of type that is looked at, one that the range takes. */
function typesIn(range: string): readonly string[] {
  const type = range.split(';', 1)[0]!.trim().toLowerCase();
  if (!type.endsWith('/*')) return [type];
  const candidates = ['application/json', FORM_TYPE, MULTIPART_TYPE, `${type.slice(0, -1)}json`];
  const main = type.slice(0, -1);
  return type === '*/*' ? candidates.slice(0, 3) : candidates.filter((one) => one.startsWith(main));
}
