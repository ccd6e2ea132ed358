import { Fault, type FaultKind } from '../../base/fault.ts';
import { codingsOf } from '../../filter/codings.ts';
import type { Env } from '../../filter/env.ts';
import {
  type BodyBound,
  type BodyVerdict,
  type Exchange,
  type Filter,
  type FilterCode,
  type Verdict,
  WHOLE_BODY,
} from '../../filter/filter.ts';
import { Kept } from '../../filter/kept.ts';
import { type FileUse, SharedFiles } from '../../filter/shared-file.ts';
import type { ResponseHead } from '../../http/message.ts';
import { OpenApiDocument } from '../../openapi/document.ts';
import { allowOf, type Operation, type Path } from '../../openapi/operations.ts';
import { WrongPart } from '../../openapi/wrong.ts';
import type { AnswersPlan } from './answers-plan.ts';
import { Api } from './api.ts';
import { FAULTS, type UncheckedPatterns, type ValidateConfig } from './config.ts';
import { Drift, type DriftEntry, templated, unknownFields } from './drift.ts';
import { type CheckBody, isUtf8, mediaOf, typeIn, typeOf } from './media.ts';
import type { RequestPlan } from './request-plan.ts';
import { makeStandalone } from './standalone.ts';
import type { Issue } from './validators.ts';

/** Documents that filters of one worker share, if they are of one mind on patterns. */
const FILES: Readonly<Record<UncheckedPatterns, SharedFiles<Api>>> = {
  refuse: new SharedFiles((bytes) => Api.read(bytes, 'refuse')),
  pass: new SharedFiles((bytes) => Api.read(bytes, 'pass')),
};

/** The filter, and what it has seen that its document lacks. */
export interface ValidateFilter extends Filter {
  readonly drift?: () => { readonly entries: readonly DriftEntry[]; readonly others: number };
}

export const code: FilterCode<typeof ValidateConfig> & { make(config: ValidateConfig, env: Env): ValidateFilter } = {
  make(config, env) {
    if (config.schemas !== undefined) return makeStandalone(config, env);
    const preparer = { env, requests: config.requests !== 'off', answers: config.answers !== 'off' };
    let leave = (): void => undefined;
    const prepare = (api: Api): void => {
      leave();
      leave = api.preparation.join(preparer);
    };
    let use: Pick<FileUse<Api>, 'value' | 'close'>;
    if (config.document === undefined) use = FILES[config.uncheckedPatterns].open(env, config.file!, prepare);
    else {
      use = { value: new Api(new OpenApiDocument(config.document), config.uncheckedPatterns), close: () => undefined };
      prepare(use.value);
    }
    return {
      ...filterOf(new Validation(config, env, () => use.value)),
      close() {
        leave();
        use.close();
      },
    };
  },
};

function filterOf(validation: Validation): ValidateFilter {
  const { config } = validation;
  const bound = (mode: string): BodyBound => ({
    bytesMax: config.bodyBytesMax,
    beyond: mode === 'enforce' ? 'refuse' : 'pass',
  });
  return {
    drift: () => validation.drift.entries(),
    onRequest: (x) => validation.request(x),
    onRequestBody: (x, body) => validation.requestBody(x, body),
    requestBound: bound(config.requests),
    ...(config.answers !== 'off' && {
      onResponse: (x: Exchange, head: ResponseHead) => validation.answer(x, head),
      onResponseBody: (x: Exchange, head: ResponseHead, body: Buffer) => validation.answerBody(x, head, body),
      responseBound: bound(config.answers),
    }),
  };
}

/** What is known of an exchange from its request on. */
interface Known {
  readonly operation: Operation;
  /** Undefined where requests are not looked at. */
  readonly plan: RequestPlan | undefined;
  readonly check: CheckBody | undefined;
  readonly answers: AnswersPlan | undefined;
  answer?: { readonly content: unknown; readonly check: CheckBody };
}

/** The operation of a request, and what is wrong with the request. */
interface Refused {
  readonly operation: Operation;
  readonly issues: readonly Issue[];
}

class Validation {
  readonly config: ValidateConfig;
  readonly drift: Drift;
  readonly #env: Env;
  readonly #api: () => Api;
  readonly #known = new Kept<Known>();

  constructor(config: ValidateConfig, env: Env, api: () => Api) {
    this.config = config;
    this.#env = env;
    this.#api = api;
    this.drift = new Drift(env, config.driftMax);
  }

  // --- requests ----------------------------------------------------------------------------------------------------

