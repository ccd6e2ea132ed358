import { parseDuration } from '../../base/duration.ts';
import { Fault } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import type { Exchange, FilterCode, Verdict } from '../../filter/filter.ts';
import { SharedFiles } from '../../filter/shared-file.ts';
import { OpenApiDocument, readDocument } from '../../openapi/document.ts';
import { allowOf, type Operation, type Path } from '../../openapi/operations.ts';
import { FAULTS, type MockConfig } from './config.ts';
import { documentOf } from './inline.ts';
import { MockedApi } from './mocked-api.ts';
import { preferenceOf } from './wishes.ts';

/** Documents that filters of one worker share. */
const FILES = new SharedFiles<MockedApi>(function* read(bytes) {
  const document = readDocument(bytes);
  yield undefined;
  return new MockedApi(document);
});

/** Operations whose description is wrong, said once each. */
const SAID_MAX = 1_000;

export const code: FilterCode<typeof MockConfig> = {
  make(config, env) {
    const use =
      config.file === undefined ? { value: inlineOf(config), close: () => undefined } : FILES.open(env, config.file);
    const mocking = new Mocking(config, env, () => use.value);
    const delayMs = parseDuration(config.delay) ?? 0;
    if (delayMs === 0) return { onRequest: (x) => mocking.request(x), close: () => use.close() };
    const waits = new Waits(env, delayMs);
    return {
      onRequest(x) {
        const verdict = mocking.request(x);
        return verdict === undefined ? undefined : waits.later(verdict);
      },
      close() {
        waits.end();
        use.close();
      },
    };
  },
};

function inlineOf({ document, responses = [] }: MockConfig): MockedApi {
  return new MockedApi(document === undefined ? documentOf(responses) : new OpenApiDocument(document));
}

class Mocking {
  readonly #config: MockConfig;
  readonly #env: Env;
  readonly #api: () => MockedApi;
  readonly #said = new Set<string>();

  constructor(config: MockConfig, env: Env, api: () => MockedApi) {
    this.#config = config;
    this.#env = env;
    this.#api = api;
  }

  request({ request }: Exchange): Verdict {
    const api = this.#api();
    const found = api.find(this.#config.basePath, request);
    if (found.kind !== 'operation') return this.#unmatched(found.kind === 'method' ? found.path : undefined);
    const { operation } = found;
    const { headers } = request;
    try {
      const wishes = { ...preferenceOf(headers.combined('prefer')), accept: headers.combined('accept') };
      const answer = api.answer(operation, wishes);
      if (answer === 'no-answer') return new Fault(FAULTS['mock.no-answer'], `${operation.name} has no responses`);
      if (answer === 'not-acceptable') {
        return new Fault(FAULTS['mock.not-acceptable'], `${operation.name} has other types`);
      }
      this.#env.count('answered');
      return answer;
    } catch (error) {
      return this.#wrong(operation, (error as Error).message);
    }
  }

  #unmatched(path: Path | undefined): Fault | undefined {
    this.#env.count('unmatched');
    if (this.#config.unmatched === 'pass') return undefined;
    if (path === undefined) return new Fault(FAULTS['mock.unknown-path'], 'The document has no such path');
    const headers = [['allow', allowOf(path)]] as const;
    return new Fault(FAULTS['mock.unknown-method'], `${path.template} has other methods`, { headers });
  }

  #wrong({ name }: Operation, why: string): Fault {
    if (!this.#said.has(name) && this.#said.size < SAID_MAX) {
      this.#said.add(name);
      this.#env.warn(`The description of ${name} is wrong: ${why}`);
    }
    return new Fault(FAULTS['mock.document-wrong'], `${name}: ${why}`);
  }
}

/** Answers that wait. As many as there are requests at work, which the proxy bounds. */
class Waits {
  readonly #env: Env;
  readonly #delayMs: number;
  readonly #open = new Set<() => void>();

  constructor(env: Env, delayMs: number) {
    this.#env = env;
    this.#delayMs = delayMs;
  }

  later(verdict: Verdict): Promise<Verdict> {
    return new Promise((resolve) => {
      const over = (): void => {
        this.#open.delete(over);
        stop();
        resolve(verdict);
      };
      const stop = this.#env.after(this.#delayMs, over);
      this.#open.add(over);
    });
  }

  /** Whoever still waits is answered now. */
  end(): void {
    for (const over of this.#open) over();
  }
}