  request(x: Exchange): Verdict | typeof WHOLE_BODY {
    const { request } = x;
    const api = this.#api();
    const found = api.find(this.config.basePath, request);
    if (found.kind === 'path') return this.#unknownPath(x);
    if (found.kind === 'method') return this.#unknownMethod(x, found.path);
    const { operation } = found;
    const plan = this.#usable(x, 'requests', operation);
    if (plan instanceof Fault) return plan;
    const answers = this.#usable(x, 'answers', operation);
    if (answers instanceof Fault) return answers;
    api.tellUnchecked(this.#env);
    let check: CheckBody | undefined;
    if (plan !== undefined) {
      const { issues, unknownQuery } = plan.checkParameters(request, found.parts);
      if (unknownQuery.length > 0) this.#unknownQuery(operation, unknownQuery, issues);
      const verdict = issues.length === 0 ? undefined : this.#refuse(x, { operation, issues });
      if (verdict !== undefined) return verdict;
      const body = this.#bodyOf(x, operation, plan);
      if (body instanceof Fault) return body;
      check = body;
    }
    if (check === undefined && answers === undefined) return undefined;
    this.#known.set(x, { operation, plan, check, answers });
    if (answers !== undefined) askUncoded(x);
    return check === undefined ? undefined : WHOLE_BODY;
  }

  /** What the document demands in one direction; nothing where it is not asked, or is wrong and only reported. */
  #usable<D extends 'requests' | 'answers'>(
    x: Exchange,
    direction: D,
    operation: Operation,
  ): Exclude<ReturnType<Api[D]['of']>, WrongPart> | Fault | undefined {
    const mode = this.config[direction];
    if (mode === 'off') return undefined;
    const api = this.#api();
    const plan = api[direction].of(operation);
    if (!(plan instanceof WrongPart)) return plan as Exclude<ReturnType<Api[D]['of']>, WrongPart>;
    api.tell(this.#env, plan);
    this.#env.count('document_wrong');
    const kind = FAULTS['validate.document-wrong'];
    if (mode === 'enforce') return new Fault(kind, `${operation.name}: ${plan.pointer}: ${plan.message}`);
    x.note('validate', kind.code);
    return undefined;
  }

  #unknownPath({ request }: Exchange): Fault | undefined {
    const { unknownPaths, requests } = this.config;
    if (unknownPaths === 'pass') return undefined;
    this.drift.see('path', `${request.method} ${templated(request.path)}`);
    if (unknownPaths === 'report' || requests !== 'enforce') return undefined;
    return new Fault(FAULTS['validate.unknown-path'], 'The document has no such path');
  }

  #unknownMethod({ request }: Exchange, path: Path): Fault | undefined {
    const { unknownMethods, requests } = this.config;
    if (unknownMethods === 'pass') return undefined;
    this.drift.see('method', `${request.method} ${path.template}`);
    if (unknownMethods === 'report' || requests !== 'enforce') return undefined;
    const headers = [['allow', allowOf(path)]] as const;
    return new Fault(FAULTS['validate.unknown-method'], `${path.template} has other methods`, { headers });
  }

  #unknownQuery(operation: Operation, names: readonly string[], issues: Issue[]): void {
    const { unknownQuery, errorsMax } = this.config;
    if (unknownQuery === 'pass') return;
    for (const name of new Set(names.slice(0, errorsMax))) {
      this.drift.see('query', `${operation.name} ?${name}`);
      if (unknownQuery === 'refuse') issues.push({ in: 'query', name: name.slice(0, 64), message: 'is not known' });
    }
  }

  #bodyOf(x: Exchange, operation: Operation, { body, bodyRequired }: RequestPlan): CheckBody | Fault | undefined {
    const { headers, bodyLength } = x.request;
    if (bodyLength === 0) {
      if (!bodyRequired) return undefined;
      return this.#refuse(x, { operation, issues: [{ in: 'body', message: 'is required' }] });
    }
    if (!body.isDescribed) return undefined;
    const type = typeIn(headers);
    const check = type === undefined ? 'unknown' : body.of(type.type);
    if (check === 'stream') return undefined;
    const { name } = operation;
    if (check === 'unknown' || !isUtf8(type!.charset)) {
      this.drift.see('type', `${name} ${type?.type ?? 'without a Content-Type that can be read'}`);
      return this.#because(
        x,
        new Fault(FAULTS['validate.unsupported-type'], `${name} does not take this type`, {
          headers: [['accept', body.types]],
        }),
      );
    }
    if (codingsOf(headers).length > 0) {
      return this.#because(x, new Fault(FAULTS['validate.coded'], `The body of ${name} is compressed`));
    }
    return check;
  }

  requestBody(x: Exchange, body: Buffer): BodyVerdict {
    const { operation, plan, check } = this.#known.get(x)!;
    // Of an unknown length, and there is none.
    if (body.length === 0 && !plan!.bodyRequired) return undefined;
    const contentType = x.request.headers.get('content-type') ?? '';
    const checked = check!({ contentType, body, depthMax: this.config.depthMax });
    const { name } = operation;
    if (checked.kind === 'malformed') {
      return this.#because(x, new Fault(FAULTS['validate.malformed'], `Body of ${name}: ${checked.why}`));
    }
    this.#seeFields({ content: plan!.body.content, contentType, value: checked.value, of: name });
    return checked.issues.length === 0 ? undefined : this.#refuse(x, { operation, issues: checked.issues });
  }

  #refuse(x: Exchange, { operation, issues }: Refused): Fault | undefined {
    const errors = issues.slice(0, this.config.errorsMax);
    return this.#because(x, invalid(FAULTS['validate.request-invalid'], { operation, issues: errors }));
  }

  /** In mode `report` it is counted and noted, and the request goes on. */
  #because(x: Exchange, fault: Fault): Fault | undefined {
    this.#env.count('request_invalid');
    if (this.config.requests === 'enforce') {
      this.#known.delete(x);
      return fault;
    }
    x.note('validate', fault.code);
    return undefined;
  }

  #seeFields({
    content,
    contentType,
    value,
    of,
  }: {
    content: unknown;
    contentType: string;
    value: unknown;
    of: string;
  }): void {
    if (value === undefined || this.config.driftMax === 0) return;
    const { document } = this.#api();
    const media = typeOf(contentType);
    if (media === undefined) return;
    for (const pointer of unknownFields(document, mediaOf(content, media.type)?.['schema'], value)) {
      this.drift.see('field', `${of} ${pointer}`);
    }
  }

  // --- answers -----------------------------------------------------------------------------------------------------

  answer(x: Exchange, response: ResponseHead): Verdict | typeof WHOLE_BODY {
    const known = this.#known.get(x);
    const { status, headers } = response;
    if (known?.answers === undefined || status < 200 || status === 304 || isOurs(x, response)) return undefined;
    const { name } = known.operation;
    const answer = known.answers.of(status);
    if (answer === undefined) {
      this.drift.see('status', `${name} ${status}`);
      return this.#badAnswer(x, `${name} has no answer ${status}`);
    }
    const issue = answer.headerIssue(headers);
    if (issue !== undefined) return this.#badAnswer(x, `${name} ${status}: header ${issue.name} ${issue.message}`);
    const hasBody = status !== 204 && response.bodyLength !== 0 && x.request.method !== 'HEAD';
    if (!hasBody || answer.body.content === undefined) return undefined;
    const type = typeIn(headers);
    const check = type === undefined ? 'unknown' : answer.body.of(type.type);
    if (check === 'unknown') {
      this.drift.see('type', `${name} ${status} ${type?.type ?? 'without a Content-Type that can be read'}`);
      return this.#badAnswer(x, `${name} ${status} does not have this type`);
    }
    if (check === 'stream') return undefined;
    if (codingsOf(headers).length > 0) return this.#badAnswer(x, `${name} ${status} is compressed, and cannot be read`);
    known.answer = { content: answer.body.content, check };
    return WHOLE_BODY;
  }

  answerBody(x: Exchange, { status, headers }: ResponseHead, body: Buffer): BodyVerdict {
    const { operation, answer } = this.#known.get(x)!;
    const { name } = operation;
    const contentType = headers.get('content-type') ?? '';
    const checked = answer!.check({ contentType, body, depthMax: this.config.depthMax });
    if (checked.kind === 'malformed') return this.#badAnswer(x, `Answer ${status} of ${name}: ${checked.why}`);
    this.#seeFields({ content: answer!.content, contentType, value: checked.value, of: `${name} ${status}` });
    const [issue] = checked.issues;
    return issue === undefined ? undefined : this.#badAnswer(x, `Answer ${status} of ${name}: body ${issue.message}`);
  }

  #badAnswer(x: Exchange, detail: string): Fault | undefined {
    this.#env.count('answer_invalid');
    if (this.config.answers === 'enforce') return new Fault(FAULTS['validate.answer-invalid'], detail);
    x.note('validate', FAULTS['validate.answer-invalid'].code);
    return undefined;
  }
}

/** Names of the document and words of the schema only: neither values nor names that the client chose. */
function invalid(kind: FaultKind, { operation, issues: errors }: Refused): Fault {
  const first = errors[0]!;
  const detail = `${operation.name}: ${first.in}${first.in === 'body' ? '' : ` "${first.name}"`} ${first.message}`;
  return new Fault(kind, detail, { members: { errors } });
}

/** A problem that was made here says the id of this request. */
function isOurs(x: Exchange, { headers }: ResponseHead): boolean {
  return headers.get('content-type') === 'application/problem+json' && headers.get('x-request-id') === x.requestId;
}

/** What is to be read must not be compressed. Filter `compress` knows the wish of the client by then. */
function askUncoded({ request }: Exchange): void {
  request.headers.set('accept-encoding', 'identity');
}
